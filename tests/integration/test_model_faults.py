"""Calls of a model inside the engine: every fault has an end with a reason, each attempt is counted once, and a wait or
a hang ends with the task.  ``HOLDFAST_TORTURE=1`` plays each fault twenty times instead of twice.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from holdfast import TaskState
from tests.acceptance.serving import free_port
from tests.models.at_work import KEY, at_work, rows, says, until
from tests.models.server import OVERFLOWS, ModelServer

ROUNDS = 20 if os.environ.get("HOLDFAST_TORTURE") == "1" else 2
AT_ONCE = 1.0  # seconds
END = {TaskState.COMPLETED, TaskState.FAILED, TaskState.PAUSED, TaskState.INPUT_REQUIRED}
HANGS: dict[str, Any] = {"timeout": 0.6}

FAULTS: dict[str, tuple[dict[str, Any], str, int, dict[str, Any]]] = {  # answer, end, calls, settings
    "429 without Retry-After": ({"fault": "rate_limited"}, "PAUSED", 4, {}),
    "429 for seconds": ({"fault": "rate_limited", "after": "0.02"}, "PAUSED", 4, {}),
    "429 until a date that is past": ({"fault": "rate_limited", "after": "date", "seconds": -9}, "PAUSED", 4, {}),
    "429 until a date too late": ({"fault": "rate_limited", "after": "date", "seconds": 90}, "PAUSED", 1, {}),
    "429 for years": ({"fault": "rate_limited", "after": "999999999"}, "PAUSED", 1, {}),
    "429 for nonsense": ({"fault": "rate_limited", "after": "a while"}, "PAUSED", 4, {}),
    "429 without credit": ({"fault": "status", "status": 429, "message": "insufficient_quota"}, "PAUSED", 1, {}),
    "500": ({"fault": "status", "status": 500}, "PAUSED", 4, {}),
    "502": ({"fault": "status", "status": 502}, "PAUSED", 4, {}),
    "503": ({"fault": "status", "status": 503}, "PAUSED", 4, {}),
    "401": ({"fault": "status", "status": 401}, "PAUSED", 1, {}),
    "404": ({"fault": "status", "status": 404}, "PAUSED", 1, {}),
    "400": ({"fault": "status", "status": 400}, "FAILED", 1, {}),
    "redirect": ({"fault": "redirect", "to": "http://127.0.0.1:9/"}, "PAUSED", 1, {}),
    "reset": ({"fault": "reset"}, "PAUSED", 4, {}),
    "closed": ({"fault": "closed"}, "PAUSED", 4, {}),
    "hang": ({"fault": "hang"}, "PAUSED", 1, HANGS),
    "byte-drip": ({"fault": "drip", "every": 0.05}, "PAUSED", 1, HANGS),
    "cut in a chunk": ({"fault": "cut"}, "PAUSED", 4, {}),
    "cut between chunks": ({"fault": "no_end"}, "PAUSED", 4, {}),
    "error in a stream": ({"fault": "error_in_stream"}, "PAUSED", 4, {}),
    "wrong JSON": ({"fault": "wrong_json"}, "PAUSED", 4, {}),
    "wrong shape": ({"fault": "wrong_shape"}, "PAUSED", 4, {}),
    "a web page": ({"fault": "raw", "body": "<html>", "kind": "text/html"}, "PAUSED", 4, {}),
    "no choices": ({"fault": "no_choices"}, "PAUSED", 4, {}),
    "empty": ({"fault": "empty"}, "PAUSED", 4, {}),
    "refusal": ({"fault": "refusal"}, "FAILED", 1, {}),
    "content filter": ({"fault": "filtered"}, "FAILED", 1, {}),
    "length": ({"fault": "length"}, "FAILED", 1, {}),
    **{f"overflow, {one}": ({"fault": "overflow", "wording": one}, "FAILED", 1, {}) for one in OVERFLOWS},
    "10 MB": ({"fault": "huge", "whole": True}, "PAUSED", 1, {"timeout": 20.0}),
    "10 MB streamed": ({"fault": "huge"}, "PAUSED", 1, {"timeout": 20.0}),
    "no usage": ({"text": "fine", "usage": None}, "COMPLETED", 1, {}),
    "wrong usage": ({"text": "fine", "usage": {"prompt_tokens": "x"}}, "COMPLETED", 1, {}),
}
PASSING = [name for name, (_, end, calls, _) in FAULTS.items() if (end, calls) == ("PAUSED", 4)]


async def counted_once(hf, server: ModelServer) -> None:
    """As many attempts on record as the server has seen, each settled and told once."""
    spent = await rows(hf, "SELECT input_tokens, output_tokens, state FROM spend")
    told = await rows(hf, "SELECT data FROM events WHERE type = 'usage'")
    assert server.count == len(spent) == len(told)
    assert all(state != "reserved" for *_, state in spent)
    assert all(tokens_in > 0 for tokens_in, tokens_out, state in spent if tokens_out or state == "estimated")


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_ends_the_task_with_a_reason_and_counts_each_attempt_once(name):
    answer, end, calls, settings = FAULTS[name]
    with ModelServer(answer) as server:
        async with at_work(server, **settings) as hf:
            for round_ in range(1, ROUNDS + 1):
                task = await hf.start("go", plan=says())
                task = await hf.wait(task.id, until=END)
                assert task.state == end
                assert server.count == calls * round_
                if end == "PAUSED":
                    assert task.paused_by == "system"
                    assert "model" in str(task.pause_reason) or "OPENAI" in str(task.pause_reason)
                elif end == "FAILED":
                    assert task.plan.subtasks[0].attempts == 1
                    assert "model" in str(task.error)
                    assert "Fault" not in str(task.error)
                assert KEY not in str(task.to_json())
            await counted_once(hf, server)


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_that_passes_costs_one_more_attempt_and_nothing_else(name):
    answer, *_ = FAULTS[name]
    with ModelServer({**answer, "times": 1}, {"text": "fine"}) as server:
        async with at_work(server) as hf:
            task = await hf.wait((await hf.start("go", plan=says())).id, until=END)
            assert task.state == "COMPLETED"
            assert task.result("a") == ["fine"]
            assert server.count == 2
            await counted_once(hf, server)


async def test_a_server_that_is_not_there_pauses_the_task_and_a_resume_goes_on_once_it_is():
    port = free_port()
    async with at_work(f"http://127.0.0.1:{port}/v1") as hf:
        task = await hf.wait((await hf.start("go", plan=says())).id, until=END)
        assert (task.state, task.paused_by) == ("PAUSED", "system")
        assert "cannot be reached" in str(task.pause_reason)
        with ModelServer(port=port) as server:
            await hf.resume(task.id)
            assert (await hf.wait(task.id)).state == "COMPLETED"
            assert server.count == 1


async def test_four_attempts_are_not_multiplied_by_the_retries_of_a_subtask():
    with ModelServer({"fault": "status", "status": 400}) as server:
        async with at_work(server) as hf:
            plan = says()
            plan.subtasks[0].retries = 5
            assert (await hf.wait((await hf.start("go", plan=plan)).id)).state == "FAILED"
        assert server.count == 1


async def test_a_call_ends_within_its_time_however_many_attempts_it_takes():
    with ModelServer({"fault": "status", "status": 503, "delay": 0.3}) as server:
        async with at_work(server, timeout=0.7) as hf:
            began = time.monotonic()
            task = await hf.wait((await hf.start("go", plan=says())).id, until=END)
            assert task.state == "PAUSED"
            assert time.monotonic() - began < 2.5
        assert server.count < 4


@pytest.mark.parametrize("how", ["now", "cancel", "hold"])
@pytest.mark.parametrize("fault", ["hang", "drip", "wait", "turn"])
async def test_pause_now_and_cancel_and_hold_act_within_a_second_during_any_wait(fault, how):
    answers = {
        "hang": {"fault": "hang"},
        "drip": {"fault": "drip", "every": 0.05},
        "wait": {"fault": "rate_limited", "after": "30"},
        "turn": {"text": "fine"},
    }
    limits = {"requests_per_minute": 1} if fault == "turn" else {}
    with ModelServer(answers[fault]) as server:
        async with at_work(server, timeout=60.0, **limits) as hf:
            task = await hf.start("go", plan=says(calls=2))
            await until(lambda: server.count == 1)
            await asyncio.sleep(0.1)  # so that it is in the middle of it
            began = time.monotonic()
            if how == "now":
                await hf.pause(task.id, mode="now")
            elif how == "cancel":
                await hf.cancel(task.id)
            else:
                await hf.hold(task.id, "a", mode="now")
            await until(lambda: not hf.working_on(task.id))
            assert time.monotonic() - began < AT_ONCE
            assert (await hf.get(task.id)).in_flight == 0
            assert server.count == 1


@pytest.mark.parametrize("fault", ["wait", "turn"])
async def test_pause_step_ends_a_wait_at_once_and_a_resume_repeats_no_call_that_was_answered(fault):
    first = {"text": "one", "times": 1}
    second = {"fault": "rate_limited", "after": "30", "times": 1} if fault == "wait" else {"text": "two"}
    limits = {"requests_per_minute": 1} if fault == "turn" else {}
    with ModelServer(first, second, {"text": "two"}) as server:
        async with at_work(server, timeout=60.0, **limits) as hf:
            task = await hf.start("go", plan=says(calls=2))
            before = 2 if fault == "wait" else 1
            await until(lambda: server.count == before)
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await hf.pause(task.id)
            await until(lambda: not hf.working_on(task.id))
            assert time.monotonic() - began < AT_ONCE
            if fault == "turn":
                assert len(await rows(hf, "SELECT * FROM pace")) == 1  # the moment ahead was given back
                await hf.database.awrite(lambda db: db.execute("DELETE FROM pace"))
            await hf.resume(task.id)
            task = await hf.wait(task.id)
            assert task.result("a") == ["one", "two"]
            assert server.count == before + 1
            await counted_once(hf, server)


async def test_pause_step_lets_a_call_that_is_under_way_end_and_keeps_it():
    with ModelServer({"text": "fine", "delay": 0.5}) as server:
        async with at_work(server, timeout=60.0) as hf:
            task = await hf.start("go", plan=says(calls=2))
            await until(lambda: server.count == 1)
            await hf.pause(task.id)
            await until(lambda: not hf.working_on(task.id))
            assert await rows(hf, "SELECT name FROM steps WHERE result IS NOT NULL") == [("say 0",)]
            await hf.resume(task.id)
            assert (await hf.wait(task.id)).state == "COMPLETED"
            assert server.count == 2


async def test_leaving_hands_over_during_a_wait_at_once():
    with ModelServer({"fault": "rate_limited", "after": "30", "times": 1}) as server:
        async with at_work(server, timeout=60.0) as hf:
            task = await hf.start("go", plan=says())
            await until(lambda: server.count == 1)
            began = time.monotonic()
        assert time.monotonic() - began < AT_ONCE
        async with at_work(server) as hf:
            assert (await hf.get(task.id)).state == "WORKING"
            await hf.resume(task.id)
            assert (await hf.wait(task.id)).state == "COMPLETED"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_plain_invoke_uses_the_model_that_is_set_and_leaves_no_connection_open(monkeypatch, asynchronous):
    import gc

    from holdfast.graphs.orchestrator import open_graph

    given = {"goal": "go", "plan": says(calls=2).model_dump()}
    config: Any = {"configurable": {"thread_id": "11111111-1111-4111-8111-111111111111"}}
    with ModelServer() as server:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        if asynchronous:
            async with open_graph("h.db") as graph:
                ended = await graph.ainvoke(given, config)
        else:
            with open_graph("h.db") as graph:
                ended = await asyncio.to_thread(graph.invoke, given, config)
        assert ended["status"] == "COMPLETED"
        assert server.count == 2
    gc.collect()  # what is left open is a warning, which is an error here
