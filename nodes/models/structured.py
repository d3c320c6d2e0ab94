"""An answer of a model as a JSON object: by a schema, by a tool, or as JSON in its text, as the endpoint can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.nodes.models.abilities import Abilities
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.prompting import Prompt
from holdfast.nodes.models.types import Fault, Kind, Reply, Request

SHOWN = 20_000  # characters of an answer that are sent back with its faults
PIECE = 1024  # characters that an object is looked for in at first
LONGEST_TOKEN = 16  # characters that a cut may leave of one
DEEPEST = 20  # times that a text may turn out to be nested too deeply before it is given up


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)
_OPENING = re.compile(r"\{\s*[\"}]")


class NoObject(Exception):
    """An answer has no JSON object of the wanted kind in it; the sentence is for whoever gave it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and the object in it; ``fault`` says why there is none."""

    said: str
    object: Mapping[str, Any] | None
    fault: str = ""

    @property
    def message(self) -> dict[str, str]:
        """The answer as a message of the conversation, which goes on after it."""
        text = self.said if self.object is None else json.dumps(self.object, ensure_ascii=False)
        return {"role": "assistant", "content": text[:SHOWN].encode("utf-8", "replace").decode()}


async def ask(
    model: Model, step: str, prompt: Prompt, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]
) -> Answer:
    """The model's answer to ``messages`` as an object with some of the schema's properties.

    ``schema`` has a ``title``, which names the tool.  An endpoint that refuses a form gets the question, and all that
    follow, in the next one.  Raises Fault, and whatever else ``Model.complete`` does.
    """
    plain = Request([prompt.message, *messages], prompt=prompt.name)
    while True:
        formed = _formed(plain, await model.abilities(), schema)
        form = " as text" if formed == plain else " by tool" if formed.tools else ""
        try:
            reply = await model.complete(step + form, formed)
            break
        except Fault as fault:
            if fault.kind is not Kind.BAD_REQUEST or formed == plain:
                raise
            await model.lacks(formed)
    said = next((call.arguments for call in reply.calls), reply.text)
    try:
        return Answer(said, read_object(reply, schema))
    except NoObject as why:
        return Answer(said, None, str(why))


def _formed(request: Request, abilities: Abilities, schema: Mapping[str, Any]) -> Request:
    """The request in the strictest form that the endpoint takes; the prompt itself asks for JSON in any case."""
    if abilities.schema:
        return replace(request, schema=schema)
    if abilities.tools:
        name = schema["title"]
        about = {"name": name, "description": f"Gives the {name}.", "parameters": schema}
        return replace(request, tools=[{"type": "function", "function": about}])
    return request


def read_object(reply: Reply, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last object in an answer, in a call or in the text, that has a property of the schema; raises NoObject."""
    known = schema["properties"].keys()
    found = [one for call in reply.calls for one in objects_in(call.arguments)] or list(objects_in(reply.text))
    fitting = [one for one in found if known & one.keys()]
    if fitting:
        return fitting[-1]
    if found:
        raise NoObject(f"the JSON object has none of {', '.join(map(repr, known))}")
    raise NoObject("the answer has no complete JSON object")


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
