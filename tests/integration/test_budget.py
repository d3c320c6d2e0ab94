"""Budgets: spend never passes the limit, and at the limit the task pauses and asks; over real SQLite."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import schema
from holdfast.checkpoints.errors import BadInput, IllegalMove, InvalidAnswer
from holdfast.checkpoints.spend import to_finish
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.settings import ModelSettings, Price
from holdfast.nodes.models.types import Fault, Reply, Request, Tokens
from tests.integration.test_control import idle, until

PRICE = Price(1000.0, 2000.0)  # dollars a million tokens: 10 in and 10 out are 3 cents
ASKED = Request([{"role": "user", "content": "?"}], most=20, fresh=True)  # at most 5 cents


class Scripted:
    """A model that answers with 10 tokens for 10, once ``gate`` is open; ``calls`` counts."""

    model = "scripted"

    def __init__(self) -> None:
        self.calls, self.gate = 0, asyncio.Event()
        self.gate.set()
        self.tokens: Callable[[], Tokens] = lambda: Tokens(10, 10)

    def estimate(self, request: Request) -> int:
        return 10

    async def call(self, request: Request, told: Callable[[str], None]) -> Reply:
        self.calls += 1
        await self.gate.wait()
        return Reply("yes", tokens=self.tokens(), model=self.model)


@task_type("b_ask")
async def b_ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Calls the model so many times; without it, it says how far it came."""
    assert ctx.model
    for i in range(params.get("calls", 1)):
        try:
            await ctx.model.complete(f"call {i + 1}", ASKED)
        except Fault as fault:
            return [i, fault.kind.value]
    return params.get("calls", 1)


@pytest.fixture
def model() -> Scripted:
    return Scripted()


@pytest.fixture
async def hf(tmp_path, model) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(tmp_path / "h.db") as opened:
        opened.services.calls = Calls(model, ModelSettings("scripted", price=PRICE))
        yield opened


def asks(id_: str, calls: int = 1, *dependencies: str) -> dict[str, Any]:
    return {"id": id_, "type": "b_ask", "params": {"calls": calls}, "dependencies": list(dependencies)}


async def over(hf: Holdfast, task_id: str) -> Any:
    """The task once it has paused for its budget."""
    task = await hf.wait(task_id, until=[TaskState.PAUSED, TaskState.COMPLETED, TaskState.FAILED])
    assert (task.state, task.stops, task.paused_by) == (TaskState.PAUSED, ["budget"], "budget")
    await idle(hf, task_id)
    return await hf.get(task_id)


async def test_usage_is_what_the_server_counted_and_told_for_each_step(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 2), asks("b")]})
    done = await hf.wait(task.id)
    assert dict(done.usage) == {
        "input_tokens": 30, "output_tokens": 30, "cost": pytest.approx(0.09), "estimated": False,
    }  # fmt: skip
    told = [event.data | {"subtask": event.subtask} async for event in hf.events(task.id) if event.type == "usage"]
    assert sorted((one["subtask"], one["step"], one["cost"]) for one in told) == [
        ("a", "call 1", pytest.approx(0.03)),
        ("a", "call 2", pytest.approx(0.03)),
        ("b", "call 1", pytest.approx(0.03)),
    ]


async def test_at_the_limit_the_task_pauses_before_the_call_and_asks(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3)]}, budget={"cost": 0.10})
    paused = await over(hf, task.id)
    assert model.calls == 2  # two cost 6 cents; a third may cost 5
    assert paused.usage["cost"] == pytest.approx(0.06)
    (question,) = paused.questions
    assert question.subtask == "@budget"
    assert "$0.0600 of $0.1000" in question.prompt
    assert "no room for the next call" in question.prompt
    assert "may take $0.0500" in question.prompt
    assert not (await hf.explain(task.id)).uncertain  # the third was not begun


async def test_a_higher_limit_lets_it_go_on_and_repeats_nothing(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3)]}, budget={"cost": 0.10})
    (question,) = (await over(hf, task.id)).questions
    with pytest.raises(InvalidAnswer, match="not above"):
        await hf.answer(task.id, question.id, {"raise": {"cost": 0.05}})
    assert (await hf.get(task.id)).state == TaskState.PAUSED
    await hf.answer(task.id, question.id, {"raise": {"cost": 0.20}})
    done = await hf.wait(task.id)
    assert (done.state, model.calls, done.result("a")) == (TaskState.COMPLETED, 3, 3)


async def test_finish_ends_without_the_model(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3), asks("b", 1, "a")]}, budget={"cost": 0.10})
    (question,) = (await over(hf, task.id)).questions
    await hf.answer(task.id, question.id, "finish")
    done = await hf.wait(task.id)
    assert (done.state, model.calls, done.result("a")) == (TaskState.COMPLETED, 2, [2, "over_budget"])
    assert done.result("b") == [0, "over_budget"]


