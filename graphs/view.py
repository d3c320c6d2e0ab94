"""A task as its client sees it over the wire: the row, what was said, what is asked, what was handed out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from holdfast.checkpoints import messages, questions, results, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import UnknownTask
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import ArtifactRow, TaskRow


@dataclass(frozen=True, slots=True)
class View:
    """One task in one transaction; ``results`` are those of the subtasks nothing depends on, once it has completed."""

    row: TaskRow
    begun: bool
    in_flight: int
    messages: list[Message]
    questions: list[Question]
    artifacts: list[ArtifactRow]
    results: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of a task: so many of its newest messages, of so many characters (None: all), and its artifacts."""

    history: int | None = None
    artifacts: bool = True
    characters: int | None = None


ALL = Wanted()


def view(database: Database, db: sqlite3.Connection, owner: str, task_id: str, wanted: Wanted = ALL) -> View:
    """The owner's task of exactly that id; raises UnknownTask, for a foreign one as for none."""
    row = tasks.find(db, task_id)
    if row is None or row.owner != owner:
        raise UnknownTask(task_id)
    return of_row(database, db, row, wanted)


def of_row(database: Database, db: sqlite3.Connection, row: TaskRow, wanted: Wanted) -> View:
    """The view of a row that was just read."""
    completed = row.state == TaskState.COMPLETED
    return View(
        row,
        row.state not in (TaskState.PAUSED, TaskState.SUBMITTED) or tasks.has_begun(db, row.number),
        in_flight(database, db, row),
        messages.load(db, row.number, wanted.history, most=wanted.characters),
        questions.pending(db, row.number),
        tasks.artifacts(db, row.number) if wanted.artifacts else [],
        last_results(db, row.number) if completed and wanted.artifacts else None,
    )


def in_flight(database: Database, db: sqlite3.Connection, task: TaskRow) -> int:
    """Subtasks that a live runner has under way; what a dead one left as running is not."""
    if task.state in TERMINAL or database.owner.runner(db, task.number) is None:
        return 0
    return subtasks.running(db, task.number)


def last_results(db: sqlite3.Connection, task: int) -> dict[str, Any]:
    """The results of the completed subtasks that no other one depends on, by id."""
    rows = [row for row in subtasks.load(db, task) if not row.id.startswith("@")]
    needed = {name for row in rows for name in row.spec.get("dependencies", ())}
    read: Callable[[int], Any] = partial(results.get, db)
    return {row.id: json.loads(read(row.result)) for row in rows if row.result is not None and row.id not in needed}
