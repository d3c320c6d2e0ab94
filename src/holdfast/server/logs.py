"""The server's log: one JSON object per line, with neither keys nor what clients have written."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from holdfast.checkpoints.events import timestamp
from holdfast.server.guard import Done

access = logging.getLogger("holdfast.server.access")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})  # asked for every few seconds
OURS = "holdfast"
OF_CLIENTS = ("Failed to parse request params", "Failed to validate base JSON-RPC request")  # a2a calls them errors


def configure(stream: TextIO | None = None) -> None:
    """Sends every logger of this process to ``stream`` (else stderr) as JSON Lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(worth_telling)
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
