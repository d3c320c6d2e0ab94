"""Answers that need no call: earlier ones of equal requests, and those of equal requests that are under way.

An answer is kept once the subtask that asked for it has completed, in the same transaction, so that one that
made it fail is asked for anew.  Equal are requests of the same owner and type, with everything that is sent.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.checkpoints import cache, events
from holdfast.checkpoints.cache import Entry
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.spend import Spent
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.models.types import Fault, Kind, Reply, Request, Unavailable
from holdfast.nodes.registry import KEEP_SECONDS, TaskType

if TYPE_CHECKING:
    from holdfast.nodes.services import Services

FORM = "answer/1"  # of what is kept; another one finds none of the old
WHOLE = frozenset({"stop", "tool_calls"})  # how an answer ends that is not cut off or withheld
SHOWN = 12  # hexadecimal digits of a key


class Recent:
    """The answers last used, as many as fit; each is still asked for in the file, where it may have been forgotten."""

    def __init__(self, entries: int = 1000, size: int = 16_000_000) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._most, self._most_bytes, self._bytes = entries, size, 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The answer of that key, which is now the last one used."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, entry: Entry) -> None:
        """Remembers an answer, and forgets those used longest ago where that is too much."""
        self.drop(entry.key)
        self._entries[entry.key] = entry
        self._bytes += len(entry.value)
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: bytes) -> None:
        """Forgets an answer."""
        if entry := self._entries.pop(key, None):
            self._bytes -= len(entry.value)


class Flights:
    """Calls under way in this process: an equal one waits for the first instead of being made."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, asyncio.Future[Reply | Fault | Unavailable | None]] = {}

    async def fly(
        self,
        key: bytes,
        call: Callable[[], Awaitable[Reply]],
        wait: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
    ) -> tuple[Reply, bool]:
        """The answer, and whether another's call gave it; ``wait`` awaits the end of that call.

        Whoever waits gets a fault of that call as well.  Where the caller was stopped, or may not spend, one of those
        who wait makes the call instead.
        """
        while first := self._under_way.get(key):
            await wait(_end(first))
            told = first.result()
            if isinstance(told, Reply):
                return told, True
            if told is not None:
                raise told
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        outcome: Reply | Fault | Unavailable | None = None
        try:
            outcome = await call()
        except (Fault, Unavailable) as error:
            own = isinstance(error, Fault) and error.kind is Kind.OVER_BUDGET
            outcome = None if own else error
            raise
        else:
            return outcome, False
        finally:
            del self._under_way[key]
            mine.set_result(outcome)


async def _end(call: asyncio.Future[Any]) -> None:
    await asyncio.wait((call,))


class Recall:
    """What the calls of one subtask may take from others, and what they leave; ``origins`` tells what it is made from.

    ``wanted`` is the subtask's own word, None: as the type has it.
    """

    def __init__(
        self,
        services: Services,
        lease: Lease,
        task: TaskRow,
        subtask: str,
        kind: TaskType,
        wanted: bool | None,
        origins: Callable[[], Iterable[str]],
    ) -> None:
        self._services, self._lease, self._task, self._subtask = services, lease, task, subtask
        self._kind, self._origins = kind, origins
        self.scope = (str(task.number), kind.name, kind.version)  # within which requests may be merged
        self._seconds = 0.0 if wanted is False else kind.keeps or (KEEP_SECONDS if wanted else 0.0)
        self._found: set[bytes] = set()
        self._left: dict[bytes, tuple[Entry, set[str]]] = {}
        self._tags: set[str] | None = None

    def key(self, request: Request, model: str) -> bytes | None:
        """What equal requests have in common; None for one that is asked anew."""
        if request.fresh or not self._seconds:
            return None
        return request.digest(FORM, model, self._task.owner, self._kind.name, self._kind.version)

    async def find(self, step: str, key: bytes) -> Reply | None:
        """The answer that is known, whose use is counted and told; None if there is none."""
        services, now = self._services, self._services.clock()
        while entry := await self._known(key, now):
            reply = Reply.of(json.loads(entry.value))
            if await services.database.awrite(partial(self._use, entry, step, reply, now), self._lease):
                services.recent.put(entry)
                self._found.add(key)
                return reply
            services.recent.drop(key)  # it was forgotten since, or made anew
        return None

    async def _known(self, key: bytes, now: float) -> Entry | None:
        """The answer of that key that may still be used: from memory, else from the file."""
        recent = self._services.recent
        entry = recent.get(key)
        if entry is None or entry.is_stale(now):
            recent.drop(key)
            entry = await self._services.database.aread(lambda db: cache.find(db, key))
        return None if entry is None or entry.is_stale(now) else entry

    def _use(self, entry: Entry, step: str, reply: Reply, now: float, db: sqlite3.Connection) -> bool:
        """Counts and tells a use; False if the answer is not there any more."""
        known = cache.hit(db, entry)
        events.append(db, self._lease.task, [self._hit(step, entry.key, reply, entry.cost)] * known, now)
        return known

    async def shared(self, step: str, key: bytes, reply: Reply, spent: Spent) -> None:
        """Tells that another's call gave the answer."""
        now, news = self._services.clock(), self._hit(step, key, reply, spent.cost)
        await self._services.database.awrite(lambda db: events.append(db, self._lease.task, [news], now), self._lease)

    def _hit(self, step: str, key: bytes, reply: Reply, cost: float) -> News:
        data = {
            "step": step,
            "key": key.hex()[:SHOWN],
            "input_tokens": reply.tokens.input,
            "output_tokens": reply.tokens.output,
            "saved": cost,
        }
        return News("cache.hit", self._subtask, data)

    async def keep(self, key: bytes, request: Request, reply: Reply, model: str, spent: Spent) -> None:
        """Has an answer kept when the subtask completes, if it is a whole one."""
        if key in self._found or reply.finish not in WHOLE or not (reply.text or reply.calls):
            return
        if self._tags is None:
            self._tags = set(await asyncio.to_thread(self._origins))
        value = json.dumps(reply.to_json(), ensure_ascii=False).encode("utf-8", "surrogatepass")
        entry = Entry(key, self._kind.name, model, value, spent.cost, spent.tokens, 0.0)
        words = {f"type:{self._kind.name}", f"model:{model}", *request.tags}
        self._left[key] = entry, self._tags | words | ({f"prompt:{request.prompt}"} if request.prompt else set())

    def store(self, db: sqlite3.Connection, now: float) -> None:
        """Keeps the answers, in the transaction in which the subtask completes."""
        for entry, tags in self._left.values():
            known = cache.find(db, entry.key)
            if known is None or known.is_stale(now):
                cache.put(db, entry.made(now, self._seconds), tags)
