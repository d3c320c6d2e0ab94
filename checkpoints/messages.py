"""Messages: what was said in a task, in order; the first is its goal.

A message is known again by its sender's id, so one that is sent twice, because its answer was lost, is kept once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.checkpoints import events, tasks
from holdfast.checkpoints.errors import AlreadyHeard, BadInput, IllegalMove
from holdfast.checkpoints.events import News
from holdfast.checkpoints.states import TERMINAL

FIRST = 1  # the number of the message that began a task; a task that began without one has none of that number
MOST = 1000  # messages that one task keeps, and how large they may be in all
MOST_BYTES = 16 << 20
Role = Literal["user", "agent"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; each part is a JSON object with ``text``, ``data``, or ``filename``, ``mediaType``, ``sha256``.

    ``about`` is what else its sender has written on it, such as ``metadata``.
    """

    id: str
    role: Role
    parts: Sequence[dict[str, Any]]
    at: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Its text parts, a paragraph each."""
        return "\n\n".join(part["text"] for part in self.parts if "text" in part)


def keep(db: sqlite3.Connection, task_id: str, message: Message, now: float, *, answers: bool = False) -> int:
    """Adds a message to a task that has not ended; returns its event's seq.

    Raises IllegalMove, AlreadyHeard, or BadInput if the task has as much as it keeps; one that ``answers`` is kept even
    then, because there are no more of them than questions.
    """
    task = tasks.get(db, task_id)
    if task.state in TERMINAL:
        raise IllegalMove(f"task {task_id}", task.state.value, "take a message")
    if not answers:
        _require_room(db, task.number, task_id, message)
    record(db, task.number, message, now, number=FIRST + 1)
    data = {"message": message.id, "role": message.role}
    return events.append(db, task.number, [News("task.message", data=data)], now)


def record(db: sqlite3.Connection, task: int, message: Message, now: float, *, number: int = FIRST) -> None:
    """Writes the row, without an event; raises AlreadyHeard if its owner sent a message of that id before."""
    owner = db.execute("SELECT owner FROM tasks WHERE number = ?", (task,)).fetchone()[0]
    if message.role == "user" and find(db, owner, message.id):
        raise AlreadyHeard(message.id)
    db.execute(
        "INSERT INTO messages SELECT ?, coalesce(max(number) + 1, ?), ?, ?, ?, ? FROM messages WHERE task = ?",
        (task, number, message.id, message.role, _body(message), now, task),
    )


def load(
    db: sqlite3.Connection, task: int, last: int | None = None, *, after: int = 0, most: int | None = None
) -> list[Message]:
    """A task's messages with a number above ``after``, oldest first.

    With ``last`` they are only so many of the newest, with ``most`` only as many as have so many characters in all.
    """
    rows = db.execute(
        "SELECT id, role, body, at FROM messages WHERE task = ? AND number > ? ORDER BY number DESC LIMIT ?",
        (task, after, -1 if last is None else last),
    )
    found, left = list[Message](), most
    for row in rows:
        if left is not None and (left := left - len(row[2])) < 0:
            break
        found.append(_message(*row))
    rows.close()
    return found[::-1]


def get(db: sqlite3.Connection, task: int, message: str) -> Message | None:
    """A task's message of that id."""
    row = db.execute(
        "SELECT id, role, body, at FROM messages WHERE task = ? AND id = ? ORDER BY number DESC LIMIT 1",
        (task, message),
    ).fetchone()
    return _message(*row) if row else None


def find(db: sqlite3.Connection, owner: str, message: str) -> tuple[str, Message] | None:
    """The task in which that owner sent the message of that id, and the message; None if it is new."""
    row = db.execute(
        "SELECT t.id, m.role, m.body, m.at FROM messages m JOIN tasks t ON t.number = m.task "
        "WHERE m.id = ? AND m.role = 'user' AND t.owner = ? ORDER BY t.number DESC LIMIT 1",
        (message, owner),
    ).fetchone()
    return (row[0], _message(message, *row[1:])) if row else None


def _require_room(db: sqlite3.Connection, task: int, task_id: str, message: Message) -> None:
    count, size = db.execute(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM messages WHERE task = ?", (task,)
    ).fetchone()
    if count >= MOST or size + len(_body(message)) > MOST_BYTES:
        raise BadInput(
            f"task {task_id} keeps up to {MOST:,} messages of {MOST_BYTES >> 20} MB in all, and no more; "
            "say the rest in a task of its own"
        )


def _body(message: Message) -> str:
    """The message as its row has it: the parts, or an object that has them beside what else was written on it."""
    body = {"parts": list(message.parts), **message.about} if message.about else list(message.parts)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _message(id_: str, role: Role, body: str, at: float) -> Message:
    read = json.loads(body)
    if isinstance(read, list):
        return Message(id_, role, read, at)
    return Message(id_, role, read.pop("parts"), at, read)
