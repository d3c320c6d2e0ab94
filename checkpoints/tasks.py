"""Task rows: what was asked, where it stands, and the stops that keep it from running."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints import events
from holdfast.checkpoints.errors import AmbiguousTask, UnknownTask
from holdfast.checkpoints.events import News
from holdfast.checkpoints.states import TaskEvent, TaskState, advance

COLUMNS = (
    "number, id, context_id, goal, state, options, revision, stops, error, last_seq, created_at, updated_at, rollback"
)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row; ``stops`` maps who stopped it (person, parent, budget, system) to mode, reason and time."""

    number: int
    id: str
    context_id: str
    goal: str
    state: TaskState
    options: dict[str, Any]
    revision: int
    stops: dict[str, dict[str, Any]]
    error: str | None
    last_seq: int
    created_at: float
    updated_at: float
    rollback: str | None = None  # 'fail' or 'cancel': how it ends once the compensations have run


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A file that the task handed out, and where it was written."""

    name: str
    media_type: str
    path: str
    sha256: str
    bytes: int


def create(
    db: sqlite3.Connection, goal: str, options: Mapping[str, Any], now: float, *, task_id: str | None = None
) -> TaskRow:
    """A new SUBMITTED task with its first event."""
    task_id = task_id or str(uuid.uuid4())
    db.execute(
        "INSERT INTO tasks(id, context_id, goal, state, options, created_at, updated_at) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (task_id, str(uuid.uuid4()), goal, TaskState.SUBMITTED, json.dumps(options, ensure_ascii=False), now, now),
    )
    task = get(db, task_id)
    events.append(db, task.number, [News("task.submitted", data={"goal": goal})], now)
    return task


def find(db: sqlite3.Connection, task_id: str) -> TaskRow | None:
    """The task of exactly this id, or None."""
    row = db.execute(f"SELECT {COLUMNS} FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return _row(row) if row else None


def get(db: sqlite3.Connection, task_id: str) -> TaskRow:
    """The task of exactly this id; raises UnknownTask."""
    task = find(db, task_id)
    if task is None:
        raise UnknownTask(task_id)
    return task


def resolve(db: sqlite3.Connection, prefix: str) -> str:
    """The id that begins with ``prefix``; raises UnknownTask or AmbiguousTask."""
    escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = db.execute("SELECT id FROM tasks WHERE id LIKE ? ESCAPE '\\' ORDER BY number DESC", (escaped + "%",))
    matches = [task_id for (task_id,) in rows]
    if prefix in matches:
        return prefix
    if not prefix or not matches:
        raise UnknownTask(prefix)
    if len(matches) > 1:
        raise AmbiguousTask(prefix, matches)
    return str(matches[0])


def newest(db: sqlite3.Connection, state: TaskState | None = None, limit: int = 1000) -> list[TaskRow]:
    """Tasks, newest first."""
    where, values = ("WHERE state = ?", [str(state)]) if state else ("", [])
    rows = db.execute(f"SELECT {COLUMNS} FROM tasks {where} ORDER BY number DESC LIMIT ?", (*values, limit))
    return [_row(row) for row in rows]


def move(db: sqlite3.Connection, task_id: str, event: TaskEvent, now: float, *, error: str | None = None) -> TaskRow:
    """Applies a lifecycle event and tells it in the history; an illegal one raises IllegalMove and changes nothing."""
    task = get(db, task_id)
    state = advance(task_id, task.state, event)
    if state != task.state:
        db.execute("UPDATE tasks SET state = ?, error = ? WHERE number = ?", (state, error, task.number))
        data = {"error": error} if error else None
        events.append(db, task.number, [News(f"task.{state.lower()}", data=data)], now)
    return get(db, task_id)


def next_revision(db: sqlite3.Connection, task: int) -> int:
    """Counts a new plan; returns its revision, 1 for the first."""
    (revision,) = db.execute(
        "UPDATE tasks SET revision = revision + 1 WHERE number = ? RETURNING revision", (task,)
    ).fetchone()
    return int(revision)


def add_artifact(db: sqlite3.Connection, task: int, artifact: ArtifactRow) -> None:
    """Records an artifact; a name that is used again stands for the new content."""
    db.execute(
        "INSERT OR REPLACE INTO artifacts VALUES(?, ?, ?, ?, ?, ?)",
        (task, artifact.name, artifact.media_type, artifact.sha256, artifact.bytes, artifact.path),
    )


def artifacts(db: sqlite3.Connection, task: int) -> list[ArtifactRow]:
    """What the task has handed out, by name."""
    rows = db.execute(
        "SELECT name, media_type, path, sha256, bytes FROM artifacts WHERE task = ? ORDER BY name", (task,)
    )
    return [ArtifactRow(*row) for row in rows]


def artifacts_of(db: sqlite3.Connection, task_id: str, subtask: str) -> list[tuple[str, str]]:
    """(name, sha256) of what one subtask handed out."""
    rows = db.execute(
        "SELECT data FROM events WHERE task = (SELECT number FROM tasks WHERE id = ?) AND subtask = ? "
        "AND type = 'artifact.added' ORDER BY seq",
        (task_id, subtask),
    )
    latest = {one["name"]: one["sha256"] for one in (json.loads(data) for (data,) in rows)}
    return list(latest.items())


def _row(row: tuple[Any, ...]) -> TaskRow:
    number, task_id, context_id, goal, state, options, revision, stops, error, last_seq, created, updated, undo = row
    return TaskRow(
        number,
        task_id,
        context_id,
        goal,
        TaskState(state),
        json.loads(options),
        revision,
        json.loads(stops),
        error,
        last_seq,
        created,
        updated,
        undo,
    )
