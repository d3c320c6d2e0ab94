"""What a resume would do, told before it is done: what is reused, what runs again, and what is uncertain."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from holdfast.checkpoints import subtasks, tasks
from holdfast.checkpoints.states import SETTLED, SubtaskState
from holdfast.nodes.registry import Registry


@dataclass(frozen=True, slots=True)
class UncertainStep:
    """A step that was begun and has no receipt: it may have happened.  ``policy`` is what its type does then."""

    subtask: str
    step: str
    policy: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Subtask ids by what a resume does with them; ``kept_steps`` counts steps of unfinished ones that are on disk."""

    reused: list[str]
    run_again: list[str]
    not_started: list[str]
    settled: list[str]
    kept_steps: dict[str, int]
    uncertain: list[UncertainStep]

    def to_json(self) -> dict[str, Any]:
        """As ``resume --explain --json`` prints it."""
        return asdict(self)


def explain(db: sqlite3.Connection, task_id: str, registry: Registry) -> Explanation:
    """What a resume of the task would do; raises UnknownTask.  Changes nothing."""
    task = tasks.get(db, task_id)
    rows = [row for row in subtasks.load(db, task.number) if not row.id.startswith("@")]
    live = [row for row in rows if row.state not in SETTLED]
    kept = {row.id: len(subtasks.steps(db, task.number, row.id)) for row in live}
    return Explanation(
        reused=[row.id for row in rows if row.state == SubtaskState.COMPLETED],
        run_again=[row.id for row in live if row.started_at is not None],
        not_started=[row.id for row in live if row.started_at is None],
        settled=[row.id for row in rows if row.state in SETTLED - {SubtaskState.COMPLETED}],
        kept_steps={subtask: count for subtask, count in kept.items() if count},
        uncertain=[
            UncertainStep(row.id, step, registry.get(row.type).uncertain if row.type in registry else "unknown type")
            for row in live
            for step in sorted(subtasks.begun(db, task.number, row.id))
        ],
    )
