"""Question rows: what a subtask needs to know, and the reply, matched by the question's id alone."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.checkpoints.errors import AlreadyAnswered, InvalidAnswer, UnknownQuestion

Kind = Literal["input", "approval", "failure"]
COLUMNS = (
    "id, subtask, key, kind, prompt, schema, fallback, deadline, asked_at, answer, answered_at IS NOT NULL, answered_by"
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
    for known in load(db, task):
        if (known.subtask, known.key) == (subtask, asked.key):
            return known
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


def withdraw(db: sqlite3.Connection, task: int, subtask: str, now: float) -> None:
    """Closes a subtask's open questions without an answer; their ids are not used again."""
    db.execute(
        "UPDATE questions SET answered_at = ?, answered_by = 'withdrawn', key = key || ' ' || id "
        "WHERE task = ? AND subtask = ? AND answered_at IS NULL",
        (now, task, subtask),
    )


def check(question: Question, value: Any) -> None:
    """Raises InvalidAnswer with the reason if the value does not fit the question's schema."""
    import jsonschema_rs  # noqa: PLC0415  only who answers needs it

    if question.schema is None:
        return
    error = next(jsonschema_rs.validator_for(question.schema).iter_errors(value), None)
    if error is not None:
        where = "".join(f"{part}." for part in error.instance_path)
        raise InvalidAnswer(question.id, (f"{where[:-1]}: " if where else "") + error.message)


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
    return [question for question in load(db, task) if not question.answered]


def answers(db: sqlite3.Connection, task: int, subtask: str) -> dict[str, Any]:
    """Key → answer of a subtask's answered questions."""
    return {
        one.key: json.loads(one.answer or "null") for one in load(db, task) if one.subtask == subtask and one.answered
    }


def _row(row: tuple[Any, ...]) -> Question:
    id_, subtask, key, kind, prompt, schema, default, deadline, asked_at, reply, answered, who = row
    form = json.loads(schema) if schema is not None else None
    return Question(id_, subtask, key, kind, prompt, form, default, deadline, asked_at, reply, bool(answered), who)
