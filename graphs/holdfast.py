"""Holdfast: the one object that starts, pauses, resumes and watches tasks; every interface goes through it.

Changes are one transaction on the task's row, made by whoever calls.  Work is one run of the orchestrator graph under
the task's lease, in this process.  Leaving the ``async with`` hands over: the work stops at its next step, the lease is
given back, and the task stays WORKING for the next runner.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.checkpoints import cache, control, events, messages, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import BadInput, LeaseHeld, SwitchedOff
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.prune import Pruned, prune
from holdfast.checkpoints.saver import Saver
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import TaskRow
from holdfast.graphs import orchestrator
from holdfast.graphs.explain import Explanation, explain
from holdfast.graphs.feed import Feed
from holdfast.graphs.runner import Launch, Runner
from holdfast.graphs.settings import database_path, model, pause_resume_on
from holdfast.graphs.task import Task, snapshot
from holdfast.graphs.view import ALL, View, Wanted, of_row, view
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.orchestration import answer, create_task
from holdfast.nodes.plan import Plan
from holdfast.nodes.registry import REGISTRY, Registry
from holdfast.nodes.services import Listener, Services

PULSE_SECONDS = 0.5  # how often who waits looks whether the run here broke off
WAITED_FOR = TERMINAL | {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED}


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose a new task is: the key's owner, the conversation it belongs to, and the message that began it."""

    owner: str = ""
    context_id: str | None = None
    message: Message | None = None
    task_id: str | None = None


SOMEBODY = Sender()


