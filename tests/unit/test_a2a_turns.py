"""Long conversions: owners take turns, and what is short does not wait."""

from __future__ import annotations

import asyncio
import threading

from holdfast.a2a.turns import LARGE, Turns


async def test_whoever_has_much_to_convert_is_overtaken():
    turns, gate, order = Turns(), threading.Event(), list[str]()

    def work(name: str) -> None:
        assert gate.wait(10)
        order.append(name)

    many = [asyncio.create_task(turns.make("a", LARGE + 1, work, f"a{number}")) for number in range(4)]
    await asyncio.sleep(0)
    one = asyncio.create_task(turns.make("b", LARGE + 1, work, "b"))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(one, *many)
    assert order == ["a0", "b", "a1", "a2", "a3"]


async def test_what_is_short_does_not_wait():
    turns, gate = Turns(), threading.Event()
    long = asyncio.create_task(turns.make("a", LARGE + 1, gate.wait, 10))
    await asyncio.sleep(0)
    assert await turns.make("a", LARGE, lambda: "done") == "done"
    assert not long.done()
    gate.set()
    await long


async def test_nobody_is_remembered():
    turns = Turns()
    await turns.make("a", LARGE + 1, lambda: None)
    assert not turns._mine
