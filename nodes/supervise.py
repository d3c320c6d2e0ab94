"""The parent agent: starts every subtask the moment its inputs are committed, and stops when it is told to.

A thin shell round the pure scheduler.  Each turn takes the events that have come in, asks the scheduler for commands,
commits all of them in one transaction, and only then starts the bodies: a result and the start of what waited for it
reach the disk together, before any successor runs.  The same transaction reads the control row and checks the lease,
so after an acknowledged pause nothing starts, in whichever process.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Mapping, Sequence

from holdfast.checkpoints import events, results, subtasks
from holdfast.checkpoints.errors import HandedOver
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.states import SETTLED, SubtaskState, TaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.context import TaskContext
from holdfast.nodes.flight import Durable, Flight, recorded_steps
from holdfast.nodes.scheduler import (
    Command,
    Due,
    Event,
    Fail,
    Halt,
    Job,
    Record,
    Scheduler,
    SendBack,
    Skip,
    Start,
    Stopped,
)
from holdfast.nodes.services import Services

POLL_SECONDS = 0.1
MODES = ("drain", "step", "now")


async def supervise(services: Services, task: TaskRow, lease: Lease, rows: Sequence[SubtaskRow]) -> None:
    """Runs the given subtasks until all are settled or the task is stopped.

    Raises HandedOver if this runner was told to leave the rest to another, and what the store raises.
    """
    learned = await services.database.aread(subtasks.durations)
    shift = Shift(services, task, lease, rows, learned)
    services.at_work[task.id] = shift
    try:
        await shift.run()
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        del services.at_work[task.id]
    if shift.handed_over:
        raise HandedOver(task.id)


class Shift:
    """One stretch of work on a plan, from the first start to the last landing."""

    def __init__(
        self,
        services: Services,
        task: TaskRow,
        lease: Lease,
        rows: Sequence[SubtaskRow],
        learned: Mapping[str, float],
    ) -> None:
        self._services, self._task, self._lease = services, task, lease
        self._rows = {row.id: row for row in rows}
        self._attempts = {row.id: row.attempts for row in rows}
        workers = task.options.get("workers")
        self.scheduler = Scheduler(
            jobs(rows, learned),
            services.workers if workers is None else workers,
            completed=[row.id for row in rows if row.state == SubtaskState.COMPLETED],
            dead={row.id: row.error or "" for row in rows if row.state in SETTLED - {SubtaskState.COMPLETED}},
        )
        self._values: dict[str, bytes] = {}  # results that a successor still needs, as they were committed
        self._needed = _needs(rows)
        self._flights: dict[str, Flight] = {}
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._mode: str | None = None
        self.handed_over = False

    def look(self) -> None:
        """Looks at the control row now; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    def hand_over(self) -> None:
        """Stops at the next step without a pause: the task stays WORKING for another runner."""
        self.handed_over = True
        self.look()

    async def run(self) -> None:
        """Works until nothing is under way and nothing can start."""
        self._values = await self._services.database.aread(self._committed)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            commands = self.scheduler.begin()
            while commands or self.scheduler.active:
                arrived = [*(await self._perform(commands, group) if commands else await self._next())]
                commands = [command for event in arrived for command in self.scheduler.apply(event)]
            watch.cancel()

    async def _next(self) -> list[Event]:
        arrived = [await self._inbox.get()]
        while not self._inbox.empty():
            arrived.append(self._inbox.get_nowait())
        return arrived

    async def _perform(self, commands: list[Command], group: asyncio.TaskGroup) -> list[Event]:
        """Commits the commands, then starts what may start; events, if the control row refused the starts."""
        starts = [command.subtask for command in commands if isinstance(command, Start)]
        allowed = await self._services.database.awrite(lambda db: self._commit(db, commands, starts), self._lease)
        for command in commands:
            self._after(command)
        if not allowed:
            return [Halt(), *map(Stopped, starts)]
        for subtask in starts:
            flight = self._flights[subtask] = await self._prepare(subtask)
            group.create_task(self._fly(flight))
        return []

    def _commit(self, db: sqlite3.Connection, commands: list[Command], starts: list[str]) -> bool:
        now, task, news = self._services.clock(), self._lease.task, []
        for command in commands:
            news += self._write(db, command, now)
        allowed = not starts or (subtasks.may_run(db, task) and not self.handed_over)
        if allowed:
            for subtask in starts:
                subtasks.start(db, task, subtask, now)
                news.append(News("subtask.running", subtask, {"attempt": self._attempts[subtask] + 1}))
        events.append(db, task, news, now)
        return allowed

    def _write(self, db: sqlite3.Connection, command: Command, now: float) -> list[News]:
        """The rows of one command, and what they tell."""
        task = self._lease.task
        match command:
            case Record(subtask):
                subtasks.complete(db, task, subtask, self._flights[subtask].value, now)
                return [News("subtask.completed", subtask)]
            case Fail(subtask, error):
                subtasks.send_back(db, task, subtask, error)
                subtasks.settle(db, task, subtask, SubtaskState.FAILED, error, now)
                return [News("subtask.failed", subtask, {"error": error})]
            case Skip(subtask, reason):
                subtasks.settle(db, task, subtask, SubtaskState.SKIPPED, reason, now)
                return [News("subtask.skipped", subtask, {"reason": reason})]
            case SendBack(subtask, error, wait):
                subtasks.send_back(db, task, subtask, error)
                data = {"error": error, "retry_in": wait} if error else None
                return [News("subtask.waiting", subtask, data)]
            case Start():
                return []

    def _after(self, command: Command) -> None:
        """What follows from a committed command in memory."""
        match command:
            case Record(subtask):
                if self._needed.get(subtask):
                    self._values[subtask] = self._flights[subtask].value
                self._let_go(subtask)
            case Fail(subtask) | Skip(subtask):
                self._let_go(subtask)
            case SendBack(subtask, error, wait):
                self._flights.pop(subtask, None)
                if error:
                    self._attempts[subtask] += 1
                    rest = wait * random.uniform(0.75, 1.25)  # noqa: S311  spreads retries, keeps no secret
                    self._loop.call_later(rest, self._inbox.put_nowait, Due(subtask))

    def _let_go(self, subtask: str) -> None:
        """Forgets a settled subtask's flight, and inputs that nobody else needs."""
        self._flights.pop(subtask, None)
        for dependency in self._rows[subtask].spec.get("dependencies", ()):
            self._needed[dependency] -= 1
            if not self._needed[dependency]:
                self._values.pop(dependency, None)

    async def _prepare(self, subtask: str) -> Flight:
        row = self._rows[subtask]
        before = row.started_at is not None or self._attempts[subtask]
        recorded = await recorded_steps(self._services, self._lease.task, subtask) if before else {}
        effects = Durable(self._services, self._lease, self._task, subtask, recorded)
        inputs = {d: json.loads(self._values[d]) for d in row.spec.get("dependencies", ())}
        context = TaskContext(self._task.id, subtask, self._attempts[subtask] + 1, effects)
        return Flight(self._services.registry.get(row.type), row.spec, inputs, context)

    async def _fly(self, flight: Flight) -> None:
        await self._services.fly(flight)
        self._inbox.put_nowait(flight.outcome or Stopped(flight.id))

    async def _watch(self) -> None:
        """Looks at the control row when told to, and at least every tenth of a second."""
        while True:
            task = await self._services.task(self._task.id)
            self._obey(_mode(task, self.handed_over))
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
            self._wake.clear()

    def _obey(self, mode: str | None) -> None:
        if mode is None or (self._mode and MODES.index(mode) <= MODES.index(self._mode)):
            return
        if self._mode is None:
            self._inbox.put_nowait(Halt())
        self._mode = mode
        if mode == "now":
            for flight in self._flights.values():
                flight.stop()

    def _committed(self, db: sqlite3.Connection) -> dict[str, bytes]:
        """Results that subtasks still to run need."""
        return {
            id_: results.get(db, row.result)
            for id_, row in self._rows.items()
            if row.result is not None and self._needed.get(id_)
        }


