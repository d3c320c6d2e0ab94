"""The HTTP under a model's calls: answers have a limit, go to nobody else, and always come as a stream.

A server that answers a streamed request in one piece, as some do, is heard all the same: its answer is turned into a
stream of one chunk.  So is what a server sends that was asked not to stream.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

_DONE = re.compile(rb"data:\s*\[DONE\]")
_REASON = re.compile(rb'"finish_reason"\s*:\s*"')
_STOP = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
_IDLE = re.compile(rb":|(?:id|retry)\s*(?::|$)")  # begins a line that says nothing
ANSWER_BYTES = 9_000_000  # on the wire, where a streamed token takes some 250
SHORT_SECONDS = 10.0  # to be connected


class TooLarge(httpx.DecodingError):
    """An answer of more than ``ANSWER_BYTES``."""


class NoCompletion(httpx.DecodingError):
    """An answer that is neither JSON nor a stream of events, or compressed although that was not asked for."""


def client(
    timeout: float, *, local: bool, secure: bool = True, login: tuple[str, str] | None = None
) -> httpx.AsyncClient:
    """A client that follows no redirect; proxies of the environment are used but for a server on this machine.

    Not ``secure``, it is for http:// only and need not load certificates, which takes longer than a call.
    """
    return _Client(
        timeout=httpx.Timeout(timeout, connect=min(SHORT_SECONDS, timeout)),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        follow_redirects=False,
        trust_env=not local,
        verify=secure or not local,
        headers={"Accept-Encoding": "identity"},
        auth=httpx.BasicAuth(*login) if login else None,
    )


class _Client(httpx.AsyncClient):
    """Guards each response before anybody reads it, whatever transport or proxy brought it."""

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        response = await super().send(request, **{**how, "stream": True, "follow_redirects": False})
        response.stream = _Limited(response.stream)
        try:
            if response.is_success:
                await _made_stream(response)
            if not how.get("stream"):
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response


class _Limited(httpx.AsyncByteStream):
    """A body up to its limit."""

    def __init__(self, body: Any) -> None:
        self._body, self._left = body, ANSWER_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            self._left -= len(part)
            if self._left < 0:
                raise TooLarge("too large")
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()


class _Events(httpx.AsyncByteStream):
    """A stream of events without what only other clients need, and OpenAI's takes for an empty event.

    That is a mark of the byte order, comments, ids and times to wait.  A stream that says that it is done, and not why
    it ended, has stopped; one that says neither was cut off.
    """

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body, self._reasoned = body, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest, first = b"", True
        async for part in self._body:
            *lines, rest = (rest + part).splitlines(keepends=True) or [b""]
            if rest.endswith(b"\n"):
                lines, rest = [*lines, rest], b""
            if lines and first:
                lines[0], first = lines[0].removeprefix(codecs.BOM_UTF8), False
            if kept := b"".join(self._heard(line) for line in lines if not _IDLE.match(line)):
                yield kept
        if rest and not _IDLE.match(rest):
            yield self._heard(rest.removeprefix(codecs.BOM_UTF8) if first else rest)

    def _heard(self, line: bytes) -> bytes:
        self._reasoned = self._reasoned or _REASON.search(line) is not None
        return line if self._reasoned or not _DONE.match(line) else _STOP + line

    async def aclose(self) -> None:
        await self._body.aclose()


async def _made_stream(response: httpx.Response) -> None:
    """Turns a JSON answer into a stream; raises NoCompletion for what is neither."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.headers.get("content-encoding", "identity") != "identity" or kind == "text/html":
        raise NoCompletion("no completion")
    if kind == "text/event-stream":
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Events(response.stream)
        return
    whole, body = response.stream, bytearray()
    assert isinstance(whole, httpx.AsyncByteStream)
    try:
        async for part in whole:
            body += part
    finally:
        await whole.aclose()
    if kind == "application/json" or body.lstrip().startswith(b"{"):
        body = bytearray(as_stream(bytes(body)))
    response.stream = httpx.ByteStream(bytes(body))
    response.headers["content-type"] = "text/event-stream"


def as_stream(body: bytes) -> bytes:
    """A completion, or an error, as the events of a stream; raises NoCompletion for what is no JSON object."""
    try:
        whole = json.loads(body)
    except ValueError:
        whole = None
    if not isinstance(whole, dict):
        raise NoCompletion("no completion")
    choices = whole.get("choices")
    if isinstance(choices, list):
        whole["choices"] = [_as_chunk(choice) for choice in choices]
    return f"data: {json.dumps(whole)}\n\ndata: [DONE]\n\n".encode()


def _as_chunk(choice: Any) -> Any:
    if not isinstance(choice, dict) or "message" not in choice:
        return choice
    message = choice.pop("message")
    return {**choice, "delta": message, "finish_reason": choice.get("finish_reason") or "stop"}
