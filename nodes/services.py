"""What nodes work with: the open database, the registered types, the time, and who is at work in this process."""

from __future__ import annotations

import contextvars
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.models.recall import Recent
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.registry import Registry

if TYPE_CHECKING:
    from holdfast.nodes.agent.reach import Reach
    from holdfast.nodes.flight import Flight
    from holdfast.nodes.models.calls import Calls
    from holdfast.nodes.models.purse import Outstanding

_lease: contextvars.ContextVar[Lease | None] = contextvars.ContextVar("holdfast_lease", default=None)
Listener = Callable[[dict[str, Any]], None]


class Supervised(Protocol):
    """A task that is at work in this process."""

    def look(self) -> None: ...
    def hand_over(self) -> None: ...


@contextmanager
def held_lease(lease: Lease) -> Iterator[None]:
    """Nodes that run inside use this lease and take none of their own."""
    token = _lease.set(lease)
    try:
        yield
    finally:
        _lease.reset(token)


@dataclass
class Services:
    """One per open database and process; ``fly`` runs one subtask's body as a node of the subtask graph."""

    database: Database
    registry: Registry
    fly: Callable[[Flight], Awaitable[None]]
    workers: int = 8
    calls: Calls | None = None  # of the model that is set
    recent: Recent = field(default_factory=Recent)  # the model's answers that were last used
    outstanding: dict[int, Outstanding] = field(default_factory=dict)  # calls under way, by task
    reach: Reach | None = None  # which addresses agents may reach
    clock: Callable[[], float] = time.time
    leaving: bool = False  # this process hands over: nothing is begun any more
    at_work: dict[str, Supervised] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)

    @property
    def model(self) -> ModelSettings | None:
        """The model that is set."""
        return self.calls.settings if self.calls else None

    @asynccontextmanager
    async def leased(self, task: TaskRow) -> AsyncIterator[Lease]:
        """Holds the task's lease: the surrounding run's if there is one, else its own for as long as this lasts.

        Raises LeaseHeld if another run, here or elsewhere, works on the task.
        """
        outer = _lease.get()
        if outer and outer.task_id == task.id:
            yield outer
            return
        owner = self.database.owner
        lease = await self.database.awrite(lambda db: owner.take(db, task.number, task.id))
        owner.keep(lease)
        try:
            with held_lease(lease):
                yield lease
        finally:
            owner.drop(lease, over=False)  # LangGraph still writes this node's checkpoint
            await self.database.awrite(lambda db: owner.release(db, lease))

    async def task(self, task_id: str) -> TaskRow:
        """The task's row; raises UnknownTask."""
        return await self.database.aread(lambda db: tasks.get(db, task_id))

    def tell(self, task: str, subtask: str | None, type_: str, data: dict[str, Any]) -> None:
        """Passes something on live, without a number and without storing it."""
        for listener in list(self.listeners):
            listener({"task": task, "type": type_, "subtask": subtask, "data": data})

    def look(self, task_id: str) -> None:
        """Makes the supervisor of a task of this process look at its control row now."""
        if supervised := self.at_work.get(task_id):
            supervised.look()
