"""The HTTP routes of A2A: JSON-RPC at /a2a, HTTP+JSON under /a2a/rest, each with PauseTask and ResumeTask, and files.

The SDK words errors, streams and maps fields; the dispatch is our own, so that requests and answers that are large are
converted off the event loop, and a request that does not fit is told so in a sentence.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

from a2a.extensions.common import HTTP_EXTENSION_HEADER
from a2a.server.context import ServerCallContext
from a2a.server.jsonrpc_models import JSONParseError
from a2a.server.request_handlers.response_helpers import build_error_response
from a2a.server.routes.common import (
    DefaultServerCallContextBuilder,
    create_event_source_response,
    serialize_list_tasks_response,
)
from a2a.types import a2a_pb2 as pb
from a2a.utils import constants
from a2a.utils.error_handlers import build_rest_error_payload, rest_error_handler
from a2a.utils.errors import (
    A2AError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    VersionNotSupportedError,
)
from a2a.utils.proto_utils import parse_params, to_stream_response
from a2a.utils.version_validator import validate_version
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, request_response
from starlette.types import Receive, Scope, Send

from holdfast.a2a.card import JSONRPC, REST
from holdfast.a2a.errors import INSIDE, translated
from holdfast.a2a.extension import URI, require_in_place
from holdfast.a2a.handler import WHO, Desk, Handler, whose
from holdfast.a2a.turns import LARGE, Turns
from holdfast.checkpoints import tasks
from holdfast.checkpoints.errors import UnknownTask
from holdfast.checkpoints.files import Files
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs.holdfast import Holdfast
from holdfast.graphs.view import Wanted

log = logging.getLogger("holdfast.server")
Answer: TypeAlias = Callable[[Request], Awaitable[Response]]
CALLS: dict[str, tuple[type[Message], str]] = {
    "SendMessage": (pb.SendMessageRequest, "on_message_send"),
    "SendStreamingMessage": (pb.SendMessageRequest, "on_message_send_stream"),
    "GetTask": (pb.GetTaskRequest, "on_get_task"),
    "ListTasks": (pb.ListTasksRequest, "on_list_tasks"),
    "CancelTask": (pb.CancelTaskRequest, "on_cancel_task"),
    "PauseTask": (pb.CancelTaskRequest, "on_pause_task"),
    "ResumeTask": (pb.CancelTaskRequest, "on_resume_task"),
    "SubscribeToTask": (pb.SubscribeToTaskRequest, "on_subscribe_to_task"),
    "CreateTaskPushNotificationConfig": (pb.TaskPushNotificationConfig, "on_create_task_push_notification_config"),
    "GetTaskPushNotificationConfig": (
        pb.GetTaskPushNotificationConfigRequest,
        "on_get_task_push_notification_config",
    ),
    "ListTaskPushNotificationConfigs": (
        pb.ListTaskPushNotificationConfigsRequest,
        "on_list_task_push_notification_configs",
    ),
    "DeleteTaskPushNotificationConfig": (
        pb.DeleteTaskPushNotificationConfigRequest,
        "on_delete_task_push_notification_config",
    ),
    "GetExtendedAgentCard": (pb.GetExtendedAgentCardRequest, "on_get_extended_agent_card"),
}
METHODS: dict[str, type[Message]] = {method: kind for method, (kind, _) in CALLS.items()}
STREAMS = frozenset({"SendStreamingMessage", "SubscribeToTask"})
_CONFIGS = "/tasks/{task_id}/pushNotificationConfigs"
_ROUTES = (  # what stands in braces is a field of the request
    ("POST", "/message:send", "SendMessage"),
    ("POST", "/message:stream", "SendStreamingMessage"),
    ("POST", "/tasks/{id}:cancel", "CancelTask"),
    ("POST", "/tasks/{id}:pause", "PauseTask"),
    ("POST", "/tasks/{id}:resume", "ResumeTask"),
    ("GET", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("POST", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("GET", "/tasks/{id}", "GetTask"),
    ("GET", "/tasks", "ListTasks"),
    ("GET", f"{_CONFIGS}/{{id}}", "GetTaskPushNotificationConfig"),
    ("DELETE", f"{_CONFIGS}/{{id}}", "DeleteTaskPushNotificationConfig"),
    ("POST", _CONFIGS, "CreateTaskPushNotificationConfig"),
    ("GET", _CONFIGS, "ListTaskPushNotificationConfigs"),
    ("GET", "/extendedAgentCard", "GetExtendedAgentCard"),
)
_IN_BODY = frozenset({"SendMessage", "SendStreamingMessage", "CreateTaskPushNotificationConfig"})
_MAY_HAVE_BODY = frozenset({"PauseTask", "ResumeTask"})
_RPC_FIELDS = frozenset({"jsonrpc", "id", "method", "params"})
_FIELD = re.compile(r"Failed to parse (\w+) field")
_DEEP = 5  # levels at which an answer is written in pieces; a message of a task's history is one
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class NoJson(Exception):
    """The body cannot be parsed, which JSON-RPC has a code of its own for."""


class Context(DefaultServerCallContextBuilder):
    """What the handler learns of a request; ``base`` is the URL it came to, for links."""

    def build(self, request: Request) -> ServerCallContext:
        """The call's context."""
        context = super().build(request)
        context.state["base"] = str(request.base_url).rstrip("/")
        context.state[WHO] = request.scope.get(WHO, "")
        return context


