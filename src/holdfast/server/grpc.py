"""gRPC: A2A's service and the pause extension's, on a port of their own beside HTTP.

The SDK maps requests to the handler and its errors to statuses.  Every call goes through the guard first, which knows
whose it is, insists on the protocol's version, and lets nothing out of what is raised inside.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

import grpc
from a2a.auth.user import UnauthenticatedUser, User
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.grpc_handler import GrpcHandler, GrpcServerCallContextBuilder
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
from a2a.utils import constants
from a2a.utils.errors import A2AError
from a2a.utils.version_validator import validate_version
from starlette.datastructures import Headers

from holdfast.a2a.errors import INSIDE
from holdfast.a2a.handler import Handler
from holdfast.checkpoints.errors import BadInput, StoreError
from holdfast.server import logs
from holdfast.server.guard import Buckets, Keys, key_in
from holdfast.server.settings import Limits, Settings

log = logging.getLogger("holdfast.server")
PAUSE_SERVICE = "holdfast.a2a.pause_resume.v1.PauseResumeService"
NO_KEY = "this server asks for a key: send it as `authorization: Bearer KEY` or as `x-api-key`"
EXTENSIONS = HTTP_EXTENSION_HEADER.lower()
KEEPALIVE_SECONDS = 60
STOP_SECONDS = 0.5  # for calls that are about to end; a stream is broken off
Echo: TypeAlias = Callable[[str | None], Mapping[str, str]]
Method: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # which has parameters in its type stubs only
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_owner: ContextVar[str] = ContextVar("holdfast_grpc_owner", default="")


@dataclass(frozen=True, slots=True)
class Owner(User):
    """Whose key a call came with."""

    name: str

    @property
    def is_authenticated(self) -> bool:
        """True: there was a key."""
        return True

    @property
    def user_name(self) -> str:
        """The name that the key was made for."""
        return self.name


class Calls(GrpcServerCallContextBuilder):
    """What the handler learns of a call; the guard has said whose it is."""

    def build(self, context: Context) -> ServerCallContext:
        """The call's context."""
        given = _metadata(context)
        owner = _owner.get()
        return ServerCallContext(
            user=Owner(owner) if owner else UnauthenticatedUser(),
            state={"headers": given},
            requested_extensions=get_requested_extensions([given.get(EXTENSIONS, "")]),
        )


class Servicer(GrpcHandler):
    """A2A's methods and the extension's two, which take and return what CancelTask does."""

    request_handler: Handler

    async def PauseTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.Task:
        """Stops a task so that it can go on later."""
        return await self._task(request, context, self.request_handler.on_pause_task)

    async def ResumeTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.Task:
        """Lets a paused task go on."""
        return await self._task(request, context, self.request_handler.on_resume_task)

    async def _task(
        self,
        request: pb.CancelTaskRequest,
        context: Context,
        method: Callable[[pb.CancelTaskRequest, ServerCallContext], Awaitable[pb.Task]],
    ) -> pb.Task:
        return await self._handle_unary(request, context, lambda call: method(request, call), pb.Task())


