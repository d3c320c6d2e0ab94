"""The body of a request before anything parses it: text, not too deep, not too many values, only finite numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from starlette.datastructures import Headers

from holdfast.server.calls import Call, call_of, is_a2a
from holdfast.server.gate import Refused
from holdfast.server.settings import Limits

JSON = "application/json"
TOKEN_BYTES, TOKEN_VALUES = 32 * 1024, 500  # of a body that cost as much as another request
DIGITS = 300  # of a whole number; more than 308 are no finite float
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {byte: 1 if byte in b"[{" else -1 for byte in b"[]{}"}


def require_sound(body: bytes, path: str, headers: Headers, limits: Limits) -> int:
    """About how many JSON values the body has; refuses one that the parsers behind would stumble over.

    That is one that is no text, is nested too deeply, has very many values, or is not said to be JSON where it has to.
    """
    try:
        if b"\0" in body:
            raise Refused(400, "NOT_TEXT", "the body has to be JSON in UTF-8")
        body.decode()
    except UnicodeDecodeError:
        raise Refused(400, "NOT_TEXT", "the body has to be JSON in UTF-8") from None
    if deeper_than(body, limits.depth):
        raise Refused(400, "TOO_DEEP", f"the body is nested more than {limits.depth} levels deep")
    if (values := values_in(body)) > limits.values:
        sentence = f"the body has more than {limits.values:,} JSON values; send what is large as a file"
        raise Refused(413, "TOO_MANY_VALUES", sentence)
    if body and is_a2a(path) and not is_json(headers.get("content-type", JSON)):
        sentence = f"the body has to be JSON, with the Content-Type {JSON} or application/a2a+json"
        raise Refused(415, "CONTENT_TYPE_NOT_SUPPORTED", sentence)
    return values


def look_at(body: bytes, path: str, scope: Mapping[str, Any]) -> Call:
    """What the request calls; refuses numbers that are not finite, and texts that cannot be written again."""
    try:
        said = json.loads(body, parse_constant=_number, parse_float=_number, parse_int=_whole) if body else None
    except _NotFinite:
        raise Refused(
            400, "NOT_FINITE", "a number in the body is not finite: JSON has no NaN and no Infinity"
        ) from None
    except ValueError:
        said = None  # what is no JSON is told so behind, in the words of the binding
    if b"\\u" in body and not is_text(said):
        raise Refused(400, "NOT_TEXT", "a text in the body has half a character: a surrogate without its other half")
    return call_of(scope["method"], path, said, scope["query_string"])


def is_text(said: Any) -> bool:
    """Whether every text inside a JSON value can be written again."""
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON's, or one that is built on it."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or (kind.startswith("application/") and kind.endswith("+json"))


def deeper_than(body: bytes, depth: int) -> bool:
    """Whether JSON text nests objects and lists deeper than that; what is not JSON is judged alike."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    brackets = _TEXT.sub(b"", body).translate(None, _NO_BRACKETS)
    return any(level > depth for level in accumulate(map(_STEPS.__getitem__, brackets)))


def values_in(body: bytes) -> int:
    """How many values JSON text has at most, each of which but the first has a comma or a bracket before it."""
    signs = (b",", b"[", b"{")
    if (few := sum(map(body.count, signs))) < TOKEN_VALUES:
        return few
    bare = _TEXT.sub(b"", body)
    return sum(map(bare.count, signs))


class _NotFinite(Exception):
    """A number that the parsers behind take, and cannot write again."""


def _number(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise _NotFinite


def _whole(text: str) -> int:
    if len(text) <= DIGITS:
        return int(text)
    raise _NotFinite
