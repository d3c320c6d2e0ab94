"""Answers of a model that need no call: kept ones and shared ones, over real SQLite and the scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import cache
from holdfast.checkpoints.cache import Entry
from holdfast.graphs.holdfast import Sender
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.recall import Recent
from holdfast.nodes.models.settings import ModelSettings, Price
from holdfast.nodes.models.types import Request
from tests.integration.test_control import ended, idle, until
from tests.models.server import ModelServer

PRICE = Price(1000.0, 2000.0)
DAY = 86_400


async def ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks the model what it is told to; fails afterwards if told to."""
    assert ctx.model
    content = [params.get("say", "hello"), *map(str, inputs.values())]
    request = Request([{"role": "user", "content": " ".join(content)}], most=50, tags=params.get("tags", ()))
    reply = await ctx.model.complete("ask", request)
    if params.get("fail"):
        raise ValueError("no use")
    return reply.text


@task_type("r_file")
async def r_file(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Reads nothing itself."""
    return "as it is"


task_type("r_ask")(ask)
task_type("r_day", keeps=DAY)(ask)
task_type("r_never", keeps=0)(ask)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@asynccontextmanager
async def listens(hf: Holdfast, server: ModelServer, model: str = "scripted") -> AsyncIterator[None]:
    """Lets the server be the model of ``hf``."""
    settings, before = ModelSettings(model, base_url=server.url, key="sk-x", timeout=20, price=PRICE), hf.services.calls
    endpoint = OpenAIEndpoint(settings)
    hf.services.calls = Calls(endpoint, settings)
    yield
    hf.services.calls = before
    await endpoint.close()


@pytest.fixture
async def hf(tmp_path, server) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(tmp_path / "h.db") as opened, listens(opened, server):
        yield opened


def asks(id_: str, kind: str = "r_ask", *needs: str, cache: bool | None = None, **params: Any) -> dict[str, Any]:
    return {"id": id_, "type": kind, "params": params, "dependencies": list(needs), "cache": cache, "retries": 0}


async def run(hf: Holdfast, *subtasks: dict[str, Any], **how: Any) -> Any:
    task = await hf.start("g", plan={"subtasks": list(subtasks)}, **how)
    return await ended(hf, task.id)


async def hits(hf: Holdfast, task: Any) -> list[dict[str, Any]]:
    return [event.data async for event in hf.events(task.id) if event.type == "cache.hit"]


def kept(hf: Holdfast) -> list[bytes]:
    return hf.database.read(lambda db: [key for (key,) in db.execute("SELECT key FROM cache ORDER BY number")])


async def test_an_equal_request_of_a_later_task_is_answered_without_a_call_and_costs_nothing(hf, server):
    first = await run(hf, asks("a"))
    second = await run(hf, asks("b"))
    assert (server.count, first.result("a"), second.result("b")) == (1, "ok", "ok")
    assert first.usage["cost"] > 0
    assert dict(second.usage) == {"input_tokens": 0, "output_tokens": 0, "cost": 0.0, "estimated": False}
    (hit,) = await hits(hf, second)
    assert (hit["step"], hit["saved"]) == ("ask", pytest.approx(first.usage["cost"]))
    assert hit["input_tokens"] + hit["output_tokens"] == first.usage["input_tokens"] + first.usage["output_tokens"]


async def test_another_process_finds_it_too(tmp_path, hf, server):
    await run(hf, asks("a"))
    async with Holdfast.open(tmp_path / "h.db") as other, listens(other, server):
        assert (await run(other, asks("a"))).result("a") == "ok"
    assert server.count == 1


async def test_what_differs_is_asked_anew_type_parameters_inputs_and_model(hf, server):
    server.models = ("scripted", "other")
    await run(hf, asks("a", say="one"))
    await run(hf, asks("a", say="two"))
    await run(hf, asks("a", "r_day", say="one"))
    await run(hf, {"id": "z", "type": "r_file"}, asks("a", "r_ask", "z", say="one"))
    async with listens(hf, server, "other"):
        await run(hf, asks("a", say="one"))
    assert server.count == 5


async def test_an_answer_is_kept_for_the_time_of_its_type(hf, server):
    now = 1e9
    hf.services.clock = lambda: now
    await run(hf, asks("a", "r_day"))
    now += DAY - 1
    await run(hf, asks("a", "r_day"))
    assert server.count == 1
    now += 2  # from when it was made, not from when it was used
    await run(hf, asks("a", "r_day"))
    assert server.count == 2
    now += DAY - 1
    await run(hf, asks("a", "r_day"))
    assert server.count == 2


async def test_a_subtask_says_whether_answers_are_used_again(hf, server):
    for _ in range(2):
        await run(hf, asks("a", cache=False))
    assert (server.count, kept(hf)) == (2, [])
    for _ in range(2):
        await run(hf, asks("a", "r_never"))
    assert (server.count, kept(hf)) == (4, [])
    for _ in range(2):
        await run(hf, asks("a", "r_never", cache=True))
    assert (server.count, len(kept(hf))) == (5, 1)


async def test_owners_never_see_each_others_answers(hf, server):
    for owner in ("ann", "ben", "ann", ""):
        await run(hf, asks("a"), sender=Sender(owner))
    assert server.count == 3


@pytest.mark.parametrize("fault", [{"fault": "length"}, {"fault": "refusal"}, {"fault": "overflow"}])
async def test_faults_and_answers_that_were_cut_off_are_not_kept(hf, server, fault):
    server.answers = [{**fault, "times": 1}]
    assert (await run(hf, asks("a"))).state == TaskState.FAILED
    assert (await run(hf, asks("a"))).result("a") == "ok"


async def test_an_answer_that_its_subtask_could_not_use_is_not_kept(hf, server):
    assert (await run(hf, asks("a", fail=True))).state == TaskState.FAILED
    assert kept(hf) == []
    await run(hf, asks("a"))
    assert server.count == 2


async def test_equal_calls_under_way_are_one_call(hf, server):
    server.delay = 0.3
    done = await run(hf, *(asks(f"s{i}") for i in range(6)))
    assert (server.count, {done.result(f"s{i}") for i in range(6)}) == (1, {"ok"})
    assert len(await hits(hf, done)) == 5
    one = await run(hf, asks("a", say="what one costs"))
    assert done.usage["output_tokens"] == one.usage["output_tokens"]


async def test_who_waits_for_a_call_survives_its_cancellation(hf, server):
    server.answers = [{"times": 1, "delay": 60}]
    first = await hf.start("g", plan={"subtasks": [asks("a")]})
    await until(lambda: server.count == 1)
    second = await hf.start("g", plan={"subtasks": [asks("b"), asks("c")]})
    await asyncio.sleep(0.1)  # so that they wait
    assert server.count == 1
    await hf.cancel(first.id)
    assert (await ended(hf, second.id)).result("b") == "ok"
    assert server.count == 2


async def test_a_fault_of_the_call_is_told_to_all_who_wait_and_not_tried_by_each(hf, server):
    server.answers = [{"fault": "refusal", "delay": 0.2}]
    done = await run(hf, asks("a"), asks("b"), asks("c"))
    assert (server.count, done.state) == (1, TaskState.FAILED)
    assert {done.plan[id_].state for id_ in "abc"} == {"failed"}


async def test_who_may_not_spend_does_not_keep_the_others_from_it(hf, server):
    poor = await hf.start("g", plan={"subtasks": [asks("a")]}, budget={"cost": 0.000001})
    rich = await hf.start("g", plan={"subtasks": [asks("b")]})
    assert (await ended(hf, rich.id)).result("b") == "ok"
    await hf.wait(poor.id, until=[TaskState.PAUSED])
    await idle(hf, poor.id)
    await hf.answer(poor.id, (await hf.get(poor.id)).questions[0].id, "finish")
    assert (await ended(hf, poor.id)).result("a") == "ok"  # what is known costs nothing
    assert server.count == 1


async def test_a_resumed_step_is_taken_from_its_record_and_not_counted_as_a_hit(hf, server):
    task = await run(hf, asks("a"), {"id": "q", "type": "c_ask", "dependencies": ["a"]})
    await hf.answer(task.id, task.questions[0].id, "x")
    done = await ended(hf, task.id)
    assert (done.state, await hits(hf, done), server.count) == (TaskState.COMPLETED, [], 1)


async def test_it_is_forgotten_by_key_type_and_tag(hf, server):
    clears = [
        lambda db: cache.clear_key(db, kept_key[:12]),
        lambda db: cache.clear_type(db, "r_ask"),
        lambda db: cache.clear_tag(db, "model:scripted"),
        lambda db: cache.clear_tag(db, "season:spring"),
        cache.clear,
    ]
    for calls, clear in enumerate(clears, 1):
        await run(hf, asks("a", tags=["season:spring"]))
        assert server.count == calls
        kept_key = kept(hf)[0].hex()
        assert hf.database.write(clear) == 1
        assert (kept(hf), hf.database.write(clear)) == ([], 0)
    rest = hf.database.read(lambda db: db.execute("SELECT count(*) FROM cache_tags").fetchone())
    assert rest == (0,)


async def test_what_was_derived_from_an_input_is_forgotten_with_it_over_the_subtasks_between(hf, server, tmp_path):
    plan = [
        {"id": "read", "type": "p_files", "params": {"files": [str(tmp_path / "in" / "a.csv")]}},
        {"id": "between", "type": "r_file", "dependencies": ["read"]},
        asks("far", "r_ask", "between", say="far"),
        asks("apart", say="apart"),
    ]
    done = await run(hf, *plan)
    (far, apart), paths = kept(hf), (tmp_path / "other", tmp_path / "in" / "b.csv")
    if hf.database.read(lambda db: cache.find(db, far)).value.count(b"apart"):
        far, apart = apart, far
    assert [hf.database.write(lambda db, one=one: cache.clear_file(db, one)) for one in paths] == [0, 0]
    assert hf.database.write(lambda db: cache.clear_file(db, tmp_path / "in")) == 1
    assert len(kept(hf)) == 1
    again = await run(hf, *plan)
    assert (server.count, len(await hits(hf, again))) == (3, 1)
    assert hf.database.write(lambda db: cache.clear_tag(db, f"subtask:{again.id}/read")) == 1
    assert hf.database.write(lambda db: cache.clear_tag(db, f"subtask:{done.id}/read")) == 0


@task_type("p_files", files="files")
async def p_files(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Names files."""
    return sorted(params["files"])


async def test_what_another_connection_forgot_is_not_served_from_memory(hf, server, tmp_path):
    await run(hf, asks("a"))
    await run(hf, asks("a"))
    assert len(hf.services.recent) == 1
    from holdfast.checkpoints.database import Database

    other = Database(tmp_path / "h.db")
    assert other.write(cache.clear) == 1
    other.close()
    await run(hf, asks("a"))
    assert server.count == 2


async def test_stats_count_hits_and_what_they_saved(hf, server):
    first = await run(hf, asks("a"))
    for _ in range(3):
        await run(hf, asks("a"))
    (stats,) = hf.database.read(lambda db: cache.stats(db, hf.services.clock()))
    assert (stats.type, stats.entries, stats.hits) == ("r_ask", 1, 3)
    assert stats.saved == pytest.approx(3 * first.usage["cost"])
    assert stats.saved_tokens == 3 * (first.usage["input_tokens"] + first.usage["output_tokens"])


async def test_pruning_forgets_answers_whose_time_is_over(hf, server):
    hf.services.clock = lambda: 1e9  # long ago
    await run(hf, asks("a", "r_day"))
    await hf.prune()
    assert kept(hf) == []


BODIES: list[str] = []


@task_type("r_pure", pure=True, keeps=DAY)
async def r_pure(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Made by nothing but its parameters, and an answer if it is told to ask."""
    BODIES.append(ctx.subtask_id)
    return await ctx.ask("?") if params.get("ask") else {**params, "file": await ctx.artifact("a.txt", b"made")}


async def test_the_result_of_a_pure_type_is_taken_from_an_equal_subtask_of_an_earlier_task_of_its_owner(hf):
    BODIES.clear()
    now = 1e9
    hf.services.clock = lambda: now

    async def bodies(*how: Any, **more: Any) -> int:
        task = await run(hf, asks("a", "r_pure", **more), sender=Sender(*how))
        assert task.result("a")["file"]["bytes"] == 4
        assert [one.name for one in task.artifacts] == ["a.txt"]
        return len(BODIES)

    assert [await bodies(), await bodies(), await bodies(x=1)] == [1, 1, 2]
    assert [await bodies("ann"), await bodies("ann"), await bodies(cache=False)] == [3, 3, 4]
    assert hf.database.write(lambda db: cache.clear_type(db, "r_pure")) == 3
    assert [await bodies(), await bodies()] == [5, 5]
    now += DAY
    assert await bodies() == 6
    first, last = (await hf.list())[-1], (await hf.list())[0]
    assert (await hits(hf, first), await hits(hf, last)) == ([], [])
    assert [hit["from"] for hit in await hits(hf, await run(hf, asks("b", "r_pure")))] == ["a"]


async def test_a_result_that_an_answer_has_made_is_not_taken(hf):
    BODIES.clear()
    for _ in range(2):
        task = await run(hf, asks("a", "r_pure", ask=True))
        await hf.answer(task.id, task.questions[0].id, "x")
        assert (await ended(hf, task.id)).result("a") == "x"
    assert len(BODIES) == 4


def test_memory_keeps_the_answers_last_used_within_its_bounds():
    def entry(name: str, size: int = 1) -> Entry:
        return Entry(name.encode(), "t", "m", b"x" * size, 0.0, 0, 0.0)

    recent = Recent(entries=2, size=10)
    for name in "ab":
        recent.put(entry(name))
    recent.get(b"a")
    recent.put(entry("c"))
    assert [bool(recent.get(name)) for name in (b"a", b"b", b"c")] == [True, False, True]
    recent.put(entry("big", 9))
    assert (len(recent), bool(recent.get(b"c"))) == (2, True)
    recent.put(entry("huge", 11))
    assert len(recent) == 0