class GrpcGuard(grpc.aio.ServerInterceptor):
    """Stands before every method: the key, the rate, the version, the echo, and what must not get out."""

    def __init__(self, servicer: Servicer, keys: Keys, limits: Limits, echo: Echo) -> None:
        self._servicer, self._keys, self._limits, self._echo = servicer, keys, limits, echo
        self._buckets = Buckets(limits.rate, limits.burst)
        self._streams: Counter[str] = Counter()

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Method | None]], details: Any
    ) -> Method | None:
        """The method behind the guard; None, as it was found, for one that there is not."""
        method = await continuation(details)
        if method is None:
            return None
        wrap: Any = grpc.unary_unary_rpc_method_handler
        call: Any = self._unary(details.method, method.unary_unary)
        if method.response_streaming:
            wrap, call = grpc.unary_stream_rpc_method_handler, self._stream(details.method, method.unary_stream)
        guarded: Method = wrap(call, method.request_deserializer, method.response_serializer)
        return guarded

    def _unary(self, name: str, call: Any) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            async with _told(name, context), self._guarded(context):
                return await call(request, context)

        return guarded

    def _stream(self, name: str, call: Any) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            async with _told(name, context), self._guarded(context), self._counted(context):
                async for said in call(request, context):
                    yield said

        return guarded

    @asynccontextmanager
    async def _guarded(self, context: Context) -> AsyncIterator[None]:
        try:
            given = _metadata(context)
            await self._admit(given, context)
            await _require_version(ServerCallContext(state={"headers": given}))
            if echoed := self._echo(given.get(EXTENSIONS)):
                await context.send_initial_metadata([(name.lower(), value) for name, value in echoed.items()])
            yield
        except grpc.aio.AbortError:
            raise
        except A2AError as error:
            await self._servicer.abort_context(error, context)
        except StoreError as error:
            log.warning("a call could not be let through: %s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, INSIDE)
        except Exception:
            log.exception("a call broke off")
            await context.abort(grpc.StatusCode.INTERNAL, INSIDE)

    async def _admit(self, given: Mapping[str, str], context: Context) -> None:
        owner = await self._keys.owner(key_in(Headers(given)))
        if owner is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, NO_KEY)
        if wait := self._buckets.take(owner):
            sentence = f"too many calls: at most {self._limits.rate:g} a second; try again in {math.ceil(wait)} s"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, sentence)
        _owner.set(owner)

    @asynccontextmanager
    async def _counted(self, context: Context) -> AsyncIterator[None]:
        owner, most = _owner.get(), self._limits.streams
        if self._streams[owner] >= most:
            sentence = f"at most {most} streams may be open at once; close one first"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, sentence)
        self._streams[owner] += 1
        try:
            yield
        finally:
            self._streams[owner] -= 1


@asynccontextmanager
async def serving(handler: Handler, settings: Settings, keys: Keys, echo: Echo) -> AsyncIterator[None]:
    """Serves gRPC meanwhile, on the host of HTTP; raises BadInput if the port is taken."""
    servicer, limits = Servicer(handler, Calls()), settings.limits
    server = grpc.aio.server(
        interceptors=[GrpcGuard(servicer, keys, limits, echo)],
        maximum_concurrent_rpcs=limits.connections,
        options=[
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.so_reuseport", 0),  # a second server on this port fails, and does not share it
            ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),  # finds clients that are gone without a word
        ],
    )
    add_A2AServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    server.add_generic_rpc_handlers([_pause_service(servicer)])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError:
        raise BadInput(f"cannot listen on {settings.host} port {settings.grpc_port} for gRPC; choose another") from None
    await server.start()
    try:
        yield
    finally:
        await server.stop(STOP_SECONDS)


@asynccontextmanager
async def _told(name: str, context: Context) -> AsyncIterator[None]:
    """Writes the line of the log for a call."""
    began, ended = monotonic(), False
    try:
        yield
        ended = True
    except grpc.aio.AbortError:
        ended = True
        raise
    finally:
        code: Any = context.code()  # 0 where nothing has set it
        fields = {
            "verb": "GRPC",
            "method": name.rpartition("/")[2],
            "route": name,
            "status": "CANCELLED" if not ended else code.name if code else "OK",
            "ms": round((monotonic() - began) * 1000, 1),
            **({"owner": _owner.get()} if _owner.get() else {}),
        }
        logs.access.info("request", extra={"fields": fields})


def _pause_service(servicer: Servicer) -> grpc.GenericRpcHandler:
    methods = {
        name: grpc.unary_unary_rpc_method_handler(method, pb.CancelTaskRequest.FromString, pb.Task.SerializeToString)
        for name, method in (("PauseTask", servicer.PauseTask), ("ResumeTask", servicer.ResumeTask))
    }
    return grpc.method_handlers_generic_handler(PAUSE_SERVICE, methods)


@validate_version(constants.PROTOCOL_VERSION_1_0)
async def _require_version(context: ServerCallContext) -> None:
    """Raises VersionNotSupportedError for a call in another version; one that names none is in 0.3."""


def _metadata(context: Context) -> dict[str, str]:
    """The call's metadata in text, the values of a name that comes several times joined."""
    given: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            given[name] = f"{given[name]},{value}" if name in given else value
    return given
