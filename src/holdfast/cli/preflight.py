"""What is checked before a run: nothing is recorded and no database made until all of it holds."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.checkpoints.errors import BadInput

if TYPE_CHECKING:
    from holdfast.nodes.plan import Plan

REPORTS = "reports"
SLUG = 40
RULES = "built-in rules, no AI"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked ``run`` for."""

    goal: str
    data: Sequence[str] = ()
    plan: str | None = None
    out: str | None = None
    workers: int | None = None
    on_question: str = "pause"
    on_failure: str = "continue"
    approve: bool = False
    yes: bool = False
    reuse: str | None = None
    budget: Mapping[str, float] | None = None
    types: Sequence[str] = ()


def ready(wishes: Wishes, *, elsewhere: bool = False) -> dict[str, Any]:
    """The arguments for ``Holdfast.start``; raises BadInput or InvalidPlan for the first thing that cannot be used.

    A server that runs it ``elsewhere`` has its own task types and may have files of its own, so it checks those.
    """
    _check_goal(wishes.goal)
    if not elsewhere:
        engine()
        _check_budget(wishes.budget or {})
        prepare_types(wishes.types)
    plan = _read_plan(wishes.plan, checked=not elsewhere)
    if not elsewhere:
        _check_data(wishes.data, with_plan=plan is not None)
    out = wishes.out or (None if plan else _default_out(wishes.goal))
    if out:
        check_out(Path(out).expanduser())
    return {
        "data": list(wishes.data),
        "plan": plan,
        "out": out,
        "workers": wishes.workers,
        "on_question": wishes.on_question,
        "on_failure": wishes.on_failure,
        "approve": wishes.approve,
        "budget": wishes.budget,
        "yes": wishes.yes,
        "reuse": wishes.reuse,
    }


def prepare_types(given: Sequence[str]) -> list[str]:
    """Registers the built-in task types and those of the settings or ``given``; returns the names of the latter."""
    from holdfast.graphs.settings import type_modules
    from holdfast.graphs.types import load_types
    from holdfast.nodes import builtin

    builtin.register()
    return load_types(type_modules(tuple(given)))


def check_out(folder: Path) -> None:
    """Makes the output folder and tries to write there; raises BadInput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(f"the output folder {folder} cannot be written ({reason}); choose another with --out") from None


def engine() -> str:
    """Which engine plans and analyses, and what is missing for a model where half of it is set.

    Raises BadInput for a setting that cannot be used.
    """
    from holdfast.graphs.settings import model, model_missing

    settings, lacks = model(), model_missing()
    if settings:
        return settings.title
    return RULES + f" ({lacks})" * bool(lacks)


def _check_budget(limits: Mapping[str, float]) -> None:
    """Raises BadInput for a limit in dollars where the model has no price."""
    from holdfast.graphs.settings import model
    from holdfast.nodes.models.settings import require_price

    require_price(model(), limits)


def _check_data(data: Sequence[str], *, with_plan: bool) -> None:
    """Raises BadInput for files that cannot be used: a model may do without, and reads documents as well as tables."""
    from holdfast.graphs.settings import model
    from holdfast.nodes.data.files import check_inputs, check_there

    if model():
        check_there(data)
    elif data or not with_plan:
        check_inputs(data, for_report=not with_plan)


def _check_goal(goal: str) -> None:
    from holdfast.checkpoints.tasks import require_goal

    require_goal(goal)
    try:
        goal.encode()
    except UnicodeEncodeError:
        raise BadInput("the goal is not valid UTF-8 text; type it again in a UTF-8 terminal") from None


def _read_plan(path: str | None, *, checked: bool) -> Plan | None:
    if path is None:
        return None
    from holdfast.nodes.plan import Plan
    from holdfast.nodes.registry import REGISTRY

    plan = Plan.read(Path(path).expanduser())
    return plan.checked(REGISTRY) if checked else plan


def _default_out(goal: str) -> str:
    from holdfast.nodes.market.planner import title_of

    slug = re.sub(r"[^a-z0-9]+", "-", title_of(goal).lower()).strip("-")[:SLUG].rstrip("-") or "report"
    return os.path.join(REPORTS, f"{slug}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
