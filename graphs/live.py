"""What subtasks tell in this process while they run and nobody keeps: a model's words, and how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any

from holdfast.graphs.holdfast import Holdfast

KINDS = frozenset({"token", "progress"})
LIVE_SECONDS = 0.25  # for which news are gathered
LIVE_CHARACTERS = 16_000  # of words at most in one piece of news
News = Mapping[str, Any]  # "task", "type", "subtask", "data"


class Live:
    """The news of one task while it is entered, gathered for ``LIVE_SECONDS`` each time.

    Words of one step come together; of a subtask's progress only the last counts.
    """

    def __init__(self, hf: Holdfast, task_id: str, kinds: Collection[str] = KINDS) -> None:
        self._hf, self._task_id, self._kinds = hf, task_id, kinds
        self._loop = asyncio.get_running_loop()
        self._news: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._due = asyncio.Event()

    def __enter__(self) -> Live:
        self._hf.listen(self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        self._hf.services.listeners.remove(self._hear)

    def _hear(self, news: News) -> None:
        if news["type"] in self._kinds and news["task"] == self._task_id:
            self._loop.call_soon_threadsafe(self._add, news)

    def _add(self, news: News) -> None:
        if not self._news:
            self._loop.call_later(LIVE_SECONDS, self._due.set)
        data = news["data"]
        key = (news["type"], news["subtask"], data.get("step"))
        if news["type"] == "token" and key in self._news:
            data = {**data, "text": (self._news[key]["data"]["text"] + data["text"])[-LIVE_CHARACTERS:]}
        self._news[key] = {**news, "data": data}

    def take(self) -> Sequence[News]:
        """What was told since the last time, once it is due."""
        if not self._due.is_set():
            return ()
        taken, self._news = list(self._news.values()), {}
        self._due.clear()
        return taken

    async def something(self, changed: Coroutine[Any, Any, None]) -> None:
        """Waits until there is something to take, or ``changed`` returns."""
        waits = [asyncio.ensure_future(changed), asyncio.ensure_future(self._due.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
