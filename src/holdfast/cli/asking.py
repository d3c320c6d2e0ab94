"""Questions in words: what an answer looks like, the command that gives it, and what typed text means.

Pure, and light enough for commands that load no LangGraph; ``prompt`` has the conversation in a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput, InvalidAnswer
from holdfast.checkpoints.questions import Question
from holdfast.cli.common import Target
from holdfast.nodes import replies

APPROVAL = "approve, reject REASON, or @FILE with an edited plan"
YES_NO = {"y": True, "yes": True, "n": False, "no": False}
LARGEST = 16 << 20
Schema = Mapping[str, Any]


def hint(question: Question) -> str:
    """What may be answered, in a few words."""
    if question.kind == "approval":
        return APPROVAL
    return describe(question.schema) if question.schema else "text or JSON"


def describe(schema: Any) -> str:
    """A JSON schema in a few words."""
    if not isinstance(schema, Mapping) or not schema:
        return "any JSON"
    if several := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(describe(one) for one in several)
    if "const" in schema:
        return _plain(schema["const"])
    if "enum" in schema:
        *others, last = map(_plain, schema["enum"])
        return f"{', '.join(others)} or {last}" if others else last
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    forms = (FORMS.get(str(one)) for one in kinds)
    return " or ".join(form(schema) if form else "any JSON" for form in forms)


def default(question: Question) -> str | None:
    """The default answer as it would be typed."""
    return None if question.default is None else _plain(json.loads(question.default))


def command(to: Target, task: str, question: Question) -> str:
    """The command that answers a question; VALUE stands for what only a person can know."""
    words = ["answer", task[:8], "--question", question.id]
    if question.kind == "approval":
        return to.command(*words, "approve")
    choices = (question.schema or {}).get("enum")
    given = default(question)
    return to.command(*words, given if given is not None else _plain(choices[0]) if choices else "VALUE")


def read(text: str, question: Question) -> Any:
    """The answer that a person has typed; ``@FILE`` stands for what the file holds, ``@@`` for an @.

    Raises BadInput for a file that cannot be read and InvalidAnswer for words that are none of an approval's.
    """
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        text = _file(text[1:])
    if question.kind == "approval":
        return _approval(text, question)
    if (question.schema or {}).get("type") == "boolean" and text.strip().lower() in YES_NO:
        return YES_NO[text.strip().lower()]
    return replies.read(text, question)


def edits_plan(question: Question, value: Any) -> bool:
    """Whether an answer carries a plan, which has to be checked against the registered task types."""
    return question.kind == "approval" and isinstance(value, dict) and "edit" in value


def _approval(text: str, question: Question) -> Any:
    """``approve``, ``reject REASON``, or JSON: a plan, or what the question's schema has."""
    word, _, rest = text.strip().partition(" ")
    match word.lower().rstrip(":"):
        case "approve" | "approved" | "yes" | "y" | "ok" if not rest:
            return "approve"
        case "reject" | "no" | "n":
            return {"reject": rest.strip()}
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise InvalidAnswer(question.id, f"say {APPROVAL}") from None
    return {"edit": value} if isinstance(value, dict) and "subtasks" in value else value


def _file(name: str) -> str:
    path = Path(name).expanduser()
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{name} is too large for an answer ({LARGEST >> 20} MB at most)")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(
            f"the answer's file {name!r} cannot be read ({reason.lower()}); for an answer that begins with @ write @@"
        ) from None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _range(schema: Schema, least: str, most: str, unit: str = "") -> str:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None:
        return f" from {low} to {high}{unit}"
    return f" of {low}{unit} or more" if low is not None else f" of {high}{unit} at most" if high is not None else ""


def _text(schema: Schema) -> str:
    return (f"text ({schema['format']})" if "format" in schema else "text") + _range(
        schema, "minLength", "maxLength", " letters"
    )


def _object(schema: Schema) -> str:
    names = ", ".join(schema.get("required") or schema.get("properties", ()))
    return f"a JSON object with {names}" if names else "a JSON object"


FORMS: Mapping[str, Callable[[Schema], str]] = {
    "boolean": lambda schema: "yes or no",
    "integer": lambda schema: "a whole number" + _range(schema, "minimum", "maximum"),
    "number": lambda schema: "a number" + _range(schema, "minimum", "maximum"),
    "string": _text,
    "array": lambda schema: f"a JSON list of {describe(schema['items'])}" if "items" in schema else "a JSON list",
    "object": _object,
    "null": lambda schema: "null",
}
