"""``cancel --rollback`` of a task on which nobody works: the compensations run here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.checkpoints.errors import MissingTypes
from holdfast.checkpoints.states import SubtaskState
from holdfast.cli.common import Target
from holdfast.cli.exits import CANCELED, COMPLETED
from holdfast.cli.preflight import prepare_types

if TYPE_CHECKING:
    from holdfast.cli.engine import Engine
    from holdfast.graphs.task import Task


def undo(to: Target, known: Task, types: Sequence[str]) -> int:
    """Cancels and undoes in the foreground; 0 once the task is canceled.  Raises MissingTypes before any change."""
    if not to.server:
        _require_types(known, types)

    async def begin(hf: Engine) -> Task:
        return await hf.cancel(known.id, rollback=True)

    from holdfast.cli.foreground import work

    code = work(to, begin, types=types, told=known.last_seq)
    return COMPLETED if code == CANCELED else code


def _require_types(known: Task, types: Sequence[str]) -> None:
    """Raises MissingTypes if what has completed cannot be undone here."""
    prepare_types(types)
    from holdfast.nodes.registry import REGISTRY

    done = {one.type for one in known.plan.subtasks if one.state == SubtaskState.COMPLETED}
    if missing := {name for name in done if name not in REGISTRY}:
        raise MissingTypes(known.id, missing)
