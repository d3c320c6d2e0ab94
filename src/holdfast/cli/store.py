"""A database without LangGraph, which takes ten times as long to load as an answer to read or a row to change."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.checkpoints import events, questions, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import SETTLED, TERMINAL, TaskState
from holdfast.graphs.task import Task, snapshot

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Standing:
    """What keeps a task or its subtasks from going on, beyond what the snapshot tells.

    ``until`` is when the pause ends by itself; ``holds`` has, for each held subtask, who holds it and why;
    ``uncertain`` counts steps that may have happened; ``runner`` is who works on it now.
    """

    until: datetime | None
    holds: Mapping[str, Mapping[str, str | None]]
    uncertain: int
    runner: str | None


class Store:
    """An open database; the reads of Holdfast, and its changes without the work, for code that is not a coroutine."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)

    def close(self) -> None:
        """Closes the file."""
        self.database.close()

    def resolve(self, task: str) -> str:
        """The full id; raises UnknownTask or AmbiguousTask."""
        return self.database.read(lambda db: tasks.resolve(db, task))

    def get(self, task: str) -> Task:
        """The task as it is now; raises UnknownTask or AmbiguousTask."""
        return self.database.read(lambda db: snapshot(self.database, db, tasks.resolve(db, task)))

    def newest(self, state: TaskState | None = None) -> list[Task]:
        """Tasks, newest first, all or those in one state."""
        return self.database.read(lambda db: [snapshot(self.database, db, row.id) for row in tasks.newest(db, state)])

    def ended(self, before: float, keep: int) -> int:
        """How many tasks ended and were last changed before that time, not counting the ``keep`` newest of all."""
        rows = self.database.read(lambda db: tasks.newest(db, limit=-1))
        return sum(row.state in TERMINAL and row.updated_at < before for row in rows[keep:])

    def standing(self, task: str) -> Standing:
        """What keeps the task of that full id, or parts of it, from going on."""

        def look(db: sqlite3.Connection) -> Standing:
            row = tasks.get(db, task)
            runner = self.database.owner.runner(db, row.number)
            live = [one for one in subtasks.load(db, row.number) if one.state not in SETTLED]
            begun = 0 if runner else sum(len(subtasks.begun(db, row.number, one.id)) for one in live)
            ends = [stop["until"] for stop in row.stops.values() if stop.get("until")]
            until = datetime.fromtimestamp(max(ends), UTC) if ends and len(ends) == len(row.stops) else None
            return Standing(until, {one.id: _reasons(one.stops) for one in live if one.stops}, begun, runner)

        return self.database.read(look)

    def plan(self, task: str) -> dict[str, Any]:
        """The plan of the task of that full id, as a plan file has it."""

        def look(db: sqlite3.Connection) -> dict[str, Any]:
            rows = subtasks.load(db, tasks.get(db, task).number)
            return {"subtasks": [dict(row.spec) for row in rows if not row.id.startswith("@")]}

        return self.database.read(look)

    def question(self, task: str, question: str) -> Question:
        """A question of the task of that full id, open or not; raises UnknownQuestion."""
        return self.database.read(lambda db: questions.find(db, tasks.get(db, task).number, question))

    def change(self, task: str, act: Callable[..., Any], **how: Any) -> Task:
        """Does ``act`` of checkpoints.control in one transaction; a live runner notices.  Raises what ``act`` raises.

        Returns the task as it is once the change is on disk.
        """
        now = time.time()

        def go(db: sqlite3.Connection) -> str:
            full = tasks.resolve(db, task)
            act(db, full, now=now, **how)
            return full

        return self.get(self.database.write(go))

    def events(self, task: str, after: int = 0, *, follow: bool = False) -> Iterator[Event]:
        """The history of the task of that full id; with ``follow`` until it has ended."""
        while True:
            state, batch = self._batch(task, after)
            yield from batch
            if batch:
                after = batch[-1].seq
            else:
                if not follow or state in TERMINAL:
                    return
                time.sleep(POLL_SECONDS)

    def _batch(self, task: str, after: int) -> tuple[TaskState, list[Event]]:
        return self.database.read(lambda db: (tasks.get(db, task).state, events.read(db, task, after)))


def _reasons(stops: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    return {who: stop.get("reason") for who, stop in stops.items()}