async def test_drop_and_stop_do_as_they_say(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3), {"id": "z", "type": "sleep"}]}, budget={"tokens": 60})
    (question,) = (await over(hf, task.id)).questions
    await hf.answer(task.id, question.id, {"drop": ["a"]})
    done = await hf.wait(task.id)
    assert (done.plan["a"].state, done.plan["z"].state) == ("skipped", "completed")
    task = await hf.start("g", plan={"subtasks": [asks("a", 3)]}, budget={"tokens": 60})
    (question,) = (await over(hf, task.id)).questions
    await hf.answer(task.id, question.id, "stop")
    assert (await hf.get(task.id)).state == TaskState.CANCELED


async def test_what_is_dropped_may_be_named_with_what_depends_on_it_and_twice(hf, model):
    plan = [asks("a", 3), asks("b", 1, "a"), {"id": "z", "type": "sleep"}]
    task = await hf.start("g", plan={"subtasks": plan}, budget={"tokens": 60})
    (question,) = (await over(hf, task.id)).questions
    with pytest.raises(IllegalMove, match="'z' is completed"):
        await hf.answer(task.id, question.id, {"drop": ["a", "z"]})
    assert (await hf.get(task.id)).plan["a"].state == "ready"  # all or nothing
    await hf.answer(task.id, question.id, {"drop": ["a", "b", "a"]})
    done = await hf.wait(task.id)
    assert [done.plan[one].state for one in "abz"] == ["skipped", "skipped", "completed"]


async def test_a_task_whose_planning_is_dropped_has_failed_and_not_completed_without_a_plan(hf, model):
    task = await hf.start("Say something", budget={"tokens": 60})
    (question,) = (await over(hf, task.id)).questions
    await hf.answer(task.id, question.id, {"drop": ["@plan"]})
    ended = await hf.wait(task.id)
    assert (ended.state, ended.error) == (TaskState.FAILED, "there is no plan, for making one was skipped")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("more", 'it has to be {"raise": {"cost": dollars}} (or tokens, or seconds), "finish", {"drop"'),
        ({"raise": {}}, "raise: {} has less than 1 property"),
        ({"raise": {"cost": "1"}}, 'raise.cost: "1" is not of type "number"'),
        ({"raise": {"euros": 3}}, "raise: Additional properties are not allowed"),
        ({"raise": {"tokens": 5}}, "there is no limit of tokens to raise; there is one of cost"),
        ({"drop": []}, "drop: [] has less than 1 item"),
        ({"raise": {"cost": 1}, "drop": ["a"]}, "it has to be"),
    ],
)
async def test_a_wrong_answer_is_told_what_is_wrong_with_it_and_changes_nothing(hf, model, answer, why):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3)]}, budget={"cost": 0.10})
    (question,) = (await over(hf, task.id)).questions
    with pytest.raises(InvalidAnswer, match=re.escape(why)):
        await hf.answer(task.id, question.id, answer)
    still = await hf.get(task.id)
    assert (still.stops, still.budget, [one.id for one in still.questions]) == (["budget"], {"cost": 0.1}, ["q1"])


async def test_a_budget_in_dollars_is_refused_where_no_price_is_known(hf, model):
    hf.services.calls = Calls(model, ModelSettings("unpriced"))
    with pytest.raises(BadInput, match="no price of unpriced is known"):
        await hf.start("g", plan={"subtasks": [asks("a")]}, budget={"cost": 1})
    task = await hf.start("g", plan={"subtasks": [asks("a")]}, budget={"tokens": 1000})
    assert (await hf.wait(task.id)).state == TaskState.COMPLETED


async def test_a_task_whose_model_has_no_price_any_more_pauses_before_the_next_call(hf, model):
    model.gate.clear()
    task = await hf.start("g", plan={"subtasks": [asks("a", 2)]}, budget={"cost": 0.10})
    await until(lambda: model.calls == 1)
    priced, hf.services.calls.settings = hf.services.calls.settings, ModelSettings("unpriced")
    model.gate.set()
    paused = await hf.wait(task.id, until=[TaskState.PAUSED, TaskState.COMPLETED])
    assert (paused.state, paused.stops, model.calls) == (TaskState.PAUSED, ["system"], 1)
    assert "no price of unpriced is known" in paused.pause_reason
    hf.services.calls.settings = priced
    await idle(hf, task.id)
    await hf.resume(task.id)
    assert (await hf.wait(task.id)).state == TaskState.COMPLETED


async def test_a_resume_alone_does_not_lift_the_budget_and_a_person_stays_in_force(hf, model):
    task = await hf.start("g", plan={"subtasks": [asks("a", 3)]}, budget={"cost": 0.10})
    (question,) = (await over(hf, task.id)).questions
    await hf.pause(task.id, reason="lunch")
    assert sorted((await hf.get(task.id)).stops) == ["budget", "person"]
    resumed = await hf.resume(task.id)
    assert (resumed.state, resumed.stops) == (TaskState.PAUSED, ["budget"])
    await hf.pause(task.id)
    await hf.answer(task.id, question.id, {"raise": {"cost": 1}})
    assert ((held := await hf.get(task.id)).state, held.stops) == (TaskState.PAUSED, ["person"])
    await hf.resume(task.id)
    assert (await hf.wait(task.id)).state == TaskState.COMPLETED


