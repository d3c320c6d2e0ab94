"""The engine over real SQLite: what runs, in which order, and what is on disk when."""

import asyncio
import json
import sqlite3
import time
from typing import Any

import pytest

from holdfast import Holdfast, Plan, Subtask, TaskContext, TaskState, task_type
from holdfast.checkpoints.errors import (
    BadInput,
    HoldfastError,
    IllegalMove,
    InvalidPlan,
    MissingTypes,
    UnknownTask,
)
from holdfast.nodes.registry import REGISTRY, Registry
from tests.conftest import chain

RAN: list[str] = []
FAILURES: dict[str, int] = {}
GATES: dict[str, asyncio.Event] = {}


@task_type("test_note")
async def note(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Notes that it ran; adds up its inputs."""
    RAN.append(ctx.subtask_id)
    return {"sum": sum(value["sum"] for value in inputs.values()) + 1, "attempt": ctx.attempt}


@task_type("test_fail")
async def fail(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Fails as often as it is told to."""
    RAN.append(ctx.subtask_id)
    if FAILURES.get(ctx.subtask_id, 0) > 0:
        FAILURES[ctx.subtask_id] -= 1
        raise RuntimeError("out of luck")
    return ctx.attempt


@task_type("test_steps")
async def steps(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Three steps, the second of which waits for its gate when there is one."""

    async def one() -> str:
        RAN.append(ctx.idempotency_key.split("/", 1)[1])
        return ctx.idempotency_key

    async def two() -> list[Any]:
        RAN.append("two")
        if ctx.subtask_id in GATES:
            await GATES[ctx.subtask_id].wait()
        return [1, 2.5, None]

    return [
        await ctx.step("one", one),
        await ctx.step("two", two),
        await ctx.step("three", lambda: RAN.append("three")),
    ]


@pytest.fixture(autouse=True)
def _fresh():
    RAN.clear()
    FAILURES.clear()
    GATES.clear()


async def run(hf: Holdfast, plan: Any, **options: Any):
    task = await hf.start("try it", plan=plan, **options)
    return await asyncio.wait_for(hf.wait(task.id), 60)


async def kinds(hf: Holdfast, task_id: str) -> list[tuple[str, str | None]]:
    return [(event.type, event.subtask) async for event in hf.events(task_id)]


async def test_inputs_are_the_results_of_the_dependencies(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", "b", "c", type_="test_note"))
        assert task.state == TaskState.COMPLETED
        assert RAN == ["a", "b", "c"]
        assert task.result("c") == {"sum": 3, "attempt": 1}
        assert task.plan["c"].state == "completed"
        assert task.plan["c"].attempts == 1


async def test_no_successor_starts_before_the_result_it_needs_is_committed(tmp_path):
    seen = {}

    @task_type("test_look", registry=REGISTRY)
    async def look(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
        db = sqlite3.connect(tmp_path / "h.db")
        seen[ctx.subtask_id] = dict(db.execute("SELECT id, state FROM subtasks").fetchall())
        db.close()
        return ctx.subtask_id

    async with Holdfast.open(tmp_path / "h.db") as hf:
        await run(hf, chain("a", "b", "c", type_="test_look"))
    assert seen["b"] == {"a": "completed", "b": "running", "c": "waiting"}
    assert seen["c"] == {"a": "completed", "b": "completed", "c": "running"}


async def test_the_history_is_numbered_without_gaps_and_tells_everything(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", "b", type_="test_note"))
        events = [event async for event in hf.events(task.id)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [(event.type, event.subtask) for event in events] == [
            ("task.submitted", None),
            ("plan.made", None),
            ("task.working", None),
            ("subtask.running", "a"),
            ("subtask.completed", "a"),
            ("subtask.running", "b"),
            ("subtask.completed", "b"),
            ("task.completed", None),
        ]
        later = [event async for event in hf.events(task.id, after=5)]
        assert later == events[5:]


async def test_an_error_in_one_subtask_never_stops_the_others(tmp_path):
    FAILURES["bad"] = 99
    plan = {
        "subtasks": [
            {"id": "bad", "type": "test_fail", "retries": 0},
            {"id": "after_bad", "type": "test_note", "dependencies": ["bad"]},
            {"id": "after_that", "type": "test_note", "dependencies": ["after_bad"]},
            *chain("x", "y", "z", type_="test_note")["subtasks"],
        ]
    }
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, plan)
        assert task.state == TaskState.FAILED
        assert task.error == "bad: RuntimeError: out of luck (2 were skipped)"
        assert {one.id: one.state.value for one in task.plan.subtasks} == {
            "bad": "failed",
            "after_bad": "skipped",
            "after_that": "skipped",
            "x": "completed",
            "y": "completed",
            "z": "completed",
        }
        assert task.plan["after_bad"].error == "'bad', which it depends on, did not complete"
        with pytest.raises(HoldfastError, match="has no result"):
            task.result("bad")


async def test_a_failed_attempt_is_retried_and_counted(tmp_path):
    FAILURES["a"] = 1
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, {"subtasks": [{"id": "a", "type": "test_fail", "retries": 1}]})
        assert task.state == TaskState.COMPLETED
        assert task.result("a") == 2
        assert task.plan["a"].attempts == 2
        assert ("subtask.waiting", "a") in await kinds(hf, task.id)


async def test_a_subtask_that_takes_longer_than_its_limit_fails_with_the_limit_named(tmp_path):
    plan = {"subtasks": [{"id": "a", "type": "sleep", "params": {"seconds": 30}, "timeout_s": 0.05, "retries": 0}]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, plan)
        assert task.plan["a"].error == "it took longer than its limit of 0.05 s"


async def test_at_most_as_many_run_at_once_as_there_are_workers(tmp_path):
    now, most, everybody = 0, 0, asyncio.Event()

    @task_type("test_count", registry=REGISTRY)
    async def count(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if params.get("meets"):  # each waits until all are there
            if now == 30:
                everybody.set()
            async with asyncio.timeout(30):
                await everybody.wait()
        else:
            await asyncio.sleep(0.01)
        now -= 1

    plan = {"subtasks": [{"id": f"t{i}", "type": "test_count"} for i in range(30)]}
    slow = {"subtasks": [{"id": f"t{i}", "type": "test_count", "params": {"meets": True}} for i in range(30)]}
    async with Holdfast.open(tmp_path / "h.db", max_workers=3) as hf:
        await run(hf, plan)
        assert most == 3
        most = 0
        await run(hf, slow, workers=0)
        assert most == 30


async def test_a_result_that_is_not_json_fails_its_subtask_and_nothing_else(tmp_path):
    @task_type("test_odd", registry=REGISTRY)
    async def odd(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
        return {"a set": {1, 2}}

    plan = {"subtasks": [{"id": "a", "type": "test_odd"}, {"id": "b", "type": "test_note"}]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, plan)
        assert "has to be a JSON value" in task.plan["a"].error
        assert task.plan["b"].state == "completed"


async def test_equal_results_are_stored_once(tmp_path):
    plan = {"subtasks": [{"id": f"t{i}", "type": "sleep", "params": {"payload_bytes": 5000}} for i in range(20)]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        await run(hf, plan)
        assert await hf.database.aread(lambda db: db.execute("SELECT count(*) FROM results").fetchone()) == (1,)


async def test_a_damaged_result_is_found_when_it_is_read(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", type_="test_note"))
        await hf.database.awrite(lambda db: db.execute("UPDATE results SET body = '{\"sum\": 2}'"))
        with pytest.raises(HoldfastError, match="was damaged"):
            task.result("a")


async def test_steps_are_recorded_and_have_keys_of_their_own(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", type_="test_steps"))
        assert task.result("a") == [f"{task.id}/a/one", [1, 2.5, None], None]
        assert [kind for kind, _ in await kinds(hf, task.id)][4:10] == ["step.started", "step.completed"] * 3


async def test_a_step_name_used_twice_is_an_error(tmp_path):
    @task_type("test_twice", registry=REGISTRY)
    async def twice(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        await ctx.step("one", lambda: 1)
        await ctx.step("one", lambda: 2)

    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, {"subtasks": [{"id": "a", "type": "test_twice", "retries": 0}]})
        assert "uses the step name 'one' twice" in task.error


async def test_a_retry_does_not_repeat_steps_that_are_on_disk(tmp_path):
    @task_type("test_retry_steps", registry=REGISTRY)
    async def body(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
        value = await ctx.step("paid", lambda: RAN.append("paid") or 42)
        if ctx.attempt == 1:
            raise RuntimeError("after the step")
        return value

    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", type_="test_retry_steps"))
        assert task.result("a") == 42
        assert RAN == ["paid"]


async def test_artifacts_go_to_the_output_folder_whole_and_are_listed(tmp_path):
    @task_type("test_artifact", registry=REGISTRY)
    async def body(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
        await ctx.artifact("charts/a.svg", "<svg/>")
        kept = await ctx.store("between subtasks")
        assert ctx.stored(kept).read_text() == "between subtasks"
        return await ctx.artifact("report.md", "# Report")

    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a", type_="test_artifact"), out=tmp_path / "out")
        assert [(one.name, one.media_type, one.bytes) for one in task.artifacts] == [
            ("charts/a.svg", "image/svg+xml", 6),
            ("report.md", "text/markdown", 8),
        ]
        assert (tmp_path / "out" / "report.md").read_text() == "# Report"
        assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["a.svg", "charts", "report.md"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.txt", "a/../../b", ""])
async def test_an_artifact_cannot_leave_the_output_folder(tmp_path, name):
    @task_type("test_escape", registry=REGISTRY)
    async def body(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
        return await ctx.artifact(params["name"], "x")

    plan = {"subtasks": [{"id": "a", "type": "test_escape", "params": {"name": name}}]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, plan, out=tmp_path / "out")
        assert "relative path inside the output folder" in task.error


async def test_a_plan_with_faults_starts_nothing(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        with pytest.raises(InvalidPlan):
            await hf.start("try it", plan={"subtasks": [{"id": "a", "type": "nonsense"}]})
        with pytest.raises(BadInput, match="goal is empty"):
            await hf.start("  ")
        assert await hf.list() == []


async def test_tasks_are_found_by_a_unique_prefix(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        first = await run(hf, chain("a"))
        second = await run(hf, chain("a"))
        assert (await hf.get(first.id[:13])).id == first.id
        assert [task.id for task in await hf.list()] == [second.id, first.id]
        assert await hf.list(state="PAUSED") == []
        for unknown in ("nothing", "", "%"):
            with pytest.raises(UnknownTask):
                await hf.get(unknown)


async def test_several_tasks_run_side_by_side(tmp_path):
    plan = {"subtasks": [{"id": f"t{i}", "type": "sleep", "params": {"seconds": 0.05}} for i in range(3)]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        tasks = [await hf.start(f"goal {i}", plan=plan) for i in range(5)]
        ended = await asyncio.gather(*(hf.wait(task.id) for task in tasks))
        assert {task.state for task in ended} == {TaskState.COMPLETED}


async def test_after_an_acknowledged_pause_nothing_starts_and_resume_goes_on(tmp_path):
    GATES["a"] = asyncio.Event()
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=chain("a", "b", type_="test_steps"))
        while "two" not in RAN:
            await asyncio.sleep(0.01)
        paused = await hf.pause(task.id, reason="too expensive")
        assert (paused.state, paused.paused_by, paused.pause_reason) == ("PAUSED", "person", "too expensive")
        GATES["a"].set()
        while hf.working_on(task.id):
            await asyncio.sleep(0.01)
        assert RAN == ["a/one", "two"]  # the step in flight ended and was kept; the next did not begin
        await hf.resume(task.id)
        done = await asyncio.wait_for(hf.wait(task.id), 30)
        assert done.state == TaskState.COMPLETED
        assert RAN == ["a/one", "two", "three", "b/one", "two", "three"]


async def test_pause_now_cancels_what_is_in_flight(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=chain("a", params={"seconds": 60}))
        while not (await hf.get(task.id)).in_flight:
            await asyncio.sleep(0.01)
        await hf.pause(task.id, mode="now")
        began = time.monotonic()
        while hf.working_on(task.id):
            await asyncio.sleep(0.005)
        assert time.monotonic() - began < 5
        assert (await hf.get(task.id)).in_flight == 0
        with pytest.raises(BadInput, match="mode"):
            await hf.pause(task.id, mode="soon")


async def test_a_pause_from_another_connection_is_seen(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf, Holdfast.open(tmp_path / "h.db") as other:
        task = await hf.start("try it", plan=chain("a", "b", params={"seconds": 0.3}))
        while not (await hf.get(task.id)).in_flight:
            await asyncio.sleep(0.01)
        await other.pause(task.id, mode="drain")
        while hf.working_on(task.id):
            await asyncio.sleep(0.01)
        states = [one.state.value for one in (await hf.get(task.id)).plan.subtasks]
        assert states == ["completed", "ready"]
        await other.resume(task.id)
        assert (await asyncio.wait_for(other.wait(task.id), 30)).state == TaskState.COMPLETED


async def test_leaving_the_block_hands_over_and_the_next_runner_goes_on(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=chain("a", "b", "c", params={"seconds": 0.2}))
        while not (await hf.get(task.id)).in_flight:
            await asyncio.sleep(0.01)
    async with Holdfast.open(tmp_path / "h.db") as hf:
        left = await hf.get(task.id)
        assert left.state == TaskState.WORKING
        await hf.resume(task.id)
        assert (await asyncio.wait_for(hf.wait(task.id), 30)).state == TaskState.COMPLETED
        running = [subtask for kind, subtask in await kinds(hf, task.id) if kind == "subtask.running"]
        assert running == ["a", "b", "c"]  # what was in flight ended and was kept


async def test_what_has_ended_stays_ended(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await run(hf, chain("a"))
        for act in (hf.pause, hf.resume):
            with pytest.raises(IllegalMove, match="COMPLETED"):
                await act(task.id)
        assert (await hf.get(task.id)).state == TaskState.COMPLETED


async def test_the_snapshot_is_json_and_has_every_field_of_the_contract(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        plan = Plan(subtasks=[Subtask(id="a", type="sleep", estimated_time=0.5)])
        task = await run(hf, plan)
        shown = json.loads(json.dumps(task.to_json()))
    assert list(shown)[:15] == [  # what was added since comes after
        "id",
        "context_id",
        "goal",
        "state",
        "in_flight",
        "stops",
        "created_at",
        "updated_at",
        "paused_by",
        "pause_reason",
        "plan",
        "questions",
        "artifacts",
        "usage",
        "error",
    ]
    assert list(shown["plan"]["subtasks"][0])[:12] == [
        "id",
        "name",
        "description",
        "type",
        "dependencies",
        "estimated_time",
        "state",
        "stops",
        "attempts",
        "started_at",
        "ended_at",
        "error",
    ]
    assert shown["state"] == "COMPLETED"
    assert shown["created_at"].endswith("Z")


async def test_a_runner_that_lacks_a_type_leaves_the_task_alone_and_says_so(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=chain("a", "b", type_="test_steps"))
        await hf.pause(task.id)
    bare = Registry([REGISTRY.get("sleep")])
    async with Holdfast.open(tmp_path / "h.db", registry=bare) as hf:
        with pytest.raises(MissingTypes, match=r"'test_steps', which are not loaded here; .* --types"):
            await hf.resume(task.id)


async def test_a_resume_at_any_moment_of_a_pause_loses_nothing(tmp_path, chance):
    async with Holdfast.open(tmp_path / "h.db") as hf, Holdfast.open(tmp_path / "h.db") as other:
        task = await hf.start("try it", plan=chain(*(f"t{i}" for i in range(30)), params={"seconds": 0.01}))
        for i in range(20):
            await asyncio.sleep(chance.random() * 0.03)
            try:
                await hf.pause(task.id, mode=chance.choice(["now", "step", "drain"]))
            except IllegalMove:
                break
            await asyncio.sleep(chance.random() * 0.03)
            await (hf, other)[i % 2].resume(task.id)
        done = await asyncio.wait_for(hf.wait(task.id), 30)
        assert done.state == TaskState.COMPLETED
        completed = [subtask for kind, subtask in await kinds(hf, task.id) if kind == "subtask.completed"]
        assert completed == [f"t{i}" for i in range(30)]
