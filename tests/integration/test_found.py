"""Faults that the model, the races and the crashes have found, each as short as it can be shown.

All of them have been mended; the line above each says what the fault was.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import control, questions, schema, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import HoldfastError, IllegalMove, LeaseHeld, StoreError
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.states import SubtaskEvent, TaskEvent
from holdfast.nodes import orchestration, supervise
from holdfast.nodes.registry import Registry
from tests.integration.test_model import Model

RUNNING: list[int] = []


async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
    """Nothing is to be undone."""


@task_type("f_work", compensate=undo)
async def work(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Fails the first time if it is told to; else works for a while in steps."""
    if params.get("fails") and ctx.attempt == 1:
        raise RuntimeError("no luck")
    RUNNING.append(len(RUNNING))
    for i in range(params.get("steps", 1)):
        await ctx.step(f"{i}", lambda: asyncio.sleep(params.get("seconds", 0.0)))
    return "done"


class Rows:
    """A task in a file that nobody works on."""

    def __init__(self, database: Database, *ids: str, **options: Any) -> None:
        self.database = database
        self.row = database.write(lambda db: tasks.create(db, "x", options, 0.0))
        specs = [{"id": id_, "type": "f_work"} for id_ in ids]
        database.write(lambda db: subtasks.insert(db, self.row.number, specs))
        database.write(lambda db: tasks.move(db, self.row.id, TaskEvent.START, 0.0))

    def do(self, act: Any, *args: Any, **options: Any) -> Any:
        return self.database.write(lambda db: act(db, self.row.id, *args, 1.0, **options))

    def run(self, subtask: str) -> None:
        self.database.write(lambda db: subtasks.start(db, self.row.number, subtask, 1.0))

    def complete(self, subtask: str) -> None:
        self.database.write(lambda db: subtasks.complete(db, self.row.number, subtask, b"1", 1.0))

    def fail(self, subtask: str) -> None:
        self.database.write(lambda db: subtasks.end(db, self.row.number, subtask, SubtaskEvent.FAIL, "boom", 1.0))

    @property
    def task(self) -> tasks.TaskRow:
        return self.database.read(lambda db: tasks.get(db, self.row.id))

    def state(self, subtask: str) -> str:
        return self.database.read(lambda db: subtasks.find(db, self.row.number, subtask)).state.value

    def pending(self) -> list[str]:
        return [one.id for one in self.database.read(lambda db: questions.pending(db, self.row.number))]


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    opened = Database(tmp_path / "h.db")
    yield opened
    opened.close()


def plan(*ids: str, **fields: Any) -> dict[str, Any]:
    return {"subtasks": [{"id": id_, "type": "f_work", **fields} for id_ in ids]}


async def until(condition: Any, limit: float = 20) -> None:
    end = time.monotonic() + limit
    while not await condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


# It was: control.pause: a milder mode replaces a stricter one when `until` differs.
def test_a_milder_pause_never_loosens_a_stricter_one(database):
    rows = Rows(database, "a")
    rows.run("a")
    rows.do(control.pause, mode="now")
    rows.do(control.pause, mode="drain", until=99.0)
    assert rows.task.stops["person"]["mode"] == "now"
    assert not database.read(lambda db: subtasks.may_step(db, rows.row.number, "a"))


# It was: control.release asks no table: a subtask that has ended is released.
def test_what_has_ended_cannot_be_released(database):
    rows = Rows(database, "a", "b")
    rows.run("a")
    rows.do(control.hold, "a")
    rows.complete("a")
    with pytest.raises(IllegalMove):
        rows.do(control.release, "a")


# It was: control.release lifts the stop `holds` only if it is the only one, and nobody else ever does.
def test_a_release_lifts_the_holds_of_a_task_that_a_person_paused_as_well(database):
    rows = Rows(database, "a")
    rows.do(control.hold, "a")
    rows.do(control.park)
    rows.do(control.pause, until=50.0)
    rows.do(control.release, "a")
    assert list(rows.task.stops) == ["person"]
    database.write(lambda db: control.wake(db, rows.row.id, 60.0))
    assert rows.task.state == TaskState.WORKING


# It was: control.skip and retry do not look at `rollback`.
@pytest.mark.parametrize("act", [control.skip, control.retry])
def test_a_rollback_cannot_be_changed_half_way(database, act):
    rows = Rows(database, "a", "b")
    rows.run("a")
    rows.complete("a")
    rows.run("b")
    rows.fail("b")
    database.write(lambda db: control.start_rollback(db, tasks.get(db, rows.row.id), "fail", 1.0))
    with pytest.raises(IllegalMove):
        rows.do(act, "b")


