"""Question rows: what a subtask needs to know, and the reply, matched by the question's id alone."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.checkpoints.errors import AlreadyAnswered, BadInput, InvalidAnswer, UnknownQuestion

Kind = Literal["input", "approval", "failure", "budget"]
COLUMNS = (
    "id, subtask, key, kind, prompt, schema, fallback, deadline, asked_at, answer, answered_at IS NOT NULL, answered_by"
)

LARGEST = 1_000_000  # bytes of JSON of a question, or of an answer to it


DRAFTS = frozenset(
    {
        "http://json-schema.org/draft-04/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question before it has an id; ``default`` is a JSON text, ``deadline`` in seconds from the asking."""

    prompt: str
    key: str
    schema: dict[str, Any] | None = None
    default: str | None = None
    deadline: float | None = None
    kind: Kind = "input"


@dataclass(frozen=True, slots=True)
class Question:
    """One row; ``default`` and ``answer`` are JSON texts."""

    id: str
    subtask: str
    key: str
    kind: Kind
    prompt: str
    schema: dict[str, Any] | None
    default: str | None
    deadline: float | None
    asked_at: float
    answer: str | None
    answered: bool
    answered_by: str | None

    def to_json(self) -> dict[str, Any]:
        """As ``show --json`` lists it."""
        return {
            "id": self.id,
            "subtask": self.subtask,
            "prompt": self.prompt,
            "schema": self.schema,
            "default": json.loads(self.default) if self.default is not None else None,
        }


def ask(db: sqlite3.Connection, task: int, subtask: str, asked: Asked, now: float) -> Question:
    """The open or answered question of this key, recorded if it is new."""
    known = db.execute(
        f"SELECT {COLUMNS} FROM questions WHERE task = ? AND subtask = ? AND key = ?", (task, subtask, asked.key)
    ).fetchone()
    if known:
        return _row(known)
    (number,) = db.execute("SELECT count(*) + 1 FROM questions WHERE task = ?", (task,)).fetchone()
    db.execute(
        "INSERT INTO questions(task, id, subtask, key, kind, prompt, schema, fallback, deadline, asked_at) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            task,
            f"q{number}",
            subtask,
            asked.key,
            asked.kind,
            asked.prompt,
            json.dumps(asked.schema) if asked.schema is not None else None,
            asked.default,
            now + asked.deadline if asked.deadline is not None else None,
            now,
        ),
    )
    return find(db, task, f"q{number}")


def answer(db: sqlite3.Connection, task: int, question: Question, body: str, who: str, now: float) -> None:
    """Records the reply; raises AlreadyAnswered."""
    if question.answered:
        raise AlreadyAnswered(question.id)
    db.execute(
        "UPDATE questions SET answer = ?, answered_at = ?, answered_by = ? WHERE task = ? AND id = ?",
        (body, now, who, task, question.id),
    )


def withdraw(db: sqlite3.Connection, task: int, now: float, subtask: str | None = None) -> None:
    """Closes open questions, a subtask's or all, without an answer; their ids are not used again."""
    db.execute(
        "UPDATE questions SET answered_at = ?, answered_by = 'withdrawn', key = key || ' ' || id "
        "WHERE task = ? AND subtask = coalesce(?, subtask) AND answered_at IS NULL",
        (now, task, subtask),
    )


def check(question: Question, value: Any) -> None:
    """Raises InvalidAnswer with the reason if the value is too large or does not fit the question's schema.

    An edited plan is measured as a plan is, by its subtasks.
    """
    edit = question.kind == "approval" and isinstance(value, dict) and "edit" in value
    if not edit and (size := _size(value)) > LARGEST:
        raise InvalidAnswer(question.id, f"it has {size:,} bytes of JSON, and {LARGEST:,} are allowed")
    if question.schema is not None and (reason := misfit(question.schema, value)):
        raise InvalidAnswer(question.id, reason)


