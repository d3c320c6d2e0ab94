"""What a review proved wrong once: each test is one promise that was broken, over real SQLite."""

import asyncio
import select
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import control, tasks
from holdfast.checkpoints.database import Database, _Job
from holdfast.checkpoints.errors import BadInput, IllegalMove, LeaseHeld, LeaseLost, StoreError
from holdfast.checkpoints.leases import Lease, Owner
from holdfast.checkpoints.saver import Saver
from holdfast.checkpoints.states import TERMINAL
from holdfast.graphs import runner
from holdfast.graphs.orchestrator import build, make_services, open_graph
from holdfast.nodes import orchestration, registry, supervise
from holdfast.nodes.registry import REGISTRY, Registry

THREAD = "11111111-1111-1111-1111-111111111111"
Params = dict[str, Any]


@pytest.fixture
def types() -> Registry:
    return Registry(REGISTRY)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "h.db"


@pytest.fixture
async def hf(path, types) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(path, registry=types) as opened:
        yield opened


@pytest.fixture
def shifts(monkeypatch) -> list[str]:
    """One entry for each stretch of work that begins."""
    begun: list[str] = []

    class Counted(supervise.Shift):
        def __init__(self, services, task, *rest) -> None:
            begun.append(task.id)
            super().__init__(services, task, *rest)

    monkeypatch.setattr(supervise, "Shift", Counted)
    return begun


async def until(condition: Callable[[], Any], timeout: float = 15) -> None:
    limit = time.monotonic() + timeout
    while True:
        held = condition()
        if await held if asyncio.iscoroutine(held) else held:
            return
        assert time.monotonic() < limit, "it did not happen in time"
        await asyncio.sleep(0.01)


async def ended(hf: Holdfast, task_id: str):
    return await asyncio.wait_for(hf.wait(task_id), 15)


async def closed(hf: Holdfast, task_id: str):
    """Waits for the task's end, whatever questions it has until then."""
    return await asyncio.wait_for(hf.wait(task_id, until=TERMINAL), 15)


async def idle(hf: Holdfast, task_id: str):
    await until(lambda: not hf.working_on(task_id))
    return await hf.get(task_id)


async def reach(hf: Holdfast, task_id: str, subtask: str, state: str) -> None:
    async def reached() -> bool:
        return states(await hf.get(task_id)).get(subtask) == state

    await until(reached)


async def told(hf: Holdfast, task_id: str, type_: str) -> list[Any]:
    return [one async for one in hf.events(task_id, follow=False) if one.type == type_]


def states(task) -> dict[str, str]:
    return {one.id: one.state.value for one in task.plan.subtasks}


