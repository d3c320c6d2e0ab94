"""Questions, holds, failures, cancel and rollback, over real SQLite."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints.errors import AlreadyAnswered, IllegalMove, InvalidAnswer, UnknownQuestion, UnknownSubtask
from tests.conftest import chain

RAN: list[str] = []
UNDONE: list[str] = []
BROKEN: set[str] = set()


@task_type("c_ask")
async def ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks for its data after a paid step."""
    await ctx.step("paid", lambda: RAN.append(f"{ctx.subtask_id}/paid"))
    return await ctx.ask(
        f"Which data for {ctx.subtask_id}?",
        schema=params.get("schema"),
        default=params.get("default"),
        deadline=params.get("deadline"),
    )


@task_type("c_steps")
async def steps(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Many short steps."""
    for i in range(params.get("steps", 20)):

        async def one(name: str = f"{ctx.subtask_id}/{i}") -> None:
            RAN.append(name)
            await asyncio.sleep(0.02)

        await ctx.step(f"s{i}", one)
    return len(RAN)


async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
    if ctx.subtask_id in BROKEN:
        raise RuntimeError("the other side is gone")
    await ctx.step("give back", lambda: UNDONE.append(ctx.subtask_id))


@task_type("c_undoable", compensate=undo)
async def undoable(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Can be undone; fails when it is told to."""
    RAN.append(ctx.subtask_id)
    if ctx.subtask_id in BROKEN and ctx.subtask_id.startswith("bad"):
        raise RuntimeError("no luck")
    return ctx.subtask_id


@pytest.fixture(autouse=True)
def _fresh():
    RAN.clear()
    UNDONE.clear()
    BROKEN.clear()


@pytest.fixture
async def hf(tmp_path) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(tmp_path / "h.db") as opened:
        yield opened


async def until(condition: Any, timeout: float = 20) -> None:
    limit = asyncio.get_running_loop().time() + timeout
    while not (await condition() if asyncio.iscoroutinefunction(condition) else condition()):
        assert asyncio.get_running_loop().time() < limit, "it did not happen in time"
        await asyncio.sleep(0.01)


async def idle(hf: Holdfast, task_id: str) -> None:
    await until(lambda: not hf.working_on(task_id))


async def ended(hf: Holdfast, task_id: str):
    return await asyncio.wait_for(hf.wait(task_id), 20)


def states(task) -> dict[str, str]:
    return {one.id: one.state.value for one in task.plan.subtasks}


ABC = {
    "subtasks": [
        {"id": "b", "type": "c_ask"},
        {"id": "c", "type": "c_steps"},
        {"id": "d", "type": "c_steps", "params": {"steps": 2}, "dependencies": ["b"]},
    ]
}


async def test_a_question_stops_the_siblings_and_the_answer_goes_to_the_asker_alone(hf):
    task = await hf.start("abc", plan=ABC)
    waiting = await ended(hf, task.id)
    assert waiting.state == TaskState.INPUT_REQUIRED
    assert [question.prompt for question in waiting.questions] == ["Which data for b?"]
    await idle(hf, task.id)
    stopped = await hf.get(task.id)
    assert states(stopped) == {"b": "input_required", "c": "held", "d": "waiting"}
    assert stopped.plan["c"].stops == ["parent"]
    done_steps = [step for step in RAN if step.startswith("c/")]
    assert len(done_steps) < 20
    await hf.answer(task.id, waiting.questions[0].id, {"rows": 3})
    done = await ended(hf, task.id)
    assert done.state == TaskState.COMPLETED
    assert done.result("b") == {"rows": 3}
    assert RAN.count("b/paid") == 1
    assert sorted(step for step in RAN if step.startswith("c/")) == sorted(f"c/{i}" for i in range(20))


async def test_a_sibling_that_a_person_held_stays_held_when_the_parent_resumes(hf):
    plan = {"subtasks": [*ABC["subtasks"], {"id": "e", "type": "c_steps"}]}
    task = await hf.start("abc", plan=plan)
    await hf.hold(task.id, "e", reason="mine")
    waiting = await ended(hf, task.id)
    await idle(hf, task.id)
    await hf.answer(task.id, waiting.questions[0].id, 1)
    await idle(hf, task.id)
    left = await hf.get(task.id)
    assert states(left) == {"b": "completed", "c": "completed", "d": "completed", "e": "held"}
    assert (left.state, left.paused_by) == (TaskState.PAUSED, "holds")
    await hf.release(task.id, "e")
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_questions_open_at_once_are_answered_in_either_order(hf, order):
    plan = {"subtasks": [{"id": "b1", "type": "c_ask"}, {"id": "b2", "type": "c_ask"}]}
    task = await hf.start("two", plan=plan)
    while len((await hf.get(task.id)).questions) < 2:
        await asyncio.sleep(0.01)
    asked = (await hf.get(task.id)).questions
    first = await hf.answer(task.id, asked[order[0]].id, "one")
    assert first.state == TaskState.INPUT_REQUIRED
    await hf.answer(task.id, asked[order[1]].id, "two")
    done = await ended(hf, task.id)
    assert done.result(asked[order[0]].subtask) == "one"
    assert done.result(asked[order[1]].subtask) == "two"


async def test_on_question_continue_lets_the_others_go_on(hf):
    task = await hf.start("abc", plan=ABC, on_question="continue")
    while not (await hf.get(task.id)).questions:
        await asyncio.sleep(0.01)
    assert (await hf.get(task.id)).state == TaskState.WORKING
    waiting = await ended(hf, task.id)
    assert waiting.state == TaskState.INPUT_REQUIRED  # nothing else could run
    assert states(waiting)["c"] == "completed"
    await hf.answer(task.id, waiting.questions[0].id, 1)
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_under_continue_an_answer_reaches_the_asker_while_others_run(hf):
    task = await hf.start("abc", plan=ABC, on_question="continue")
    while not (await hf.get(task.id)).questions:
        await asyncio.sleep(0.01)
    await hf.answer(task.id, "q1", 7)
    assert (await ended(hf, task.id)).result("b") == 7


async def test_a_person_may_pause_while_a_question_is_open_only_under_continue(hf):
    task = await hf.start("abc", plan=ABC)
    await ended(hf, task.id)
    with pytest.raises(IllegalMove, match="INPUT_REQUIRED"):
        await hf.pause(task.id)
    other = await hf.start("abc", plan=ABC, on_question="continue")
    while not (await hf.get(other.id)).questions:
        await asyncio.sleep(0.01)
    assert (await hf.pause(other.id)).state == TaskState.PAUSED
    await idle(hf, other.id)
    answered = await hf.answer(other.id, "q1", 1)
    assert answered.state == TaskState.PAUSED  # answering never resumes a paused task
    await hf.resume(other.id)
    assert (await ended(hf, other.id)).state == TaskState.COMPLETED


async def test_resuming_goes_straight_to_input_required_if_nothing_can_run(hf):
    plan = {"subtasks": [{"id": "b", "type": "c_ask"}, {"id": "c", "type": "c_steps", "params": {"steps": 5}}]}
    task = await hf.start("abc", plan=plan, on_question="continue")
    while (await hf.get(task.id)).plan["c"].state != "completed" if (await hf.get(task.id)).plan.subtasks else True:
        await hf.get(task.id)
        if (await hf.get(task.id)).questions:
            break
        await asyncio.sleep(0.01)
    await hf.pause(task.id, mode="drain")
    await idle(hf, task.id)
    while (await hf.get(task.id)).plan["c"].state == "running":
        await asyncio.sleep(0.01)
    resumed = await hf.resume(task.id)
    if resumed.plan["c"].state == "completed":
        assert resumed.state == TaskState.INPUT_REQUIRED


async def test_an_invalid_answer_is_refused_with_the_reason_and_the_question_stays(hf):
    schema = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "integer", "minimum": 1}}}
    task = await hf.start("x", plan={"subtasks": [{"id": "b", "type": "c_ask", "params": {"schema": schema}}]})
    await ended(hf, task.id)
    with pytest.raises(InvalidAnswer, match=r"rows: .*0 is less than the minimum"):
        await hf.answer(task.id, "q1", {"rows": 0})
    with pytest.raises(UnknownQuestion, match="open are q1"):
        await hf.answer(task.id, "q2", {"rows": 1})
    assert len((await hf.get(task.id)).questions) == 1
    await hf.answer(task.id, "q1", {"rows": 1})
    with pytest.raises((AlreadyAnswered, IllegalMove)):
        await hf.answer(task.id, "q1", {"rows": 2})
    assert (await ended(hf, task.id)).result("b") == {"rows": 1}


