"""What is taken out of a model's stream before OpenAI's client reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from holdfast.nodes.models.transport import _Events

ANSWER = b'data: {"finish_reason": "stop"}\n\ndata: [DONE]\n\n'


class Parts(httpx.AsyncByteStream):
    """A body in pieces of that size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), self._size):
            yield self._body[at : at + self._size]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "sent",
    [
        ANSWER,
        b"\xef\xbb\xbf" + ANSWER,
        b"retry: 3000\n" + ANSWER,
        b": ping\n" + ANSWER,
        b"id: 1\n" + ANSWER.replace(b"\n\n", b"\n: ping\n\n", 1),
        b"id\n" + ANSWER,
        ANSWER.rstrip(),
    ],
)
async def test_only_what_says_something_is_passed_on(sent: bytes, size: int) -> None:
    heard = b"".join([part async for part in _Events(Parts(sent, size))])
    assert heard.rstrip() == ANSWER.rstrip()


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_stream_that_is_done_and_says_no_reason_has_stopped(size: int) -> None:
    sent = b'data: {"finish_reason": null}\r\n\r\ndata:[DONE]\r\n\r\n'
    heard = b"".join([part async for part in _Events(Parts(sent, size))])
    assert heard.count(b'"finish_reason": "stop"') == 1
    assert heard.index(b'"stop"') < heard.index(b"[DONE]")
    cut = b'data: {"finish_reason": null}\n\n'
    assert b"".join([part async for part in _Events(Parts(cut, size))]) == cut


@pytest.mark.parametrize("line", [b"identity: x\n", b"data: : \n", b'{"error": 1}', b"error: no\n"])
async def test_other_lines_stay_as_they_are(line: bytes) -> None:
    assert b"".join([part async for part in _Events(Parts(line, 2))]) == line