def elsewhere(path: Path, *acts: Callable[[sqlite3.Connection], Any]) -> None:
    """Each act in a transaction of another connection, as another process makes it: no runner is told."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as db:
        for act in acts:
            db.execute("BEGIN IMMEDIATE")
            act(db)
            db.execute("COMMIT")


def say(types: Registry, ran: list[str] | None = None) -> None:
    """The type ``say``: notes that it ran, waits for the gate that its parameters name, returns its id."""

    @task_type("say", registry=types)
    async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        if ran is not None:
            ran.append(ctx.subtask_id)
        return ctx.subtask_id


def gated(types: Registry, ran: list[str] | None = None) -> asyncio.Event:
    """The type ``gated``: its body, which has no steps, ends when the gate opens."""
    gate = asyncio.Event()

    @task_type("gated", registry=types)
    async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        if ran is not None:
            ran.append(ctx.subtask_id)
        await gate.wait()
        return ctx.subtask_id

    return gate


def long_step(types: Registry) -> tuple[asyncio.Event, asyncio.Event]:
    """The type ``long``: one step that ends when the gate opens, and another; (the gate, set while it is in it)."""
    gate, inside = asyncio.Event(), asyncio.Event()

    @task_type("long", registry=types)
    async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        async def wait() -> None:
            inside.set()
            await gate.wait()

        await ctx.step("wait", wait)
        await ctx.step("more", lambda: None)
        return ctx.subtask_id

    return gate, inside


def asks(types: Registry) -> None:
    @task_type("asks", registry=types)
    async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        return await ctx.ask("which?")


def planner(types: Registry, body: Callable[..., Any]) -> Registry:
    """A registry with another planner."""
    others = Registry([kind for kind in types if kind.name != "plan"])
    task_type("plan", registry=others)(body)
    return others


# A1


async def test_after_a_pause_elsewhere_at_most_one_commit_of_ready_subtasks_begins(hf, path, types):
    begun: list[str] = []
    paused_after = 0

    @task_type("quick", registry=types)
    async def quick(params: Params, inputs: Params, ctx: TaskContext) -> None:
        nonlocal paused_after
        begun.append(ctx.subtask_id)
        if len(begun) == 5:
            elsewhere(path, lambda db: control.pause(db, ctx.task_id, time.time()))  # acknowledged when this returns
            paused_after = len(begun)

    many = [{"id": f"n{k}", "type": "quick", "dependencies": ["root"]} for k in range(150)]
    task = await hf.start("g", workers=0, plan={"subtasks": [{"id": "root", "type": "sleep"}, *many]})
    await until(lambda: paused_after)
    stopped = await idle(hf, task.id)
    assert stopped.state == TaskState.PAUSED
    assert len(begun) - paused_after <= 16
    await hf.resume(task.id)
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED
    assert set(begun) == {one["id"] for one in many}


@pytest.mark.parametrize("act", ["pause now", "cancel"])
async def test_a_subtask_that_is_being_prepared_when_the_task_is_stopped_does_not_begin(hf, path, types, act):
    preparing, go_on, begun = threading.Event(), threading.Event(), []
    (path.parent / "data").write_text("1")

    def reads(params: Any) -> list[Path]:
        preparing.set()
        assert go_on.wait(15)
        return [path.parent / "data"]

    @task_type("reader", registry=types, reads=reads)
    async def reader(params: Params, inputs: Params, ctx: TaskContext) -> None:
        begun.append(ctx.subtask_id)

    task = await hf.start("g", plan={"subtasks": [{"id": "a", "type": "reader"}, {"id": "b", "type": "reader"}]})
    try:
        await until(preparing.is_set)
        await (hf.cancel(task.id) if act == "cancel" else hf.pause(task.id, mode="now"))
        await until(lambda: hf.services.at_work[task.id]._mode == "now")
    finally:
        go_on.set()
    stopped = await idle(hf, task.id)
    assert begun == []
    assert set(states(stopped).values()) == ({"canceled"} if act == "cancel" else {"ready"})


# A2


@pytest.mark.parametrize("mode", ["now", "step", "drain"])
async def test_a_pause_and_a_resume_while_it_is_planned_never_complete_a_task_without_a_plan(path, types, chance, mode):
    async def plan(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        for k in range(8):
            await ctx.step(f"m{k}", lambda: asyncio.sleep(0.005))
        return {"subtasks": [{"id": "a", "type": "sleep"}]}

    async with Holdfast.open(path, registry=planner(types, plan)) as hf:

        async def once() -> tuple[str, int]:
            task = await hf.start("g")
            await asyncio.sleep(chance.uniform(0, 0.2))
            try:
                await hf.pause(task.id, mode=mode)
                await asyncio.sleep(chance.uniform(0, 0.03))
                await hf.resume(task.id)
            except IllegalMove:
                pass  # it had ended
            done = await ended(hf, task.id)
            return done.state.value, len(done.plan.subtasks)

        assert set(await asyncio.gather(*(once() for _ in range(8)))) == {("COMPLETED", 1)}


# A3


@pytest.mark.parametrize("moment", ["the failure is told", "supervise has returned", "finish begins"])
async def test_a_retry_that_was_acknowledged_at_the_last_failure_is_not_lost(path, types, monkeypatch, moment):
    runs: list[int] = []
    retried: list[bool] = []

    @task_type("flaky", registry=types)
    async def flaky(params: Params, inputs: Params, ctx: TaskContext) -> int:
        runs.append(ctx.attempt)
        if len(runs) == 1:
            raise BadInput("not yet")
        return len(runs)

    def retry(task_id: str) -> None:
        if not retried:
            elsewhere(path, lambda db: control.retry(db, task_id, "x", time.time()))
            retried.append(True)

    async def finish(services, task, lease, real=orchestration.finish):
        if moment == "finish begins":
            retry(task.id)
        return await real(services, task, lease)

    async def work_on(services, task, *rest, real=orchestration.work_on):
        await real(services, task, *rest)
        if moment == "supervise has returned":
            retry(task.id)

    finish.__name__ = "finish"  # the node's name
    monkeypatch.setattr(orchestration, "finish", finish)
    monkeypatch.setattr(orchestration, "work_on", work_on)
    async with Holdfast.open(path, registry=types) as hf:
        task = await hf.start("g", plan={"subtasks": [{"id": "x", "type": "flaky"}]})
        if moment == "the failure is told":
            async for one in hf.events(task.id):
                if one.type == "subtask.failed":
                    try:
                        await hf.retry(task.id, "x")
                    except IllegalMove:
                        assert (await hf.get(task.id)).state == TaskState.FAILED  # refused, not lost
                        return
                    break
        done = await ended(hf, task.id)
        assert (done.state, states(done), len(runs)) == (TaskState.COMPLETED, {"x": "completed"}, 2)


# A4


async def test_a_rejected_plan_is_made_again_with_the_reasons_and_asked_about_again(path, types):
    feedback: list[list[str]] = []

    async def plan(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        feedback.append(params["feedback"])
        return {"subtasks": [{"id": f"a{len(feedback)}", "type": "sleep"}]}

    async with Holdfast.open(path, registry=planner(types, plan)) as hf:
        task = await hf.start("g", approve=True)
        asked = []
        for reason in ("too short", "too dull"):
            waiting = await ended(hf, task.id)
            assert waiting.state == TaskState.INPUT_REQUIRED
            asked += [question.id for question in waiting.questions]
            await hf.answer(task.id, asked[-1], {"reject": reason})
        waiting = await ended(hf, task.id)
        asked += [question.id for question in waiting.questions]
        assert asked == ["q1", "q2", "q3"]
        assert feedback == [[], ["too short"], ["too short", "too dull"]]
        assert states(waiting) == {"a3": "ready"}
        await hf.answer(task.id, "q3", "approve")
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED


@pytest.mark.parametrize("decision", ["edit", "reject"])
async def test_a_review_that_runs_again_after_a_crash_neither_asks_twice_nor_runs_no_plan(hf, monkeypatch, decision):
    async def nothing(task_id: str) -> None:
        """No run: the nodes are called by hand, as LangGraph calls them again after a crash."""

    monkeypatch.setattr(hf._runner, "launch", nothing)
    services, owner = hf.services, hf.database.owner
    given = {"plan": {"subtasks": [{"id": "a", "type": "sleep"}]}, "approve": True}
    task = await orchestration.create_task(services, "g", given)
    row = await services.task(task.id)
    lease = await hf.database.awrite(lambda db: owner.take(db, row.number, row.id))
    assert (await orchestration.plan(services, row, lease))["goto"] == "review"
    assert (await orchestration.review(services, await services.task(task.id), lease))["goto"] == "gate"
    given = {"edit": {"subtasks": [{"id": "b", "type": "sleep"}]}} if decision == "edit" else {"reject": "no"}
    await hf.answer(task.id, "q1", given)
    onward = "supervise" if decision == "edit" else "plan"
    for _ in range(3):
        assert (await orchestration.review(services, await services.task(task.id), lease))["goto"] == onward
    now = await hf.get(task.id)
    assert (states(now), now.questions) == ({"b": "ready"} if decision == "edit" else {}, [])
    assert len(await told(hf, task.id, "plan.revised")) == 1


async def test_an_edited_plan_is_not_asked_about_again_when_the_task_is_taken_up_later(path, types):
    gate = gated(types)
    async with Holdfast.open(path, registry=types) as hf:
        task = await hf.start("g", plan={"subtasks": [{"id": "a", "type": "sleep"}]}, approve=True)
        await ended(hf, task.id)
        await hf.answer(task.id, "q1", {"edit": {"subtasks": [{"id": "b", "type": "gated"}]}})
        await reach(hf, task.id, "b", "running")
        await hf.pause(task.id, mode="now")
        await idle(hf, task.id)
    gate.set()
    async with Holdfast.open(path, registry=types) as hf:
        await hf.resume(task.id)
        done = await ended(hf, task.id)
        assert (done.state, states(done)) == (TaskState.COMPLETED, {"b": "completed"})
        assert len(await told(hf, task.id, "question.asked")) == 1


# A5


async def test_a_rollback_that_a_hand_over_broke_off_goes_on_with_a_resume(path, types, monkeypatch):
    monkeypatch.setattr(runner, "HAND_OVER_SECONDS", 0.05)
    undoing, gate, undone = asyncio.Event(), asyncio.Event(), []

    async def undo(params: Params, result: Any, ctx: TaskContext) -> None:
        undoing.set()
        await gate.wait()
        undone.append(ctx.subtask_id)

    @task_type("undoable", registry=types, compensate=undo)
    async def undoable(params: Params, inputs: Params, ctx: TaskContext) -> int:
        return 1

    @task_type("bad", registry=types)
    async def bad(params: Params, inputs: Params, ctx: TaskContext) -> None:
        raise BadInput("no")

    plan = {
        "subtasks": [
            {"id": "a", "type": "undoable"},
            {"id": "b", "type": "bad", "dependencies": ["a"], "on_failure": "rollback"},
        ]
    }
    async with Holdfast.open(path, registry=types) as hf:
        task = await hf.start("g", plan=plan)
        await until(undoing.is_set)
    gate.set()
    async with Holdfast.open(path, registry=types) as hf:
        assert (await hf.get(task.id)).state == TaskState.WORKING
        await hf.resume(task.id)
        done = await ended(hf, task.id)
        assert (done.state, states(done), undone) == (TaskState.FAILED, {"a": "rolled_back", "b": "failed"}, ["a"])


# A6


async def test_a_cancel_with_rollback_while_the_approval_is_open_ends_the_task_and_its_question(hf):
    task = await hf.start("g", plan={"subtasks": [{"id": "a", "type": "sleep"}]}, approve=True)
    await ended(hf, task.id)
    await hf.cancel(task.id, rollback=True)
    done = await closed(hf, task.id)
    assert (done.state, states(done), done.questions) == (TaskState.CANCELED, {"a": "canceled"}, [])


@pytest.mark.parametrize("rollback", [False, True])
async def test_a_cancel_before_planning_ends_the_task_and_the_planner_does_not_run(path, types, monkeypatch, rollback):
    planned: list[str] = []

    async def plan(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        planned.append(ctx.task_id)
        return {"subtasks": [{"id": "a", "type": "sleep"}]}

    async with Holdfast.open(path, registry=planner(types, plan)) as hf:
        task = await orchestration.create_task(hf.services, "g", {})
        await hf.pause(task.id)
        await hf.cancel(task.id, rollback=rollback)
        await closed(hf, task.id)
        done = await idle(hf, task.id)
        assert (done.state, planned, states(done), done.questions) == (TaskState.CANCELED, [], {}, [])


# A7


async def test_an_answer_reaches_the_asker_while_a_siblings_long_step_is_in_flight(hf, types):
    asks(types)
    gate, inside = long_step(types)
    task = await hf.start("g", plan={"subtasks": [{"id": "c", "type": "long"}, {"id": "b", "type": "asks"}]})
    waiting = await ended(hf, task.id)
    await until(inside.is_set)
    await until(lambda: hf.services.at_work[task.id]._mode)  # the runner has halted for the question
    await hf.answer(task.id, waiting.questions[0].id, "red")
    await reach(hf, task.id, "b", "completed")
    assert states(await hf.get(task.id))["c"] == "running"
    gate.set()
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_a_resume_starts_what_is_ready_while_a_long_step_is_in_flight(hf, types):
    say(types)
    first = gated(types)
    gate, inside = long_step(types)
    plan = {
        "subtasks": [
            {"id": "c", "type": "long"},
            {"id": "s", "type": "gated"},
            {"id": "n", "type": "say", "dependencies": ["s"]},
        ]
    }
    task = await hf.start("g", plan=plan)
    await until(inside.is_set)
    await reach(hf, task.id, "s", "running")
    await hf.pause(task.id)
    first.set()
    await reach(hf, task.id, "s", "completed")
    assert states(await hf.get(task.id))["n"] == "ready"
    await hf.resume(task.id)
    await reach(hf, task.id, "n", "completed")
    assert states(await hf.get(task.id))["c"] == "running"
    gate.set()
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


# A8, A9


@pytest.mark.parametrize("seen", [False, True])
async def test_a_queued_subtask_that_is_skipped_and_retried_runs_once_and_so_do_its_dependents(hf, path, types, seen):
    ran: list[str] = []
    say(types, ran)
    gate = gated(types)
    x_gate, x_inside = long_step(types)
    plan = {
        "subtasks": [
            {"id": "l1", "type": "gated", "priority": 9},
            {"id": "l2", "type": "gated", "priority": 9},
            {"id": "x", "type": "long"},
            {"id": "y", "type": "say", "dependencies": ["x"]},
            {"id": "z", "type": "say", "dependencies": ["y"]},
        ]
    }
    task = await hf.start("g", workers=2, plan=plan)
    await reach(hf, task.id, "l2", "running")
    shift = hf.services.at_work[task.id]

    def skip(db: sqlite3.Connection) -> None:
        control.skip(db, task.id, "x", time.time())

    def retry(db: sqlite3.Connection) -> None:
        control.retry(db, task.id, "x", time.time())

    if seen:  # the live runner learns of each by itself
        elsewhere(path, skip)
        await until(lambda: "x" in shift.scheduler._dead)
        elsewhere(path, retry)
        await until(lambda: "x" not in shift.scheduler._dead)
    else:
        elsewhere(path, skip, retry)
        await asyncio.sleep(3 * supervise.POLL_SECONDS)  # until it has looked; if it has not, the promise holds as well
    gate.set()
    await until(x_inside.is_set)
    await reach(hf, task.id, "l2", "completed")  # a second start of x would have had a free worker
    x_gate.set()
    done = await ended(hf, task.id)
    assert (done.state, ran) == (TaskState.COMPLETED, ["y", "z"])
    assert set(states(done).values()) == {"completed"}
    assert [one.data["attempt"] for one in await told(hf, task.id, "subtask.running") if one.subtask == "x"] == [1]


async def test_a_failed_subtask_is_retried_while_others_run_with_a_fresh_count_of_attempts(hf, types):
    runs: list[int] = []
    gate = gated(types)
    say(types)

    @task_type("third", registry=types)
    async def third(params: Params, inputs: Params, ctx: TaskContext) -> int:
        runs.append(ctx.attempt)
        if len(runs) < 3:
            raise BadInput("not yet")
        return ctx.attempt

    plan = {
        "subtasks": [
            {"id": "long", "type": "gated"},
            {"id": "x", "type": "third"},
            {"id": "y", "type": "say", "dependencies": ["x"]},
        ]
    }
    task = await hf.start("g", plan=plan)
    for life in (1, 2):
        await reach(hf, task.id, "x", "failed")
        assert len(runs) == life
        await hf.retry(task.id, "x")
        await until(lambda life=life: len(runs) > life)
    gate.set()
    done = await ended(hf, task.id)
    assert (done.state, runs) == (TaskState.COMPLETED, [1, 1, 1])
    assert set(states(done).values()) == {"completed"}


# A10


async def test_a_task_with_an_unneeded_fallback_waits_for_its_answer_without_spinning(hf, types, shifts):
    asks(types)
    say(types)
    plan = {"subtasks": [{"id": "x", "type": "asks", "fallback": "f"}, {"id": "f", "type": "say"}]}
    task = await hf.start("g", on_question="continue", plan=plan)
    await until(lambda: shifts)
    waiting = await ended(hf, task.id)
    await idle(hf, task.id)
    assert (waiting.state, len(shifts)) == (TaskState.INPUT_REQUIRED, 1)
    await hf.answer(task.id, "q1", "a")
    done = await ended(hf, task.id)
    assert states(done) == {"x": "completed", "f": "skipped"}
    assert len(shifts) == 2


async def test_a_task_whose_only_way_on_is_held_stands_still_with_an_unneeded_fallback(hf, types, shifts):
    gate = gated(types)
    say(types)
    plan = {
        "subtasks": [
            {"id": "r", "type": "gated"},
            {"id": "x", "type": "say", "dependencies": ["r"], "fallback": "f"},
            {"id": "f", "type": "say", "dependencies": ["r"]},
        ]
    }
    task = await hf.start("g", plan=plan)
    await hf.hold(task.id, "x")
    gate.set()
    left = await idle(hf, task.id)
    assert (left.state, left.paused_by) == (TaskState.PAUSED, "holds")
    assert states(left) == {"r": "completed", "x": "held", "f": "waiting"}
    assert len(shifts) <= 2
    await hf.release(task.id, "x")
    done = await ended(hf, task.id)
    assert states(done) == {"r": "completed", "x": "completed", "f": "skipped"}


async def test_a_held_subtask_that_a_lost_runner_left_running_stands_still_when_it_is_taken_up(
    path, types, shifts, monkeypatch
):
    monkeypatch.setattr(runner, "HAND_OVER_SECONDS", 0.05)
    gate = gated(types)
    async with Holdfast.open(path, registry=types) as hf:
        task = await hf.start("g", plan={"subtasks": [{"id": "a", "type": "gated"}]})
        await reach(hf, task.id, "a", "running")
        await hf.hold(task.id, "a")
    gate.set()
    shifts.clear()
    async with Holdfast.open(path, registry=types) as hf:
        await hf.resume(task.id)
        left = await idle(hf, task.id)
        assert (left.state, states(left)) == (TaskState.PAUSED, {"a": "held"})
        assert len(shifts) <= 2
        await hf.release(task.id, "a")
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_a_retry_of_a_subtask_that_its_fallback_replaced_is_refused(hf, types):
    ran: list[str] = []
    say(types, ran)
    gate = gated(types)

    @task_type("bad", registry=types)
    async def bad(params: Params, inputs: Params, ctx: TaskContext) -> None:
        raise BadInput("no")

    plan = {
        "subtasks": [
            {"id": "x", "type": "bad", "fallback": "f"},
            {"id": "f", "type": "say"},
            {"id": "z", "type": "gated"},
            {"id": "u", "type": "say", "dependencies": ["x", "z"]},
        ]
    }
    task = await hf.start("g", plan=plan)
    await reach(hf, task.id, "f", "completed")
    with pytest.raises(IllegalMove, match="replaced by its fallback"):
        await hf.retry(task.id, "x")
    gate.set()
    done = await ended(hf, task.id)
    assert (done.state, done.result("x"), ran) == (TaskState.COMPLETED, "f", ["f", "u"])


@pytest.mark.parametrize("live", [True, False])
async def test_a_skip_takes_the_fallback_and_the_dependents_along_whether_it_runs_or_is_paused(hf, types, live):
    ran: list[str] = []
    say(types, ran)
    gate = gated(types)
    plan = {
        "subtasks": [
            {"id": "r", "type": "gated"},
            {"id": "x", "type": "say", "dependencies": ["r"], "fallback": "f"},
            {"id": "f", "type": "say", "dependencies": ["r"]},
            {"id": "u", "type": "say", "dependencies": ["x"]},
        ]
    }
    task = await hf.start("g", plan=plan)
    await reach(hf, task.id, "r", "running")
    if not live:
        await hf.pause(task.id, mode="now")
        await idle(hf, task.id)
    await hf.skip(task.id, "x")
    gate.set()
    if not live:
        await hf.resume(task.id)
    done = await ended(hf, task.id)
    assert states(done) == {"r": "completed", "x": "skipped", "f": "skipped", "u": "skipped"}
    assert ran == []


# A12


async def test_a_reply_by_id_never_answers_another_question(path, types):
    @task_type("twice", registry=types)
    async def twice(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        return [await ctx.ask("delete one?"), await ctx.ask("delete all?")]

    config = {"configurable": {"thread_id": THREAD}}
    async with open_graph(path, registry=types) as graph:
        await graph.ainvoke({"goal": "g", "plan": {"subtasks": [{"id": "x", "type": "twice"}]}}, config)
        await graph.ainvoke(Command(resume={"q1": "yes"}), config)
        asked = (await graph.aget_state(config)).interrupts[0].value["questions"]
        assert [one["id"] for one in asked] == ["q2"]
        for late in ({"q1": "yes"}, {"answers": {"q1": "yes"}}, {"q1": "yes", "q2": "yes"}):
            await graph.ainvoke(
                Command(resume=late), config
            )  # sent again, by a client that did not see the first arrive
            state = await graph.aget_state(config)
            assert [one["id"] for one in state.interrupts[0].value["questions"]] == ["q2"]
            assert "q1 was answered before" in state.values["error"]
        done = await graph.ainvoke(Command(resume={"q2": "no"}), config)
        assert (done["status"], done["error"]) == ("COMPLETED", None)


# A13


async def test_on_failure_ask_asks_for_each_failure(hf, types):
    runs: list[int] = []

    @task_type("bad", registry=types)
    async def bad(params: Params, inputs: Params, ctx: TaskContext) -> None:
        runs.append(ctx.attempt)
        raise BadInput("no")

    task = await hf.start("g", plan={"subtasks": [{"id": "x", "type": "bad", "on_failure": "ask"}]})
    for number in (1, 2, 3):
        waiting = await ended(hf, task.id)
        assert (waiting.state, [one.id for one in waiting.questions]) == (TaskState.INPUT_REQUIRED, [f"q{number}"])
        assert len(runs) == number
        await hf.answer(task.id, f"q{number}", "retry" if number < 3 else "skip")
    assert states(await ended(hf, task.id)) == {"x": "skipped"}
    assert len(runs) == 3


async def test_each_uncertain_moment_of_a_step_asks_anew(hf, types):
    begun: list[int] = []

    @task_type("pays", registry=types, uncertain="ask")
    async def pays(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        async def pay() -> str:
            begun.append(len(begun))
            await asyncio.sleep(0 if len(begun) == 3 else 60)
            return "receipt"

        return await ctx.step("pay", pay)

    task = await hf.start("g", plan={"subtasks": [{"id": "x", "type": "pays"}]})
    for number in (1, 2):
        await until(lambda number=number: len(begun) == number)
        await hf.pause(task.id, mode="now")
        await idle(hf, task.id)
        await hf.resume(task.id)
        waiting = await ended(hf, task.id)
        assert (waiting.state, [one.id for one in waiting.questions]) == (TaskState.INPUT_REQUIRED, [f"q{number}"])
        assert len(begun) == number
        await hf.answer(task.id, f"q{number}", "repeat")
    assert (await ended(hf, task.id)).result("x") == "receipt"
    assert len(begun) == 3


# A14


async def test_a_resume_while_another_runner_is_leaving_is_not_lost(path, types):
    gate, inside = long_step(types)
    leaving = Holdfast.open(path, registry=types)
    await leaving.__aenter__()
    async with Holdfast.open(path, registry=types) as hf:
        task = await leaving.start("g", plan={"subtasks": [{"id": "x", "type": "long"}]})
        await until(inside.is_set)
        await leaving.pause(task.id)
        closing_ = asyncio.create_task(leaving.__aexit__(None, None, None))
        await until(lambda: leaving._runner._closing)
        assert (await hf.resume(task.id)).state == TaskState.WORKING
        assert not hf.working_on(task.id)  # the other one still has it
        gate.set()
        await closing_
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED


# A15


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("exit", "it called exit(3), which a body may not"),
        ("inner_cancel", "it was cancelled by something that it had started"),
        ("bad_default", "does not fit its schema"),
        ("bad_schema", "is not a JSON schema"),
        ("unknown_hash", "is missing"),
        ("no_hash", "is not the hash of a stored file"),
    ],
)
async def test_what_a_body_does_wrong_fails_its_subtask_alone(hf, types, fault, sentence):
    sibling = gated(types)

    @task_type("wrong", registry=types)
    async def wrong(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        match fault:
            case "exit":
                sys.exit(3)
            case "inner_cancel":
                inner = asyncio.create_task(asyncio.sleep(60))
                inner.cancel()
                await inner
            case "bad_default":
                await ctx.ask("how many?", schema={"type": "integer"}, default="a lot")
            case "bad_schema":
                await ctx.ask("how many?", schema={"type": "integr"}, default=1)
            case "unknown_hash":
                return str(ctx.stored("0" * 64))
            case "no_hash":
                return str(ctx.stored("../../h.db"))
        return None

    plan = {"subtasks": [{"id": "y", "type": "gated"}, {"id": "x", "type": "wrong", "retries": 0}]}
    task = await hf.start("g", yes=True, plan=plan)
    await reach(hf, task.id, "x", "failed")
    sibling.set()
    done = await ended(hf, task.id)
    assert (done.state, states(done)) == (TaskState.FAILED, {"y": "completed", "x": "failed"})
    assert sentence in done.plan["x"].error


async def test_a_question_that_cannot_be_settled_does_not_keep_others_from_their_defaults(hf, types):
    @task_type("asks_in_time", registry=types)
    async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
        return await ctx.ask("how many?", schema={"type": "integer"}, default=params["default"], deadline=0.2)

    def one(default: Any) -> dict[str, Any]:
        return {"subtasks": [{"id": "x", "type": "asks_in_time", "params": {"default": default}}]}

    poison = await hf.start("g", plan=one("a lot"))
    fine = await hf.start("g", plan=one(1))
    for task, state in ((poison, TaskState.FAILED), (fine, TaskState.COMPLETED)):
        assert (await closed(hf, task.id)).state == state


# A16


@pytest.mark.parametrize(
    "schema",
    [
        lambda url: {"$ref": url},
        lambda url: {"type": "object", "properties": {"a": {"anyOf": [{"$ref": url}]}}},
        lambda url: {"$dynamicRef": url},
        lambda url: {"$schema": url, "type": "integer"},
        lambda url: {"$schema": "http://127.0.0.1:9/json-schema.org/", "type": "integer"},
        lambda url: {"$ref": "file:///etc/hostname"},
    ],
    ids=["ref", "nested", "dynamic", "schema", "schema that looks official", "file"],
)
async def test_a_schema_that_refers_to_the_network_is_refused_without_a_request(hf, types, schema):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/secret"

        @task_type("asks_net", registry=types)
        async def body(params: Params, inputs: Params, ctx: TaskContext) -> Any:
            return await ctx.ask("how many?", schema=schema(url), default=1)

        task = await hf.start("g", plan={"subtasks": [{"id": "x", "type": "asks_net", "retries": 0}]})
        done = await ended(hf, task.id)
        requests, *_ = select.select([server], [], [], 0)
    assert requests == []
    assert done.state == TaskState.FAILED
    assert "may refer only to itself" in done.plan["x"].error


# B1


def test_the_writer_survives_a_caller_whose_loop_is_closed(path):
    class Closing:
        """A loop that is closed just after anybody has looked whether it is."""

        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, *args: Any) -> None:
            raise RuntimeError("Event loop is closed")

    with closing(Database(path)) as database:
        database._writer.submit(_Job(lambda db: 1, None, Future(), Closing()))
        assert database.write(lambda db: 2) == 2
        assert database.read(lambda db: 3) == 3


# B2


def test_a_lease_whose_taking_was_not_committed_is_not_renewed(path):
    with closing(Database(path, lease_seconds=0.3)) as first, closing(Database(path, lease_seconds=0.3)) as second:
        row = first.write(lambda db: tasks.create(db, "g", {}, 1.0))

        def failing(db: sqlite3.Connection) -> None:
            first.owner.take(db, row.number, row.id)
            raise sqlite3.OperationalError("database or disk is full")

        with pytest.raises(StoreError):
            first.write(failing)
        assert first.owner.held == {}
        second.write(lambda db: second.owner.take(db, row.number, row.id))  # it never keeps it: as if it were stopped
        with closing(Database(path)) as third:
            with pytest.raises(LeaseHeld):
                third.write(lambda db: third.owner.take(db, row.number, row.id))
            limit = time.monotonic() + 10
            while True:
                try:
                    third.write(lambda db: third.owner.take(db, row.number, row.id))
                    break
                except LeaseHeld:
                    assert time.monotonic() < limit, "somebody renews a lease that is not theirs"
                    time.sleep(0.02)


# B3


async def test_a_node_that_lost_its_lease_writes_no_checkpoint(path, types):
    gate, inside = long_step(types)
    with closing(Database(path)) as first, closing(Database(path)) as second:
        services = make_services(first, types)
        graph = build(lambda: services, types).compile(checkpointer=Saver(first))
        given = {"goal": "g", "plan": {"subtasks": [{"id": "a", "type": "long"}]}}
        run = asyncio.create_task(graph.ainvoke(given, {"configurable": {"thread_id": THREAD}}))
        await until(inside.is_set)

        def take_over(db: sqlite3.Connection) -> None:
            db.execute("UPDATE leases SET expires_at = 0")
            second.owner.take(db, tasks.get(db, THREAD).number, THREAD)

        def written(db: sqlite3.Connection) -> list[int]:
            return [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("checkpoints", "writes")]

        await second.awrite(take_over)
        before = await second.aread(written)
        gate.set()
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(run, 15)
        assert await second.aread(written) == before


async def test_a_checkpoint_written_while_the_next_node_takes_the_lease_is_not_refused(path, types, monkeypatch):
    taken, written = threading.Event(), threading.Event()
    keep, put = Owner.keep, Saver.put

    def keep_later(owner: Owner, lease: Lease) -> None:
        if lease.token == 2:  # it is committed; the checkpoint of the node before is written now
            taken.set()
            assert written.wait(15)
        keep(owner, lease)

    def put_then(saver: Saver, config: Any, *rest: Any) -> Any:
        first = saver.database.owner.last.get(THREAD)
        if first and first.token == 1:
            assert taken.wait(15)
        try:
            return put(saver, config, *rest)
        finally:
            if first and first.token == 1:
                written.set()

    monkeypatch.setattr(Owner, "keep", keep_later)
    monkeypatch.setattr(Saver, "put", put_then)
    given = {"goal": "g", "plan": {"subtasks": [{"id": "a", "type": "sleep"}]}}

    def run() -> Any:
        with open_graph(path, registry=types) as graph:
            return graph.invoke(given, {"configurable": {"thread_id": THREAD}})

    assert (await asyncio.to_thread(run))["status"] == "COMPLETED"


# B4


async def test_a_new_goal_on_a_thread_that_has_ended_is_refused(path, types):
    config = {"configurable": {"thread_id": THREAD}}
    async with open_graph(path, registry=types) as graph:
        first = {"goal": "first", "plan": {"subtasks": [{"id": "a", "type": "sleep"}]}}
        assert (await graph.ainvoke(first, config))["status"] == "COMPLETED"
        with pytest.raises(BadInput, match="start a new thread for another goal"):
            await graph.ainvoke({"goal": "second", "plan": {"subtasks": [{"id": "b", "type": "sleep"}]}}, config)
        assert (await graph.ainvoke(first, config))["status"] == "COMPLETED"


# B6


@pytest.mark.parametrize("broken", ["write", "replace"])
def test_the_note_of_a_database_is_written_whole_or_not_at_all(path, monkeypatch, broken):
    note = path.with_name("h.db.d") / "instance"

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if broken == "write":
            patch.setattr("holdfast.checkpoints.files.os.fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(StoreError):
            Database(path)
    assert not note.exists()
    Database(path).close()
    assert len(note.read_text()) == 32
    Database(path).close()


# B10


async def test_ended_runs_are_forgotten(hf):
    for _ in range(3):
        task = await hf.start("g", plan={"subtasks": [{"id": "a", "type": "sleep"}]})
        await ended(hf, task.id)
    await until(lambda: not hf.runs)


# B11


def test_fingerprints_tell_inputs_of_other_names_apart():
    kind = REGISTRY.get("sleep")
    one = kind.fingerprint({}, {"a": b"1", "b": b"2"})
    assert one == kind.fingerprint({}, {"b": b"2", "a": b"1"})
    assert len({one, kind.fingerprint({}, {"c": b"1", "d": b"2"}), kind.fingerprint({}, {"a": b"2", "b": b"1"})}) == 3


def test_a_fingerprint_is_another_one_with_another_version_of_what_the_type_is_made_with(monkeypatch):
    kind, plain = REGISTRY.get("chart"), REGISTRY.get("sleep")
    before = kind.fingerprint({}, {}), plain.fingerprint({}, {})
    monkeypatch.setattr(registry, "installed", lambda name: "99")
    assert kind.fingerprint({}, {}) != before[0]
    assert plain.fingerprint({}, {}) == before[1]
