"""Retention, explanations, the switch, uncertain effects, and databases of earlier formats."""

import asyncio
import gzip
import os
import resource
import shutil
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import control, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import StoreError, SwitchedOff
from tests.conftest import chain

RAN: list[str] = []


async def charge(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """One effect that must not happen twice; hangs in it the first time."""

    async def effect() -> str:
        RAN.append(ctx.idempotency_key)
        if len(RAN) == 1:
            await asyncio.sleep(60)
        return "receipt"

    return await ctx.step("charge", effect)


for policy in ("repeat", "ask", "fail"):
    task_type(f"k_charge_{policy}", uncertain=policy)(charge)


@task_type("k_store")
async def store(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Keeps something large beside the database."""
    return {"kept": await ctx.store(ctx.subtask_id * 20_000)}


@pytest.fixture(autouse=True)
def _fresh():
    RAN.clear()


async def ended(hf: Holdfast, task_id: str):
    return await asyncio.wait_for(hf.wait(task_id), 20)


async def interrupted(hf: Holdfast, policy: str) -> str:
    """A task that was stopped in the middle of its effect."""
    plan = {"subtasks": [*chain("a")["subtasks"], {"id": "c", "type": f"k_charge_{policy}", "retries": 0}]}
    task = await hf.start("x", plan=plan)
    while not RAN:
        await asyncio.sleep(0.01)
    await hf.pause(task.id, mode="now")
    while hf.working_on(task.id):
        await asyncio.sleep(0.01)
    return task.id


@pytest.mark.parametrize("policy", ["repeat", "ask", "fail"])
async def test_explain_tells_what_is_reused_run_again_and_uncertain(tmp_path, policy):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        told = await hf.explain(await interrupted(hf, policy))
    assert told.reused == ["a"]
    assert told.run_again == ["c"]
    assert [(one.subtask, one.step, one.policy) for one in told.uncertain] == [("c", "charge", policy)]


async def test_an_uncertain_effect_is_repeated_by_default_under_the_same_key(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task_id = await interrupted(hf, "repeat")
        await hf.resume(task_id)
        assert (await ended(hf, task_id)).state == TaskState.COMPLETED
    assert len(RAN) == 2
    assert RAN[0] == RAN[1]


async def test_an_uncertain_effect_may_fail_its_subtask(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task_id = await interrupted(hf, "fail")
        await hf.resume(task_id)
        done = await ended(hf, task_id)
    assert done.state == TaskState.FAILED
    assert "was begun before and has no receipt" in done.error
    assert len(RAN) == 1


@pytest.mark.parametrize(
    ("answer", "state", "runs"),
    [("repeat", "COMPLETED", 2), ("fail", "FAILED", 1), ({"value": "seen"}, "COMPLETED", 1)],
)
async def test_an_uncertain_effect_may_be_asked_about(tmp_path, answer, state, runs):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task_id = await interrupted(hf, "ask")
        await hf.resume(task_id)
        waiting = await ended(hf, task_id)
        assert waiting.state == TaskState.INPUT_REQUIRED
        await hf.answer(task_id, waiting.questions[0].id, answer)
        done = await asyncio.wait_for(hf.wait(task_id, until={TaskState.COMPLETED, TaskState.FAILED}), 20)
        assert done.state == state
        if runs == 1 and state == "COMPLETED":
            assert done.result("c") == "seen"
    assert len(RAN) == runs


async def test_prune_forgets_what_ended_long_ago_and_gives_the_space_back(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        plan = {"subtasks": [{"id": f"t{i}", "type": "k_store"} for i in range(10)]}
        old = await hf.start("old", plan=plan)
        await ended(hf, old.id)
        bulky = {"subtasks": [{"id": "b", "type": "sleep", "params": {"payload_bytes": 500_000}}]}
        await ended(hf, (await hf.start("bulky", plan=bulky)).id)
        paused = await hf.start("paused", plan=chain("a", "b", params={"seconds": 0.3}))
        await hf.pause(paused.id)
        while hf.working_on(paused.id):
            await asyncio.sleep(0.01)
        for path in hf.database.files.all():
            os.utime(path, (time.time() - 7200,) * 2)
        assert (await hf.prune()).tasks == 0
        gone = await hf.prune(older_than=timedelta(0))
        assert (gone.tasks, gone.files) == (2, 10)
        assert gone.bytes > 500_000
        assert [task.goal for task in await hf.list()] == ["paused"]
        await hf.resume(paused.id)
        assert (await ended(hf, paused.id)).state == TaskState.COMPLETED


async def test_prune_keeps_files_that_a_live_task_still_names(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        plan = {"subtasks": [{"id": "s", "type": "k_store"}, *chain("a", "b", params={"seconds": 0.4})["subtasks"]]}
        task = await hf.start("x", plan=plan)
        while (await hf.get(task.id)).plan["s"].state != "completed":
            await asyncio.sleep(0.01)
        await hf.pause(task.id)
        while hf.working_on(task.id):
            await asyncio.sleep(0.01)
        for path in hf.database.files.all():
            os.utime(path, (time.time() - 7200,) * 2)
        assert (await hf.prune(older_than=timedelta(0))).files == 0
        assert len(hf.database.files.all()) == 1


def test_the_switch_is_read_from_the_settings_file(tmp_path):
    (tmp_path / "holdfast.toml").write_text("[holdfast]\npause_resume = false\n")
    assert not Holdfast.open(tmp_path / "h.db").pause_resume


async def test_with_the_switch_off_nothing_is_paused_and_recovery_still_works(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("x", plan=chain(*(f"t{i}" for i in range(20)), params={"seconds": 0.1}))
        other = await hf.start("y", plan=chain("a"))
        await hf.pause(other.id)
    async with Holdfast.open(tmp_path / "h.db", pause_resume=False) as hf:
        with pytest.raises(SwitchedOff, match="pause_resume is off"):
            await hf.pause(task.id)
        with pytest.raises(SwitchedOff):
            await hf.resume(other.id)
        await hf.resume(task.id)  # it lost its runner: recovery
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED


def test_another_database_in_the_place_of_this_one_is_refused(tmp_path):
    Database(tmp_path / "a.db").close()
    Database(tmp_path / "b.db").close()
    shutil.copy(tmp_path / "b.db", tmp_path / "a.db")
    with pytest.raises(StoreError, match=r"is not the one that .*a\.db\.d belongs to"):
        Database(tmp_path / "a.db")
    (tmp_path / "a.db").unlink()
    Database(tmp_path / "a.db").close()  # deleted on purpose: begins anew


@pytest.mark.parametrize("format_", [1, 2])
async def test_a_database_that_an_earlier_version_was_killed_on_opens_and_its_task_finishes(tmp_path, format_):
    """The files were written by those versions, killed when the first of three subtasks had completed."""
    path = tmp_path / "h.db"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "frozen" / f"format-{format_}.db.gz").read_bytes()))
    async with Holdfast.open(path) as hf:
        [task] = await hf.list()
        assert (task.goal, task.plan["a"].state) == ("made long ago", "completed")
        await hf.resume(task.id)
        done = await ended(hf, task.id)
        assert done.state == TaskState.COMPLETED
        assert done.result("a") == {"payload": "x" * 20, "seconds": 0.2}
        runs = [event.subtask async for event in hf.events(task.id) if event.type == "subtask.completed"]
        assert runs == ["a", "b", "c"]


async def test_ten_thousand_paused_tasks_cost_no_memory_and_little_time_to_open(tmp_path):
    def many(db: sqlite3.Connection) -> str:
        for i in range(10_000):
            row = tasks.create(db, f"goal {i}", {}, 1.0)
            subtasks.insert(db, row.number, [{"id": "a", "type": "sleep"}])
            control.pause(db, row.id, 1.0)
        return row.id

    async with Holdfast.open(tmp_path / "h.db") as hf:
        last = await hf.database.awrite(many)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    async with Holdfast.open(tmp_path / "h.db") as hf:
        await hf.resume(last)
        assert (await ended(hf, last)).state == TaskState.COMPLETED
    assert time.monotonic() - began < 50  # the promise is 5 s
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