class Holdfast:
    """An open database and the tasks that this process works on: ``async with Holdfast.open(path) as hf``."""

    def __init__(
        self,
        path: Path,
        max_workers: int,
        registry: Registry,
        lease_seconds: float | None,
        pause_resume: bool,
        serves: int,
    ) -> None:
        self.pause_resume = pause_resume
        self.serves = serves
        self._path, self._max_workers, self._registry = path, max_workers, registry
        self._database_options: dict[str, Any] = {} if lease_seconds is None else {"lease_seconds": lease_seconds}
        self._elsewhere: Launch | None = None  # who does the work instead of this process's own runs

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        max_workers: int = 8,
        registry: Registry = REGISTRY,
        lease_seconds: float | None = None,
        pause_resume: bool | None = None,
        serves: int = 0,
    ) -> Holdfast:
        """The database at ``path`` (else ``HOLDFAST_DB``, else ``.holdfast/holdfast.db``), made if it is not there.

        ``max_workers`` is how many subtasks of one task run at once unless the task says otherwise; 0 is no limit.
        ``pause_resume`` off (also by ``HOLDFAST_PAUSE_RESUME=off``) refuses a person's pause and resume of a task.
        ``serves`` above 0 makes this a server's: it takes up whatever task nobody works on, up to so many at once,
        and leaves the others SUBMITTED or WORKING until there is room.
        """
        if pause_resume is None:
            pause_resume = pause_resume_on()
        return cls(database_path(path), max_workers, registry, lease_seconds, pause_resume, serves)

    @classmethod
    def over(cls, services: Services, launch: Launch) -> Holdfast:
        """Over a database that is open already and stays so, for an interface that has others do the work.

        Where it would run a task's graph it awaits ``launch`` instead, with the row and what the graph is to be called
        with so that the thread goes on from where it stands.
        """
        made = cls(services.database.path, services.workers, services.registry, None, pause_resume_on(), 0)
        made.database, made.services, made._elsewhere = services.database, services, launch
        return made

    async def __aenter__(self) -> Holdfast:
        if self._elsewhere is None:
            model()  # what cannot be used is told before the database is opened
            self.database = await asyncio.to_thread(
                Database, self._path, serves=self.serves > 0, **self._database_options
            )
            self.services = orchestrator.make_services(self.database, self._registry, self._max_workers)
        builder = orchestrator.build(lambda: self.services, self._registry, drawn=False)
        self.graph = builder.compile(checkpointer=Saver(self.database), name="holdfast")
        self.feed = Feed(self.database)
        self._runner = Runner(self.services, self.graph, self.serves, self._elsewhere)
        calls = self.services.calls
        self._loading = asyncio.create_task(self._ready(calls)) if calls and self._elsewhere is None else None
        return self

    async def _ready(self, calls: Calls) -> None:
        """Loads what the first call needs, unless answers are kept: then there may be none."""
        if self.serves or await self.database.aread(cache.is_empty):
            await calls.ready()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._runner.close()
        await self.feed.close()
        if self._loading:
            await asyncio.gather(self._loading, return_exceptions=True)
        if self.services.calls and self._elsewhere is None:
            await self.services.calls.close()
        if self._elsewhere is None:
            await asyncio.to_thread(self.database.close)

    async def start(
        self,
        goal: str,
        *,
        data: Sequence[str | Path] = (),
        plan: Plan | Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        workers: int | None = None,
        on_question: str | None = None,
        on_failure: str | None = None,
        approve: bool = False,
        yes: bool = False,
        reuse: str | None = None,
        budget: Mapping[str, float] | None = None,
        sender: Sender = SOMEBODY,
    ) -> Task:
        """Records a new task and begins to work on it; raises BadInput or InvalidPlan before anything is recorded.

        ``budget`` has limits for ``cost`` (dollars), ``tokens`` and ``seconds`` at work: before one is passed the task
        pauses and asks.  ``reuse`` names a task whose results are taken for subtasks with equal type, parameters and
        inputs; ``sender`` is whose task it is, and the message that began it.
        """
        fields = {
            "data": [_absolute(path) for path in data],
            "plan": plan.model_dump() if isinstance(plan, Plan) else plan,
            "out": _absolute(out) if out else None,
            "workers": workers,
            "on_question": on_question,
            "on_failure": on_failure,
            "approve": approve,
            "yes": yes,
            "budget": budget,
            "reuse": reuse and await self.database.aread(lambda db: tasks.resolve(db, reuse)),
        }
        return await asyncio.shield(self._create(goal, fields, sender))

    async def _create(self, goal: str, fields: Mapping[str, Any], sender: Sender) -> Task:
        owner, leases, room = self.database.owner, list[Lease](), self._runner.take_room()

        def also(db: sqlite3.Connection, task: TaskRow) -> None:
            if sender.message:
                messages.record(db, task.number, sender.message, self.services.clock())
            if room:
                leases[:] = [owner.take(db, task.number, task.id)]  # at once, so that no server is faster

        try:
            row = await create_task(
                self.services,
                goal,
                fields,
                task_id=sender.task_id,
                context_id=sender.context_id,
                owner=sender.owner,
                also=also,
            )
            if leases:
                self._runner.work(row.id, leases[0])
        finally:
            if room:
                self._runner.leave_room()
        if self._elsewhere:
            await self._runner.launch(row.id)
        return await self.get(row.id)

    async def get(self, task_id: str) -> Task:
        """The task as it is now; ``task_id`` may be a unique prefix.  Raises UnknownTask or AmbiguousTask."""
        return await self.database.aread(lambda db: snapshot(self.database, db, tasks.resolve(db, task_id)))

    async def list(self, state: TaskState | str | None = None, *, limit: int | None = None) -> list[Task]:
        """Tasks, newest first: all or those in one state; at most ``limit`` of them if that is given."""
        wanted = TaskState(state) if state else None
        return await self.database.aread(
            lambda db: [snapshot(self.database, db, row.id, eager=False) for row in tasks.newest(db, wanted, limit)]
        )

    async def view(self, owner: str, task_id: str, wanted: Wanted = ALL) -> View:
        """The owner's task of exactly that id as its client sees it; raises UnknownTask, for a foreign one too."""
        return await self.database.aread(lambda db: view(self.database, db, owner, task_id, wanted))

    async def page(self, owner: str, limit: int, wanted: Wanted = ALL, **which: Any) -> tuple[Sequence[View], int]:
        """Up to ``limit`` of an owner's tasks, the last changed first, and how many there are; see ``tasks.page``."""

        def read(db: sqlite3.Connection) -> tuple[Sequence[View], int]:
            rows, total = tasks.page(db, owner, limit, **which)
            return [of_row(self.database, db, row, wanted) for row in rows], total

        return await self.database.aread(read)

    async def say(self, task_id: str, *said: Message) -> None:
        """Keeps messages for a task that has not ended, for its planner and its types to read; raises IllegalMove."""
        now = self.services.clock()
        await self.database.awrite(lambda db: [messages.keep(db, task_id, one, now) for one in said])

    async def heard(self, owner: str, message: str) -> tuple[str, Message] | None:
        """The task in which the owner sent the message of that id before, and the message; None if it is new."""
        return await self.database.aread(lambda db: messages.find(db, owner, message))

    async def pause(
        self, task_id: str, *, mode: str = "step", reason: str | None = None, until: datetime | None = None
    ) -> Task:
        """Pauses a task: once this returns nothing of it starts, in whichever process.

        ``now`` cancels what is in flight, ``step`` lets the step in flight end, ``drain`` the subtasks in flight.
        At ``until`` any runner on this database resumes it, or the next one that starts.
        Raises IllegalMove for a task that has ended or waits for an answer.
        """
        _known_mode(mode)
        self._require_switch("paused")
        over = until.timestamp() if until is not None else None
        return await self._control(partial(control.pause, mode=mode, reason=reason, until=over), task_id)

    async def resume(self, task_id: str) -> Task:
        """Resumes a paused task, or takes up one that lost its runner, and works on it in this process.

        Raises IllegalMove for a task that has ended, LeaseHeld if another process works on it.
        """
        full = await self.database.aread(lambda db: tasks.resolve(db, task_id))
        await self._runner.require_types(full)
        now = self.services.clock()

        def allow(db: sqlite3.Connection) -> bool:
            before = tasks.get(db, full).state
            return before != TaskState.SUBMITTED and control.resume(db, full, now).state != before

        if (await self.services.task(full)).state == TaskState.PAUSED:
            self._require_switch("resumed")
        moved = await self.database.awrite(allow)
        try:
            await self._runner.launch(full)
        except LeaseHeld:
            if not moved:
                raise
            self._runner.want(full)  # its runner was still stopping: it goes on, or leaves it to us
        return await self._glance(full)

    async def hold(self, task_id: str, subtask: str, *, mode: str = "step", reason: str | None = None) -> Task:
        """Stops one subtask while the others go on; raises IllegalMove if it has ended, UnknownSubtask."""
        _known_mode(mode)
        return await self._control(partial(control.hold, subtask=subtask, mode=mode, reason=reason), task_id)

    async def release(self, task_id: str, subtask: str) -> Task:
        """Lifts a person's hold of one subtask; a parent's stays.  Raises IllegalMove if no person holds it."""
        return await self._control(partial(control.release, subtask=subtask), task_id, go_on=True)

    async def answer(self, task_id: str, question: str, value: Any) -> Task:
        """Answers an open question by its id; the task goes on, here if nobody works on it, unless it is paused.

        Raises UnknownQuestion, AlreadyAnswered, InvalidAnswer (the question stays open) or IllegalMove.
        """
        return await self.answer_all(task_id, {question: value})

    async def answer_all(self, task_id: str, given: Mapping[str, Any], said: Sequence[Message] = ()) -> Task:
        """As ``answer`` for several questions at once, all or none; ``said`` are the messages that brought them."""
        full = await self.database.aread(lambda db: tasks.resolve(db, task_id))
        await answer(self.services, full, given, said=said)
        await self._runner.go_on(full)
        return await self._glance(full)

    async def cancel(self, task_id: str, *, rollback: bool = False) -> Task:
        """Ends a task for good; with ``rollback`` what has completed is undone first.  Raises IllegalMove."""
        return await self._control(partial(control.cancel, rollback=rollback), task_id, go_on=rollback)

    async def skip(self, task_id: str, subtask: str) -> Task:
        """Gives up a subtask that does not run, and what depends on it; raises IllegalMove, UnknownSubtask."""
        return await self._control(partial(control.skip, subtask=subtask), task_id, go_on=True)

    async def retry(self, task_id: str, subtask: str) -> Task:
        """Lets a failed or skipped subtask run again while its task has not ended; raises IllegalMove."""
        return await self._control(partial(control.retry, subtask=subtask), task_id, go_on=True)

    async def explain(self, task_id: str) -> Explanation:
        """What a resume would reuse and run again, and which steps are uncertain; changes nothing."""
        return await self.database.aread(lambda db: explain(db, tasks.resolve(db, task_id), self._registry))

    async def prune(self, *, older_than: timedelta = timedelta(days=30), keep: int = 0) -> Pruned:
        """Forgets tasks that ended longer ago than that, but the ``keep`` newest, and gives their space back."""
        before = self.services.clock() - older_than.total_seconds()
        return await asyncio.to_thread(prune, self.database, before, keep=keep)

    async def wait(self, task_id: str, *, until: Collection[TaskState] = WAITED_FOR) -> Task:
        """Waits until the task's state is in ``until``; by default while it is submitted, working or paused.

        Raises what broke off the work here, such as StoreError when the disk is full.
        """
        full = await self.database.aread(lambda db: tasks.resolve(db, task_id))
        while (row := await self.services.task(full)).state not in until:
            await self._pulse(full, row.last_seq)
        return await self.get(full)

    async def events(self, task_id: str, *, after: int = 0, follow: bool = True) -> AsyncIterator[Event]:
        """The task's history from ``after`` on; with ``follow`` until the task has ended."""
        full = await self.database.aread(lambda db: tasks.resolve(db, task_id))
        while True:
            state = (await self.services.task(full)).state
            batch = await self.database.aread(partial(events.read, task_id=full, after=after))
            for event in batch:
                yield event
                after = event.seq
            if not batch and (not follow or state in TERMINAL):
                return
            if not batch:
                await self._pulse(full, after)

    @property
    def has_model(self) -> bool:
        """Whether a language model plans and works here; without one the built-in rules do."""
        return self.services.calls is not None

    def listen(self, listener: Listener) -> None:
        """Passes live news (progress, tokens) of this process's tasks to ``listener``."""
        self.services.listeners.append(listener)

    @property
    def runs(self) -> int:
        """How many tasks this process works on."""
        return self._runner.runs

    def working_on(self, task_id: str) -> bool:
        """Whether this process is at work on the task."""
        return self._runner.working_on(task_id)

    async def take_up(self, task_id: str) -> None:
        """Lets the work on a task begin or go on; raises MissingTypes, or LeaseHeld if another process works on it."""
        await self._runner.take_up(task_id)

    async def _control(self, act: Callable[..., Any], task_id: str, *, go_on: bool = False) -> Task:
        """Does something to a task in one transaction, and lets its runner know; ``go_on`` may make it run here."""
        now = self.services.clock()

        def change(db: sqlite3.Connection) -> str:
            full = tasks.resolve(db, task_id)
            act(db, full, now=now)
            return full

        full = await self.database.awrite(change)
        self.services.look(full)
        if go_on:
            await self._runner.go_on(full)
        return await self._glance(full)

    async def _glance(self, task_id: str) -> Task:
        """A snapshot whose plan is read when it is asked for: what changes one thing need not read them all."""
        return await self.database.aread(lambda db: snapshot(self.database, db, task_id, eager=False))

    def _require_switch(self, what: str) -> None:
        if not self.pause_resume:
            raise SwitchedOff(what)

    async def _pulse(self, task_id: str, after: int) -> None:
        """Waits for an event above ``after``; raises what broke the run here off."""
        if not self.working_on(task_id) and (error := self._runner.broken.get(task_id)):
            raise error
        with suppress(TimeoutError):
            async with asyncio.timeout(PULSE_SECONDS):
                await self.feed.changed(task_id, after)


def _known_mode(mode: str) -> None:
    if mode not in control.MODES:
        raise BadInput(f"the mode {mode!r} is unknown; use one of {', '.join(control.MODES)}")


def _absolute(path: str | Path) -> str:
    """The path from here, so that another process in another folder finds the same file."""
    return str(Path(path).expanduser().absolute())
