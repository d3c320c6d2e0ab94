"""Messages: what was said in a task, in order; the first is its goal.

A message is known again by its sender's id, so one that is sent twice, because its answer was lost, is kept once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.checkpoints import events, tasks
from holdfast.checkpoints.errors import AlreadyHeard, IllegalMove
from holdfast.checkpoints.events import News
from holdfast.checkpoints.states import TERMINAL

FIRST = 1  # the number of the message that began a task; a task that began without one has none of that number
Role = Literal["user", "agent"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; each part is a JSON object with ``text``, ``data``, or ``filename``, ``mediaType``, ``sha256``."""

    id: str
    role: Role
    parts: Sequence[dict[str, Any]]
    at: float = 0.0

    @property
    def text(self) -> str:
        """Its text parts, a paragraph each."""
        return "\n\n".join(part["text"] for part in self.parts if "text" in part)


def keep(db: sqlite3.Connection, task_id: str, message: Message, now: float) -> int:
    """Adds a message to a task that has not ended; returns its event's seq.  Raises IllegalMove or AlreadyHeard."""
    task = tasks.get(db, task_id)
    if task.state in TERMINAL:
        raise IllegalMove(f"task {task_id}", task.state.value, "take a message")
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
        (task, number, message.id, message.role, json.dumps(list(message.parts), ensure_ascii=False), now, task),
    )


def load(db: sqlite3.Connection, task: int, last: int | None = None, *, after: int = 0) -> list[Message]:
    """A task's messages with a number above ``after``, oldest first; with ``last`` only so many of the newest."""
    rows = db.execute(
        "SELECT id, role, body, at FROM messages WHERE task = ? AND number > ? ORDER BY number DESC LIMIT ?",
        (task, after, -1 if last is None else last),
    ).fetchall()
    return [Message(id_, role, json.loads(body), at) for id_, role, body, at in reversed(rows)]


def find(db: sqlite3.Connection, owner: str, message: str) -> tuple[str, Message] | None:
    """The task in which that owner sent the message of that id, and the message; None if it is new."""
    row = db.execute(
        "SELECT t.id, m.role, m.body, m.at FROM messages m JOIN tasks t ON t.number = m.task "
        "WHERE m.id = ? AND m.role = 'user' AND t.owner = ? ORDER BY t.number DESC LIMIT 1",
        (message, owner),
    ).fetchone()
    return (row[0], Message(message, row[1], json.loads(row[2]), row[3])) if row else None
