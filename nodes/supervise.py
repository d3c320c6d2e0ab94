"""The parent agent: starts every subtask the moment its inputs are committed, and stops when it is told to.

A thin shell round the pure scheduler.  Each turn takes the events that have come in, asks the scheduler for commands,
commits all of them in one transaction, and only then starts the bodies: a result and the start of what waited for it
reach the disk together, before any successor runs.  The same transaction reads the control row and checks the lease,
so after an acknowledged pause nothing starts, in whichever process.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version

from pydantic import ValidationError

from holdfast.checkpoints import budget, cache, control, events, subtasks, tasks
from holdfast.checkpoints.cache import Entry
from holdfast.checkpoints.errors import BadInput, DataCorrupt, HandedOver
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.states import SETTLED, TERMINAL, SubtaskEvent, SubtaskState, TaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.context import TaskContext
from holdfast.nodes.flight import Durable, Flight, recorded
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.purse import Purse
from holdfast.nodes.models.recall import Recall
from holdfast.nodes.registry import TaskType
from holdfast.nodes.scheduler import (
    Ask,
    Changed,
    Command,
    Consult,
    Due,
    Event,
    Fail,
    Go,
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

RESULT = f"result/1 {version('holdfast')}"  # of what a key is; another one finds none of the old
POLL_SECONDS = 0.5  # whoever writes here tells it, and the lookout what others write
START_AT_ONCE = 16  # starts in one commit: each commit reads the control row


async def supervise(services: Services, task: TaskRow, lease: Lease, rows: Sequence[SubtaskRow]) -> None:
    """Runs the given subtasks until all are settled or the task is stopped.

    Raises HandedOver if this runner was told to leave the rest to another, and what the store raises.
    """
    if services.leaving:
        raise HandedOver(task.id)
    learned = await services.database.aread(subtasks.durations)
    rows = await services.database.awrite(lambda db: _recover(db, services.clock(), lease, rows), lease)
    shift = Shift(services, task, lease, rows, learned)
    services.at_work[task.id] = shift
    try:
        with services.database.lookout.watching(shift.look):
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
            jobs(rows, learned, task.options.get("on_failure")),
            services.workers if workers is None else workers,
            completed=[row.id for row in rows if subtasks.has_result(row)],
            dead={row.id: row.error or "" for row in rows if row.state in SETTLED and not subtasks.has_result(row)},
            held=[row.id for row in rows if row.stops or row.state == SubtaskState.INPUT_REQUIRED],
        )
        self._stands_for = {row.spec["fallback"]: row.id for row in rows if row.spec.get("fallback")}
        self._values: dict[str, bytes] = {}  # results of this shift that a successor still needs, as committed
        self._needed = _needs(rows)
        self._flights: dict[str, Flight] = {}
        self._held: set[str] = set()  # since this shift began: what is not under way yet does not begin
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._again: set[str] = set()  # started before in this shift
        self._seen = task.last_seq  # how much of the history `rows` has in it, at least
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
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            commands = self.scheduler.begin()
            while commands or self.scheduler.active:
                arrived = await (self._perform(commands, group) if commands else self._next())
                commands = [command for event in arrived for command in self.scheduler.apply(event)]
            watch.cancel()

    async def _perform(self, commands: list[Command], group: asyncio.TaskGroup) -> list[Event]:
        """Commits the commands and starts what they start, a few to a commit; events for what was refused."""
        starts = [command.subtask for command in commands if isinstance(command, Start)]
        others: list[Command] = [command for command in commands if not isinstance(command, Start)]
        arrived: list[Event] = []
        for first in range(0, max(1, len(starts)), START_AT_ONCE):
            arrived += await self._turn(others, starts[first : first + START_AT_ONCE], group)
            others = []
        return arrived

    async def _next(self) -> list[Event]:
        arrived = [await self._inbox.get()]
        while not self._inbox.empty():
            arrived.append(self._inbox.get_nowait())
        return arrived

    async def _turn(self, commands: list[Command], starts: list[str], group: asyncio.TaskGroup) -> list[Event]:
        may_run, started = await self._services.database.awrite(
            lambda db: self._commit(db, commands, starts), self._lease
        )
        for command in commands:
            self._after(command)
            if isinstance(command, Ask | Consult | Fail):  # which may have stopped others
                self._wake.set()
        for subtask in started:
            flight = self._flights[subtask] = await self._prepare(subtask)
            if self._mode or subtask in self._held:
                flight.stop()  # stopped since the commit: its body does not begin
            group.create_task(self._fly(flight))
            await flight.begun  # one after the other, so that the most urgent is not held up by starting the rest
        if len(started) == len(starts):
            return []
        refused = [subtask for subtask in starts if subtask not in started]
        if not may_run:
            self._mode = self._mode or control.MODES[0]  # whoever lets the task go on is heard by the next look
            return [Halt(), *map(Stopped, refused)]
        return [event for subtask in refused for event in (Changed(subtask, held=True), Stopped(subtask))]

    def _commit(self, db: sqlite3.Connection, commands: list[Command], starts: list[str]) -> tuple[bool, list[str]]:
        """The rows and events of a turn; whether the task may run, and which subtasks were started."""
        now, task = self._services.clock(), self._lease.task
        news = [one for command in commands for one in self._write(db, command, now)]
        may_run = not self.handed_over and bool(starts) and subtasks.may_run(db, task)
        started = [subtask for subtask in starts if may_run and subtasks.start(db, task, subtask, now)]
        news += [News("subtask.running", subtask, {"attempt": self._attempts[subtask] + 1}) for subtask in started]
        events.append(db, task, news, now)
        return may_run, started

    def _write(self, db: sqlite3.Connection, command: Command, now: float) -> list[News]:
        """The rows of one command, and what they tell; nothing, if a cancel or a skip came first."""
        task = self._lease.task
        match command:
            case Record(subtask):
                flight = self._flights[subtask]
                hit = [News("cache.hit", subtask, {"from": flight.reused})] * (flight.reused is not None)
                done = subtasks.complete(db, task, subtask, flight.value, now, flight.fingerprint)
                if done and flight.known:
                    self._keep_result(db, flight, flight.known, now)
                if done and flight.context.model:
                    flight.context.model.recall.store(db, now)
                if subtask in self._stands_for:
                    subtasks.stand_in(db, task, subtask, self._stands_for[subtask])
                return [*hit, News("subtask.completed", subtask)] if done else []
            case Fail(subtask, error, policy):
                return self._write_failure(db, subtask, error, policy, now)
            case Skip(subtask, reason):
                done = subtasks.end(db, task, subtask, SubtaskEvent.SKIP, reason, now)
                return [News("subtask.skipped", subtask, {"reason": reason})] if done else []
            case SendBack(subtask, error, wait):
                done = subtasks.set_waiting(db, task, subtask, SubtaskEvent.SEND_BACK)
                if done and error:
                    subtasks.count_attempt(db, task, subtask, error)
                row = subtasks.find(db, task, subtask)
                data = {"error": error, "retry_in": wait} if error else None
                return [News(f"subtask.{row.state.value}", subtask, data)] if done and row else []
            case Ask(subtask):
                self._write_question(db, subtask, self._flights[subtask].question, now)
            case Consult(subtask, error):
                subtasks.count_attempt(db, task, subtask, error)
                seen = tasks.get(db, self._task.id).last_seq  # another failure is another question
                self._write_question(db, subtask, _what_now(subtask, error, seen), now)
        return []

    def _keep_result(self, db: sqlite3.Connection, flight: Flight, known: Entry, now: float) -> None:
        """Counts that a result was taken over, or remembers where it is now."""
        if flight.reused is not None:
            cache.hit(db, known)
        elif not flight.context.was_answered:
            tags = {f"type:{flight.kind.name}", *flight.origins}
            cache.put(db, known.made(now, flight.kind.keeps), tags)

    def _write_failure(self, db: sqlite3.Connection, subtask: str, error: str, policy: str, now: float) -> list[News]:
        task = self._lease.task
        if not subtasks.end(db, task, subtask, SubtaskEvent.FAIL, error, now):
            return []
        subtasks.count_attempt(db, task, subtask, error)
        events.append(db, task, [News("subtask.failed", subtask, {"error": error})], now)
        row = tasks.get(db, self._task.id)
        if policy == "fail_fast":
            control.fail(db, row, f"{subtask}: {error}", now)
        elif policy == "rollback":
            control.start_rollback(db, row, "fail", now)
        return []

    def _write_question(self, db: sqlite3.Connection, subtask: str, asked: Asked | None, now: float) -> None:
        row = subtasks.find(db, self._lease.task, subtask)
        if asked and row and row.state == SubtaskState.RUNNING:
            control.ask(db, self._task.id, subtask, asked, now)

    def _after(self, command: Command) -> None:
        """What follows from a committed command in memory."""
        match command:
            case Record(subtask):
                if self._needed.get(subtask, 0) > 0:
                    self._values[subtask] = self._flights[subtask].value
                self._let_go(subtask)
            case Fail(subtask) | Skip(subtask):
                self._let_go(subtask)
            case Ask(subtask) | Consult(subtask):
                self._flights.pop(subtask, None)
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
            self._needed[dependency] = self._needed.get(dependency, 0) - 1
            if self._needed[dependency] <= 0:
                self._values.pop(dependency, None)

    async def _prepare(self, subtask: str) -> Flight:
        row = self._rows[subtask]
        ran = row.started_at is not None or self._attempts[subtask] or subtask in self._again
        known = await recorded(self._services, self._lease.task, subtask) if ran else None
        self._again.add(subtask)
        effects = Durable(self._services, self._lease, self._task, subtask, known)
        kind = self._services.registry.get(row.type)
        context = TaskContext(self._task.id, subtask, self._attempts[subtask] + 1, effects, kind.uncertain)
        context.registry = self._services.registry
        if self._services.calls:
            purse = Purse(self._services, self._lease, self._task, subtask)
            wanted, origins = row.spec.get("cache"), partial(self._origins, subtask)
            recall = Recall(self._services, self._lease, self._task, subtask, kind, wanted, origins)
            context.model = Model(self._services.calls, purse, recall, context.step)
        context.reach = self._services.reach
        bodies = await self._inputs(row)
        inputs = {name: json.loads(body) for name, body in bodies.items()}
        flight = Flight(kind, row.spec, inputs, context, self._inbox.put_nowait, self._loop.create_future())
        flight.fingerprint = await _fingerprint(kind, row, bodies)
        if source := self._task.options.get("reuse"):
            await self._take_over(flight, source)
        elif kind.pure and kind.keeps and row.spec.get("cache") is not False and flight.fingerprint:
            flight.known = await self._known(flight)
            flight.origins = await asyncio.to_thread(self._origins, subtask)
        return flight

    async def _known(self, flight: Flight) -> Entry:
        """Where the result of an equal subtask of an earlier task is, which is taken over if it is still there."""
        key = hashlib.sha256(f"{RESULT} {self._task.owner}\0".encode() + flight.fingerprint).digest()
        entry = await self._services.database.aread(lambda db: cache.find(db, key))
        if entry and not entry.is_stale(self._services.clock()):
            await self._take_over(flight, entry.value.decode())
            if flight.reused is not None:
                return entry
        return Entry(key, flight.kind.name, "", self._task.id.encode(), 0.0, 0, 0.0)

    def _origins(self, subtask: str) -> set[str]:
        """Tags of what a subtask's result is made from: those that it needs, and the files that any of these reads."""
        known, left = {subtask}, [subtask]
        while left:
            needs = self._rows[left.pop()].spec.get("dependencies", ())
            left += [need for need in needs if need not in known]
            known.update(needs)
        rows = [self._rows[id_] for id_ in known]
        paths = {path for row in rows for path in self._services.registry.get(row.type).paths(row.spec)}
        return {f"{cache.SUBTASK}{self._task.id}/{id_}" for id_ in known} | {f"{cache.FILE}{path}" for path in paths}

    async def _take_over(self, flight: Flight, source: str) -> None:
        """Takes the result, and the artifacts, of an equal subtask of another task, if it has one."""
        database = self._services.database
        found = await database.aread(lambda db: subtasks.equal(db, source, flight.fingerprint))
        if not (flight.fingerprint and found):
            return
        given = await database.aread(partial(tasks.artifacts_of, task_id=source, subtask=found[0]))
        try:
            for name, sha256 in given:
                await flight.context.artifact(name, await asyncio.to_thread(database.files.path, sha256))
        except DataCorrupt:
            return  # then it runs
        flight.reused, flight.value = found

    async def _inputs(self, row: SubtaskRow) -> dict[str, bytes]:
        """The committed results of a subtask's dependencies: from this shift's memory, else from the file."""
        needs = row.spec.get("dependencies", ())
        if all(name in self._values for name in needs):
            return {name: self._values[name] for name in needs}
        return await self._services.database.aread(
            lambda db: {name: subtasks.result(db, self._lease.task, name) for name in needs}
        )

    async def _fly(self, flight: Flight) -> None:
        try:
            await self._services.fly(flight)
        finally:
            if not flight.begun.done():
                flight.begun.set_result(None)
        if flight.outcome is None:
            self._inbox.put_nowait(Stopped(flight.id))

    async def _watch(self) -> None:
        """Looks at the control row and at what was done since, when told to and every half second."""
        while True:
            task, changed = await self._services.database.aread(self._look)
            self._seen = task.last_seq
            for row in changed:
                self._follow(row)
            self._obey(_mode(task, self.handed_over))
            if (task.options.get("budget") or {}).get("seconds") is not None:
                await self._services.database.awrite(self._mind_the_time, self._lease)
            try:
                async with asyncio.timeout(POLL_SECONDS):  # wait_for of Python 3.11 may swallow a cancel
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _mind_the_time(self, db: sqlite3.Connection) -> None:
        """Pauses a task that has been at work for as long as it may."""
        now = self._services.clock()
        task = tasks.get(db, self._task.id)
        if task.state == TaskState.WORKING and budget.is_late(db, task.number, now):
            control.overspend(db, task.id, None, now)
            self.look()

    def _look(self, db: sqlite3.Connection) -> tuple[TaskRow, list[SubtaskRow]]:
        """The task, and the subtasks to which something was done since the last look, as they stand now."""
        task = tasks.get(db, self._task.id)
        touched = events.touched(db, task.number, self._seen) if task.last_seq > self._seen else []
        return task, [row for id_ in touched if id_ in self._rows and (row := subtasks.find(db, task.number, id_))]

    def _follow(self, row: SubtaskRow) -> None:
        """Lets the scheduler know how a row stands, and stops what is to be stopped."""
        held = bool(row.stops) or row.state == SubtaskState.INPUT_REQUIRED
        dead = (row.error or "it was given up") if row.state in SETTLED and not subtasks.has_result(row) else None
        self._attempts[row.id] = min(self._attempts[row.id], row.attempts)
        (self._held.add if held else self._held.discard)(row.id)
        self._inbox.put_nowait(Changed(row.id, held, dead, row.attempts))
        flight = self._flights.get(row.id)
        if flight and any(stop["mode"] == "now" for stop in row.stops.values()):
            flight.stop()

    def _obey(self, mode: str | None) -> None:
        """Halts, stops more strictly, or goes on, as the control row says."""
        if mode is None:
            if self._mode is not None:
                self._inbox.put_nowait(Go())
            self._mode = None
            return
        if self._mode is None:
            self._inbox.put_nowait(Halt())
        if self._mode is None or control.MODES.index(mode) > control.MODES.index(self._mode):
            self._mode = mode
        if self._mode == "now":
            for flight in self._flights.values():
                flight.stop()


