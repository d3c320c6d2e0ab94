"""What calls share: a minute's limits over tasks and processes, and what a step costs beside its call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.checkpoints import pace
from holdfast.nodes.models.types import Request
from tests.models.at_work import at_work, rows, says
from tests.models.server import ModelServer

SHORT = 1.0  # seconds that a minute has here
STEPS = 20


@pytest.fixture
def short_minutes(monkeypatch):
    monkeypatch.setattr(pace, "MINUTE", SHORT)


@pytest.mark.usefixtures("short_minutes")
async def test_two_runners_of_one_database_share_the_calls_of_a_minute_and_none_is_passed_by():
    with ModelServer() as server:
        async with at_work(server, requests_per_minute=4) as one, at_work(server, requests_per_minute=4) as two:
            tasks = [await hf.start("go", plan=says(*"abcde")) for hf in (one, two)]
            ended = await asyncio.gather(*(hf.wait(task.id) for hf, task in zip((one, two), tasks, strict=True)))
            assert [task.state for task in ended] == ["COMPLETED", "COMPLETED"]
            await asyncio.sleep(SHORT)
            await one.database.awrite(lambda db: pace.take(db, "another", 1, 1, None, time.time()))
            assert len(await rows(one, "SELECT * FROM pace")) == 1  # what is old is removed
        times = sorted(call.at for call in server.calls)
        assert len(times) == 10
        assert all(later - first > SHORT / 2 for first, later in zip(times, times[4:], strict=False))


@pytest.mark.usefixtures("short_minutes")
async def test_tokens_of_a_minute_count_as_they_were_used_and_not_as_they_might_have_been():
    with ModelServer() as server:
        async with at_work(server, tokens_per_minute=500) as hf:  # a call may use about 350, and uses 10
            began = time.monotonic()
            task = await hf.wait((await hf.start("go", plan=says(calls=8))).id)
            assert task.state == "COMPLETED"
            assert time.monotonic() - began < 4 * SHORT
        assert server.count == 8


async def test_a_wait_for_a_turn_is_not_taken_from_the_time_of_the_call(monkeypatch):
    monkeypatch.setattr(pace, "MINUTE", 0.8)
    with ModelServer() as server:
        async with at_work(server, requests_per_minute=1, timeout=0.5) as hf:
            assert (await hf.wait((await hf.start("go", plan=says(calls=3))).id)).state == "COMPLETED"


async def test_a_step_costs_at_most_5_ms_beside_its_call():
    async def each(work: Callable[[], Awaitable[Any]]) -> float:
        began = time.thread_time()
        await work()
        return (time.thread_time() - began) / STEPS * 1000

    with ModelServer() as server:
        async with at_work(server) as hf:
            assert hf.services.calls
            call, request = hf.services.calls.endpoint.call, Request([{"role": "user", "content": "hello 1"}], most=256)

            async def calls() -> None:
                for _ in range(STEPS):
                    await call(request, lambda text: None)

            async def steps() -> None:
                task = await hf.wait((await hf.start("go", plan=says(calls=STEPS))).id)
                assert task.state == "COMPLETED"

            await calls()  # what is loaded once is loaded
            bare, whole = [await each(calls) for _ in range(3)], [await each(steps) for _ in range(3)]
    print(f"a step costs {min(whole):.1f} ms of CPU, its call alone {min(bare):.1f} ms")
    assert min(whole) - min(bare) <= 5.0
