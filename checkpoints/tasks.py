"""Task rows: what was asked, where it stands, and the stops that keep it from running."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints import events
from holdfast.checkpoints.errors import AmbiguousTask, BadInput, UnknownTask
from holdfast.checkpoints.events import News
from holdfast.checkpoints.states import TaskEvent, TaskState, advance

LONGEST_GOAL = 100_000  # characters
COLUMNS = (
    "number, id, context_id, goal, state, options, revision, stops, error, last_seq, created_at, updated_at, rollback, "
    "owner"
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
    owner: str = ""  # whose key began it; empty: somebody's who may open the file


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A file that the task handed out, and where it was written."""

    name: str
    media_type: str
    path: str
    sha256: str
    bytes: int


def require_goal(goal: str) -> None:
    """Raises BadInput for a goal that is empty or longer than anyone reads."""
    if not goal.strip():
        raise BadInput("the goal is empty; say in a sentence what you want")
    if len(goal) > LONGEST_GOAL:
        raise BadInput(
            f"the goal has {len(goal):,} characters, and {LONGEST_GOAL:,} are allowed; hand in what is long as data"
        )


def create(
    db: sqlite3.Connection,
    goal: str,
    options: Mapping[str, Any],
    now: float,
    *,
    task_id: str | None = None,
    context_id: str | None = None,
    owner: str = "",
) -> TaskRow:
    """A new SUBMITTED task with its first event."""
    task_id, context_id = task_id or str(uuid.uuid4()), context_id or str(uuid.uuid4())
    given = json.dumps(options, ensure_ascii=False)
    db.execute(
        "INSERT INTO tasks(id, context_id, goal, state, options, created_at, updated_at, owner) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (task_id, context_id, goal, TaskState.SUBMITTED, given, now, now, owner),
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


def resolve(db: sqlite3.Connection, prefix: str, owner: str | None = None) -> str:
    """The id that begins with ``prefix``, of all tasks or of an owner's; raises UnknownTask or AmbiguousTask."""
    escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = db.execute(
        "SELECT id FROM tasks WHERE id LIKE ? ESCAPE '\\' AND owner = coalesce(?, owner) ORDER BY number DESC",
        (escaped + "%", owner),
    )
    matches = [task_id for (task_id,) in rows]
    if prefix in matches:
        return prefix
    if not prefix or not matches:
        raise UnknownTask(prefix)
    if len(matches) > 1:
        raise AmbiguousTask(prefix, matches)
    return str(matches[0])


_OF = "state = coalesce(?, state) AND owner = coalesce(?, owner)"


def newest(
    db: sqlite3.Connection,
    state: TaskState | None = None,
    limit: int | None = None,
    *,
    owner: str | None = None,
    before: str | None = None,
) -> list[TaskRow]:
    """Tasks, newest first, all or those in one state, of one owner, or older than the task of the id ``before``."""
    most = -1 if limit is None else limit
    rows = db.execute(
        f"SELECT {COLUMNS} FROM tasks WHERE {_OF} AND number < coalesce((SELECT number FROM tasks WHERE id = ?), ?) "
        "ORDER BY number DESC LIMIT ?",
        (state, owner, before, 2**62, most),
    )
    return [_row(row) for row in rows]


def count(db: sqlite3.Connection, state: TaskState | None = None, owner: str | None = None) -> int:
    """How many tasks there are, or how many in one state or of one owner."""
    (number,) = db.execute(f"SELECT count(*) FROM tasks WHERE {_OF}", (state, owner)).fetchone()
    return int(number)


_STOOD = "(SELECT at FROM events WHERE task = tasks.number AND at <= ? ORDER BY seq DESC LIMIT 1)"
_STARTED = "EXISTS(SELECT 1 FROM events WHERE task = tasks.number AND type = 'task.working')"


def page(
    db: sqlite3.Connection,
    owner: str,
    limit: int,
    *,
    context_id: str | None = None,
    states: Collection[tuple[TaskState, bool | None]] = (),
    since: float | None = None,
    after: tuple[float, int] | None = None,
) -> tuple[list[TaskRow], int]:
    """Up to ``limit`` of an owner's tasks, the last changed first, and how many there are in all.

    ``states`` pairs a state with whether the task has ever begun (None: either); ``since`` leaves out what was changed
    before; ``after`` is when the first task of the first page was changed, and the number of the last task of the page
    before.  Later pages go on in the order of that time, so that a task which changes meanwhile is neither lost nor
    there twice; one that is newer is not in them.
    """
    where, values = ["owner = ?"], [owner]
    more: list[Any] = []
    if context_id:
        where, values = [*where, "context_id = ?"], [*values, context_id]
    if states:
        tests = [f"(state = ?{'' if begun is None else f' AND {_STARTED} = {int(begun)}'})" for _, begun in states]
        where, values = [*where, f"({' OR '.join(tests)})"], [*values, *(str(state) for state, _ in states)]
    if since is not None:
        where, more = [*where, "updated_at >= ?"], [*more, since]
    (total,) = db.execute(f"SELECT count(*) FROM tasks WHERE {' AND '.join(where)}", (*values, *more)).fetchone()
    stood, moments = "updated_at", list[float]()
    if after:
        top, last = after
        (at,) = db.execute(f"SELECT {_STOOD} FROM tasks WHERE number = ?", (top, last)).fetchone() or (None,)
        stood = f"CASE WHEN updated_at <= ? THEN updated_at ELSE {_STOOD} END"
        where, moments, more = [*where, "(stood, number) < (?, ?)"], [top, top], [*more, at, last]
    rows = db.execute(
        f"SELECT {COLUMNS}, {stood} AS stood FROM tasks WHERE {' AND '.join(where)} "
        "ORDER BY stood DESC, number DESC LIMIT ?",
        (*moments, *values, *more, limit),
    )
    return [_row(row[:-1]) for row in rows], total


def has_begun(db: sqlite3.Connection, task: int) -> bool:
    """Whether the task has ever been at work."""
    return bool(db.execute(f"SELECT {_STARTED} FROM tasks WHERE number = ?", (task,)).fetchone()[0])


def wanted_since(db: sqlite3.Connection, task: int) -> float:
    """When the task last came to be at work, or was submitted."""
    row = db.execute(
        "SELECT max(at) FROM events WHERE task = ? AND type IN ('task.submitted', 'task.working')", (task,)
    ).fetchone()
    return float(row[0])


def last_seqs(db: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, int]:
    """The seq of the last event of each of those tasks that are there."""
    named = "SELECT value FROM json_each(?)"
    return dict(db.execute(f"SELECT id, last_seq FROM tasks WHERE id IN ({named})", (json.dumps(task_ids),)).fetchall())


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many tasks are in each state."""
    return dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall())


def unsettled(db: sqlite3.Connection) -> Iterator[TaskRow]:
    """Tasks that somebody should be working on, oldest first."""
    rows = db.execute(f"SELECT {COLUMNS} FROM tasks WHERE state IN ('SUBMITTED', 'WORKING') ORDER BY number")
    yield from map(_row, rows)


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
    number, task_id, context_id, goal, state, options, revision, stops, error, last_seq, *rest = row
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
        *rest,
    )
