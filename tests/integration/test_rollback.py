"""A rollback that is cut off: by SIGKILL before and after each of its commits, by a hand-over, by its compensations."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import control, tasks
from holdfast.graphs import runner
from holdfast.nodes import orchestration
from holdfast.nodes.registry import REGISTRY, Registry
from tests.conftest import chain
from tests.integration.racer import Racer
from tests.torture.scene import Scene, kill_at_each
from tests.torture.victim import UNDOING

TORTURE = os.environ.get("HOLDFAST_TORTURE") == "1"
KEPT = {"right", "plain"}


def agent(name: str, *needs: str, **params: Any) -> dict[str, Any]:
    return {"id": name, "type": "k_agent", "params": params, "dependencies": list(needs), "retries": 0}


DIAMOND = [
    agent("top"),
    agent("left", "top"),
    agent("right", "top", stuck=True),  # its compensation fails whenever it is tried
    {**agent("plain", "top"), "type": "k_plain"},  # and this one has none
    agent("low", "left", "right", "plain"),
]
FAILING = agent("bad", "low", fails=True)
ENDLESS = agent("bad", "low", steps={"for ever": ["never", "told"]})
SCENES = {
    "a failure rolls back": {"task": {"plan": {"subtasks": [*DIAMOND, FAILING]}, "on_failure": "rollback"}},
    "a cancel rolls back": {
        "task": {"plan": {"subtasks": [*DIAMOND, ENDLESS]}},
        "cancel": ["step.started", "bad", "for ever"],
    },
}


class Undone(Scene):
    """A plan that is rolled back."""

    def check(self) -> None:
        canceled = "cancel" in self.what
        told = self.check_history(
            *(f"subtask.completed {name}" for name in self.agents if name != "bad"),
            *(f"subtask.rolled_back {name}" for name in self.agents if name not in KEPT | {"bad"}),
            *(f"alert {name}" for name in KEPT),
            "task.canceled" if canceled else "task.failed",
        )
        assert "alert left" not in told
        error, states = self.transact(_summary)
        assert states == {
            "top": "rolled_back",
            "left": "rolled_back",
            "right": "completed",
            "plain": "completed",
            "low": "rolled_back",
            "bad": "canceled" if canceled else "failed",
        }
        assert error.endswith("not undone: right, plain")
        undone = [f"{name}/@undo_{step}" for name in states if states[name] == "rolled_back" for step in UNDOING]
        self.look_at_effects([*undone, *(["bad/for_ever"] if canceled else [])])
        self.look_at_order_of_undoing({name: one["dependencies"] for name, one in self.agents.items()})


def _summary(db: Any, task: str) -> tuple[str, dict[str, str]]:
    row = tasks.get(db, task)
    states = db.execute("SELECT id, state FROM subtasks WHERE task = ? ORDER BY position", (row.number,))
    return row.error or "", dict(states.fetchall())


@pytest.mark.parametrize("name", SCENES)
def test_a_kill_at_any_commit_of_a_rollback_undoes_each_subtask_once_and_in_order(tmp_path, runners, name):
    def make(folder: str, runner: Racer) -> Undone:
        return Undone(tmp_path / folder, runner, SCENES[name])

    whole = make("whole", runners[0])
    whole.play()
    whole.check()
    begins = whole.history().index("control rollback") + 1
    commits = [event for event in whole.commits() if TORTURE or event >= begins - 2]
    kills = kill_at_each(commits, ("before", "after"), make, runners)
    print(f"{name}: {len(commits)} commits, {len(kills)} kills")
    assert len(kills) == 2 * len(commits)


class Other:
    """A receiver of effects, in this process: what it was told to take back, and what happens then."""

    def __init__(self) -> None:
        self.undone: list[str] = []
        self.faults: list[BaseException] = []
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()
        self.types = Registry(REGISTRY)

        async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
            self.begun.set()
            if ctx.subtask_id in params.get("slow", ()):
                await ctx.step("wait", self.goes_on.wait)
            if ctx.subtask_id in params.get("fails", ()) and self.faults:
                raise self.faults.pop()
            await ctx.step("back", lambda: self.undone.append(ctx.subtask_id))

        @task_type("done", registry=self.types, compensate=undo)
        async def done(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
            return ctx.subtask_id

    async def canceled(self, path: Path, **params: Any) -> str:
        """A task of a, b and a held c, which was canceled with a rollback and is not taken up yet."""
        async with Holdfast.open(path, registry=self.types) as hf:
            task = await hf.start("g", plan=chain("a", "b", "c", type_="done", params=params))
            await hf.hold(task.id, "c")
            await hf.wait(task.id, until={TaskState.PAUSED})
        async with Holdfast.open(path, registry=Registry()) as hf:  # which cannot run it
            await hf.cancel(task.id, rollback=True)
        return task.id

    async def finish(self, path: Path, task: str) -> Any:
        async with Holdfast.open(path, registry=self.types) as hf:
            await hf.resume(task)
            return await asyncio.wait_for(hf.wait(task), 10)


def states(task: Any) -> list[str]:
    return [one.state.value for one in task.plan.subtasks]


async def test_a_compensation_that_is_cancelled_from_within_is_tried_again_and_does_not_end_the_run(tmp_path):
    other = Other()
    other.faults = [asyncio.CancelledError()]
    task = await other.canceled(tmp_path / "h.db", fails=["b"])
    done = await other.finish(tmp_path / "h.db", task)
    assert (done.state, states(done)) == (TaskState.CANCELED, ["rolled_back", "rolled_back", "canceled"])
    assert other.undone == ["b", "a"]


async def test_a_compensation_that_is_always_cancelled_from_within_is_reported(tmp_path):
    other = Other()
    other.faults = [asyncio.CancelledError() for _ in range(3)]
    task = await other.canceled(tmp_path / "h.db", fails=["b"])
    done = await other.finish(tmp_path / "h.db", task)
    assert (done.state, states(done)) == (TaskState.CANCELED, ["rolled_back", "completed", "canceled"])
    assert done.error == "not undone: b"


async def test_a_cancel_in_the_middle_of_a_compensation_lets_it_end_and_changes_only_how_the_task_ends(tmp_path):
    other = Other()
    path = tmp_path / "h.db"
    plan = chain("a", "b", type_="done", params={"slow": ["b"]})
    plan["subtasks"].append({"id": "bad", "type": "fails", "dependencies": ["b"], "retries": 0})

    @task_type("fails", registry=other.types)
    async def fails(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        raise RuntimeError("no luck")

    async with Holdfast.open(path, registry=other.types) as hf:
        task = await hf.start("g", plan=plan, on_failure="rollback")
        await asyncio.wait_for(other.begun.wait(), 10)
        assert (await hf.cancel(task.id)).state == TaskState.WORKING
        other.goes_on.set()
        done = await asyncio.wait_for(hf.wait(task.id), 10)
    assert (done.state, states(done)) == (TaskState.CANCELED, ["rolled_back", "rolled_back", "failed"])
    assert other.undone == ["b", "a"]


async def test_a_hand_over_lets_the_step_of_a_compensation_end_and_begins_no_other(tmp_path):
    other = Other()
    path = tmp_path / "h.db"
    task = await other.canceled(path, slow=["b"])
    async with Holdfast.open(path, registry=other.types) as hf:
        await hf.resume(task)
        await asyncio.wait_for(other.begun.wait(), 10)
        asyncio.get_running_loop().call_soon(other.goes_on.set)  # once the hand-over has begun
    assert other.undone == []
    done = await other.finish(path, task)
    assert (done.state, other.undone) == (TaskState.CANCELED, ["b", "a"])
    async with Holdfast.open(path, registry=other.types) as hf:
        told = [(one.type, one.subtask, one.data.get("step")) async for one in hf.events(task)]
    assert told.count(("step.started", "b", "@undo wait")) == 1


async def test_what_could_not_be_undone_is_not_tried_again_once_what_it_was_made_from_is_being_undone(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(runner, "HAND_OVER_SECONDS", 0.05)
    other = Other()
    path = tmp_path / "h.db"
    other.faults = [RuntimeError("not now") for _ in range(3)]
    task = await other.canceled(path, fails=["b"], slow=["a"])
    async with Holdfast.open(path, registry=other.types) as hf:
        await hf.resume(task)
        while ("step.started", "a") not in [(one.type, one.subtask) async for one in hf.events(task, follow=False)]:
            await asyncio.sleep(0.001)
    other.goes_on.set()
    done = await other.finish(path, task)
    assert (other.undone, states(done)) == (["a"], ["rolled_back", "completed", "canceled"])
    async with Holdfast.open(path, registry=other.types) as hf:
        assert [one.subtask async for one in hf.events(task) if one.type == "alert"] == ["b"]


async def test_a_damaged_result_is_reported_and_the_rest_is_undone(tmp_path):
    other = Other()
    path = tmp_path / "h.db"
    task = await other.canceled(path)
    async with Holdfast.open(path) as hf:
        number = await hf.database.aread(
            lambda db: db.execute("SELECT result FROM subtasks WHERE id = 'b'").fetchone()[0]
        )
        await hf.database.awrite(lambda db: db.execute("DELETE FROM results WHERE number = ?", (number,)))
    done = await other.finish(path, task)
    assert (done.state, other.undone, done.error) == (TaskState.CANCELED, ["a"], "not undone: b")


async def test_a_rollback_undoes_also_where_no_checkpoint_reached_the_disk(tmp_path):
    other = Other()
    path = tmp_path / "h.db"
    task = await other.canceled(path)
    async with Holdfast.open(path) as hf:
        for table in ("checkpoints", "writes"):
            await hf.database.awrite(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    done = await other.finish(path, task)
    assert (done.state, other.undone, states(done)) == (
        TaskState.CANCELED,
        ["b", "a"],
        ["rolled_back", "rolled_back", "canceled"],
    )


async def test_a_cancel_with_rollback_right_before_the_task_is_closed_still_undoes(tmp_path, monkeypatch):
    other = Other()
    close = orchestration._close

    def late(db: Any, task: Any, now: float) -> Any:
        monkeypatch.setattr(orchestration, "_close", close)
        control.cancel(db, task.id, now, rollback=True)
        return close(db, task, now)

    monkeypatch.setattr(orchestration, "_close", late)
    async with Holdfast.open(tmp_path / "h.db", registry=other.types) as hf:
        task = await hf.start("g", plan=chain("a", "b", type_="done"))
        done = await asyncio.wait_for(hf.wait(task.id), 10)
    assert (done.state, other.undone) == (TaskState.CANCELED, ["b", "a"])


async def test_a_fallback_is_undone_after_what_was_made_from_its_result(tmp_path):
    other = Other()

    @task_type("fails", registry=other.types)
    async def fails(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        raise RuntimeError("no luck")

    plan = {
        "subtasks": [
            {"id": "first", "type": "fails", "retries": 0, "fallback": "spare"},
            {"id": "user", "type": "done", "dependencies": ["first"]},
            {"id": "spare", "type": "done"},
            {"id": "bad", "type": "fails", "retries": 0, "dependencies": ["user"], "on_failure": "rollback"},
        ]
    }
    async with Holdfast.open(tmp_path / "h.db", registry=other.types) as hf:
        task = await hf.start("g", plan=plan)
        done = await asyncio.wait_for(hf.wait(task.id), 10)
    assert (done.state, other.undone) == (TaskState.FAILED, ["user", "spare"])
