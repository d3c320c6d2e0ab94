"""An answer of a model as a JSON object: by a schema, by a tool, or as JSON in its text, as the endpoint can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.nodes.models.abilities import Abilities
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.objects import objects_in
from holdfast.nodes.models.prompting import Prompt
from holdfast.nodes.models.types import OUTPUT_TOKENS, Fault, Kind, Reply, Request

SHOWN = 20_000  # characters of an answer that are sent back with its faults


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
    model: Model,
    step: str,
    prompt: Prompt,
    messages: Sequence[Mapping[str, Any]],
    schema: Mapping[str, Any],
    *,
    batch: str = "",
    most: int = OUTPUT_TOKENS,
) -> Answer:
    """The model's answer to ``messages`` as an object with some of the schema's properties.

    ``schema`` has a ``title``, which names the tool.  An endpoint that refuses a form gets the question, and all that
    follow, in the next one.  ``batch`` and ``most`` are those of Request.  Raises Fault, and whatever else
    ``Model.complete`` does.
    """
    plain = Request([prompt.message, *messages], prompt=prompt.name, batch=batch, most=most)
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
