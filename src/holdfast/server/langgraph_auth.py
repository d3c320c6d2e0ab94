"""Who may use the LangGraph API: ``auth`` of langgraph.json, with the keys of ``holdfast serve``.

While there has been no key, everything is open, as it is without this.  From the first key on each request has to show
one, and sees the threads and runs of its owner only; that stays so without any key, until ``holdfast keys off``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from langgraph_sdk import Auth
from starlette.datastructures import Headers

from holdfast.checkpoints import keys, tasks
from holdfast.graphs.orchestrator import shared_services

try:
    from holdfast.server.gate import key_in
except ModuleNotFoundError as error:
    raise ImportError(
        f"Holdfast in the LangGraph API needs {error.name}; install it with `pip install 'holdfast[serve]'`, "
        "or take `auth` and `http` out of langgraph.json"
    ) from error

OWNER = "holdfast_owner"  # in a thread's metadata: whose key began it
ANYBODY = ""
T = TypeVar("T")
auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> str:
    """The owner of the request's key, or nobody in particular while no key is asked for."""
    owner = await _read(lambda db: _owner(db, key_in(Headers(raw=list(headers.items())))))
    if owner is None:
        raise Auth.exceptions.HTTPException(401, "show a key of this server, as X-API-Key or Authorization: Bearer")
    return owner


@auth.on
async def refuse(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Whatever is not named below is for the operator, who uses the API while it has no keys."""
    return ctx.user.identity == ANYBODY


@auth.on.assistants
async def look(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everybody may see which graphs there are; to change that is for the operator."""
    return ctx.user.identity == ANYBODY or ctx.action in ("read", "search")


@auth.on.threads
async def own(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str] | None:
    """Threads and runs are their owner's: marked when they are made, and looked for with that mark."""
    owner = ctx.user.identity
    if owner == ANYBODY:
        return None
    if ctx.action in ("create", "update", "create_run"):
        value.setdefault("metadata", {})[OWNER] = owner
    if ctx.action in ("create", "create_run") and await _is_foreign(str(value.get("thread_id")), owner):
        raise Auth.exceptions.HTTPException(404, f"Thread with ID {value['thread_id']} not found")
    return {OWNER: owner}


def _owner(db: sqlite3.Connection, key: str | None) -> str | None:
    if not keys.asked(db):
        return ANYBODY  # whatever it shows: LangGraph's SDK sends keys of LangSmith by itself
    return keys.owner_of(db, key) if key else None


async def _is_foreign(task_id: str, owner: str) -> bool:
    """Whether there is a task of that id that is somebody else's; its thread need not be known to the API."""
    row = await _read(lambda db: tasks.find(db, task_id))
    return row is not None and row.owner != owner


async def _read(work: Callable[[sqlite3.Connection], T]) -> T:
    services = await asyncio.to_thread(shared_services)
    return await services.database.aread(work)