async def test_yes_takes_the_default(hf):
    plan = {"subtasks": [{"id": "b", "type": "c_ask", "params": {"default": "this one"}}]}
    task = await hf.start("x", plan=plan, yes=True)
    assert (await ended(hf, task.id)).result("b") == "this one"


async def test_a_held_subtask_does_not_start_and_a_released_one_does(hf):
    task = await hf.start("x", plan=chain("a", "b", "c", params={"seconds": 0.1}))
    await hf.hold(task.id, "b")
    await idle(hf, task.id)
    left = await hf.get(task.id)
    assert (left.state, left.paused_by, states(left)) == (
        "PAUSED",
        "holds",
        {"a": "completed", "b": "held", "c": "waiting"},
    )
    with pytest.raises(IllegalMove, match="no person holds it"):
        await hf.release(task.id, "c")
    with pytest.raises(UnknownSubtask):
        await hf.hold(task.id, "nope")
    await hf.release(task.id, "b")
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_holding_a_running_subtask_stops_it_after_its_step(hf):
    task = await hf.start("x", plan={"subtasks": [{"id": "c", "type": "c_steps"}, {"id": "o", "type": "sleep"}]})
    await until(lambda: len(RAN) >= 3)
    await hf.hold(task.id, "c")
    await idle(hf, task.id)
    assert 3 <= len(RAN) < 20
    assert states(await hf.get(task.id)) == {"c": "held", "o": "completed"}
    await hf.release(task.id, "c")
    await ended(hf, task.id)
    assert [step for step in RAN if step.startswith("c/")] == [f"c/{i}" for i in range(20)]


