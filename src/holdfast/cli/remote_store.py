"""A server where commands that are no coroutines have a ``Store``."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from holdfast.checkpoints.errors import HoldfastError
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.files import draft_name
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.cli.remote import Answer, Remote
from holdfast.graphs.standing import Standing
from holdfast.graphs.task import Task

if TYPE_CHECKING:
    from holdfast.graphs.explain import Explanation


class RemoteStore:
    """As ``store.Store`` for commands that are no coroutines."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.remote = Remote(url)

    def close(self) -> None:
        """Closes the connections."""
        self.run(self.remote.close())
        self._runner.close()

    def run(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for an answer."""
        return self._runner.run(asked)

    def resolve(self, task: str) -> str:
        """The full id."""
        return self.run(self.remote.resolve(task))

    def get(self, task: str) -> Task:
        """The task as it is now."""
        return self.run(self.remote.get(task))

    def newest(self, state: TaskState | None = None, limit: int | None = None) -> list[Task]:
        """Tasks, newest first."""
        return self.run(self.remote.newest(state, limit))

    def count(self, state: TaskState | None = None) -> int:
        """How many tasks there are."""
        return self.run(self.remote.count(state))

    def standing(self, task: str) -> Standing:
        """What a page shows beyond the task."""
        return self.run(self.remote.standing(task))

    def plan(self, task: str) -> dict[str, Any]:
        """The plan, as a plan file has it."""
        return self.run(self.remote.plan(task))

    def explain(self, task: str) -> Explanation:
        """What a resume would do there."""
        return self.run(self.remote.explain(task))

    def question(self, task: str, question: str) -> Question:
        """A question, open or answered."""
        return self.run(self.remote.question(task, question))

    def change(self, task: str, act: Callable[..., Any], **how: Any) -> Task:
        """Has the server do ``act`` of checkpoints.control; each has a route of its name."""
        return self.run(self.remote.change(task, act.__name__, how))

    def events(
        self, task: str, after: int = 0, *, follow: bool = False, waits: Callable[[TaskState], None] | None = None
    ) -> Iterator[Event]:
        """The history; with ``follow`` until the task has ended.  ``waits`` is called while nothing comes."""
        while not follow and (batch := self.run(self.remote.told(task, after, 0))):
            yield from batch
            after = batch[-1].seq
        if not follow:
            return
        news = self.remote.following(task, after)
        while (told := self.run(_next(news))) is not None:
            if isinstance(told, Event):
                yield told
            elif waits and told.state not in TERMINAL:
                waits(told.state)

    def fetched(self, task: Task, folder: Path) -> Task:
        """Brings a task's artifacts into ``folder``; returns the task with the paths that they have there.

        Each is whole or not there; raises HoldfastError for the first that cannot be brought.
        """
        rows = []
        for row in task.artifacts:
            path = folder / _inside(row.name)
            try:
                self._fetch(task.id, row, path)
            except (HoldfastError, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                raise HoldfastError(
                    f"{row.name} could not be brought to {folder} ({reason}); it is at {row.path}"
                ) from None
            rows.append(replace(row, path=str(path)))
        return replace(task, artifacts=rows)

    def _fetch(self, task: str, row: ArtifactRow, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{draft_name(path.name)}.{uuid.uuid4().hex[:8]}")
        try:
            with draft.open("xb") as file:
                chunks = self.remote.content(task, row)
                while (chunk := self.run(_next(chunks))) is not None:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


async def _next(news: AsyncIterator[Answer]) -> Answer | None:
    return await anext(news, None)


def _inside(name: str) -> PurePosixPath:
    """An artifact's name as a path below a folder; raises HoldfastError if it leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise HoldfastError(f"the artifact name {name!r} leads out of its folder; it was not written")
    return path