def jobs(rows: Sequence[SubtaskRow], learned: Mapping[str, float]) -> list[Job]:
    """The scheduler's view of rows: expected seconds are the plan's, else learned from the type, else the mean."""
    known: dict[str, float] = {}
    for row in rows:
        estimate = row.spec.get("estimated_time")
        seconds = estimate * 60 if estimate is not None else learned.get(row.type)
        if seconds is not None:
            known[row.id] = seconds
    usual = sum(known.values()) / len(known) if known else 1.0
    return [
        Job(
            row.id,
            tuple(row.spec.get("dependencies", ())),
            known.get(row.id, usual),
            row.spec.get("priority", 0),
            row.spec.get("retries", 2),
            row.attempts,
        )
        for row in rows
    ]


def _needs(rows: Sequence[SubtaskRow]) -> dict[str, int]:
    """How many subtasks that are still to settle read each result."""
    needs: dict[str, int] = {}
    for row in rows:
        if row.state not in SETTLED:
            for dependency in row.spec.get("dependencies", ()):
                needs[dependency] = needs.get(dependency, 0) + 1
    return needs


def _mode(task: TaskRow, handed_over: bool) -> str | None:
    """How a task has to stop: None while it may run."""
    modes = [stop["mode"] for stop in task.stops.values()]
    if task.state in (TaskState.CANCELED, TaskState.FAILED, TaskState.REJECTED):
        modes.append("now")
    if handed_over or (not modes and task.state != TaskState.WORKING):
        modes.append("step")
    return max(modes, key=MODES.index) if modes else None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault behind a group: several tasks that meet one fault all report it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def progress_of(rows: Sequence[SubtaskRow], now: float) -> tuple[int, float]:
    """(settled subtasks, expected seconds still ahead on the longest chain)."""
    scheduler = Scheduler(
        jobs(rows, {}),
        completed=[row.id for row in rows if row.state == SubtaskState.COMPLETED],
        dead={row.id: "" for row in rows if row.state in SETTLED - {SubtaskState.COMPLETED}},
    )
    elapsed = {row.id: now - row.started_at for row in rows if row.state == SubtaskState.RUNNING and row.started_at}
    return sum(row.state in SETTLED for row in rows), scheduler.remaining(elapsed)
