"""What works on a task for a command in the foreground: this process, or a server that is reached by its URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Protocol

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import TaskState
from holdfast.graphs.task import Task

PATIENCE = 5.0  # seconds: as long as a server takes to be started again
LOOK_SECONDS = 0.1


class Engine(Protocol):
    """As far as the foreground needs it; ``Holdfast`` is one, and ``remote.Runner`` another."""

    async def start(self, *args: Any, **how: Any) -> Task: ...
    async def get(self, task_id: str) -> Task: ...
    async def pause(self, task_id: str, *, mode: str = "step", reason: str | None = None) -> Task: ...
    async def resume(self, task_id: str) -> Task: ...
    async def answer(self, task_id: str, question: str, value: Any) -> Task: ...
    async def cancel(self, task_id: str, *, rollback: bool = False) -> Task: ...
    async def wait(self, task_id: str, *, until: Collection[TaskState]) -> Task: ...
    def events(self, task_id: str) -> AsyncIterator[Event]: ...
    def working_on(self, task_id: str) -> bool: ...
    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None: ...


class Following:
    """An engine for a task that a server on the same database works on: what is asked for goes to its row.

    It counts as worked on while it has a runner; one that lost it may get another for as long as ``PATIENCE``.
    """

    def __init__(self, engine: Engine, task_id: str) -> None:
        self._engine, self._task_id = engine, task_id
        self._looking: asyncio.Task[None] | None = None
        self._working = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def working_on(self, task_id: str) -> bool:
        """Whether somebody works on the task, here or there."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="holdfast-following")
        return self._working or self._engine.working_on(task_id)

    async def _look(self) -> None:
        seen = time.monotonic()
        while self._working:
            task = await self._engine.get(self._task_id)
            if task.runner:
                seen = time.monotonic()
            going = task.state in (TaskState.SUBMITTED, TaskState.WORKING) or task.in_flight > 0
            self._working = going and time.monotonic() - seen < PATIENCE
            await asyncio.sleep(LOOK_SECONDS)
