"""An agent's conversation with its model: what was said, which calls are wanted, and how it is kept within bounds.

Pure, and made anew from what is recorded whenever the agent starts again, so equal records give equal messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.nodes.models.prompting import fenced
from holdfast.nodes.models.types import Reply, ToolCall

ROOM = 100_000  # characters of a conversation that are sent: about 25,000 tokens
LEAST = 4_000
KEPT = 300  # characters that stay of a tool's answer that is shortened
SAID = 8_000  # characters of a message of the user
_MARK = re.compile(r"\[(\d+\.\d+)\]")
_FENCE = re.compile(r"\A\s*```\w*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Note:
    """One message; ``result`` is the answer of a tool, which may be shortened; ``label`` what it is fenced as."""

    message: Mapping[str, Any]
    result: str = ""
    label: str = ""
    head: str = ""

    def render(self) -> dict[str, Any]:
        """As it is sent."""
        if not self.result:
            return dict(self.message)
        body = fenced(self.label, self.result) if self.label else self.result
        return {**self.message, "content": self.head + body}

    def shortened(self) -> Note:
        """With the beginning of a tool's answer only."""
        if len(self.result) <= 2 * KEPT:
            return self
        left = len(self.result) - KEPT
        return replace(self, result=f"{self.result[:KEPT]}\n[{left:,} characters were taken out; call it again to see]")

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.result) + len(self.head) + len(json.dumps(self.message, ensure_ascii=False))


@dataclass(slots=True)
class Talk:
    """All messages so far; ``room`` is how many characters of them are sent."""

    notes: list[Note] = field(default_factory=list)
    room: int = ROOM

    def tell(self, text: str, role: str = "user") -> None:
        """Adds a message of ours."""
        self.notes.append(Note({"role": role, "content": text}))

    def heard(self, reply: Reply) -> None:
        """Adds what the model said."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _sound(call)}}
                for call in reply.calls
            ]
        self.notes.append(Note(message))

    def answered(self, call: ToolCall, mark: str, text: str, label: str) -> None:
        """Adds a tool's answer, as a tool's message if the model called it as a tool."""
        head = f"[{mark}] {call.name} gave:\n"
        message = {"role": "tool", "tool_call_id": call.id} if call.id else {"role": "user"}
        self.notes.append(Note(message, text or "(nothing)", label, head))

    def messages(self) -> list[dict[str, Any]]:
        """What is sent: all of it, or, where that is too long, with the oldest answers of tools shortened."""
        notes = list(self.notes)
        over = sum(note.size for note in notes) - self.room
        for at, note in enumerate(notes):
            if over <= 0:
                break
            notes[at] = note.shortened()
            over -= note.size - notes[at].size
        return [note.render() for note in notes]


def wanted(reply: Reply, tools: Iterable[str]) -> Sequence[ToolCall]:
    """The calls in a reply: those of its own, or those that its whole text is as JSON, whose ids are empty."""
    if reply.calls:
        return reply.calls
    known = set(tools)
    given = value_of(reply.text)
    several = given if isinstance(given, list) else [given]
    if not several or not all(isinstance(one, dict) and one.get("tool") in known for one in several):
        return ()
    return [ToolCall("", one["tool"], json.dumps(one.get("arguments", {}), ensure_ascii=False)) for one in several]


def value_of(text: str) -> Any:
    """The JSON value that a text is, inside a code fence too; None if it is none."""
    inside = _FENCE.match(text)
    try:
        return json.loads(inside[1] if inside else text, strict=False, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def marks(answer: Any) -> list[str]:
    """The calls that an answer names as its evidence, such as 2.1 for [2.1], in order, each once."""
    if isinstance(answer, str):
        return list(dict.fromkeys(_MARK.findall(answer)))
    values = answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, list) else ()
    return list(dict.fromkeys(mark for one in values for mark in marks(one)))


def without(answer: Any, unknown: set[str]) -> Any:
    """The answer without marks of calls that there were not."""
    if isinstance(answer, str):
        return _MARK.sub(lambda found: "" if found[1] in unknown else found[0], answer)
    if isinstance(answer, Mapping):
        return {key: without(one, unknown) for key, one in answer.items()}
    return [without(one, unknown) for one in answer] if isinstance(answer, list) else answer


def same(call: ToolCall) -> str:
    """What two equal calls have in common, however their arguments are written."""
    try:
        return f"{call.name} {json.dumps(json.loads(call.arguments), sort_keys=True)}"
    except (ValueError, RecursionError):
        return f"{call.name} {call.arguments}"


def _sound(call: ToolCall) -> str:
    """The arguments as they can be sent back: some servers read them, and refuse what is not JSON."""
    try:
        json.loads(call.arguments)
    except (ValueError, RecursionError):
        return "{}"
    return call.arguments


def _refuse(name: str) -> None:
    raise ValueError(name)