class Rpc:
    """JSON-RPC."""

    def __init__(self, handler: Handler) -> None:
        self._handler, self._context, self._turns = handler, Context(), handler.desk.turns

    async def handle(self, request: Request) -> Response:
        """One request of any method; what is refused is an error object."""
        id_: str | int | None = None
        try:
            context = self._context.build(request)
            body = await _json(request, self._turns)
            id_ = _id_of(body)
            method, given = _call_of(body)
            _require_in_place(method, given)
            await require_version(context)
            await _require_task(given, request, self._handler, context)
            params = await _message(given, METHODS[method], InvalidParamsError, request, self._turns)
            context.tenant = getattr(params, "tenant", "")
            call = getattr(self._handler, CALLS[method][1])(params, context)
            write = _Writer(self._turns, whose(context), lambda said: _result(id_, said))
            if method in STREAMS:
                return await _stream(call, write, lambda error: _error(id_, error))
            written = await write.answer(await call, params)
            return Response(written, media_type="application/json")
        except Exception as error:
            return JSONResponse(_error(id_, error))


class Rest:
    """HTTP+JSON."""

    def __init__(self, handler: Handler) -> None:
        self._handler, self._context, self._turns = handler, Context(), handler.desk.turns

    def routes(self) -> list[BaseRoute]:
        """Every route below /a2a/rest, and the same for a tenant, whose name stands before."""
        answers = dict[str, dict[str, Answer]]()
        for verb, path, method in _ROUTES:
            answers.setdefault(path, {})[verb] = self._answering(method)
            if verb == "GET" and method not in STREAMS:
                answers[path]["HEAD"] = answers[path]["GET"]
        own = [Route(f"{REST}{path}", _Verbs(known)) for path, known in answers.items()]
        return [*own, Mount("/{tenant}", routes=own)]

    def _answering(self, method: str) -> Answer:
        @rest_error_handler
        async def answer(request: Request) -> Response:
            context = self._context.build(request)
            await require_version(context)
            params = await _request(request, method, context, self._handler)
            call = getattr(self._handler, CALLS[method][1])(params, context)
            write = _Writer(self._turns, whose(context), lambda said: said)
            if method in STREAMS:
                return await _stream(call, write, build_rest_error_payload)
            written = await write.answer(await call, params)
            return Response(written, media_type=constants.A2A_JSON_MEDIA_TYPE)

        return answer


class _Verbs:
    """What answers each verb at one address.

    An address is one for every verb: with another it is no task of a strange name, and none of a tenant's.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._apps = {verb: request_response(answer) for verb, answer in answers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; raises HTTPException for a verb that is none of these."""
        if scope["method"] not in self._apps:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._apps))})
        await self._apps[scope["method"]](scope, receive, send)


def routes(desk: Desk, handler: Handler) -> list[BaseRoute]:
    """All routes of A2A over one handler, but the card."""
    rpc = Rpc(handler)
    return [
        Route(JSONRPC, rpc.handle, methods=["POST"]),
        Route(f"{JSONRPC}/", rpc.handle, methods=["POST"]),  # some clients add the slash to the card's URL
        Route("/a2a/artifacts/{task}/{name:path}", artifact(desk)),
        *Rest(handler).routes(),
    ]


