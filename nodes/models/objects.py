"""JSON objects inside what a model has written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

PIECE = 1024  # characters that an object is looked for in at first
LONGEST_TOKEN = 16  # characters that a cut may leave of one
DEEPEST = 20  # times that a text may turn out to be nested too deeply before it is given up


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)
_OPENING = re.compile(r"\{\s*[\"}]")


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects inside a text, whatever stands round them; in time linear in its length."""
    start, too_deep = _OPENING.search(text), 0
    while start and too_deep < DEEPEST:
        at = start.start()
        try:
            value, end = _decoded(text, at)
        except json.JSONDecodeError as error:
            end = at + max(1, error.pos)  # what was read so far is no object, nor are the pieces of it
        except RecursionError:
            end, too_deep = at + 1, too_deep + 1
        except ValueError:  # a number that is none in JSON, or too long to be read
            end = at + 1
        else:
            yield value
        start = _OPENING.search(text, end)


def _decoded(text: str, at: int) -> tuple[dict[str, Any], int]:
    """The object that begins there, and where it ends; an error's ``pos`` counts from there.

    Read from a piece that grows only while it may have cut the object off: an error costs as much as its text is long.
    """
    size = PIECE
    while True:
        piece = text[at : at + size]
        try:
            value, length = _DECODER.raw_decode(piece)
        except json.JSONDecodeError as error:
            cut_off = error.msg.startswith("Unterminated") or error.pos > len(piece) - LONGEST_TOKEN
            if not cut_off or at + size >= len(text):
                raise
            size *= 8
        else:
            return value, at + length
