"""How many tokens a text has at most, without a vocabulary: that would have to be fetched over the network.

The tokens of today's models are pieces of UTF-8 of a byte or more, so a text has at most as many tokens as bytes.
Letters and spaces come in longer pieces in all languages that are written with the Latin alphabet: two of them to a
token is still about twice as many as any model counts in prose.  Everything else (digits, signs, other alphabets)
counts as one for each byte.
"""

from __future__ import annotations

import json
import string
from typing import Any

from holdfast.nodes.models.types import Request

SHORT = (string.ascii_letters + " ").encode()
BESIDE, EACH = 64, 8  # tokens that a server's template adds, to a call and to each message of it


def most(text: str) -> int:
    """Tokens of a text, at least as many as a model counts in prose, code or JSON."""
    data = text.encode("utf-8", "replace")
    others = len(data.translate(None, SHORT))
    return others + (len(data) - others + 1) // 2


def most_of(request: Request) -> int:
    """Tokens that a request takes in."""
    parts: list[Any] = [*request.messages, *request.tools, *([request.schema] if request.schema else [])]
    written = sum(most(json.dumps(part, ensure_ascii=False)) for part in parts)
    return BESIDE + EACH * len(request.messages) + written