# It was: control._end_live withdraws the questions of subtasks only, not the approval of the plan.
def test_a_task_that_has_ended_asks_nothing(database):
    rows = Rows(database, "a")
    database.write(lambda db: control.request(db, rows.row.id, "@review", Asked("Run it?", "k", kind="approval"), 1.0))
    rows.do(control.cancel)
    assert rows.pending() == []


# It was: control.can_run takes a subtask that a crash left running and a person holds for one that runs: it spins.
async def test_a_subtask_held_after_a_crash_in_its_middle_does_not_make_the_runner_spin(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await orchestration.create_task(hf.services, "x", {"plan": plan("a")})

        def crashed(db: Any) -> None:
            tasks.move(db, task.id, TaskEvent.START, 0.0)
            subtasks.start(db, task.number, "a", 0.0)
            control.hold(db, task.id, "a", 1.0)

        await hf.database.awrite(crashed)
        await hf.resume(task.id)
        try:
            await until(lambda: _is(hf, task.id, TaskState.PAUSED), 2)
        finally:
            await hf.cancel(task.id)


async def _is(hf: Holdfast, task_id: str, state: TaskState) -> bool:
    return (await hf.get(task_id)).state == state


# It was: Runner.launch: a caller that is cancelled after the lease was taken leaves it taken for ever.
@pytest.mark.parametrize("call", ["start", "resume"])
async def test_a_caller_that_gives_up_leaves_no_lease_behind(tmp_path, monkeypatch, call):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        taken, take = asyncio.Event(), hf.database.owner.take
        loop = asyncio.get_running_loop()

        def told(*args: Any) -> Any:
            lease = take(*args)
            loop.call_soon_threadsafe(taken.set)
            return lease

        monkeypatch.setattr(hf.database.owner, "take", told)
        row = await orchestration.create_task(hf.services, "x", {"plan": plan("a")})
        waits = hf.start("x", plan=plan("a")) if call == "start" else hf.resume(row.id)
        caller = asyncio.ensure_future(waits)
        await taken.wait()
        caller.cancel()  # as asyncio.timeout does
        with pytest.raises(asyncio.CancelledError):
            await caller
        (task, *_) = await hf.list()
        try:
            await hf.resume(task.id)
        except LeaseHeld as error:
            raise AssertionError("nobody works on it and nobody may") from error


# It was: Holdfast._give_back: a lease that could not be given back is renewed for ever, though nobody works.
async def test_a_run_that_a_locked_file_broke_off_can_be_resumed_here_when_it_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    async with Holdfast.open(tmp_path / "h.db", lease_seconds=0.5) as hf:
        task = await hf.start("x", plan=plan("a", params={"seconds": 0.3}))

        async def runs() -> bool:
            return (await hf.get(task.id)).in_flight == 1

        await until(runs)
        with closing(sqlite3.connect(tmp_path / "h.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await asyncio.wait_for(hf.wait(task.id), 10)
            while hf.working_on(task.id):
                await asyncio.sleep(0.01)
            other.execute("ROLLBACK")
        await asyncio.sleep(0.4)  # the renewal, every sixth of a second, finds the file free
        end = time.monotonic() + 2
        while True:
            try:
                await hf.resume(task.id)
                break
            except LeaseHeld:
                assert time.monotonic() < end, "it is held by a run that is over"
                await asyncio.sleep(0.05)


# It was: Holdfast._hand_over: a run that has not come to supervise is not told, works on, and is cut off after 2 s.
async def test_leaving_at_once_hands_over_at_once(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        await hf.start("x", plan=plan("a", params={"steps": 200, "seconds": 0.02}))
        began = time.monotonic()
    assert time.monotonic() - began < 1.5


# It was: Scheduler._due offers a subtask that was skipped and retried during its wait, though it runs already.
async def test_a_retry_during_the_wait_before_another_starts_it_once(tmp_path):
    RUNNING.clear()
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("x", plan=plan("a", params={"fails": True, "seconds": 1.5}, retries=1))

        async def waits() -> bool:
            now = (await hf.get(task.id)).plan["a"]
            return now.state in ("ready", "waiting") and now.attempts == 1

        await until(waits)
        await hf.skip(task.id, "a")
        await hf.retry(task.id, "a")
        await asyncio.wait_for(hf.wait(task.id), 20)
        running = [event async for event in hf.events(task.id) if event.type == "subtask.running"]
    assert len(running) <= 3  # the one that failed, and one or, if the count began anew, two after it
    assert len(RUNNING) == 1


# It was: Scheduler: a skip and a retry do not look at what was told to start: it is told twice, in one commit.
def test_a_skip_and_a_retry_heard_with_the_last_dependency_start_it_once():
    machine = Model()
    try:
        machine.submit_plan([{"id": "a", "type": "m_work"}, {"id": "b", "type": "m_work", "dependencies": ["a"]}])
        machine.settles()
        machine.runner.complete("a")  # has ended, and the runner has not turned to it
        for act in (control.skip, control.retry):
            machine.database.write(lambda db, act=act: act(db, machine.task, "b", 1.0))
        machine.runner.look()
        machine.runner.settle()
        assert machine.runner.twice == []
    finally:
        machine.runner.twice.clear()
        machine.teardown()


# It was: Shift._obey stops the flights there are; those that _perform has committed and not yet prepared fly on.
def test_what_was_being_started_when_a_pause_came_is_cancelled_as_well():
    assert {operations: left for operations in range(1, 20) if (left := flying_after_a_pause(operations))} == {}


def flying_after_a_pause(operations: int) -> set[str]:
    """What flies on after a pause ``now`` that came so many operations of the database into a run."""
    machine = Model()
    try:
        machine.submit_plan([{"id": f"s{i}", "type": "m_work"} for i in range(3)])
        machine.settles()
        machine.crash()  # what ran before is read from the file before it flies again
        machine.take_up()
        machine.runner.advance(operations)
        machine.database.write(lambda db: control.pause(db, machine.task, 1.0, mode="now"))
        machine.runner.look()
        machine.quieten()
        return set(machine.runner.flying) if machine.runner.alive else set()
    finally:
        machine.database.write(lambda db: control.cancel(db, machine.task, 1.0))
        machine.teardown()


# It was: orchestration.finish reads the rows and moves the task in two transactions.
def test_a_retry_between_the_look_and_the_end_is_not_lost(database):
    rows = Rows(database, "a", "b")
    for one in ("a", "b"):
        rows.run(one)
    rows.complete("a")
    rows.fail("b")
    services = _Interrupted(database, lambda: rows.do(control.retry, "b"))
    lease = database.write(lambda db: database.owner.take(db, rows.row.number, rows.row.id))
    with suppress(HoldfastError):
        asyncio.run(orchestration.finish(services, rows.task, lease))  # type: ignore[arg-type]
    assert (rows.task.state, rows.state("b")) != (TaskState.FAILED, "waiting")


class _Interrupted:
    """Services in which somebody does something before the first write."""

    def __init__(self, database: Database, act: Any) -> None:
        self._database, self._act, self.database = database, act, self

    def clock(self) -> float:
        return 2.0

    async def aread(self, work: Any) -> Any:
        return self._database.read(work)

    async def awrite(self, work: Any, lease: Any = None) -> Any:
        act, self._act = self._act, None
        if act:
            act()
        return self._database.write(work, lease)


# a start that was refused because the task was paused halted the scheduler, and a resume before the runner's next look
# did not set it going again: nothing more started until everything that was under way had ended
async def test_a_pause_that_only_a_refused_start_has_met_is_over_with_the_resume(tmp_path, monkeypatch):
    gates = {name: asyncio.Event() for name in "abc"}

    async def body(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        await gates[ctx.subtask_id].wait()

    types = Registry()
    task_type("f_gate", registry=types)(body)
    monkeypatch.setattr(supervise, "POLL_SECONDS", 3600.0)  # it looks when it is told to, and only then
    plan = [{"id": "a", "type": "f_gate"}, {"id": "b", "type": "f_gate"}]
    async with Holdfast.open(tmp_path / "h.db", registry=types) as hf:
        task = await hf.start("x", plan={"subtasks": [*plan, {"id": "c", "type": "f_gate", "dependencies": ["a"]}]})
        await reaches(hf, task.id, lambda now: now.plan["b"].state == "running")
        await hf.database.awrite(lambda db: control.pause(db, task.id, time.time()))
        gates["a"].set()
        await reaches(hf, task.id, lambda now: now.plan["a"].state == "completed")
        shift = hf.services.at_work[task.id]
        while not shift.scheduler._halted:
            await asyncio.sleep(0.005)
        await hf.database.awrite(lambda db: control.resume(db, task.id, time.time()))
        hf.services.look(task.id)
        await reaches(hf, task.id, lambda now: now.plan["c"].state == "running")
        for gate in gates.values():
            gate.set()
        assert (await hf.wait(task.id)).state == TaskState.COMPLETED


async def reaches(hf: Holdfast, task_id: str, holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds(await hf.get(task_id)):
            await asyncio.sleep(0.005)