async def test_calls_side_by_side_wait_for_each_other_instead_of_stopping_the_task_too_soon(hf, model):
    model.gate.clear()
    task = await hf.start("g", plan={"subtasks": [asks("a"), asks("b"), asks("c")]}, budget={"cost": 0.11})
    await until(lambda: model.calls == 2)  # both may take 5 cents; a third would pass the limit
    await asyncio.sleep(0.05)
    assert (model.calls, (await hf.get(task.id)).state) == (2, TaskState.WORKING)
    model.gate.set()
    assert (await hf.wait(task.id)).state == TaskState.COMPLETED
    assert model.calls == 3


async def test_a_call_that_was_broken_off_counts_what_was_reserved_for_it(hf, model):
    model.gate.clear()
    task = await hf.start("g", plan={"subtasks": [asks("a")]}, budget={"cost": 0.07})
    await until(lambda: model.calls == 1)
    await hf.pause(task.id, mode="now")
    await idle(hf, task.id)
    broken = await hf.get(task.id)
    assert (broken.usage["cost"], broken.usage["estimated"]) == (pytest.approx(0.05), True)
    model.gate.set()
    await hf.resume(task.id)
    assert (await over(hf, task.id)).usage["cost"] == pytest.approx(0.05)
    assert model.calls == 1


async def test_time_at_work_has_a_limit_too(hf):
    plan = {"subtasks": [{"id": "a", "type": "c_steps", "params": {"steps": 500}}]}
    task = await hf.start("g", plan=plan, budget={"seconds": 0.3})
    paused = await over(hf, task.id)
    assert "s of 0.3 s" in paused.questions[0].prompt
    await hf.answer(task.id, paused.questions[0].id, "stop")


@pytest.mark.parametrize("budget", [{"cost": -1}, {"euros": 5}, {"tokens": "many"}, 5])
async def test_a_budget_that_is_none_is_refused(hf, budget):
    with pytest.raises(BadInput, match="budget"):
        await hf.start("g", plan={"subtasks": [asks("a")]}, budget=budget)


async def test_spend_never_passes_the_budget_in_random_runs(hf, model, tmp_path):
    for seed in range(20):
        rng = random.Random(seed)
        model.tokens = lambda rng=rng: Tokens(10, rng.randint(1, 20))
        limit = rng.choice([0.0, 0.04, 0.11, 0.3, 1.0])
        plan = [asks(f"s{i}", rng.randint(1, 4), *([f"s{rng.randrange(i)}"] if i and rng.random() < 0.4 else []))
                for i in range(rng.randint(1, 6))]  # fmt: skip
        task = await hf.start("g", plan={"subtasks": plan}, budget={"cost": limit})
        await hf.wait(task.id, until=[TaskState.PAUSED, TaskState.COMPLETED])
        await idle(hf, task.id)
        ended = await hf.get(task.id)
        assert ended.usage["cost"] <= limit + 1e-9, f"seed {seed}"
        assert not ended.usage["estimated"]
    with closing(schema.connect(tmp_path / "h.db", read_only=True)) as db:
        (reserved,) = db.execute("SELECT count(*) FROM spend WHERE state = 'reserved'").fetchone()
        (attempts,) = db.execute("SELECT count(*) FROM spend").fetchone()
    assert (reserved, attempts) == (0, model.calls)


async def test_the_cost_to_finish_is_told_from_what_equal_types_have_cost(hf, model):
    plan = {"subtasks": [asks("a"), asks("b", 1, "a"), asks("c", 1, "b")]}
    task = await hf.start("g", plan=plan, budget={"cost": 0.08})
    paused = await over(hf, task.id)
    assert paused.usage["cost"] == pytest.approx(0.06)  # a and b; c would take up to 5 cents
    assert paused.cost_to_finish == pytest.approx(0.03)
    assert paused.to_json()["budget"] == {"cost": 0.08}


def test_what_is_unknown_is_not_forecast():
    assert to_finish([], [("agent", 0.0)]) is None
    assert to_finish([("agent", 0.2)], [("sleep", 0.0)]) is None
    assert to_finish([("agent", 0.2), ("agent", 0.4)], [("agent", 0.1), ("agent", 0.5)]) == pytest.approx(0.2)


async def test_a_call_that_says_much_and_never_ends_costs_no_more_than_was_reserved(hf, model):
    async def flood(request: Request, told: Callable[[str], None]) -> Reply:
        told("7" * 60_000)
        await asyncio.sleep(600)
        return Reply("never")

    model.call = flood
    hf.services.calls = Calls(model, ModelSettings("scripted", price=PRICE, timeout=0.3, first_wait=0.01))
    task = await hf.start("g", plan={"subtasks": [asks("a")]}, budget={"cost": 0.2})
    paused = await hf.wait(task.id, until=[TaskState.PAUSED, TaskState.FAILED])
    assert 0 < paused.usage["cost"] <= 0.2
