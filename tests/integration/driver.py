"""A runner without an event loop: one database operation at a time, so that a test chooses what happens in between.

Real: the file, ``checkpoints``, the nodes plan, review, supervise and finish, ``Shift`` with its scheduler, its commits
(``_perform``), its look at the control row (``_watch``), the effects behind a body (``Durable``) and the rollback.

Mirrored here, because they need an event loop: ``Shift.run`` (its loop of six lines), the graph's edges (a node names
the next one), ``Runner._run`` and ``_give_back`` (a run that ends while its task is WORKING goes on), and a body,
which is a fake that ends when the test says so.
"""

from __future__ import annotations

import asyncio
import json
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import LeaseHeld
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.questions import Asked as Question
from holdfast.checkpoints.states import TaskState
from holdfast.nodes import orchestration, supervise
from holdfast.nodes.flight import Flight, WorkStopped
from holdfast.nodes.registry import Registry
from holdfast.nodes.scheduler import Asked, Completed, Due, Event, Failed, Stopped
from holdfast.nodes.services import Services
from holdfast.nodes.supervise import Shift
from tests.integration.runner import digest

SPINNING = 3000  # operations of one run between two things that a test does
INBOX = "inbox"


@types.coroutine
def point(what: str) -> Generator[str, None, None]:
    """Where a runner's coroutine may be left standing."""
    yield what


