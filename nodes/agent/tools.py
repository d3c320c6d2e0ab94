"""Tools of an agent: what a model may call, by name, with arguments that are checked before anything is done.

A tool is an async function ``(arguments, desk) -> text`` whose arguments are a pydantic model and whose docstring is
what the model reads.  What it returns is recorded as a step, so a tool runs once for each call that is on disk.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.agent.files import Files
from holdfast.nodes.agent.reach import Reach

ANSWER = 12_000  # characters of a tool's answer that are kept


class Ask(Protocol):
    """Asks whoever runs the task; the body ends until there is an answer."""

    async def __call__(self, prompt: str, schema: dict[str, Any] | None, default: Any) -> Any: ...


class ToolRefused(BadInput):
    """A tool does not do what it was called for; the sentence is for the model, which may call it otherwise."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a tool may use: the files that the agent was given, the addresses it may reach, and the person to ask."""

    files: Files
    reach: Reach | None
    ask: Ask


Use = Callable[[Any, Desk], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool; ``outside`` says that its answers are material from elsewhere, which is fenced.

    One that ``asks`` is no step of its own, because its answer is kept as that of a question.
    """

    name: str
    use: Use
    arguments: type[BaseModel]
    description: str
    outside: bool = True
    asks: bool = False

    def read(self, written: str) -> BaseModel:
        """The arguments that a model wrote; raises ToolRefused with what is wrong with them."""
        try:
            given = json.loads(written or "{}", strict=False)
        except (ValueError, RecursionError) as error:
            raise ToolRefused(f"the arguments of {self.name} are not JSON: {error}") from None
        try:
            return self.arguments.model_validate(given)
        except ValidationError as error:
            found = (f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()[:5])
            raise ToolRefused(f"the arguments of {self.name} do not fit: {'; '.join(found)}") from None

    def about(self) -> dict[str, Any]:
        """The tool as chat completions describe one."""
        schema = _plain(self.arguments.model_json_schema())
        schema.pop("description", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": schema},
        }


TOOLS: dict[str, Tool] = {}


def tool(
    name: str, *, outside: bool = True, asks: bool = False, tools: dict[str, Tool] = TOOLS
) -> Callable[[Use], Use]:
    """Registers an async function ``(arguments, desk) -> text`` as the tool ``name``; returns it unchanged.

    Raises BadInput if the name is taken by another function or the first parameter is no pydantic model.
    """

    def register(use: Use) -> Use:
        first = next(iter(inspect.signature(use).parameters))
        arguments = typing.get_type_hints(use).get(first)
        if not (isinstance(arguments, type) and issubclass(arguments, BaseModel)) or not name.isidentifier():
            raise BadInput(f"the tool {name!r} needs a word as its name and a pydantic model as its first parameter")
        known = tools.get(name)
        if known and (known.use.__module__, known.use.__qualname__) != (use.__module__, use.__qualname__):
            raise BadInput(f"the tool {name!r} is already taken by {known.use.__module__}")
        tools[name] = Tool(name, use, arguments, inspect.getdoc(use) or "", outside, asks)
        return use

    return register


def chosen(names: Sequence[str], tools: Mapping[str, Tool] = TOOLS) -> dict[str, Tool]:
    """The tools of those names; raises BadInput for one that is not registered."""
    for name in names:
        if name not in tools:
            raise BadInput(f"there is no tool {name!r}; there are {', '.join(sorted(tools))}")
    return {name: tools[name] for name in names}


def clipped(text: str, most: int = ANSWER) -> str:
    """At most so many characters of a text, with a note of what is left out; without what cannot be stored."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return clean if len(clean) <= most else f"{clean[:most]}\n[{len(clean) - most:,} more characters are left out]"


def _plain(schema: Any) -> Any:
    """A schema without the titles that pydantic gives everything."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _plain(one) for name, one in value.items()} if key in ("properties", "$defs") else _plain(value)
        for key, value in schema.items()
        if key != "title"
    }
