"""Who is let in, how often, and how many may wait: one gate for all doors of a server, so that no door adds to another.

A request that was let in is ended once its key is known no more, or once keys are asked for and it came without one.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from starlette.datastructures import Headers

from holdfast.a2a.card import API_KEY_HEADER
from holdfast.server.settings import Limits

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="holdfast"'}
MANY = 10_000  # owners and peers whose requests are counted; then those that have asked for nothing lately are let go


class Keys(Protocol):
    """Who a key belongs to."""

    async def owner(self, key: str) -> str | None:
        """Whose a request is that shows this key, or "" for none; None if it is to be refused.  May raise StoreError.

        A request that may come without a key is nobody's, "".
        """

    def known(self, key: str) -> str | None:
        """The same, by what is known already."""

    def watch(self, tell: Callable[[], None]) -> None:
        """Calls ``tell`` at once whenever what is known has changed."""


class Refused(Exception):
    """The request is not let through; ``close`` ends its connection too."""

    def __init__(
        self, status: int, reason: str, sentence: str, headers: Mapping[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status, self.reason, self.headers, self.close = status, reason, dict(headers or {}), close


@dataclass(eq=False, slots=True)
class Visit:
    """A request that was let in; ``over`` says that it is to be told nothing more."""

    key: str
    owner: str
    who: str  # is to be counted for it
    cut: asyncio.Timeout
    over: bool = False

    def end(self) -> None:
        """Cuts it off."""
        if not self.over:
            self.over = True
            self.cut.reschedule(asyncio.get_running_loop().time())


class Gate:
    """Keys, rates and waiting calls, under the limits; ``keys`` tells when they change."""

    def __init__(self, keys: Keys, limits: Limits) -> None:
        self.limits = limits
        self._keys, self._buckets = keys, Buckets(limits.rate, limits.burst)
        self._waiting: Counter[str] = Counter()
        self._inside: set[Visit] = set()
        keys.watch(self._look)

    @property
    def waiting(self) -> int:
        """How many streams and other calls that wait are open."""
        return self._waiting.total()

    @asynccontextmanager
    async def inside(self, key: str, peer: str) -> AsyncIterator[Visit]:
        """Lets a request in and watches over its key until it ends; raises Refused, or StoreError before it is in."""
        owner = await self._keys.owner(key)
        self.take(who := named(owner or "", peer))
        if owner is None:
            raise _unauthenticated(key)
        visit = Visit(key, owner, who, asyncio.timeout(None))
        self._inside.add(visit)
        try:
            async with visit.cut:
                yield visit
        except TimeoutError:
            if not visit.over:
                raise
        finally:
            self._inside.discard(visit)
        if visit.over:
            raise _unauthenticated(key)

    def take(self, who: str, tokens: int = 1) -> None:
        """Counts a request, or a large one for several; raises Refused if that is too many."""
        if wait := self._buckets.take(who, tokens):
            seconds = math.ceil(wait)
            raise Refused(
                429,
                "RATE_LIMITED",
                f"too many requests: at most {self.limits.rate:g} a second; try again in {seconds} s",
                {"Retry-After": str(seconds)},
            )

    @contextmanager
    def room(self, visit: Visit) -> Iterator[None]:
        """Counts a stream, or another call that waits, for as long as it does; raises Refused if there is no room."""
        who, most = visit.who, self.limits.streams
        if self._waiting[who] >= most:
            sentence = f"at most {most} streams and other calls that wait may be open at once; close one first"
            raise Refused(429, "TOO_MANY_STREAMS", sentence, {"Retry-After": "1"})
        if self.waiting >= self.limits.waiting:
            sentence = "too many streams and other calls that wait are open; try again in a moment"
            raise Refused(503, "TOO_MANY_STREAMS", sentence, {"Retry-After": "1"})
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def _look(self) -> None:
        for visit in self._inside:
            if self._keys.known(visit.key) != visit.owner:
                visit.end()


class Buckets:
    """Token buckets: each owner may ask ``burst`` times at once, and ``rate`` times a second in the long run."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, owner: str, tokens: int = 1) -> float:
        """Takes tokens; returns 0, or in how many seconds there will be one.

        Who has one may take more than there are, and has to wait until they have come in.
        """
        now = self._clock()
        if len(self._left) > MANY:
            full = self._burst
            self._left = {
                one: (left, at) for one, (left, at) in self._left.items() if left + (now - at) * self._rate < full
            }
        left, at = self._left.get(owner, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            self._left[owner] = left, now
            return (1 - left) / self._rate
        self._left[owner] = left - tokens, now
        return 0.0


def key_in(headers: Headers) -> str:
    """The key that a request brings, "" for none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return (bearer.strip() if scheme.lower() == "bearer" else "") or headers.get(API_KEY_HEADER, "").strip()


def named(owner: str, peer: str) -> str:
    """Who is to be counted for a request: its owner, or its peer; no owner's name looks like a peer's."""
    return owner or f"[{peer}]"


def _unauthenticated(key: str) -> Refused:
    said = "the key is none of this server's" if key else "this server asks for a key"
    how = f"send one as `Authorization: Bearer KEY` or as `{API_KEY_HEADER}: KEY`"
    return Refused(401, "UNAUTHENTICATED", f"{said}; {how}", CHALLENGE)
