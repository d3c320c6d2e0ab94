"""A Holdfast whose model is a scripted server, for tests."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from holdfast import Holdfast, Plan, Subtask
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.settings import ModelSettings
from tests.models import kinds  # noqa: F401  registers its types
from tests.models.server import MODEL, ModelServer

KEY = "sk-planted-key-0001"


@asynccontextmanager
async def at_work(server: ModelServer | str, path: str = "h.db", **settings: Any) -> AsyncIterator[Holdfast]:
    """Waits between attempts are short, and a call has two seconds, unless ``settings`` say otherwise."""
    url = server if isinstance(server, str) else server.url
    made = ModelSettings(MODEL, base_url=url, key=KEY, **{"timeout": 2.0, "first_wait": 0.01, **settings})
    async with Holdfast.open(path) as hf:
        hf.services.calls = Calls(OpenAIEndpoint(made), made)
        yield hf


def says(*ids: str, **params: Any) -> Plan:
    """A plan whose subtasks call the model side by side, each with a text of its own: no answer is used again."""
    texts = {id_: params.get("text") or secrets.token_hex(8) for id_ in ids or ("a",)}
    return Plan(
        subtasks=[Subtask(id=id_, type="m_say", params={**params, "text": text}) for id_, text in texts.items()]
    )


async def rows(hf: Holdfast, what: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    return await hf.database.aread(lambda db: db.execute(what).fetchall())


async def until(holds: Callable[[], Awaitable[bool] | bool], seconds: float = 10.0) -> float:
    """How long it takes until something holds."""
    began = time.monotonic()
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, "it never came about"
        await asyncio.sleep(0.01)
