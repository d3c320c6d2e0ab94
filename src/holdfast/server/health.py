"""Whether the server lives, whether it can work, and its figures for Prometheus."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable, Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import StoreError
from holdfast.checkpoints.states import TaskState
from holdfast.graphs.holdfast import Holdfast
from holdfast.server.guard import GRPC, Done

log = logging.getLogger("holdfast.server")
CHECK_SECONDS = 1.0
ROOM_BYTES = 64 << 20
VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of when it was first met
PAUSES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Figures of one server, in a registry of their own.

    They count what all owners do; where keys are asked for, only ``readers`` are told them.
    """

    def __init__(self, hf: Holdfast, readers: Collection[str] = ()) -> None:
        self.readers = readers
        self._hf, self._registry = hf, (registry := CollectorRegistry())
        labels = ("verb", "route", "method", "status")
        self._requests = Counter("holdfast_http_requests", "Requests answered.", labels, registry=registry)
        self._calls = Counter("holdfast_grpc_calls", "Calls answered over gRPC.", labels[2:], registry=registry)
        self._call_seconds = Histogram(
            "holdfast_grpc_call_seconds",
            "Time until a call over gRPC was answered, or its stream ended.",
            labels[2:],
            registry=registry,
        )
        self._seconds = Histogram(
            "holdfast_http_request_seconds",
            "Time until a request was answered, or its stream ended.",
            labels,
            registry=registry,
        )
        self._pauses = Histogram(
            "holdfast_pause_seconds", "Time until PauseTask was acknowledged.", buckets=PAUSES, registry=registry
        )
        self._tasks = Gauge("holdfast_tasks", "Tasks in the database, by state.", ("state",), registry=registry)
        self._streams = Gauge("holdfast_open_streams", "Streams and other calls that wait.", registry=registry)
        Gauge("holdfast_runs", "Tasks that this process works on.", registry=registry).set_function(lambda: hf.runs)
        ProcessCollector(registry=registry)

    def watch(self, streams: Callable[[], int]) -> None:
        """Asks ``streams`` for the number of open ones."""
        self._streams.set_function(streams)

    def tell(self, done: Done) -> None:
        """Counts a request."""
        if done.verb == GRPC:
            labels: tuple[str, ...] = (done.call.method, str(done.status))
            requests, seconds = self._calls, self._call_seconds
        else:
            verb = done.verb if done.verb in VERBS else "other"
            labels = (verb, done.route, done.call.method, str(done.status))
            requests, seconds = self._requests, self._seconds
        requests.labels(*labels).inc()
        seconds.labels(*labels).observe(done.seconds)
        if done.call.method == "PauseTask" and done.status in (200, "OK"):
            self._pauses.observe(done.seconds)

    async def render(self) -> bytes:
        """The figures now, as Prometheus reads them."""
        found = await self._hf.database.aread(tasks.counts)
        for state in TaskState:
            self._tasks.labels(state.value).set(found.get(state.value, 0))
        return generate_latest(self._registry)


def health_routes(hf: Holdfast, metrics: Metrics) -> list[BaseRoute]:
    """/healthz, /readyz and /metrics."""

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        failed = await failures(hf.database)
        if failed:
            return JSONResponse({"status": "not ready", "failed": failed}, 503)
        return JSONResponse({"status": "ready"})

    async def figures(request: Request) -> Response:
        if "user" in request.scope and request.user.display_name not in metrics.readers:
            return JSONResponse(
                {"error": "the figures are for the owners that `holdfast serve --metrics-for` names"}, 403
            )
        return Response(await metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", figures)]


async def failures(database: Database, room: int = ROOM_BYTES) -> dict[str, str]:
    """What keeps this server from working, by check: a sentence each."""
    found = {}
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await database.aread(tasks.counts)
            await database.awrite(_write)
    except TimeoutError:
        found["database"] = f"the database could not be read and written within {CHECK_SECONDS:g} s"
    except StoreError as error:
        log.warning("not ready: %s", error)
        found["database"] = "the database cannot be read or written; the server's log has the reason"
    try:
        free = (await asyncio.to_thread(shutil.disk_usage, database.path.parent)).free
    except OSError:
        free = 0
    if free < room:
        found["disk"] = f"the disk has {free:,} bytes left, fewer than {room:,}"
    return found


def _write(db: sqlite3.Connection) -> None:
    """Writes a page with what it has already, which proves the lock and the disk, and changes nothing."""
    (number,) = db.execute("PRAGMA user_version").fetchone()
    db.execute(f"PRAGMA user_version = {int(number)}")