async def test_a_skipped_subtask_takes_its_dependents_with_it_and_retry_brings_them_back(hf):
    plan = {
        "subtasks": [
            *chain("a", "b", "c")["subtasks"],
            {"id": "slow", "type": "c_steps", "params": {"steps": 50}},
        ]
    }
    task = await hf.start("x", plan=plan)
    await hf.hold(task.id, "b")
    await hf.skip(task.id, "b")
    while states(await hf.get(task.id))["c"] != "skipped":
        await asyncio.sleep(0.005)
    await hf.retry(task.id, "b")
    held = await hf.get(task.id)
    assert (held.plan["b"].state, held.plan["b"].stops) == ("held", ["person"])
    await hf.release(task.id, "b")
    done = await ended(hf, task.id)
    assert set(states(done).values()) == {"completed"}


async def test_cancel_stops_work_at_once_and_is_final(hf):
    task = await hf.start("x", plan=chain("a", "b", params={"seconds": 60}))
    await until(lambda: hf.working_on(task.id))
    await asyncio.sleep(0.2)
    canceled = await hf.cancel(task.id)
    assert canceled.state == TaskState.CANCELED
    began = asyncio.get_running_loop().time()
    await idle(hf, task.id)
    assert asyncio.get_running_loop().time() - began < 5
    for act in (hf.cancel, hf.pause, hf.resume):
        with pytest.raises(IllegalMove):
            await act(task.id)
    assert set(states(await hf.get(task.id)).values()) == {"canceled"}


async def test_fail_fast_ends_the_task_at_the_first_failure(hf):
    BROKEN.add("bad")
    plan = {
        "subtasks": [
            {"id": "bad", "type": "c_undoable", "retries": 0},
            {"id": "slow", "type": "sleep", "params": {"seconds": 60}},
        ]
    }
    task = await hf.start("x", plan=plan, on_failure="fail_fast")
    done = await ended(hf, task.id)
    assert done.state == TaskState.FAILED
    assert done.error == "bad: RuntimeError: no luck"
    await idle(hf, task.id)
    assert states(await hf.get(task.id)) == {"bad": "failed", "slow": "canceled"}


