"""The keys of the database, as the server knows them: read again twice a second, so that a revoked one soon ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from holdfast.checkpoints import keys
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import StoreError

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 0.02  # at least, between two looks for keys that are not known
STALE_SECONDS = 2.0  # after which what was read says nothing any more


class Keyring:
    """Who a key belongs to; ``told`` is called with whether keys are asked for whenever that changes.

    ``anonymous`` says whether requests without a key are served while the database has none.
    """

    def __init__(self, database: Database, told: Callable[[bool], None], *, anonymous: bool) -> None:
        self._database, self._told, self._anonymous = database, told, anonymous
        self._known: list[tuple[str, bytes]] = []
        self._read_at = 0.0
        self._asked: bool | None = None

    async def asked(self) -> bool:
        """Whether a request needs a key; raises StoreError if the keys could not be read for some time."""
        if monotonic() - self._read_at > STALE_SECONDS:
            await self._read()
        return bool(self._known) or not self._anonymous

    async def owner(self, key: str) -> str | None:
        """Whose key it is, or None; one that was made a moment ago is known at once."""
        if (owner := keys.match(key, self._known)) is None and monotonic() - self._read_at > AGAIN_SECONDS:
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
        self._known = await self._database.aread(keys.load)
        self._read_at = monotonic()
        asked = bool(self._known) or not self._anonymous
        if asked != self._asked:
            self._asked = asked
            self._told(asked)
