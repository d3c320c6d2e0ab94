"""A server where a run in the foreground has ``Holdfast``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from types import TracebackType
from typing import Any

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import TaskState
from holdfast.cli.remote import PATIENCE_SECONDS, Remote, Unreachable
from holdfast.graphs.task import Task

LIVE_AGAIN_SECONDS = 1.0


class Runner:
    """As ``Holdfast`` for a run in the foreground: the server works, and is told what the person wants."""

    def __init__(self, url: str) -> None:
        self._remote = Remote(url)
        self._working = False
        self._listeners: list[Callable[[dict[str, Any]], None]] = []

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._remote.close()

    async def start(self, goal: str, **how: Any) -> Task:
        """Begins a task there."""
        return await self.get(await self._remote.start(goal, how))

    async def get(self, task_id: str) -> Task:
        """The task as it is now."""
        return self._noted(await self._remote.get(task_id))

    async def pause(self, task_id: str, *, mode: str = "step", reason: str | None = None) -> Task:
        """Pauses it."""
        return self._noted(await self._remote.change(task_id, "pause", {"mode": mode, "reason": reason}))

    async def resume(self, task_id: str) -> Task:
        """Resumes it; one at work goes on."""
        return self._noted(await self._remote.change(task_id, "resume", {}))

    async def answer(self, task_id: str, question: str, value: Any) -> Task:
        """Answers a question."""
        return self._noted(await self._remote.change(task_id, "answer", {"question_id": question, "value": value}))

    async def cancel(self, task_id: str, *, rollback: bool = False) -> Task:
        """Cancels it."""
        return self._noted(await self._remote.change(task_id, "cancel", {"rollback": rollback}))

    async def wait(self, task_id: str, *, until: Collection[TaskState]) -> Task:
        """Waits until its state is in ``until``."""
        task = await self.get(task_id)
        if task.state in until:
            return task
        async for told in self._remote.following(task_id, task.last_seq):
            if isinstance(told, Task) and self._noted(told).state in until:
                return told
        return await self.get(task_id)

    async def events(self, task_id: str) -> AsyncIterator[Event]:
        """Its history until it has ended; meanwhile listeners hear what its subtasks tell."""
        hearing = asyncio.create_task(self._hear(task_id), name="holdfast-hearing")
        try:
            async for told in self._remote.following(task_id, away=self._away):
                if isinstance(told, Event):
                    yield told
                else:
                    self._noted(told)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    def working_on(self, task_id: str) -> bool:
        """Whether the server is at work on it, or should be, as far as was told last."""
        return self._working

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """``listener`` is told what subtasks tell while they run, when the server is lost and when it is back."""
        self._listeners.append(listener)

    async def _hear(self, task_id: str) -> None:
        """Passes on what is told live; what is told while the server is away is lost."""
        while True:
            with suppress(Unreachable):
                async for news in self._remote.live(task_id):
                    self._tell(news)
            await asyncio.sleep(LIVE_AGAIN_SECONDS)

    def _away(self, away: bool) -> None:
        self._tell({"type": "server.lost" if away else "server.back", "data": {"seconds": PATIENCE_SECONDS}})

    def _tell(self, news: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener(news)

    def _noted(self, task: Task) -> Task:
        self._working = task.state in (TaskState.SUBMITTED, TaskState.WORKING) or bool(task.in_flight)
        return task