def require_sound(asked: Asked) -> None:
    """Raises BadInput if a question is too large, or its schema is none, reaches outside itself or refuses its default.

    Its size is that of prompt, schema and default as JSON.
    """
    import jsonschema_rs  # noqa: PLC0415  only who asks or answers needs it

    if (size := _size([asked.prompt, asked.schema, asked.default])) > LARGEST:
        raise BadInput(
            f"a question has {size:,} bytes of JSON, and {LARGEST:,} are allowed; put what is long into a file"
        )
    if asked.schema is None:
        return
    if outside := _outside(asked.schema):
        raise BadInput(f"the schema of a question may refer only to itself, not to {outside!r}")
    if not jsonschema_rs.meta.is_valid(asked.schema):
        raise BadInput(f"the schema of the question {asked.prompt!r} is not a JSON schema")
    if asked.default is not None and (reason := misfit(asked.schema, json.loads(asked.default))):
        raise BadInput(f"the default of the question {asked.prompt!r} does not fit its schema: {reason}")


def _size(value: Any) -> int:
    """How many bytes a value has as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def misfit(schema: dict[str, Any], value: Any) -> str | None:
    """Why a value does not fit a JSON schema; None if it does."""
    import jsonschema_rs  # noqa: PLC0415  only who asks or answers needs it

    if outside := _outside(schema):
        return f"its schema refers to {outside!r}, which is not followed"
    error = next(jsonschema_rs.validator_for(schema).iter_errors(value), None)
    if error is None:
        return None
    nearest = _nearest(error)
    if nearest is error and not error.instance_path and _forms(error) and "description" in schema:
        return f"it has to be {schema['description']}"
    where = "".join(f"{part}." for part in nearest.instance_path)
    return (f"{where[:-1]}: " if where else "") + str(nearest.message)


def _nearest(error: Any) -> Any:
    """The error in the form that a value comes nearest to, where a schema has several; else the error itself."""
    inner = max(_forms(error), key=lambda one: len(one.instance_path), default=error)
    return _nearest(inner) if len(inner.instance_path) > len(error.instance_path) else error


def _forms(error: Any) -> list[Any]:
    """The errors in each of a schema's forms, none of which fits."""
    return [one for form in getattr(error.kind, "context", ()) for one in form]


def _outside(schema: Any) -> str | None:
    """The first reference that does not begin with ``#``: following it would read a file or the network."""
    if isinstance(schema, list):
        return next((found for one in schema if (found := _outside(one))), None)
    if not isinstance(schema, dict):
        return None
    for key, value in schema.items():
        if key in ("$ref", "$dynamicRef", "$recursiveRef", "$schema") and isinstance(value, str):
            if not value.startswith("#") and not (key == "$schema" and value.rstrip("#") in DRAFTS):
                return value
        elif found := _outside(value):
            return found
    return None


def find(db: sqlite3.Connection, task: int, question: str) -> Question:
    """One question; raises UnknownQuestion."""
    row = db.execute(f"SELECT {COLUMNS} FROM questions WHERE task = ? AND id = ?", (task, question)).fetchone()
    if row is None:
        raise UnknownQuestion(question, [one.id for one in load(db, task) if not one.answered])
    return _row(row)


def load(db: sqlite3.Connection, task: int) -> list[Question]:
    """All questions of a task, oldest first."""
    rows = db.execute(f"SELECT {COLUMNS} FROM questions WHERE task = ? ORDER BY asked_at, length(id), id", (task,))
    return [_row(row) for row in rows]


def pending(db: sqlite3.Connection, task: int) -> list[Question]:
    """Those that wait for an answer."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM questions WHERE task = ? AND answered_at IS NULL ORDER BY asked_at, length(id), id",
        (task,),
    )
    return [_row(row) for row in rows]


def answers(db: sqlite3.Connection, task: int, subtask: str) -> dict[str, Any]:
    """Key → answer of a subtask's answered questions."""
    rows = db.execute(
        "SELECT key, answer FROM questions WHERE task = ? AND subtask = ? AND answer IS NOT NULL", (task, subtask)
    )
    return {key: json.loads(answer) for key, answer in rows}


def _row(row: tuple[Any, ...]) -> Question:
    id_, subtask, key, kind, prompt, schema, default, deadline, asked_at, reply, answered, who = row
    form = json.loads(schema) if schema is not None else None
    return Question(id_, subtask, key, kind, prompt, form, default, deadline, asked_at, reply, bool(answered), who)
