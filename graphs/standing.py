"""What a page about a task shows beyond its snapshot, in one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints import questions, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import SETTLED

SMALL = 500  # bytes of a result that is read to be shown


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds up a task, what it was told, and what it has come to.

    ``holds`` has, for each held subtask, who holds it and why; ``uncertain`` counts steps that may have happened;
    ``results`` has (subtask, JSON bytes if they are few) of what has completed.
    """

    holds: Mapping[str, Mapping[str, str | None]]
    uncertain: int
    answered: Sequence[Question]
    results: Sequence[tuple[str, bytes | None]]


def standing(database: Database, db: sqlite3.Connection, task_id: str) -> Standing:
    """How the task of that full id stands; raises UnknownTask."""
    row = tasks.get(db, task_id)
    runner = database.owner.runner(db, row.number)
    live = [one for one in subtasks.load(db, row.number) if one.state not in SETTLED]
    begun = 0 if runner else sum(len(subtasks.begun(db, row.number, one.id)) for one in live)
    return Standing(
        {one.id: {who: stop.get("reason") for who, stop in one.stops.items()} for one in live if one.stops},
        begun,
        [one for one in questions.load(db, row.number) if one.answered],
        subtasks.small_results(db, row.number, SMALL),
    )


def plan_file(db: sqlite3.Connection, task_id: str) -> dict[str, Any]:
    """The plan of the task of that full id, as a plan file has it; raises UnknownTask."""
    rows = subtasks.load(db, tasks.get(db, task_id).number)
    return {"subtasks": [dict(row.spec) for row in rows if not row.id.startswith("@")]}
