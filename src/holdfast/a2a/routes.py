"""The HTTP routes of A2A: JSON-RPC at /a2a, HTTP+JSON under /a2a/rest, each with PauseTask and ResumeTask, and files.

The SDK parses, routes and words errors; what it lacks is added here: the extension's methods, the echo of the
extension header, and an artifact's content by its URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from a2a.extensions.common import HTTP_EXTENSION_HEADER
from a2a.server.context import ServerCallContext
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_dispatcher import RestDispatcher
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.types import a2a_pb2 as pb
from a2a.utils import constants
from a2a.utils.error_handlers import rest_error_handler
from a2a.utils.version_validator import validate_version
from google.protobuf.json_format import MessageToDict, Parse
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.a2a.card import JSONRPC, REST
from holdfast.a2a.extension import URI
from holdfast.a2a.handler import Desk, Handler
from holdfast.a2a.wire import is_value
from holdfast.checkpoints.errors import UnknownTask
from holdfast.checkpoints.files import Files
from holdfast.checkpoints.tasks import ArtifactRow

METHODS: dict[str, type] = {
    **JsonRpcDispatcher.METHOD_TO_MODEL,
    "PauseTask": pb.CancelTaskRequest,
    "ResumeTask": pb.CancelTaskRequest,
}


class Context(DefaultServerCallContextBuilder):
    """What the handler learns of a request; ``base`` is the URL it came to, for links."""

    def build(self, request: Request) -> ServerCallContext:
        """The call's context."""
        context = super().build(request)
        context.state["base"] = str(request.base_url).rstrip("/")
        return context


class Rpc(JsonRpcDispatcher):
    """JSON-RPC with the two methods more."""

    METHOD_TO_MODEL = METHODS
    request_handler: Handler

    @validate_version(constants.PROTOCOL_VERSION_1_0)
    async def _process_non_streaming_request(self, request_obj: Any, context: ServerCallContext) -> Any:
        match context.state.get("method"):
            case "PauseTask":
                return MessageToDict(await self.request_handler.on_pause_task(request_obj, context))
            case "ResumeTask":
                return MessageToDict(await self.request_handler.on_resume_task(request_obj, context))
        return await super()._process_non_streaming_request(request_obj, context)


class Rest(RestDispatcher):
    """HTTP+JSON for the two methods more."""

    request_handler: Handler

    @rest_error_handler
    async def on_pause(self, request: Request) -> Response:
        """``POST /tasks/{id}:pause``."""
        return await self._task(request, self.request_handler.on_pause_task)

    @rest_error_handler
    async def on_resume(self, request: Request) -> Response:
        """``POST /tasks/{id}:resume``."""
        return await self._task(request, self.request_handler.on_resume_task)

    async def _task(
        self, request: Request, method: Callable[[pb.CancelTaskRequest, ServerCallContext], Awaitable[pb.Task]]
    ) -> Response:
        @validate_version(constants.PROTOCOL_VERSION_1_0)
        async def call(context: ServerCallContext) -> pb.Task:
            params = pb.CancelTaskRequest()
            if body := await request.body():
                Parse(body, params, ignore_unknown_fields=True)
            params.id = request.path_params["id"]
            return await method(params, context)

        task = await self._handle_non_streaming(request, call)
        return JSONResponse(MessageToDict(task), media_type=constants.A2A_JSON_MEDIA_TYPE)


def routes(desk: Desk, handler: Handler) -> list[BaseRoute]:
    """All routes of A2A over one handler, but the card."""
    context = Context()
    rpc, rest = Rpc(handler, context_builder=context), Rest(handler, context_builder=context)
    return [
        Route(JSONRPC, rpc.handle_requests, methods=["POST"]),
        Route(f"{JSONRPC}/", rpc.handle_requests, methods=["POST"]),  # some clients add the slash to the card's URL
        Route(f"{REST}/tasks/{{id}}:pause", rest.on_pause, methods=["POST"]),
        Route(f"{REST}/tasks/{{id}}:resume", rest.on_resume, methods=["POST"]),
        Route("/a2a/artifacts/{task}/{name:path}", artifact(desk)),
        *create_rest_routes(handler, context, path_prefix=REST),
    ]


def artifact(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The route that gives an artifact's content to the owner of its task."""

    async def give(request: Request) -> Response:
        owner = request.user.display_name if "user" in request.scope else ""
        try:
            seen = await desk.hf.view(owner, request.path_params["task"])
        except UnknownTask:
            return JSONResponse({"error": "there is no such artifact"}, 404)
        row = next((one for one in seen.artifacts if one.name == request.path_params["name"]), None)
        if row is None or is_value(row):
            return JSONResponse({"error": "there is no such artifact"}, 404)
        return content(row, desk.hf.database.files)

    return give


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
