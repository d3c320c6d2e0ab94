"""The keys of the database, as the server knows them: read again twice a second, so that a revoked one soon ends."""

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
    """Who a key belongs to; ``told`` is called with whether keys are asked for whenever that changes.

    ``anonymous`` says whether requests without a key are served while the database asks for none.
    """

    def __init__(self, database: Database, told: Callable[[bool], None], *, anonymous: bool) -> None:
        self._database, self._told, self._anonymous = database, told, anonymous
        self._known: list[tuple[str, bytes]] = []
        self._read_at = -math.inf  # when the last reading began
        self._again = asyncio.Lock()
        self._asked: bool | None = None

    async def owner(self, key: str) -> str | None:
        """Whose a request is that shows this key, or "" for none; None if it is to be refused.

        A key that was made a moment ago is known at once.  Raises StoreError if the keys could not be read for some
        time.
        """
        came = monotonic()
        if came - self._read_at > STALE_SECONDS:
            await self._read()
        if not key:
            return None if self._asked else ""
        if (owner := keys.match(key, self._known)) is None:
            async with self._again:
                if self._read_at < came:  # else another request's reading, which began since, does for this one
                    await self._read()
            owner = keys.match(key, self._known)
        return owner

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
        self._known, asked = await self._database.aread(lambda db: (keys.load(db), keys.asked(db)))
        self._read_at = began
        asked = asked or not self._anonymous
        if asked != self._asked:
            self._asked = asked
            self._told(asked)