async def _fingerprint(kind: TaskType, row: SubtaskRow, inputs: Mapping[str, bytes]) -> bytes:
    """The fingerprint of a subtask's inputs; empty if a file that it reads cannot be read, which its body will tell."""
    params = row.spec.get("params", {})
    if not kind.reads:
        return kind.fingerprint(params, inputs)
    try:
        return await asyncio.to_thread(kind.fingerprint, params, inputs)
    except (OSError, BadInput, ValidationError):
        return b""


def jobs(rows: Sequence[SubtaskRow], learned: Mapping[str, float], on_failure: str | None = None) -> list[Job]:
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
            row.spec.get("on_failure") or on_failure or "continue",
            row.spec.get("fallback"),
        )
        for row in rows
    ]


def _recover(db: sqlite3.Connection, now: float, lease: Lease, rows: Sequence[SubtaskRow]) -> list[SubtaskRow]:
    """The rows, with what a lost runner left as running set back."""
    lost = subtasks.lost(db, lease.task)
    fresh = {id_: row for id_ in lost if (row := subtasks.find(db, lease.task, id_))}
    events.append(db, lease.task, [News(f"subtask.{row.state.value}", id_) for id_, row in fresh.items()], now)
    return [fresh.get(row.id, row) for row in rows]


def _what_now(subtask: str, error: str, seen: int) -> Asked:
    """The question that a failure asks under ``on_failure: ask``."""
    choices = {"enum": ["retry", "skip", "fail"]}
    return Asked(f"{subtask} failed: {error}. What now?", f"failure {seen}", choices, '"fail"', kind="failure")


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
    if task.state in TERMINAL or task.rollback:
        modes.append("now")
    if handed_over or (not modes and task.state != TaskState.WORKING):
        modes.append("step")
    return max(modes, key=control.MODES.index) if modes else None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault behind a group: several tasks that meet one fault all report it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
