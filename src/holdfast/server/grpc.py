"""gRPC: A2A's service and the pause extension's, on a port of their own beside HTTP.

The SDK maps requests to the handler and its errors to statuses.  Every call goes through the guard first, which knows
whose it is, insists on the protocol's version, and lets nothing out of what is raised inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
from a2a.auth.user import UnauthenticatedUser, User
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.grpc_handler import GrpcHandler, GrpcServerCallContextBuilder
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
from a2a.utils import constants
from a2a.utils.errors import A2A_ERROR_REASONS, A2AError
from a2a.utils.grpc_status import status_to_grpc
from a2a.utils.version_validator import validate_version
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from starlette.datastructures import Headers

from holdfast.a2a.errors import INSIDE
from holdfast.a2a.handler import WHO, Handler
from holdfast.checkpoints.errors import BadInput, StoreError
from holdfast.server.body import TOKEN_BYTES
from holdfast.server.calls import DOMAIN, STATUS, Call
from holdfast.server.gate import Gate, Refused, key_in
from holdfast.server.guard import GRPC, Done
from holdfast.server.protocol import HEAD_BYTES, peer_of
from holdfast.server.settings import Settings

log = logging.getLogger("holdfast.server")
PAUSE_SERVICE = "holdfast.a2a.pause_resume.v1.PauseResumeService"
A2A_DOMAIN = "a2a-protocol.org"
EXTENSIONS = HTTP_EXTENSION_HEADER.lower()
KEEPALIVE_SECONDS = 60
IDLE_SECONDS = 60  # after which a connection without a call is closed; clients make another when they need it
STOP_SECONDS = 0.5  # for calls that are about to end; a stream is broken off
Echo: TypeAlias = Callable[[str | None], Mapping[str, str]]
Method: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # which has parameters in its type stubs only
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_owner: ContextVar[str] = ContextVar("holdfast_grpc_owner", default="")
_who: ContextVar[str] = ContextVar("holdfast_grpc_who", default="")


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
            state={"headers": given, WHO: _who.get()},
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

    async def abort_context(self, error: A2AError, context: Context) -> None:
        """Ends a call with an error; one for which the task's state is the cause names it."""
        if not isinstance(error.data, dict) or "state" not in error.data:
            return await super().abort_context(error, context)
        state = {"state": str(error.data["state"])}
        info = ErrorInfo(reason=A2A_ERROR_REASONS[type(error)], domain=A2A_DOMAIN, metadata=state)
        return await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, error.message, info)

    async def _task(
        self,
        request: pb.CancelTaskRequest,
        context: Context,
        method: Callable[[pb.CancelTaskRequest, ServerCallContext], Awaitable[pb.Task]],
    ) -> pb.Task:
        return await self._handle_unary(request, context, lambda call: method(request, call), pb.Task())


