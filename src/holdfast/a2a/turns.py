"""Conversions that take long: in one thread of their own, which owners take turns at.

What is short does not wait behind them, as it would in asyncio's own threads.  There is one thread because the
interpreter runs one at a time: more would not be done sooner, and everything else later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

LARGE = 16 * 1024  # bytes, of JSON or of a message, from which on a conversion takes long
T = TypeVar("T")


class Turns:
    """The thread, and whose turn it is."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "holdfast-large")
        self._mine: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def make(self, who: str, size: int, work: Callable[..., T], *args: object) -> T:
        """What ``work`` makes of so many bytes of that owner's: at once if they are few, else in the thread.

        Nobody stands in the queue twice, so whoever has much to convert is overtaken by the others.
        """
        if size <= LARGE:
            return work(*args)
        mine = self._mine.get(who) or self._mine.setdefault(who, asyncio.Lock())
        async with mine:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
