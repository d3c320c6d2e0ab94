"""The keys of the database, as the server knows them: read again twice a second, so that a revoked one soon ends.

A request without a key, or with one that is not known, is judged by what the file says when it comes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from holdfast.checkpoints import keys
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import StoreError

LOOK_SECONDS = 0.5
STALE_SECONDS = 2.0  # after which what was read says nothing any more


class Keyring:
    """Who a key belongs to; ``asked`` is called with whether keys are asked for whenever that changes.

    ``anonymous`` says whether requests without a key are served while the database asks for none.
    """

    def __init__(self, database: Database, asked: Callable[[bool], None], *, anonymous: bool) -> None:
        self._database, self._tell_asked, self._anonymous = database, asked, anonymous
        self._known: list[tuple[str, bytes]] = []
        self._read_at = -math.inf  # when the last reading began
        self._again = asyncio.Lock()
        self._asked: bool | None = None
        self._watching: list[Callable[[], None]] = []

    async def owner(self, key: str) -> str | None:
        """Whose a request is that shows this key, or "" for none; None if it is to be refused.

        A key that was made a moment ago is known at once, and so is that keys are asked for.  Raises StoreError if the
        keys could not be read.
        """
        came = monotonic()
        if came - self._read_at > STALE_SECONDS:
            await self._read()
        if not (owner := self.known(key)) and (key or not self._asked):
            async with self._again:
                if self._read_at < came:  # else another request's reading, which began since, does for this one
                    await self._read()
            owner = self.known(key)
        return owner

    def known(self, key: str) -> str | None:
        """The same, by what was read last."""
        if not key:
            return None if self._asked else ""
        return keys.match(key, self._known)

    def watch(self, tell: Callable[[], None]) -> None:
        """Calls ``tell`` at once whenever a reading has found other keys, or that they are asked for or no more."""
        self._watching.append(tell)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Reads the keys now, and again and again meanwhile."""
        await self._read()
        follow = asyncio.create_task(self._follow(), name="holdfast-keys")
        try:
            yield
        finally:
            follow.cancel()
            with suppress(asyncio.CancelledError):
                await follow

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(StoreError):  # who asks after a while meets it
                await self._read()

    async def _read(self) -> None:
        began = monotonic()
        known, asked = await self._database.aread(lambda db: (keys.load(db), keys.asked(db)))
        before, self._read_at = (self._known, self._asked), began
        self._known, self._asked = known, asked or not self._anonymous
        if before == (self._known, self._asked):
            return
        if before[1] != self._asked:
            self._tell_asked(self._asked)
        for tell in self._watching:
            tell()