def artifact(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The route that gives an artifact's content to the owner of its task."""

    async def give(request: Request) -> Response:
        owner, task_id = request.user.display_name if "user" in request.scope else "", request.path_params["task"]
        try:
            await desk.hf.view(owner, task_id, Wanted(history=0, artifacts=False))
        except UnknownTask:
            return JSONResponse({"error": "there is no such task"}, 404)
        return await handed_out(desk.hf, task_id, request.path_params["name"])

    return give


async def handed_out(hf: Holdfast, task_id: str, name: str) -> Response:
    """The content of an artifact of the task of that full id, or that it has none of that name."""
    rows = await hf.database.aread(lambda db: tasks.artifacts(db, tasks.get(db, task_id).number))
    row = next((one for one in rows if one.name == name), None)
    if row is None:
        return JSONResponse({"error": f"task {task_id} has no artifact {name!r}"}, 404)
    return await asyncio.to_thread(content, row, hf.database.files)


def content(row: ArtifactRow, files: Files) -> Response:
    """An artifact's bytes, which a browser may show but not run."""
    headers = {
        "ETag": f'"{row.sha256}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    return FileResponse(files.path(row.sha256), media_type=row.media_type, headers=headers)


def echo(requested: str | None) -> dict[str, str]:
    """The response header that says which requested extensions are in use."""
    wanted = {one.strip() for one in (requested or "").split(",")}
    return {HTTP_EXTENSION_HEADER: URI} if URI in wanted else {}


async def require_version(context: ServerCallContext) -> None:
    """Raises VersionNotSupportedError for a call in another version; one that names none is in 0.3."""
    try:
        await _validated(context)
    except VersionNotSupportedError:
        named = context.state.get("headers", {}).get(constants.VERSION_HEADER.lower())
        said = f"version {named[:100]!r}" if named else "no version, which means 0.3"
        sentence = f"the request is in {said}; this server speaks A2A 1.0, so send the header `A2A-Version: 1.0`"
        raise VersionNotSupportedError(message=sentence) from None


@validate_version(constants.PROTOCOL_VERSION_1_0)
async def _validated(context: ServerCallContext) -> None:
    """Raises VersionNotSupportedError, in the SDK's words."""


async def _json(request: Request, turns: Turns) -> Any:
    body = await request.body()
    try:
        return await turns.make(request.scope.get(WHO, ""), len(body), json.loads, body)
    except (ValueError, RecursionError):
        raise NoJson("the body is not JSON") from None


async def _require_task(given: Any, request: Request, handler: Handler, context: ServerCallContext) -> None:
    """Refuses a large message to a task that the caller does not have, before it takes any trouble."""
    said = given.get("message") if isinstance(given, dict) else None
    task_id = said.get("taskId") if isinstance(said, dict) else None
    if task_id and isinstance(task_id, str) and len(await request.body()) > LARGE:
        await handler.require_task(task_id, context)


async def _message(given: Any, kind: type[Message], refused: type[A2AError], request: Request, turns: Turns) -> Message:
    """The JSON ``given`` as a message of that kind; fields that it does not know are passed over."""

    def parse() -> Message:
        name = kind.DESCRIPTOR.name
        if not isinstance(given, dict):
            raise refused(message=f"the parameters have to be an object as {name} is one")
        try:
            return ParseDict(given, kind(), ignore_unknown_fields=True)
        except Exception as error:
            where = ".".join(_FIELD.findall(str(error)))
            what = f"the field {where}" if where else "a field"
            raise refused(message=f"{what} of the parameters is not as {name} has it") from None

    return await turns.make(request.scope.get(WHO, ""), len(await request.body()), parse)


async def _request(request: Request, method: str, context: ServerCallContext, handler: Handler) -> Message:
    """The message that a request of HTTP+JSON stands for, from its body, its query and its path."""
    kind, given, turns = METHODS[method], dict[str, Any](), handler.desk.turns
    _require_in_place(method, request.query_params)
    if method in _IN_BODY or (method in _MAY_HAVE_BODY and await request.body()):
        try:
            given = await _json(request, turns)
        except NoJson as error:
            raise InvalidRequestError(message=str(error)) from None
        if method in _MAY_HAVE_BODY and isinstance(given, dict):
            given.pop("id", None)  # the path has it
        _require_in_place(method, given)
        await _require_task(given, request, handler, context)
    params = await _message(given, kind, InvalidRequestError, request, turns)
    if request.method in ("GET", "HEAD"):
        try:
            parse_params(request.query_params, params)
        except Exception as error:
            where = _FIELD.search(str(error))
            sentence = f"{where[1] if where else 'a parameter'} in the query is not as {kind.DESCRIPTOR.name} has it"
            raise InvalidRequestError(message=sentence) from None
    for name, value in request.path_params.items():
        setattr(context if name == "tenant" else params, name, value)
    return params


def _require_in_place(method: str, given: Any) -> None:
    if method == "PauseTask":
        with translated():
            require_in_place(given)


def _id_of(body: Any) -> str | int | None:
    id_ = body.get("id") if isinstance(body, dict) else None
    return id_ if isinstance(id_, str | int) and not isinstance(id_, bool) else None


def _call_of(body: Any) -> tuple[str, Any]:
    """Method and parameters of a JSON-RPC request; raises InvalidRequestError or MethodNotFoundError."""
    if isinstance(body, list):
        raise InvalidRequestError(message="Batch requests are not supported; send one request at a time")
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise InvalidRequestError(message='the body has to be a JSON-RPC request: an object with "jsonrpc": "2.0"')
    if body.get("id") is not None and _id_of(body) is None:
        raise InvalidRequestError(message="id has to be a text, a whole number or null")
    if unknown := set(body) - _RPC_FIELDS:
        raise InvalidRequestError(message=f"a JSON-RPC request has no member {sorted(unknown)[0][:100]!r}")
    method = body.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequestError(message="method has to be the name of a method")
    if method not in METHODS:
        raise MethodNotFoundError
    return method, body.get("params", {})


async def _stream(updates: AsyncGenerator[Any, None], write: _Writer, refusal: Callable[[Exception], Any]) -> Response:
    """Server-sent events, one for each update; raises what is raised before the first."""
    first = await anext(updates)

    async def told() -> AsyncIterator[dict[str, str]]:
        async with aclosing(updates):
            try:
                yield {"data": await write.event(first)}
                async for update in updates:
                    yield {"data": await write.event(update)}
            except Exception as error:
                yield {"event": "error", "data": _dumps(refusal(error))}

    return create_event_source_response(told())


class _Writer:
    """Writes what is made for a caller as JSON, in the envelope of the binding."""

    def __init__(self, turns: Turns, who: str, wrap: Callable[[Any], Any]) -> None:
        self._turns, self._who, self._wrap = turns, who, wrap

    async def event(self, update: Any) -> str:
        """One event of a stream."""
        return await self._write(update, lambda: _pieces(self._wrap(MessageToDict(to_stream_response(update)))))

    async def answer(self, made: Any, params: Any) -> str:
        """The whole answer to a request."""

        def write() -> str:
            if isinstance(made, pb.ListTasksResponse):
                return _pieces(self._wrap(serialize_list_tasks_response(made, params.include_artifacts)), _DEEP + 1)
            sent = isinstance(params, pb.SendMessageRequest)
            return _pieces(self._wrap(MessageToDict(pb.SendMessageResponse(task=made) if sent else made)))

        return await self._write(made, write)

    async def _write(self, made: Message, write: Callable[[], str]) -> str:
        return await self._turns.make(self._who, made.ByteSize(), write)


def _pieces(value: Any, deep: int = _DEEP) -> str:
    """JSON, written in pieces: while one is written, no other thread runs."""
    if deep and isinstance(value, dict):
        return "{" + ",".join(f"{_dumps(name)}:{_pieces(one, deep - 1)}" for name, one in value.items()) + "}"
    if deep and isinstance(value, list):
        return "[" + ",".join(_pieces(one, deep - 1) for one in value) + "]"
    return _dumps(value)


def _result(id_: str | int | None, said: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": said}


def _error(id_: str | int | None, error: Exception) -> dict[str, Any]:
    if isinstance(error, NoJson):
        return build_error_response(None, JSONParseError(message=str(error)))
    if not isinstance(error, A2AError):
        log.exception("a request broke off", exc_info=error)
        error = InternalError(message=INSIDE)
    return build_error_response(id_, error)