class GrpcGuard(grpc.aio.ServerInterceptor):
    """Stands before every method: the gate, the version, the echo, and what must not get out.

    Every method is served as one whose request is a stream, of which one message is read: so a call is let in, or
    refused, by its metadata alone, and the message has to come in time.
    """

    def __init__(self, servicer: Servicer, gate: Gate, echo: Echo, told: Callable[[Done], None]) -> None:
        self._servicer, self._gate, self._echo, self._told = servicer, gate, echo, told

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Method | None]], details: Any
    ) -> Method | None:
        """The method behind the guard; None, as it was found, for one that there is not."""
        method = await continuation(details)
        if method is None:
            return None
        streams = method.response_streaming
        make: Any = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        guarded: Method = make(
            self._behind(details.method, method), method.request_deserializer, method.response_serializer
        )
        return guarded

    def _behind(self, name: str, method: Method) -> Any:
        async def guarded(requests: Any, context: Context) -> Any:
            began, done = monotonic(), False
            try:
                answer = await self._guarded(method, requests, context)
            except grpc.aio.AbortError:
                done = True
                raise
            else:
                done = True
                return answer
            finally:
                code: Any = context.code()  # 0 where nothing has set it
                status = "CANCELLED" if not done else code.name if code else "OK"
                call = Call(name.rpartition("/")[2])
                self._told(Done(GRPC, name, call, status, monotonic() - began, _owner.get()))

        return guarded

    async def _guarded(self, method: Method, requests: Any, context: Context) -> Any:
        try:
            return await self._admitted(method, requests, context)
        except grpc.aio.AbortError:
            raise
        except A2AError as error:
            await self._servicer.abort_context(error, context)
        except Refused as refused:
            await _refuse(context, refused)
        except StoreError as error:
            log.warning("a call could not be let through: %s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, INSIDE)
        except Exception:
            log.exception("a call broke off")
            await context.abort(grpc.StatusCode.INTERNAL, INSIDE)

    async def _admitted(self, method: Method, requests: Any, context: Context) -> Any:
        given, streams = _metadata(context), method.response_streaming
        serve: Any = method.unary_stream if streams else method.unary_unary
        async with self._gate.inside(key_in(Headers(given)), _peer(context)) as visit:
            _owner.set(visit.owner)
            _who.set(visit.who)
            await _require_version(ServerCallContext(state={"headers": given}))
            if echoed := self._echo(given.get(EXTENSIONS)):
                await context.send_initial_metadata([(name.lower(), value) for name, value in echoed.items()])
            with self._gate.room(visit):  # a message that is long in coming waits as well
                request = await self._one(requests)
                if tokens := request.ByteSize() // TOKEN_BYTES:
                    self._gate.take(visit.who, tokens)
                if streams:
                    async for said in serve(request, context):
                        if not visit.over:
                            await context.write(said)
                    return None
                if isinstance(request, pb.SendMessageRequest) and not request.configuration.return_immediately:
                    return await serve(request, context)
            return await serve(request, context)

    async def _one(self, requests: Any) -> Any:
        seconds = self._gate.limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await anext(requests)
        except TimeoutError:
            raise Refused(408, "TOO_SLOW", f"the request did not come in whole within {seconds:g} s") from None
        except (StopAsyncIteration, DecodeError):
            raise Refused(400, "NO_MESSAGE", "what came is no message that this method takes") from None


@asynccontextmanager
async def serving(
    handler: Handler, settings: Settings, gate: Gate, echo: Echo, told: Callable[[Done], None]
) -> AsyncIterator[None]:
    """Serves gRPC meanwhile, on the host of HTTP; raises BadInput if the port is taken."""
    servicer, limits = Servicer(handler, Calls()), settings.limits
    server = grpc.aio.server(
        interceptors=[GrpcGuard(servicer, gate, echo, told)],
        maximum_concurrent_rpcs=limits.connections,
        options=[
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.so_reuseport", 0),  # a second server on this port fails, and does not share it
            ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),  # finds clients that are gone without a word
            ("grpc.max_allowed_incoming_connections", limits.connections),
            ("grpc.server_handshake_timeout_ms", int(limits.header_seconds * 1000)),
            ("grpc.http2.settings_timeout", int(limits.header_seconds * 1000)),
            ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
            ("grpc.max_metadata_size", HEAD_BYTES),
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


async def _refuse(context: Context, refused: Refused) -> None:
    details: list[Message] = [ErrorInfo(reason=refused.reason, domain=DOMAIN)]
    if seconds := refused.headers.get("Retry-After"):
        details.append(RetryInfo(retry_delay=Duration(seconds=int(seconds))))
    await _abort(context, grpc.StatusCode[STATUS[refused.status]], str(refused), *details)


async def _abort(context: Context, code: grpc.StatusCode, sentence: str, *details: Message) -> None:
    status = status_pb2.Status(code=code.value[0], message=sentence)
    for detail in details:
        status.details.add().Pack(detail)
    rich = status_to_grpc(status)
    await context.abort(rich.code, rich.details or "", rich.trailing_metadata)


def _pause_service(servicer: Servicer) -> grpc.GenericRpcHandler:
    methods = {
        name: grpc.unary_unary_rpc_method_handler(method, pb.CancelTaskRequest.FromString, pb.Task.SerializeToString)
        for name, method in (("PauseTask", servicer.PauseTask), ("ResumeTask", servicer.ResumeTask))
    }
    return grpc.method_handlers_generic_handler(PAUSE_SERVICE, methods)


@validate_version(constants.PROTOCOL_VERSION_1_0)
async def _require_version(context: ServerCallContext) -> None:
    """Raises VersionNotSupportedError for a call in another version; one that names none is in 0.3."""


def _peer(context: Context) -> str:
    """Whose connection a call came by: gRPC says `ipv4:127.0.0.1:50000`, or `ipv6:%5B::1%5D:50000`."""
    address, _, port = unquote(context.peer()).partition(":")[2].rpartition(":")
    return peer_of((address.strip("[]"), int(port)))


def _metadata(context: Context) -> dict[str, str]:
    """The call's metadata in text, the values of a name that comes several times joined."""
    given: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            given[name] = f"{given[name]},{value}" if name in given else value
    return given
