"""A database without LangGraph, which takes ten times as long to load as an answer to read or a row to change."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.checkpoints import events, questions, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.graphs.standing import Standing, plan_file, standing
from holdfast.graphs.task import Task, snapshot

if TYPE_CHECKING:
    from holdfast.graphs.explain import Explanation

POLL_SECONDS = 0.1


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

    def newest(self, state: TaskState | None = None, limit: int | None = None) -> list[Task]:
        """Tasks, newest first, all or those in one state; at most ``limit`` of them if that is given."""
        return self.database.read(
            lambda db: [snapshot(self.database, db, row.id, eager=False) for row in tasks.newest(db, state, limit)]
        )

    def count(self, state: TaskState | None = None) -> int:
        """How many tasks there are, or how many in one state."""
        return self.database.read(lambda db: tasks.count(db, state))

    def ended(self, before: float, keep: int) -> int:
        """How many tasks ended and were last changed before that time, not counting the ``keep`` newest of all."""
        rows = self.database.read(tasks.newest)
        return sum(row.state in TERMINAL and row.updated_at < before for row in rows[keep:])

    def standing(self, task: str) -> Standing:
        """What holds up the task of that full id, what it was told, and what it has come to."""
        return self.database.read(lambda db: standing(self.database, db, task))

    def plan(self, task: str) -> dict[str, Any]:
        """The plan of the task of that full id, as a plan file has it."""
        return self.database.read(lambda db: plan_file(db, task))

    def explain(self, task: str) -> Explanation:
        """What a resume of the task of that full id would do, by the task types that are registered here."""
        from holdfast.graphs.explain import explain
        from holdfast.nodes.registry import REGISTRY

        return self.database.read(lambda db: explain(db, task, REGISTRY))

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

    def events(
        self, task: str, after: int = 0, *, follow: bool = False, waits: Callable[[TaskState], None] | None = None
    ) -> Iterator[Event]:
        """The history of the task of that full id; with ``follow`` until it has ended.

        ``waits`` is called again and again while nothing comes, with the task's state.
        """
        while True:
            state, batch = self._batch(task, after)
            yield from batch
            if batch:
                after = batch[-1].seq
            else:
                if not follow or state in TERMINAL:
                    return
                if waits:
                    waits(state)
                time.sleep(POLL_SECONDS)

    def _batch(self, task: str, after: int) -> tuple[TaskState, list[Event]]:
        return self.database.read(lambda db: (tasks.get(db, task).state, events.read(db, task, after)))