@pytest.mark.parametrize(("decision", "state"), [("retry", "COMPLETED"), ("skip", "COMPLETED"), ("fail", "FAILED")])
async def test_on_failure_ask_lets_a_person_decide(hf, decision, state):
    BROKEN.add("bad")
    plan = {"subtasks": [{"id": "bad", "type": "c_undoable", "retries": 0}, {"id": "other", "type": "sleep"}]}
    task = await hf.start("x", plan=plan, on_failure="ask")
    waiting = await ended(hf, task.id)
    assert waiting.state == TaskState.INPUT_REQUIRED
    assert "bad failed: RuntimeError: no luck. What now?" in waiting.questions[0].prompt
    BROKEN.clear()
    await idle(hf, task.id)
    await hf.answer(task.id, waiting.questions[0].id, decision)
    assert (await ended(hf, task.id)).state == state


async def test_rollback_undoes_in_reverse_order_and_reports_what_it_could_not(hf):
    BROKEN.update({"bad", "b"})
    plan = {
        "subtasks": [
            *chain("a", "b", "c", type_="c_undoable")["subtasks"],
            {"id": "plain", "type": "sleep"},
            {"id": "bad", "type": "c_undoable", "dependencies": ["c", "plain"], "retries": 0},
        ]
    }
    task = await hf.start("x", plan=plan, on_failure="rollback")
    done = await ended(hf, task.id)
    assert done.state == TaskState.FAILED
    assert UNDONE == ["c", "a"]
    assert states(done) == {
        "a": "rolled_back", "b": "completed", "c": "rolled_back", "plain": "completed", "bad": "failed"
    }  # fmt: skip
    assert "not undone: b, plain" in done.error
    alerts = [event.data["error"] async for event in hf.events(task.id) if event.type == "alert"]
    assert sorted(alerts) == [
        "b could not be undone: RuntimeError: the other side is gone",
        "plain could not be undone: the type 'sleep' has no compensation",
    ]


async def test_cancel_with_rollback_undoes_what_has_completed(hf):
    plan = {
        "subtasks": [
            {"id": "a", "type": "c_undoable"},
            {"id": "slow", "type": "sleep", "params": {"seconds": 60}, "dependencies": ["a"]},
        ]
    }
    task = await hf.start("x", plan=plan)
    while states(await hf.get(task.id)).get("slow") != "running":
        await asyncio.sleep(0.01)
    await hf.cancel(task.id, rollback=True)
    done = await ended(hf, task.id)
    assert done.state == TaskState.CANCELED
    assert UNDONE == ["a"]


async def test_a_plan_runs_only_after_its_approval(hf):
    task = await hf.start("x", plan=chain("a"), approve=True)
    waiting = await ended(hf, task.id)
    assert (waiting.state, states(waiting)) == (TaskState.INPUT_REQUIRED, {"a": "ready"})
    with pytest.raises(InvalidAnswer, match=r"unknown type 'nope'"):
        await hf.answer(task.id, "q1", {"edit": chain("z", type_="nope")})
    await idle(hf, task.id)
    await hf.answer(task.id, "q1", {"edit": chain("y", "z")})
    done = await ended(hf, task.id)
    assert (done.state, states(done), done.plan.revision) == (
        "COMPLETED",
        {"y": "completed", "z": "completed"},
        2,
    )


async def test_an_approved_plan_runs_as_it_was(hf):
    task = await hf.start("x", plan=chain("a"), approve=True)
    await ended(hf, task.id)
    await idle(hf, task.id)
    await hf.answer(task.id, "q1", "approve")
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_a_pause_with_an_end_is_resumed_by_the_clock_and_lifts_only_itself(hf):
    task = await hf.start("x", plan=chain("a", "b", params={"seconds": 0.2}))
    paused = await hf.pause(task.id, until=datetime.now(UTC) + timedelta(seconds=0.7))
    assert paused.state == TaskState.PAUSED
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED


