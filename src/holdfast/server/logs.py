"""The server's log: one JSON object per line, with neither keys nor what clients have written."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TextIO

from holdfast.checkpoints.events import timestamp
from holdfast.server.guard import Done

access = logging.getLogger("holdfast.server.access")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})  # asked for every few seconds
OURS = "holdfast"
NO_ACCEPT = "socket.accept() out of system resource"  # what asyncio says of each connection that it cannot take
SELDOM_SECONDS = 10.0
OF_CLIENTS = ("Failed to parse request params", "Failed to validate base JSON-RPC request")  # a2a calls them errors


def configure(stream: TextIO | None = None) -> None:
    """Sends every logger of this process to ``stream`` (else stderr) as JSON Lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(worth_telling)
    handler.addFilter(Seldom())
    root = logging.getLogger()
    for other in root.handlers[:]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.captureWarnings(True)


def tell(done: Done) -> None:
    """The line for a request."""
    level = logging.DEBUG if done.route in QUIET else logging.INFO
    fields = {
        "verb": done.verb[:16],
        "method": done.call.method,
        "route": done.route,
        "status": done.status,
        "ms": round(done.seconds * 1000, 1),
        "owner": done.owner,
        "task": done.call.task,
    }
    access.log(level, "request", extra={"fields": {name: value for name, value in fields.items() if value != ""}})


class Seldom(logging.Filter):
    """Tells once in a while that connections cannot be accepted, which asyncio says a thousand times a second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock, self._told_at = clock, -SELDOM_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell this record."""
        if record.name != "asyncio" or not record.getMessage().startswith(NO_ACCEPT):
            return True
        if self._clock() < self._told_at + SELDOM_SECONDS:
            return False
        self._told_at = self._clock()
        return True


def worth_telling(record: logging.LogRecord) -> bool:
    """Leaves out what a2a says of each mistake of a client, which the client has been told."""
    if not record.name.startswith("a2a"):
        return True
    return record.levelno >= logging.ERROR and record.msg not in OF_CLIENTS


class JsonLines(logging.Formatter):
    """A record as one line of JSON.

    What others raise may quote a client's words, so of their errors only the kind and the place are told.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "at": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        ours = record.name.split(".")[0] == OURS
        line["message"] = record.getMessage() if ours or not record.exc_info else str(record.msg)
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            kind, error, place = record.exc_info
            line["error"] = f"{kind.__name__}: {error}" if ours else kind.__name__
            line["traceback"] = "".join(traceback.format_tb(place))
        return json.dumps(line, ensure_ascii=False)
