"""What a request asks for, as far as its address and body tell, and in which words it is to be refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from holdfast.a2a.card import JSONRPC, REST
from holdfast.a2a.routes import METHODS

RPC_PATHS = (JSONRPC, f"{JSONRPC}/")
STREAMING = frozenset({"SendStreamingMessage", "SubscribeToTask"})
DOMAIN = "holdfast"
RPC_REFUSED, RPC_INVALID, RPC_INSIDE, RPC_CONTENT_TYPE = -32000, -32600, -32603, -32005
_TASK = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EVENTS = re.compile(r"/api/tasks/[^/]+/events")
_LIVE = re.compile(r"/api/tasks/[^/]+/live")
_BELOW_REST = re.compile(rf"(?:/[^/]+)?{REST}/(.*)")
_CONFIGS = r"tasks/([^/]+)/pushNotificationConfigs"
_REST: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (verbs, re.compile(path), method)
    for verbs, path, method in (
        ("POST", "message:send", "SendMessage"),
        ("POST", "message:stream", "SendStreamingMessage"),
        ("GET", "tasks", "ListTasks"),
        ("GET", "extendedAgentCard", "GetExtendedAgentCard"),
        ("GET POST", "tasks/([^/]+):subscribe", "SubscribeToTask"),
        ("POST", "tasks/([^/]+):cancel", "CancelTask"),
        ("POST", "tasks/([^/]+):pause", "PauseTask"),
        ("POST", "tasks/([^/]+):resume", "ResumeTask"),
        ("GET", "tasks/([^/]+)", "GetTask"),
        ("GET", _CONFIGS, "ListTaskPushNotificationConfigs"),
        ("POST", _CONFIGS, "CreateTaskPushNotificationConfig"),
        ("GET", f"{_CONFIGS}/[^/]+", "GetTaskPushNotificationConfig"),
        ("DELETE", f"{_CONFIGS}/[^/]+", "DeleteTaskPushNotificationConfig"),
    )
)
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

_RPC_CODES = {400: RPC_INVALID, 408: RPC_INVALID, 413: RPC_INVALID, 415: RPC_CONTENT_TYPE, 500: RPC_INSIDE}


@dataclass(frozen=True, slots=True)
class Call:
    """The A2A method and task of a request, "" where there is none; ``id`` is that of JSON-RPC.

    ``waits`` says whether its answer may take as long as a task does.
    """

    method: str = ""
    task: str = ""
    id: str | int | None = None
    waits: bool = False

    @property
    def streams(self) -> bool:
        """Whether its answer is a stream that may stay open for long."""
        return self.method in STREAMING


NOTHING = Call()


def is_a2a(path: str) -> bool:
    """Whether one of A2A's bindings is at a path."""
    return path in RPC_PATHS or _BELOW_REST.fullmatch(path) is not None


def call_of(verb: str, path: str, body: Any, query: bytes = b"") -> Call:
    """The call at a path below the server's root, ``body`` being the JSON that came; what is malformed is none."""
    if path in RPC_PATHS:
        return _rpc(body)
    if _EVENTS.fullmatch(path):
        return Call(waits="wait" in QueryParams(query))
    if _LIVE.fullmatch(path):
        return Call(waits=True)
    if below := _BELOW_REST.fullmatch(path):
        for verbs, pattern, method in _REST:
            if verb in verbs.split() and (found := pattern.fullmatch(below[1])):
                return Call(method, _known(found[1]) if found.groups() else "", waits=_waits(method, body))
    return NOTHING


def refusal(path: str, call_id: str | int | None, status: int, reason: str, sentence: str) -> dict[str, Any]:
    """The body of a refusal, in the words of the binding that the path belongs to."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN}]
    if path in RPC_PATHS:
        code = _RPC_CODES.get(status, RPC_REFUSED)
        return {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": sentence, "data": details}}
    if _BELOW_REST.fullmatch(path):
        name = STATUS.get(status, "UNKNOWN")
        return {"error": {"code": status, "status": name, "message": sentence, "details": details}}
    return {"error": sentence}


def _rpc(body: Any) -> Call:
    if not isinstance(body, dict):
        return NOTHING
    method, params, id_ = body.get("method"), body.get("params"), body.get("id")
    task: Any = ""
    if isinstance(params, Mapping):
        message = params.get("message")
        task = params.get("id") or params.get("taskId")
        if not task and isinstance(message, Mapping):
            task = message.get("taskId")
    known = isinstance(method, str) and method in METHODS
    return Call(
        str(method) if known else "",
        _known(task),
        id_ if isinstance(id_, str | int) and not isinstance(id_, bool) else None,
        _waits(method, params),
    )


def _waits(method: Any, params: Any) -> bool:
    """Whether it is a message whose sender waits for what becomes of it."""
    if method != "SendMessage" or not isinstance(params, Mapping):
        return False
    how = params.get("configuration")
    return not (isinstance(how, Mapping) and (how.get("returnImmediately") or how.get("return_immediately")))


def _known(task: Any) -> str:
    """A task's id, and nothing else that a client may have put in its place."""
    return task if isinstance(task, str) and _TASK.fullmatch(task) else ""
