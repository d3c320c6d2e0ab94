"""The history of a task: lines numbered from 1 without gaps, written in the transaction of what they tell."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder at each call that has options


@dataclass(frozen=True, slots=True)
class News:
    """An event before it has a number."""

    type: str
    subtask: str | None = None
    data: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event; ``at`` is UTC, ``task`` the task's id."""

    seq: int
    task: str
    at: datetime
    type: str
    subtask: str | None
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as every interface shows it."""
        return {
            "seq": self.seq,
            "task": self.task,
            "at": timestamp(self.at),
            "type": self.type,
            "subtask": self.subtask,
            "data": self.data,
        }


def append(db: sqlite3.Connection, task: int, news: Sequence[News], now: float) -> int:
    """Adds events in their order and returns the last one's seq; the number is taken inside the transaction."""
    if not news:
        return 0
    (last,) = db.execute(
        "UPDATE tasks SET last_seq = last_seq + ?, updated_at = ? WHERE number = ? RETURNING last_seq",
        (len(news), now, task),
    ).fetchone()
    first = last - len(news) + 1
    db.executemany(
        "INSERT INTO events VALUES(?, ?, ?, ?, ?, ?)",
        [
            (
                task,
                first + i,
                now,
                one.type,
                one.subtask,
                _encode(one.data) if one.data else None,
            )
            for i, one in enumerate(news)
        ],
    )
    return int(last)


def read(db: sqlite3.Connection, task_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
    """Up to ``limit`` events with a seq above ``after``, in order."""
    rows = db.execute(
        "SELECT seq, at, type, subtask, data FROM events WHERE task = (SELECT number FROM tasks WHERE id = ?) "
        "AND seq > ? ORDER BY seq LIMIT ?",
        (task_id, after, limit),
    )
    return [
        Event(seq, task_id, datetime.fromtimestamp(at, UTC), type_, subtask, json.loads(data) if data else {})
        for seq, at, type_, subtask, data in rows
    ]


def touched(db: sqlite3.Connection, task: int, after: int) -> list[str]:
    """The subtasks to which something was done since an event: how a live runner learns of it."""
    rows = db.execute(
        "SELECT DISTINCT subtask FROM events WHERE task = ? AND seq > ? AND subtask IS NOT NULL "
        "AND type IN ('control', 'question.answered')",
        (task, after),
    )
    return [subtask for (subtask,) in rows]


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC to the millisecond, as ``2026-01-31T12:00:00.000Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