async def test_after_its_deadline_a_question_takes_its_default_or_its_subtask_is_given_up(hf):
    plan = {
        "subtasks": [
            {"id": "b", "type": "c_ask", "params": {"deadline": 0.3, "default": "usual"}},
            {"id": "n", "type": "c_ask", "params": {"deadline": 0.3}},
        ]
    }
    task = await hf.start("x", plan=plan, on_question="continue")
    done = await asyncio.wait_for(hf.wait(task.id, until={TaskState.COMPLETED, TaskState.FAILED}), 20)
    assert done.result("b") == "usual"
    assert done.plan["n"].state == "failed"
    assert "was not answered in time" in done.plan["n"].error


async def test_a_new_task_takes_equal_results_of_another_and_runs_the_rest(hf, tmp_path):
    first = await hf.start("x", plan=chain("a", "b", "c", type_="c_undoable"))
    await ended(hf, first.id)
    assert RAN == ["a", "b", "c"]
    changed = chain("a", "b", "c", type_="c_undoable")
    changed["subtasks"][1]["params"] = {"other": 1}
    second = await hf.start("x", plan=changed, reuse=first.id[:8])
    done = await ended(hf, second.id)
    assert done.state == TaskState.COMPLETED
    assert RAN == ["a", "b", "c", "b"]  # c has equal inputs again, because b returned the same
    assert [event.subtask async for event in hf.events(second.id) if event.type == "cache.hit"] == ["a", "c"]


async def test_a_fallback_takes_the_place_of_one_that_failed(hf):
    BROKEN.add("bad")
    plan = {
        "subtasks": [
            {"id": "bad", "type": "c_undoable", "retries": 0, "fallback": "spare"},
            {"id": "spare", "type": "c_undoable"},
            {"id": "user", "type": "c_undoable", "dependencies": ["bad"]},
        ]
    }
    task = await hf.start("x", plan=plan)
    done = await ended(hf, task.id)
    assert done.state == TaskState.COMPLETED
    assert states(done) == {"bad": "failed", "spare": "completed", "user": "completed"}
    assert done.result("bad") == "spare"


async def test_a_fallback_that_is_not_needed_is_skipped(hf):
    plan = {
        "subtasks": [
            {"id": "good", "type": "c_undoable", "fallback": "spare"},
            {"id": "spare", "type": "c_undoable"},
        ]
    }
    done = await ended(hf, (await hf.start("x", plan=plan)).id)
    assert (done.state, states(done)) == (TaskState.COMPLETED, {"good": "completed", "spare": "skipped"})
    assert RAN == ["good"]


async def test_a_fallback_that_fails_too_takes_the_users_with_it(hf):
    BROKEN.update({"bad", "bad2"})
    plan = {
        "subtasks": [
            {"id": "bad", "type": "c_undoable", "retries": 0, "fallback": "bad2"},
            {"id": "bad2", "type": "c_undoable", "retries": 0},
            {"id": "user", "type": "c_undoable", "dependencies": ["bad"]},
        ]
    }
    done = await ended(hf, (await hf.start("x", plan=plan)).id)
    assert states(done) == {"bad": "failed", "bad2": "failed", "user": "skipped"}
    assert done.state == TaskState.FAILED


async def test_a_body_that_does_nothing_for_too_long_fails_and_one_that_shows_progress_does_not(hf):
    plan = {
        "subtasks": [
            {"id": "busy", "type": "c_steps", "params": {"steps": 30}, "idle_timeout_s": 0.4},
            {"id": "idle", "type": "c_undoable_slow", "idle_timeout_s": 0.1, "retries": 0},
        ]
    }

    @task_type("c_undoable_slow")
    async def slow(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
        await asyncio.sleep(30)

    done = await ended(hf, (await hf.start("x", plan=plan)).id)
    assert states(done) == {"busy": "completed", "idle": "failed"}
    assert done.plan["idle"].error == "it did nothing for its limit of 0.1 s"


async def test_under_continue_a_release_does_not_wake_a_task_that_can_do_nothing(hf):
    task = await hf.start("x", plan={"subtasks": [{"id": "b", "type": "c_ask"}]}, on_question="continue")
    await ended(hf, task.id)
    await idle(hf, task.id)
    await hf.hold(task.id, "b")
    assert (await hf.release(task.id, "b")).state == TaskState.INPUT_REQUIRED
    await hf.answer(task.id, "q1", 1)
    assert (await ended(hf, task.id)).state == TaskState.COMPLETED
