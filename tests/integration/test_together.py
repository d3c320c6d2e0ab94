"""Similar requests in one call: fewer calls, the same results, each its own subtask; over real SQLite and HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast import Holdfast, TaskState
from holdfast.checkpoints import spend
from holdfast.nodes import builtin
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.settings import ModelSettings, Price, read
from holdfast.nodes.models.together import apportioned, mergeable, merged, told_apart
from holdfast.nodes.models.types import Reply, Request
from tests.integration.test_control import ended, idle, until
from tests.models.server import ModelServer
from tests.models.together import items, together

builtin.register()
PRICE = Price(1000.0, 2000.0)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(script=together(said)) as running:
        yield running


@asynccontextmanager
async def opened(path: Any, server: ModelServer, **settings: Any) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(path, max_workers=0) as hf:
        made = {"batch_window": 0.3, "timeout": 20, "price": PRICE, "first_wait": 0.05, **settings}
        model = ModelSettings("scripted", base_url=server.url, key="sk-x", **made)
        hf.services.calls = Calls(OpenAIEndpoint(model), model)
        yield hf


@pytest.fixture
async def hf(tmp_path, server) -> AsyncIterator[Holdfast]:
    async with opened(tmp_path / "h.db", server) as one:
        yield one


def said(text: str) -> str:
    """What the model answers to a question."""
    return "about " + re.search(r"number (\d+)", text)[1]


def question(i: int, *needs: str, **params: Any) -> dict[str, Any]:
    asked = {"question": f"What is number {i}?", "max_tokens": 50, **params}
    return {"id": f"s{i}", "type": "ask_model", "params": asked, "dependencies": list(needs), "retries": 0}


async def run(hf: Holdfast, *subtasks: dict[str, Any], **how: Any) -> Any:
    task = await hf.start("g", plan={"subtasks": list(subtasks)}, **how)
    return await ended(hf, task.id)


def answers(done: Any, count: int) -> list[Any]:
    return [done.result(f"s{i}") for i in range(count)]


def rows(hf: Holdfast) -> list[tuple[Any, ...]]:
    sql = "SELECT subtask, step, attempt, input_tokens, output_tokens, cost, state FROM spend ORDER BY 1, 2, 3"
    return hf.database.read(lambda db: db.execute(sql).fetchall())


async def test_twenty_similar_subtasks_take_at_least_forty_percent_fewer_calls_and_give_the_same_results(
    tmp_path, server
):
    results, calls, paid = [], [], []
    for size in (1, 10):
        async with opened(tmp_path / f"{size}.db", server, batch_size=size) as hf:
            done = await run(hf, *map(question, range(20)))
            results.append(answers(done, 20))
            paid.append(done.usage)
            calls.append(server.count - sum(calls))
    assert results[0] == results[1] == [f"about {i}" for i in range(20)]
    assert calls == [20, 2]
    assert not any(one["estimated"] for one in paid)


async def test_the_shares_add_up_exactly_to_what_was_paid(hf, server):
    done = await run(hf, *map(question, range(7)))
    assert server.count == 1
    told = [event.data async for event in hf.events(done.id) if event.type == "usage"]
    assert len(told) == len(rows(hf)) == 7
    assert {row[-1] for row in rows(hf)} == {spend.COUNTED}
    from tests.models.server import usage

    text = '{"results": ' + str([{"id": str(i + 1), "answer": f"about {i}"} for i in range(7)]).replace("'", '"') + "}"
    paid = usage(server.calls[0], text)
    used = done.usage["input_tokens"], done.usage["output_tokens"]
    assert used == (paid["prompt_tokens"], paid["completion_tokens"])
    assert done.usage["cost"] == pytest.approx(PRICE.of(*used), rel=1e-12)
    assert sum(row[3] for row in rows(hf)) == used[0]


SPOILT: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "one is missing": lambda results: results[:2] + results[3:],
    "one is given twice": lambda results: [*results, {"id": "3", "answer": "other"}],
    "one has the wrong form": lambda results: [{**one, "answer": [1]} if one["id"] == "3" else one for one in results],
    "one is empty": lambda results: [{**one, "answer": " "} if one["id"] == "3" else one for one in results],
    "one has an id that nobody has": lambda results: [
        {**one, "id": "9"} if one["id"] == "3" else one for one in results
    ],
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_a_missing_or_malformed_part_is_asked_for_alone_and_the_others_are_not(hf, server, spoil):
    server.script = together(said, spoil)
    done = await run(hf, *map(question, range(5)))
    assert answers(done, 5) == [f"about {i}" for i in range(5)]
    assert [len(items(call.body)) for call in server.calls] == [5, 0]
    assert "number 2" in server.calls[1].said
    assert [row[2] for row in rows(hf) if row[0] == "s2"] == [1, 2]  # and paid for both


async def test_a_model_that_cannot_answer_together_is_asked_one_by_one_from_then_on(hf, server):
    server.script = lambda body: {"text": "what?"} if items(body) else {"text": said(body["messages"][-1]["content"])}
    assert answers(await run(hf, *map(question, range(4))), 4) == [f"about {i}" for i in range(4)]
    assert server.count == 5
    await run(hf, *(question(i, max_tokens=51) for i in range(4)))
    assert server.count == 9


@pytest.mark.parametrize("fault", ["length", "refusal", "overflow"])
async def test_a_fault_that_the_whole_call_meets_leaves_each_its_own_call(hf, server, fault):
    answer = together(said)
    server.script = lambda body: {"fault": fault} if items(body) else answer(body)
    assert answers(await run(hf, *map(question, range(3))), 3) == [f"about {i}" for i in range(3)]
    assert server.count == 4


async def test_a_passing_fault_is_tried_again_together(hf, server):
    answer, faults = together(said), ["status", "rate_limited"]
    server.script = lambda body: {"fault": faults.pop(), "status": 503, "retry_after": 0} if faults else answer(body)
    done = await run(hf, *map(question, range(3)))
    assert answers(done, 3) == [f"about {i}" for i in range(3)]
    assert [len(items(call.body)) for call in server.calls] == [3, 3, 3]


async def test_a_model_that_cannot_be_had_pauses_the_task_as_ever(hf, server):
    server.script = lambda body: {"fault": "status", "status": 401}
    task = await hf.start("g", plan={"subtasks": [*map(question, range(3))]})
    paused = await hf.wait(task.id, until=[TaskState.PAUSED])
    assert (paused.stops, server.count) == (["system"], 1)
    await idle(hf, task.id)
    server.script = together(said)
    await hf.resume(task.id)
    assert answers(await ended(hf, task.id), 3) == [f"about {i}" for i in range(3)]


async def test_only_requests_of_one_form_go_together(hf, server):
    choices = {"choices": ["about 2", "about 3", "x"]}
    long = {"question": "long " * 5000 + "number 6"}
    plan = [question(0), question(1), question(2, **choices), question(3, **choices), question(4, max_tokens=7000)]
    done = await run(hf, *plan, {**question(5), "params": {**long, "max_tokens": 50}})
    assert sorted(len(items(call.body)) for call in server.calls) == [0, 0, 2, 2]
    assert [done.result(f"s{i}") for i in range(4)] == ["about 0", "about 1", "about 2", "about 3"]


async def test_objects_go_together_too_and_each_has_to_fit_its_schema(hf, server):
    schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}

    def each(text: str) -> Any:
        return {"n": int(re.search(r"number (\d+)", text)[1])}

    server.script = together(each, lambda results: [{**results[0], "answer": {"n": "no"}}, *results[1:]])
    done = await run(hf, *(question(i, answer=schema) for i in range(4)))
    assert answers(done, 4) == [{"n": i} for i in range(4)]
    assert [len(items(call.body)) for call in server.calls] == [4, 0]


async def test_the_window_is_all_that_a_request_ever_waits(tmp_path, server):
    async with opened(tmp_path / "w.db", server, batch_window=0.4, batch_size=3) as hf:
        await run(hf, question(9))  # imports
        loop = asyncio.get_running_loop()
        began = loop.time()
        await run(hf, question(0))
        alone = loop.time() - began
        began = loop.time()
        await run(hf, *map(question, range(1, 4)))
        full = loop.time() - began
    assert alone >= 0.4
    assert server.calls[1].at - (began - alone) < 0.4 + 1.0
    assert full < 0.4, "a full batch goes at once"


@pytest.mark.parametrize(("name", "value"), [("HOLDFAST_BATCH_SIZE", "1"), ("HOLDFAST_BATCH_WINDOW_MS", "0")])
async def test_it_can_be_switched_off(tmp_path, server, name, value):
    environment = {"HOLDFAST_MODEL": "scripted", "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-x", name: value}
    made = read(environment, {})
    async with opened(tmp_path / "o.db", server, batch_window=made.batch_window, batch_size=made.batch_size) as hf:
        await run(hf, *map(question, range(3)))
    assert server.count == 3


async def test_a_member_that_is_stopped_does_not_hurt_the_others_and_takes_up_its_own_later(hf, server):
    answer = together(said)
    server.script = lambda body: {**answer(body), "delay": 0.6}
    task = await hf.start("g", plan={"subtasks": [*map(question, range(4))]})
    await until(lambda: server.count == 1)
    await hf.hold(task.id, "s1", mode="now")
    await until(lambda: server.open == 0)
    await until(lambda: sum(row[-1] == spend.COUNTED for row in rows(hf)) == 4)  # its share was paid
    await until(lambda: hf.database.read(lambda db: db.execute(
        "SELECT count(*) FROM subtasks WHERE state = 'completed'").fetchone()) == (3,))  # fmt: skip
    await hf.release(task.id, "s1")
    done = await ended(hf, task.id)
    assert (answers(done, 4), server.count) == ([f"about {i}" for i in range(4)], 2)


async def test_a_task_that_is_canceled_ends_the_call_and_what_was_reserved_stays_counted(hf, server):
    server.script = lambda body: {"text": "late", "delay": 60}
    task = await hf.start("g", plan={"subtasks": [*map(question, range(3))]})
    await until(lambda: server.count == 1)
    await hf.cancel(task.id)
    await until(lambda: server.open == 0)
    await idle(hf, task.id)
    assert [row[-1] for row in rows(hf)] == [spend.RESERVED] * 3
    server.script = together(said)
    assert answers(await run(hf, *map(question, range(3))), 3) == ["about 0", "about 1", "about 2"]


async def test_a_pause_lets_the_call_end_and_a_resume_repeats_nothing(hf, server):
    answer = together(said)
    server.script = lambda body: {**answer(body), "delay": 0.5}
    task = await hf.start("g", plan={"subtasks": [*map(question, range(3))]})
    await until(lambda: server.count == 1)
    await hf.pause(task.id)
    await idle(hf, task.id)
    await hf.resume(task.id)
    assert answers(await ended(hf, task.id), 3) == ["about 0", "about 1", "about 2"]
    assert server.count == 1


async def test_what_does_not_fit_the_budget_together_goes_alone_and_never_passes_it(hf, server):
    one = (await run(hf, question(9))).usage
    calls = server.count
    task = await hf.start("g", plan={"subtasks": [*map(question, range(6))]}, budget={"cost": 2.5 * one["cost"]})
    paused = await hf.wait(task.id, until=[TaskState.PAUSED])
    await idle(hf, task.id)
    assert paused.stops == ["budget"]
    assert (await hf.get(task.id)).usage["cost"] <= 2.5 * one["cost"] + 1e-9
    assert all(not items(call.body) for call in server.calls[calls:])
    await hf.answer(task.id, (await hf.get(task.id)).questions[0].id, {"raise": {"cost": 100}})
    assert answers(await ended(hf, task.id), 6) == [f"about {i}" for i in range(6)]


async def test_kept_answers_and_equal_requests_take_no_place_in_a_batch(hf, server):
    await run(hf, question(0), question(1))
    same = {**question(2), "id": "twin"}
    await run(hf, question(0), question(1), question(2), same, question(3))
    assert [len(items(call.body)) for call in server.calls] == [2, 2]


async def test_a_question_without_a_model_fails_with_a_sentence(tmp_path):
    async with Holdfast.open(tmp_path / "n.db") as hf:
        hf.services.calls = None
        done = await run(hf, question(0))
    assert "ask_model needs a model; set HOLDFAST_MODEL" in done.error


async def test_a_choice_is_asked_for_once_more_and_then_fails(hf, server):
    says = ["neither", '"Yes".', "no idea", "no idea"]
    server.script = lambda body: {"text": says.pop(0)}
    params = {"choices": ["yes", "no"]}
    assert (await run(hf, question(0, **params))).result("s0") == "yes"
    failed = await run(hf, question(1, **params))
    assert "none of the choices: 'no idea'" in failed.error


def test_shares_add_up_and_are_in_proportion():
    assert apportioned(10, [1, 1, 1]) == [4, 3, 3]
    assert apportioned(0, [5, 5]) == [0, 0]
    assert apportioned(7, [0, 0]) == [7, 0] or sum(apportioned(7, [1, 0])) == 7
    for total in (1, 99, 12_345):
        assert sum(apportioned(total, [3, 141, 59, 26])) == total


def test_requests_that_cannot_be_merged_are_left_alone():
    message = {"role": "user", "content": "x"}
    assert mergeable(Request([message], batch="a"))
    for request in (
        Request([message]),
        Request([message], batch="a", tools=[{"type": "function"}]),
        Request([{"role": "tool", "content": "x"}], batch="a"),
        Request([{"role": "user", "content": [{"type": "text"}]}], batch="a"),
        Request([message], batch="a", schema={"$ref": "#/$defs/x"}),
    ):
        assert not mergeable(request)


def test_an_answer_round_the_results_does_no_harm():
    asked = [Request([{"role": "user", "content": text}], batch="a") for text in "ab"]
    wordy = 'Sure! {"results": []} Here: ```{"results": [{"id": 2, "answer": "B"}, {"id": "1", "answer": "A"}, 5]}```'
    assert told_apart(Reply(wordy), asked) == ["A", "B"]
    assert told_apart(Reply("no"), asked) == [None, None]
    assert merged(asked).most == sum(one.most for one in asked) + 64
