"""The runner: works on tasks in this process, one run of the graph for each, under the task's lease.

It also does what is due by the clock, and a server's takes up what nobody works on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from holdfast.checkpoints import control, subtasks, tasks
from holdfast.checkpoints.errors import HoldfastError, LeaseHeld, MissingTypes, StoreError
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.orchestration import LOOK_AGAIN
from holdfast.nodes.services import Services, held_lease

log = logging.getLogger("holdfast")
LEFT_SECONDS = 30.0  # for how long a server leaves a task alone that it could not work on
HAND_OVER_SECONDS = 2.0
TEND_SECONDS = 0.5
RECURSION = 1000  # supersteps of one run; each pause, question and new plan takes a few
Launch = Callable[[TaskRow, Any], Awaitable[None]]  # has a task's graph called with the second argument


class Runner:
    """The work of this process; ``elsewhere`` is called where it would begin a run, and has others do it.

    With ``serves`` above 0 it takes up whatever task nobody works on, and works on so many at once.
    """

    def __init__(
        self, services: Services, graph: CompiledStateGraph[Any, Any, Any, Any], serves: int, elsewhere: Launch | None
    ) -> None:
        self._services, self._database, self._graph = services, services.database, graph
        self._serves, self._elsewhere = serves, elsewhere
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._beginning = 0  # runs that have their room and not yet their lease
        self.broken: dict[str, Exception] = {}  # what broke off the last run of a task here
        self._wanted: set[str] = set()  # to be taken up when their present runner leaves them
        self._left: dict[str, float] = {}  # not to be taken up again before that time: it failed here
        self._roomy = asyncio.Event()  # set when a run has ended: another may begin
        self._closing = False
        self._tending: asyncio.Task[None] | None = None
        if serves or elsewhere:
            self._begin_tending()

    @property
    def runs(self) -> int:
        """How many tasks this process works on."""
        return len(self._runs)

    def working_on(self, task_id: str) -> bool:
        """Whether this process is at work on the task."""
        run = self._runs.get(task_id)
        return run is not None and not run.done()

    async def launch(self, task_id: str) -> None:
        """Begins a run of the graph, unless this process has one; raises LeaseHeld if another has."""
        if self._elsewhere:
            row = await self._services.task(task_id)
            await self._elsewhere(row, await self._given(row))
        elif not self.working_on(task_id) and self.take_room():  # else a server takes it up when it has
            await asyncio.shield(self._begin(task_id))  # a caller that gives up half-way leaves no lease behind

    async def take_up(self, task_id: str) -> None:
        """Lets the work on a task begin or go on; raises MissingTypes, or LeaseHeld if another process works on it."""
        await self.require_types(task_id)
        await self.launch(task_id)

    async def go_on(self, task_id: str) -> None:
        """Takes a working task up if this process can, at once or, while another runner has it, when that leaves."""
        if (await self._services.task(task_id)).state != TaskState.WORKING:
            return
        try:
            await self.take_up(task_id)
        except LeaseHeld:
            self.want(task_id)
        except MissingTypes as error:
            log.info("%s", error)

    def want(self, task_id: str) -> None:
        """Takes a task up as soon as its present runner leaves it working."""
        self._wanted.add(task_id)
        self._begin_tending()

    def work(self, task_id: str, lease: Lease) -> None:
        """Runs the graph under a lease that was just taken."""
        self._database.owner.keep(lease)
        self.broken.pop(task_id, None)
        self._wanted.discard(task_id)
        self._begin_tending()
        run = self._runs[task_id] = asyncio.create_task(self._run(task_id, lease), name=f"holdfast-{task_id}")
        run.add_done_callback(partial(self._ended, task_id))

    def has_room(self) -> bool:
        """Whether this process may begin to work on another task."""
        return self._elsewhere is None and (not self._serves or len(self._runs) + self._beginning < self._serves)

    def take_room(self) -> bool:
        """Keeps room for a run that is about to begin, if there is any; ``leave_room`` has to follow."""
        if not self.has_room():
            return False
        self._beginning += 1
        return True

    def leave_room(self) -> None:
        """The run has begun, or will not."""
        self._beginning -= 1

    async def require_types(self, task_id: str) -> None:
        """Raises MissingTypes if a subtask that is still to settle has a type that is not registered here."""
        row = await self._services.task(task_id)
        undoing = row.rollback is not None
        needed = await self._database.aread(lambda db: subtasks.open_types(db, row.number, undoing=undoing))
        if missing := {name for name in needed if name not in self._services.registry}:
            raise MissingTypes(task_id, missing)

    async def _begin(self, task_id: str) -> None:
        """Takes the lease of a task for which room was taken, and begins."""
        owner = self._database.owner
        try:
            row = await self._services.task(task_id)
            self.work(task_id, await self._database.awrite(lambda db: owner.take(db, row.number, row.id)))
        finally:
            self.leave_room()

    def _ended(self, task_id: str, run: asyncio.Task[None]) -> None:
        """Forgets a run; a lease that it could not give back, because it was cut off, is renewed no more."""
        if self._runs.get(task_id) is run:
            del self._runs[task_id]
            self._roomy.set()
            if lease := self._database.owner.held.get(task_id):
                self._database.owner.drop(lease)

    async def _run(self, task_id: str, lease: Lease | None) -> None:
        """Runs the graph to its end, a pause, or a fault; goes on if the task was resumed while it was stopping."""
        while lease:
            try:
                with held_lease(lease):
                    await self._advance(task_id)
            except Exception as error:  # kept, told and, where it is the disk's, a pause: other tasks go on
                if isinstance(error, StoreError):
                    await self._stop_for_fault(task_id, error)
                elif not isinstance(error, HoldfastError):
                    log.exception("the run of task %s broke off", task_id)
                self.broken[task_id] = error.with_traceback(None)  # which would keep all that it saw
                self._left[task_id] = self._services.clock() + LEFT_SECONDS
            finally:
                lease = await self._give_back(lease)

    async def _advance(self, task_id: str) -> None:
        """Lets the graph go on from where its thread stands; the row says whether there is anything to do."""
        given = await self._given(await self._services.task(task_id))
        await self._graph.ainvoke(given, _config(task_id))

    async def _given(self, row: TaskRow) -> Any:
        """What the graph is called with so that the task's thread goes on from where it stands."""
        thread = await self._graph.aget_state(_config(row.id))
        if thread.interrupts:
            return Command(resume=LOOK_AGAIN)
        return None if thread.tasks else {"goal": row.goal, **row.options}

    async def _stop_for_fault(self, task_id: str, fault: StoreError) -> None:
        """Pauses the task for an infrastructure fault, if that much can still be written."""
        try:
            now = self._services.clock()
            await self._database.awrite(
                lambda db: control.pause(db, task_id, now, who=control.SYSTEM, mode="now", reason=str(fault))
            )
        except HoldfastError:
            log.debug("task %s could not be marked as paused", task_id, exc_info=True)

    async def _give_back(self, lease: Lease) -> Lease | None:
        """Releases the lease; takes it again, in the same transaction, if there is more to do here."""
        owner, stopped = self._database.owner, lease.task_id in self.broken or self._closing

        def release(db: sqlite3.Connection) -> Lease | None:
            owner.release(db, lease)
            if stopped or tasks.get(db, lease.task_id).state != TaskState.WORKING:
                return None
            return owner.take(db, lease.task, lease.task_id)

        owner.drop(lease)
        try:
            again = await self._database.awrite(release)
        except (StoreError, LeaseHeld):
            log.debug("the lease of task %s was not given back; it runs out", lease.task_id, exc_info=True)
            return None
        if again:
            owner.keep(again)
        return again

    def _begin_tending(self) -> None:
        if self._tending is None:
            self._tending = asyncio.create_task(self._tend(), name="holdfast-tend")

    async def _tend(self) -> None:
        """Does what is due by the clock: ends pauses whose time is over, takes defaults of late questions."""
        while not self._closing:
            try:
                await self._tend_once(self._services.clock())
            except HoldfastError:
                log.debug("what is due could not be done now", exc_info=True)
            except Exception:
                log.exception("what is due could not be done now")  # and the next turn tries again
            with suppress(TimeoutError):
                async with asyncio.timeout(TEND_SECONDS):
                    await self._roomy.wait()
            self._roomy.clear()

    async def _tend_once(self, now: float) -> None:
        if self.has_room() and self._serves:
            await self._take_up(now)
        for task_id in await self._database.aread(partial(control.due, now=now)):
            try:
                await self._database.awrite(partial(control.expire, task_id=task_id, now=now))
                await self._database.awrite(partial(control.wake, task_id=task_id, now=now))
            except HoldfastError:
                log.debug("what is due of task %s could not be done now", task_id, exc_info=True)
            self._services.look(task_id)
            await self.go_on(task_id)
        for task_id in list(self._wanted):
            if (await self._services.task(task_id)).state != TaskState.WORKING:
                self._wanted.discard(task_id)
            await self.go_on(task_id)

    async def _take_up(self, now: float) -> None:
        """Begins to work on tasks that nobody works on, the oldest first, as many as there is room for."""
        owner, mine = self._database.owner, set(self._runs)

        def nobodys(db: sqlite3.Connection) -> list[str]:
            free = (row.id for row in tasks.unsettled(db) if row.id not in mine and not owner.runner(db, row.number))
            return list(islice((one for one in free if one not in self._left), self._serves - len(mine)))

        self._left = {task_id: until for task_id, until in self._left.items() if until > now}
        for task_id in await self._database.aread(nobodys):
            try:
                await self.take_up(task_id)
                log.info("took up task %s", task_id)
            except HoldfastError as error:
                self._left[task_id] = now + LEFT_SECONDS
                log.info("task %s is left to others: %s", task_id, error)

    async def close(self) -> None:
        """Hands over: the work stops at its next step, and the tasks stay WORKING for the next runner."""
        self._closing = True
        if self._tending:
            self._tending.cancel()
        if self._elsewhere:
            return
        self._services.leaving = True
        runs = list(self._runs.values())
        for supervised in list(self._services.at_work.values()):
            supervised.hand_over()
        if runs:
            _, late = await asyncio.wait(runs, timeout=HAND_OVER_SECONDS)
            for run in late:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)


def _config(task_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": task_id}, "recursion_limit": RECURSION}
