"""Wakes whoever watches a task when something was committed to it, here or in another process.

However many watch, one small read every few hundredths of a second looks after all of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import HoldfastError

LOOK_SECONDS = 0.025


@dataclass(eq=False, slots=True)
class _Watch:
    after: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """Over one open database, on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watches: defaultdict[str, set[_Watch]] = defaultdict(set)
        self._looking: asyncio.Task[None] | None = None

    async def changed(self, task_id: str, after: int) -> None:
        """Waits until the task has an event above ``after``."""
        watch = _Watch(after)
        self._watches[task_id].add(watch)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="holdfast-feed")
        try:
            await watch.woken.wait()
        finally:
            self._watches[task_id].discard(watch)
            if not self._watches[task_id]:
                del self._watches[task_id]

    async def close(self) -> None:
        """Stops looking."""
        if self._looking:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        while self._watches:
            with suppress(HoldfastError):  # a fault of the disk is met, and told, by who reads or writes next
                latest = await self._database.aread(partial(tasks.last_seqs, task_ids=list(self._watches)))
                for task_id, seq in latest.items():
                    for watch in self._watches.get(task_id, ()):
                        if seq > watch.after:
                            watch.woken.set()
            await asyncio.sleep(LOOK_SECONDS)