def through(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that is not to be interrupted."""
    try:
        while True:
            work.send(None)
    except StopIteration as ended:
        return ended.value


class Points:
    """The open database, with a point before each operation; nobody looks unless the test does."""

    lookout = types.SimpleNamespace(watching=lambda tell: nullcontext())

    def __init__(self, database: Database) -> None:
        self.real, self.owner, self.files, self.path = database, database.owner, database.files, database.path

    async def awrite(self, work: Callable[..., Any], lease: Lease | None = None) -> Any:
        await point("write")
        return self.real.write(work, lease)

    async def aread(self, work: Callable[..., Any]) -> Any:
        await point("read")
        return self.real.read(work)


class _Begun:
    """A future that is done: whoever waits for a body to be under way need not."""

    def done(self) -> bool:
        return True

    def __await__(self) -> Iterator[None]:
        return iter(())


class Loop:
    """What a shift uses of an event loop: its timers, which the test's clock ends."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self.timers: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []

    def call_later(self, delay: float, act: Callable[..., Any], *args: Any) -> None:
        self.timers.append((self._time() + delay, act, args))

    def call_soon_threadsafe(self, act: Callable[..., Any], *args: Any) -> None:
        act(*args)

    def create_future(self) -> _Begun:
        return _Begun()

    def tick(self) -> None:
        due = [timer for timer in self.timers if timer[0] <= self._time()]
        self.timers = [timer for timer in self.timers if timer[0] > self._time()]
        for _, act, args in due:
            act(*args)

    def resting(self) -> set[str]:
        return {args[0].subtask for _, _, args in self.timers if args and isinstance(args[0], Due)}


class _Looked(Exception):
    """Ends the watch after one look."""


class _Asyncio:
    """In the place of supervise's ``asyncio``: a loop for each shift, and a watch that ends where it would wait."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def get_running_loop(self) -> Loop:
        return Loop(self._time)

    def timeout(self, seconds: float) -> None:
        raise _Looked

    wait_for = timeout


@contextmanager
def in_place(time: Callable[[], float]) -> Iterator[None]:
    """Shifts are run by the driver as long as this lasts."""
    with mock.patch.object(supervise, "asyncio", _Asyncio(time)), mock.patch.object(Shift, "run", run):
        yield


class _Services(Services):
    runner: Runner


class Runner:
    """One process's run of one task, at its next point."""

    def __init__(self, path: Path, task_id: str, registry: Registry, clock: Any, database: Database) -> None:
        self.path, self.task_id, self.registry, self.clock, self.database = path, task_id, registry, clock, database
        self.shift: Shift | None = None
        self.loop = Loop(clock.steady)
        self.flying: dict[str, Flight] = {}
        self.ended: dict[str, Flight] = {}  # bodies that have ended and were not yet recorded
        self.twice: list[str] = []
        self.lease: Lease | None = None
        self._run: Coroutine[Any, Any, None] | None = None
        self._at: str | None = None

    def create_task(self, flying: Coroutine[Any, Any, None]) -> None:
        """The task group of a shift: its flights are flown by the test."""
        flight = flying.cr_frame.f_locals["flight"]
        flying.close()
        if flight.id in self.flying:
            self.twice.append(flight.id)
        self.flying[flight.id] = flight

    def take_up(self) -> bool:
        """Holdfast's ``_launch``: takes the lease and begins; False if it is taken."""
        row = self.database.read(lambda db: tasks.get(db, self.task_id))
        try:
            self.lease = self.database.write(lambda db: self.database.owner.take(db, row.number, row.id))
        except LeaseHeld:
            return False
        services = _Services(Points(self.database), self.registry, lambda _: None, clock=self.clock.time)
        services.runner = self
        self._run, self._at = self._work(services), "begin"
        return True

    @property
    def alive(self) -> bool:
        return self._run is not None

    @property
    def idle(self) -> bool:
        """Whether nothing happens before the test does something."""
        return self._run is None or (self._at == INBOX and self.shift is not None and self.shift._inbox.empty())

    def advance(self, operations: int = SPINNING) -> None:
        """Lets the run go on for some operations of the database, or until it waits."""
        for _ in range(operations):
            if self.idle or self._run is None:
                return
            try:
                self._at = self._run.send(None)
            except StopIteration:
                self._run = None
        assert self.idle or operations < SPINNING, "the run spins: it does operation after operation and waits never"

    def look(self) -> None:
        """One turn of the shift's watch."""
        if self.shift is None:
            return
        with suppress(_Looked):
            through(self.shift._watch())

    def settle(self) -> None:
        """Until there is nothing to do but to wait for a body, a timer or a person."""
        self.advance()
        self.look()
        self.advance()

    def land(self, subtask: str, outcome: Event, value: bytes = b"", question: Question | None = None) -> None:
        """Ends a body."""
        flight = self.ended[subtask] = self.flying.pop(subtask)
        flight.outcome, flight.value, flight.question = outcome, value, question
        flight.landed(outcome)

    def complete(self, subtask: str) -> None:
        inputs = [value["digest"] for value in self.flying[subtask].inputs.values()]
        self.land(subtask, Completed(subtask), json.dumps({"digest": digest(subtask, inputs)}).encode())

    def fail(self, subtask: str, *, final: bool) -> None:
        self.land(subtask, Failed(subtask, "boom", final))

    def ask(self, subtask: str, question: Question) -> None:
        self.land(subtask, Asked(subtask), question=question)

    def begin_step(self, subtask: str, name: str) -> bool:
        """Begins a step of a body; a refused one ends it, as it would a real one."""
        try:
            through(self.flying[subtask].context._effects.begin_step(name))
        except WorkStopped:
            self.land(subtask, Stopped(subtask))
            return False
        return True

    def end_step(self, subtask: str, name: str) -> None:
        through(self.flying[subtask].context._effects.end_step(name, name))

    def land_stopped(self) -> None:
        """Bodies that were cancelled end."""
        for subtask in [name for name, flight in self.flying.items() if flight.stopping]:
            self.land(subtask, Stopped(subtask))

    def crash(self) -> None:
        """Everything in memory is gone."""
        if self._run:
            self._run.close()
        self._run, self.shift = None, None

    async def _work(self, services: _Services) -> None:
        while self.lease:
            node = "plan"
            while node not in ("gate", "end"):
                task = await services.task(self.task_id)
                update = await getattr(orchestration, node)(services, task, self.lease)
                node = update["goto"]
            self.lease = await services.database.awrite(self._give_back)

    def _give_back(self, db: Any) -> Lease | None:
        assert self.lease
        self.database.owner.release(db, self.lease)
        if tasks.get(db, self.task_id).state != TaskState.WORKING:
            return None
        return self.database.owner.take(db, self.lease.task, self.task_id)


async def run(shift: Shift) -> None:
    """In the place of ``Shift.run``: the same without a task group."""
    runner: Runner = shift._services.runner  # type: ignore[attr-defined]
    runner.shift, runner.flying, runner.ended = shift, {}, {}
    runner.loop = shift._loop  # type: ignore[assignment]
    commands = shift.scheduler.begin()
    while commands or shift.scheduler.active:
        if commands:
            arrived = await shift._perform(commands, runner)  # type: ignore[arg-type]
        else:
            while shift._inbox.empty():
                await point(INBOX)
            arrived = []
            while not shift._inbox.empty():
                arrived.append(shift._inbox.get_nowait())
        commands = [command for event in arrived for command in shift.scheduler.apply(event)]
    runner.shift = None
