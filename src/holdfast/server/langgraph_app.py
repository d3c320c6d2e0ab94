"""The server's routes inside the LangGraph API, under ``/holdfast``: ``http.app`` of langgraph.json.

Nothing here runs a task.  What is asked for is written to the task's row, and the work is a run of the API's own, which
is created through its client in this process; so Studio and the SDK see it, and a pause stands there as an interrupt.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any

import httpx
from langgraph.types import Command
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, LangGraphError, NotFoundError
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.a2a.handler import Desk
from holdfast.checkpoints import control, tasks
from holdfast.checkpoints.errors import HoldfastError
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import TaskRow
from holdfast.graphs.holdfast import Holdfast
from holdfast.graphs.orchestrator import shared_services
from holdfast.graphs.runner import RECURSION
from holdfast.graphs.settings import setting
from holdfast.nodes.services import Services
from holdfast.server.app import make_guarded
from holdfast.server.keyring import Keyring
from holdfast.server.langgraph_auth import OWNER
from holdfast.server.settings import Settings

log = logging.getLogger("holdfast.server")
GRAPH = "holdfast"  # the graph's name in langgraph.json
PREFIX = "/holdfast"
LOOK_SECONDS = 0.5  # how often it is looked for tasks that nobody works on
AT_ONCE = 20  # of them in one look
BUSY_SECONDS = 1.0  # for how long a task is left alone whose run is in the API's queue
BROKEN_SECONDS = 30.0  # and one whose last run broke off
FAULTS = (HoldfastError, LangGraphError, httpx.HTTPError)


class Fate(Enum):
    """What is to be done about a task that nobody works on."""

    LEAVE = "leave"
    LAUNCH = "launch"
    PAUSE = "pause"


class Launcher:
    """Has tasks worked on by runs of the API, and takes up those that have lost theirs."""

    def __init__(self, services: Services, client: LangGraphClient) -> None:
        self._services, self._client = services, client
        self._left: dict[str, float] = {}  # not to be looked at before that time

    async def launch(self, row: TaskRow, given: Any) -> None:
        """Creates the run that lets a task's thread go on, unless one is under way or queued."""
        begins = {"command": {"resume": given.resume}} if isinstance(given, Command) else {"input": given}
        try:
            await self._client.runs.create(
                row.id,
                GRAPH,
                **begins,
                metadata={OWNER: row.owner},
                config={"recursion_limit": RECURSION},
                multitask_strategy="reject",
                if_not_exists="create",
            )
        except ConflictError:
            log.debug("task %s has a run", row.id)
        except (LangGraphError, httpx.HTTPError):
            log.warning("no run could be created for task %s now; it is tried again", row.id, exc_info=True)

    async def tend(self, hf: Holdfast) -> None:
        """Looks for tasks that nobody works on, for as long as the API runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(HoldfastError):  # a fault of the disk is met, and told, by who reads or writes next
                for row, since in await self._services.database.aread(self._nobodys):
                    try:
                        await self._look_after(hf, row, since)
                    except FAULTS as error:
                        self._left[row.id] = self._services.clock() + BROKEN_SECONDS
                        log.info("task %s is left as it is for now: %s", row.id, error)

    def _nobodys(self, db: sqlite3.Connection) -> list[tuple[TaskRow, float]]:
        """Tasks that should be at work and have no runner, the oldest first, and since when they should be."""
        now, owner = self._services.clock(), self._services.database.owner
        self._left = {task_id: until for task_id, until in self._left.items() if until > now}
        free = (row for row in tasks.unsettled(db) if row.id not in self._left and not owner.runner(db, row.number))
        return [(row, tasks.wanted_since(db, row.number)) for row in islice(free, AT_ONCE)]

    async def _look_after(self, hf: Holdfast, row: TaskRow, since: float) -> None:
        thread = await self._thread(row.id)
        what, again = fate(thread, since, worked_here=row.id in self._services.database.owner.last)
        self._left[row.id] = self._services.clock() + again
        stops = what == Fate.PAUSE and not row.rollback  # which nothing but its end stops
        if stops and (not await self._pause(row) or thread is None):
            return
        if what != Fate.LEAVE:  # a run of a paused task comes to gate, and shows there that it waits
            await hf.take_up(row.id)

    async def _thread(self, task_id: str) -> Mapping[str, Any] | None:
        try:
            return await self._client.threads.get(task_id)
        except NotFoundError:
            return None

    async def _pause(self, row: TaskRow) -> bool:
        """Pauses a task whose run was canceled, unless something has happened to it since it was read."""
        now, reason = self._services.clock(), "its run was canceled in the LangGraph API"

        def pause(db: sqlite3.Connection) -> bool:
            if tasks.get(db, row.id).last_seq != row.last_seq:
                return False
            return control.pause(db, row.id, now, reason=reason).state == TaskState.PAUSED

        return await self._services.database.awrite(pause)


def fate(thread: Mapping[str, Any] | None, since: float, *, worked_here: bool) -> tuple[Fate, float]:
    """What becomes of a task that nobody works on, and for how long it is then left alone.

    ``since`` is when it last came to be at work.  A thread that was left idle after that, without an interrupt, had its
    run canceled (with ``rollback`` nothing of the run is left), and whoever did that wants the task to stop.  A thread
    that was left before has lost its run in a crash of the API.  A thread that is gone was
    deleted, or was of a stateless run, if this process has worked on its task; else a crash came before it was saved.
    """
    if thread is None:
        return (Fate.PAUSE if worked_here else Fate.LAUNCH), 0.0
    if thread["status"] == "busy":
        return Fate.LEAVE, BUSY_SECONDS
    if thread["status"] == "error":
        return Fate.LAUNCH, BROKEN_SECONDS
    if thread.get("interrupts"):  # resumed while its run was ending
        return Fate.LAUNCH, 0.0
    ended = datetime.fromisoformat(thread.get("state_updated_at") or thread["updated_at"])
    return (Fate.PAUSE if ended.timestamp() > since else Fate.LAUNCH), 0.0


class Mounted:
    """The server's application, which is there while the API is open."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app, "the API answers no request before its lifespan has begun"
        await self.app({**scope, "app_root_path": scope["root_path"]}, receive, send)  # so that URLs have the prefix


mounted = Mounted()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Opens Holdfast over the database of the graph and the checkpointer, with the API's runs to do the work."""
    services = await asyncio.to_thread(shared_services)
    async with get_client() as client:
        launcher = Launcher(services, client)
        async with await asyncio.to_thread(Holdfast.over, services, launcher.launch) as hf, _serving(hf):
            tending = asyncio.create_task(launcher.tend(hf), name="holdfast-launcher")
            try:
                yield
            finally:
                tending.cancel()
                with suppress(asyncio.CancelledError):
                    await tending


@asynccontextmanager
async def _serving(hf: Holdfast) -> AsyncIterator[None]:
    """The routes, behind the same guard as those of ``holdfast serve``; the API's own address is all that it has."""
    settings = Settings(hosts=await asyncio.to_thread(_hosts))
    desk = Desk(hf, base=PREFIX)
    keyring = Keyring(hf.database, partial(setattr, desk, "keyed"), anonymous=True)
    async with keyring.following():
        mounted.app = guard = make_guarded(desk, settings, keyring)
        try:
            yield
        finally:
            guard.close()


def _hosts() -> list[str]:
    """Further names by which requests may call the API: the setting ``hosts``, with commas between them."""
    value = setting("hosts") or []
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else list(value)


app = Starlette(routes=[Mount(PREFIX, app=mounted)], lifespan=lifespan)
