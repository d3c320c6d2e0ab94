"""Looking into a database without LangGraph, which takes ten times as long to load as the answer to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.checkpoints import events, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.graphs.task import Task, snapshot

POLL_SECONDS = 0.1


class Store:
    """An open database to read from; the same reads as Holdfast's, for code that is not a coroutine."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def resolve(self, task: str) -> str:
        """The full id; raises UnknownTask or AmbiguousTask."""
        return self._database.read(lambda db: tasks.resolve(db, task))

    def get(self, task: str) -> Task:
        """The task as it is now; raises UnknownTask or AmbiguousTask."""
        return self._database.read(lambda db: snapshot(self._database, db, tasks.resolve(db, task)))

    def newest(self, state: TaskState | None = None) -> list[Task]:
        """Tasks, newest first, all or those in one state."""
        return self._database.read(lambda db: [snapshot(self._database, db, row.id) for row in tasks.newest(db, state)])

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
        return self._database.read(lambda db: (tasks.get(db, task).state, events.read(db, task, after)))
