"""Stands before an ASGI application: who asks, from where, how much and how often.

It is plain ASGI, so streams flow through it.  What it refuses is told in one sentence, in the words of the binding.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from a2a.extensions.common import HTTP_EXTENSION_HEADER
from starlette.authentication import SimpleUser
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.a2a.errors import INSIDE
from holdfast.a2a.handler import WHO
from holdfast.a2a.turns import Turns
from holdfast.checkpoints.errors import StoreError
from holdfast.server.body import TOKEN_BYTES, TOKEN_VALUES, is_json, look_at, require_sound
from holdfast.server.calls import NOTHING, Call, refusal
from holdfast.server.gate import Gate, Refused, Visit, key_in, named
from holdfast.server.protocol import CROWDED, CRUMBS, peer_of

log = logging.getLogger("holdfast.server")
CARD, ALIVE = "/.well-known/agent-card.json", "/healthz"
PUBLIC = frozenset({CARD, ALIVE})
GRPC = "GRPC"  # the verb, in logs and metrics, of a call over gRPC, whose status is a word
GONE = 499  # the status, in logs and metrics, of a request whose client went away
CLOSING_SECONDS = 0.25  # for requests under way, once the server ends; a stream ends at once
LEFT_SECONDS = 1.0  # for a request under way, once its client has gone; what it writes is soon written, what waits ends
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+?)\.?)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Done:
    """A request that was answered; ``route`` is the template of its address, "" if it has none here."""

    verb: str
    route: str
    call: Call
    status: int | str
    seconds: float
    owner: str


class Guard:
    """``app`` behind host and origin checks, the gate, and limits.

    ``names`` are the host names by which requests may call this server, beside the address they came to; ``echo``
    gives the response header for requested extensions; ``told`` learns of every request once it has been answered;
    ``turns`` is where large bodies are looked at.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        names: frozenset[str],
        public: frozenset[str] = PUBLIC,
        echo: Callable[[str | None], Mapping[str, str]] = lambda requested: {},
        told: Callable[[Done], None] = lambda done: None,
        turns: Turns | None = None,
    ) -> None:
        self.app, self.gate, self.told, self._limits = app, gate, told, gate.limits
        self._names, self._public, self._echo, self._turns = names, public, echo, turns or Turns()
        self._bodies: Counter[str] = Counter()
        self._open: set[_Request] = set()
        self._closing = False

    def close(self) -> None:
        """Lets no more in; ends streams now, and what else is under way in a moment."""
        self._closing = True
        for request in self._open:
            request.end(0 if request.streaming else CLOSING_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything else than HTTP and the application's lifespan is turned away."""
        if scope["type"] == "http":
            await self._serve(_Request(scope, receive, send, self._echo))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)

    async def _serve(self, request: _Request) -> None:
        began = monotonic()
        self._open.add(request)
        try:
            await self._answer(request)
        except Refused as refused:
            await request.refuse(refused)
        except _Gone:
            pass
        except StoreError as error:
            log.warning("a request could not be let through: %s", error)
            await request.refuse(Refused(503, "UNAVAILABLE", INSIDE, {"Retry-After": "1"}))
        except Exception:
            log.exception("a request broke off")
            await request.refuse(Refused(500, "INTERNAL", INSIDE))
        finally:
            self._open.discard(request)
            self._bodies[request.who] -= request.held
            if not self._bodies[request.who]:
                del self._bodies[request.who]
            self.told(request.done(monotonic() - began))

    async def _answer(self, request: _Request) -> None:
        cut = asyncio.timeout(None)
        try:
            async with cut:
                request.cut = cut
                async with self._admitted(request):
                    request.scope[WHO] = request.who
                    await self._read(request)
                    await self._pass(request)
        except TimeoutError:
            if not cut.expired():
                raise
            if request.left:
                raise _Gone from None
            sentence = "this server is going down; what it had taken on goes on, so ask again in a moment"
            raise Refused(503, "UNAVAILABLE", sentence, {"Retry-After": "1"}, close=True) from None
        finally:
            request.cut = None

    @asynccontextmanager
    async def _admitted(self, request: _Request) -> AsyncIterator[None]:
        """What the head of a request says: where it wants to go, from where it comes, and who sends it."""
        if self._closing:
            raise Refused(503, "UNAVAILABLE", "this server is going down", {"Retry-After": "1"}, close=True)
        require_host(request.headers, self._names, request.scope.get("server"))
        require_origin(request.headers)
        require_one_length(request.headers)
        if request.path == ALIVE:
            yield
            return
        if request.crowded:
            sentence = "too many connections are open; close some, or try again in a moment"
            raise Refused(503, "TOO_MANY_CONNECTIONS", sentence, {"Retry-After": "1"})
        if request.path in self._public:
            self.gate.take(request.who)
            yield
            return
        async with self.gate.inside(key_in(request.headers), request.peer) as request.visit:
            if request.owner:
                request.scope["user"] = SimpleUser(request.owner)
            yield

    async def _read(self, request: _Request) -> None:
        limits, chunks, size = self._limits, list[bytes](), 0
        too_large = Refused(413, "TOO_LARGE", f"a request may have at most {limits.body_bytes:,} bytes", close=True)
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdecimal() and (len(declared) > 18 or int(declared) > limits.body_bytes):
            raise too_large
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.chunks():
                    if CRUMBS in request.scope.get("state", ()):
                        sentence = "the body comes in too small chunks, or with too much around them; send larger ones"
                        raise Refused(400, "TOO_SMALL_CHUNKS", sentence, close=True)
                    size += len(chunk)
                    if size > limits.body_bytes:
                        raise too_large
                    self._hold(request, len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            late = f"the request did not come in whole within {limits.body_seconds:g} s"
            raise Refused(408, "TOO_SLOW", late, close=True) from None
        request.body = b"".join(chunks)
        body, path = request.body, request.path
        values = await self._turns.make(request.who, size, require_sound, body, path, request.headers, limits)
        if tokens := size // TOKEN_BYTES + values // TOKEN_VALUES:
            self.gate.take(request.who, tokens)
        request.call = await self._turns.make(request.who, size, look_at, body, path, request.scope)

    def _hold(self, request: _Request, size: int) -> None:
        """Counts bytes of a body, which is kept until its request has been answered."""
        limits, again = self._limits, {"Retry-After": "1"}
        if self._bodies[request.who] + size > limits.owner_bodies_bytes:
            sentence = f"one owner's requests under way may have {limits.owner_bodies_bytes:,} bytes together"
            raise Refused(429, "TOO_MUCH_AT_ONCE", f"{sentence}; send this one again in a moment", again, close=True)
        if self._bodies.total() + size > limits.bodies_bytes:
            sentence = "this server has as much to read as it can keep; send the request again in a moment"
            raise Refused(503, "TOO_MUCH_AT_ONCE", sentence, again, close=True)
        self._bodies[request.who] += size
        request.held += size

    async def _pass(self, request: _Request) -> None:
        request.streaming = request.call.streams or "text/event-stream" in request.headers.get("accept", "")
        waits = request.visit if request.streaming or request.call.waits else None
        with self.gate.room(waits) if waits else nullcontext():
            async with request.watched():
                await self.app(request.scope, request.receive, request.send)


class _Gone(Exception):
    """The client went away before its request was whole."""


class _Request:
    """One request and its answer on the way out."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, echo: Callable[[str | None], Mapping[str, str]]
    ) -> None:
        self.scope, self.headers = scope, Headers(scope=scope)
        self.path = scope["path"].removeprefix(scope.get("root_path", ""))
        self.body, self.call, self.streaming = b"", NOTHING, False
        self.held = 0  # bytes of the body, counted for who sends it
        self.visit: Visit | None = None  # once it has been let in by its key
        self.peer = peer_of(scope.get("client"))
        self.crowded = CROWDED in scope.get("state", ())  # its connection is one too many
        self.cut: asyncio.Timeout | None = None
        self._receive, self._send, self._echo = receive, send, echo
        self._more = True  # of the body is to come
        self._handed = False  # the body, to the application
        self._away = asyncio.Event()  # nothing more is to be heard of the client, or told to it
        self.left = False  # the client has, before its answer was whole
        self._status, self._whole, self._end = 0, False, b""

    @property
    def owner(self) -> str:
        """Whose key it came with, "" for nobody's."""
        return self.visit.owner if self.visit else ""

    @property
    def who(self) -> str:
        """Who is to be counted for it."""
        return named(self.owner, self.peer)

    async def chunks(self) -> Any:
        """The body as it comes; raises _Gone."""
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            self._more = message.get("more_body", False)
            yield message.get("body", b"")

    async def receive(self) -> Message:
        """For the application: the body at once, then what becomes of the connection."""
        if not self._handed:
            self._handed = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self._away.wait()
        return {"type": "http.disconnect"}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Looks meanwhile whether the client is still there; once it is not, the application has to end soon."""
        watch = asyncio.create_task(self._watch(), name="holdfast-watch")
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._away.set()
        if not self._whole:
            self.left = True
            self.end(LEFT_SECONDS)

    async def send(self, message: Message) -> None:
        """For the application: the answer, of which nothing is told whose key is known no more."""
        if not (self.visit and self.visit.over):
            await self._tell(message)

    async def _tell(self, message: Message) -> None:
        """The answer, to which headers are added."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            for name, value in self._echo(",".join(self.headers.getlist(HTTP_EXTENSION_HEADER))).items():
                headers.setdefault(name, value)
            if self.crowded:
                headers["connection"] = "close"
            self._end = _end_of_line(headers)
            message = {**message, "headers": headers.raw}
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True
            message = {**message, "body": message.get("body", b"") + self._end}
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        """Answers instead of the application; an answer that has begun is brought to its end."""
        if self._whole:
            return
        if self._status:
            await self._tell({"type": "http.response.body", "body": b"", "more_body": False})
            return
        body = json.dumps(refusal(self.path, self.call.id, refused.status, refused.reason, str(refused))).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refused.headers}
        if refused.close or (self._more and self._has_body()):
            headers["Connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._tell({"type": "http.response.start", "status": refused.status, "headers": raw})
        await self._tell({"type": "http.response.body", "body": body, "more_body": False})

    def end(self, seconds: float) -> None:
        """Cuts the application off then, unless it is done by then or is to be cut off before."""
        if self.cut and not self.cut.expired():
            at = asyncio.get_running_loop().time() + seconds
            self.cut.reschedule(min(at, self.cut.when() or at))

    def done(self, seconds: float) -> Done:
        """How it went."""
        route = getattr(self.scope.get("route"), "path", "")
        return Done(self.scope["method"], route, self.call, self._status or GONE, seconds, self.owner)

    def _has_body(self) -> bool:
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"


def require_host(headers: Headers, names: frozenset[str], server: tuple[str, int | None] | None) -> None:
    """Refuses a request for another host: a page elsewhere whose name was made to lead here (DNS rebinding)."""
    found = _HOST.fullmatch(headers.get("host", "").lower())
    if not found:
        raise Refused(400, "INVALID_HOST", "the request has to name this server in one Host header")
    if (found[1] or found[2]) not in names | {server[0].lower() if server else ""}:
        sentence = "this server does not go by the name in the Host header; `holdfast serve --allow-host` adds names"
        raise Refused(421, "UNKNOWN_HOST", sentence)


def _end_of_line(headers: MutableHeaders) -> bytes:
    """What ends an answer that is JSON, for terminals; its length is told with it.  A file is left as it is."""
    length = headers.get("content-length", "0")
    if length == "0" or "accept-ranges" in headers or not is_json(headers.get("content-type", "")):
        return b""
    headers["content-length"] = str(int(length) + 1)
    return b"\n"


def require_one_length(headers: Headers) -> None:
    """Refuses a body with two lengths, of which a proxy may believe the other one (RFC 9112, 6.1)."""
    if "transfer-encoding" in headers and "content-length" in headers:
        sentence = "a request has Content-Length or Transfer-Encoding, and not both"
        raise Refused(400, "TWO_LENGTHS", sentence, close=True)


def require_origin(headers: Headers) -> None:
    """Refuses what a web page sends that this server has not given out itself."""
    origins = headers.getlist("origin")
    if len(origins) > 1 or any(_place(one) != headers.get("host", "").lower() for one in origins):
        raise Refused(403, "FOREIGN_ORIGIN", "this server takes no requests from web pages of other origins")


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
