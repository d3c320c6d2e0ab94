"""Subtask rows and step rows: the truth about what has run, keyed by names and never by the order of calls.

The functions that start something return False instead of starting when the task has a stop: the control row is read
in the transaction that would start it, so nothing starts after a pause was acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints import results
from holdfast.checkpoints.states import SETTLED, SUBTASK_MOVES, SubtaskEvent, SubtaskState

COLUMNS = "id, type, spec, state, stops, attempts, started_at, ended_at, error, result"


@dataclass(frozen=True, slots=True)
class SubtaskRow:
    """One row; ``spec`` is the plan's entry, ``result`` the number of its results row."""

    id: str
    type: str
    spec: dict[str, Any]
    state: SubtaskState
    stops: dict[str, dict[str, Any]]
    attempts: int
    started_at: float | None
    ended_at: float | None
    error: str | None
    result: int | None


def insert(db: sqlite3.Connection, task: int, specs: Sequence[Mapping[str, Any]]) -> None:
    """Stores subtasks as waiting, in their order."""
    _insert(db, task, specs, 0)


def _insert(db: sqlite3.Connection, task: int, specs: Sequence[Mapping[str, Any]], first: int) -> None:
    db.executemany(
        "INSERT INTO subtasks(task, id, position, type, spec, state) VALUES(?, ?, ?, ?, ?, 'waiting')",
        [(task, spec["id"], i, spec["type"], _text(spec)) for i, spec in enumerate(specs, first)],
    )


def _text(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"))


def add(db: sqlite3.Connection, task: int, specs: Sequence[Mapping[str, Any]]) -> None:
    """Stores further subtasks as waiting, after those that are there."""
    (last,) = db.execute("SELECT coalesce(max(position), -1) FROM subtasks WHERE task = ?", (task,)).fetchone()
    _insert(db, task, specs, last + 1)


def arrange(db: sqlite3.Connection, task: int, ids: Sequence[str]) -> None:
    """Puts subtasks into that order, each after its dependencies, as whoever loads them expects."""
    db.executemany(
        "UPDATE subtasks SET position = ? WHERE task = ? AND id = ?", [(i, task, id_) for i, id_ in enumerate(ids)]
    )


def respecify(db: sqlite3.Connection, task: int, subtask: str, spec: Mapping[str, Any]) -> None:
    """Puts another entry of a plan in the place of a subtask's; its state stays."""
    db.execute(
        "UPDATE subtasks SET type = ?, spec = ? WHERE task = ? AND id = ?", (spec["type"], _text(spec), task, subtask)
    )


def remove_all(db: sqlite3.Connection, task: int) -> None:
    """Takes a plan away before any of it has run, with the subtask that made it."""
    for table in ("subtasks", "steps"):
        db.execute(f"DELETE FROM {table} WHERE task = ?", (task,))


def load(db: sqlite3.Connection, task: int) -> list[SubtaskRow]:
    """All subtasks of a task in the order of the plan."""
    rows = db.execute(f"SELECT {COLUMNS} FROM subtasks WHERE task = ? ORDER BY position", (task,))
    return [_row(row) for row in rows]


def planned(db: sqlite3.Connection, task: int) -> bool:
    """Whether the task has subtasks of a plan, beside the built-in ones."""
    row = db.execute("SELECT 1 FROM subtasks WHERE task = ? AND id NOT LIKE '@%' LIMIT 1", (task,)).fetchone()
    return row is not None


def find(db: sqlite3.Connection, task: int, subtask: str) -> SubtaskRow | None:
    """One subtask, or None."""
    row = db.execute(f"SELECT {COLUMNS} FROM subtasks WHERE task = ? AND id = ?", (task, subtask)).fetchone()
    return _row(row) if row else None


def may_run(db: sqlite3.Connection, task: int) -> bool:
    """Whether the control row lets work start: the task is WORKING and nobody has stopped it."""
    row = db.execute("SELECT state, stops FROM tasks WHERE number = ?", (task,)).fetchone()
    return bool(row) and row[0] == "WORKING" and row[1] == "{}"


def may_step(db: sqlite3.Connection, task: int, subtask: str) -> bool:
    """Whether a running subtask may begin another step: nobody stopped it or its task but by ``drain``."""
    task_row = db.execute("SELECT state, stops FROM tasks WHERE number = ?", (task,)).fetchone()
    row = db.execute("SELECT state, stops FROM subtasks WHERE task = ? AND id = ?", (task, subtask)).fetchone()
    if task_row is None or row is None or row[0] != SubtaskState.RUNNING:
        return False
    stops = [*json.loads(task_row[1]).values(), *json.loads(row[1]).values()]
    return all(stop["mode"] == "drain" for stop in stops)


def _sql(event: SubtaskEvent, also: str = "", only: str = "") -> str:
    """The UPDATE that makes a move of the table, and nothing where the table has none."""
    moves = {state: after[event] for state, after in SUBTASK_MOVES.items() if event in after}
    cases = " ".join(f"WHEN '{before}' THEN '{after}'" for before, after in moves.items())
    states = ", ".join(f"'{state}'" for state in moves)
    return (
        f"UPDATE subtasks SET state = CASE state {cases} END{also} "
        f"WHERE task = ? AND id = ? AND state IN ({states}){only}"
    )


_START = _sql(SubtaskEvent.START, ", started_at = ?, ended_at = NULL", " AND stops = '{}'")
_COMPLETE = _sql(SubtaskEvent.COMPLETE, ", ended_at = ?, error = NULL, result = ?, fingerprint = ?")
_MOVES = {event: _sql(event) for event in SubtaskEvent}


def move(db: sqlite3.Connection, task: int, subtask: str, event: SubtaskEvent) -> bool:
    """Makes a lifecycle move; False, and nothing is changed, if the subtask's state has no such move."""
    return db.execute(_MOVES[event], (task, subtask)).rowcount == 1


def start(db: sqlite3.Connection, task: int, subtask: str, now: float) -> bool:
    """Marks a subtask as running unless it is stopped; the caller has asked ``may_run`` in this transaction."""
    return db.execute(_START, (now, task, subtask)).rowcount == 1


def complete(
    db: sqlite3.Connection, task: int, subtask: str, body: bytes, now: float, fingerprint: bytes | None = None
) -> bool:
    """Stores the result and marks the subtask as completed; False if it is no longer running (canceled)."""
    return db.execute(_COMPLETE, (now, results.put(db, body), fingerprint, task, subtask)).rowcount == 1


def stand_in(db: sqlite3.Connection, task: int, fallback: str, failed: str) -> None:
    """Lets the result of a fallback stand for the failed subtask's, which stays failed."""
    db.execute(
        "UPDATE subtasks SET result = (SELECT result FROM subtasks WHERE task = ? AND id = ?) "
        "WHERE task = ? AND id = ?",
        (task, fallback, task, failed),
    )


def has_result(row: SubtaskRow) -> bool:
    """Whether others can go on from the subtask: it completed, or its fallback did in its place."""
    return row.state == SubtaskState.COMPLETED or (row.state == SubtaskState.FAILED and row.result is not None)


def equal(db: sqlite3.Connection, task_id: str, fingerprint: bytes) -> tuple[str, bytes] | None:
    """A completed subtask of another task with equal type, parameters and inputs: (its id, its result)."""
    row = db.execute(
        "SELECT s.id, s.result FROM subtasks s JOIN tasks t ON t.number = s.task "
        "WHERE t.id = ? AND s.fingerprint = ? AND s.state = 'completed'",
        (task_id, fingerprint),
    ).fetchone()
    return (row[0], results.get(db, row[1])) if row else None


def end(db: sqlite3.Connection, task: int, subtask: str, event: SubtaskEvent, error: str, now: float) -> bool:
    """Ends a subtask without a result (FAIL, SKIP), with the sentence that says why; False if it had ended."""
    if not move(db, task, subtask, event):
        return False
    db.execute("UPDATE subtasks SET ended_at = ?, error = ? WHERE task = ? AND id = ?", (now, error, task, subtask))
    return True


def set_waiting(db: sqlite3.Connection, task: int, subtask: str, event: SubtaskEvent) -> bool:
    """Makes a move that ends in waiting (SEND_BACK, ANSWER, RETRY), or in held if somebody stops the subtask."""
    if not move(db, task, subtask, event):
        return False
    row = find(db, task, subtask)
    if row and row.stops:
        move(db, task, subtask, SubtaskEvent.HOLD)
    return True


def count_attempt(db: sqlite3.Connection, task: int, subtask: str, error: str) -> None:
    """Counts a failed attempt and keeps its reason."""
    db.execute(
        "UPDATE subtasks SET attempts = attempts + 1, error = ? WHERE task = ? AND id = ?", (error, task, subtask)
    )


def note(db: sqlite3.Connection, task: int, subtask: str, error: str) -> None:
    """Keeps with a subtask why something about it failed, whatever its state."""
    db.execute("UPDATE subtasks SET error = ? WHERE task = ? AND id = ?", (error, task, subtask))


def renew(db: sqlite3.Connection, task: int, subtask: str) -> None:
    """Gives a subtask that runs again a fresh count of attempts."""
    db.execute(
        "UPDATE subtasks SET attempts = 0, error = NULL, ended_at = NULL WHERE task = ? AND id = ?", (task, subtask)
    )


def set_stops(db: sqlite3.Connection, task: int, subtask: str, stops: Mapping[str, Any]) -> None:
    """Replaces who has stopped a subtask."""
    text = json.dumps(stops, ensure_ascii=False)
    db.execute("UPDATE subtasks SET stops = ? WHERE task = ? AND id = ?", (text, task, subtask))


def result(db: sqlite3.Connection, task: int, subtask: str) -> bytes:
    """The JSON bytes that a completed subtask returned; raises DataCorrupt if they are gone or damaged."""
    (number,) = db.execute("SELECT result FROM subtasks WHERE task = ? AND id = ?", (task, subtask)).fetchone()
    return results.get(db, number)


def small_results(db: sqlite3.Connection, task: int, most: int) -> list[tuple[str, bytes | None]]:
    """(id, JSON bytes) of what the plan's completed subtasks returned; without the bytes if they are more than that."""
    rows = db.execute(
        "SELECT s.id, CASE WHEN length(r.body) <= ? THEN r.body END "
        "FROM subtasks s JOIN results r ON r.number = s.result "
        "WHERE s.task = ? AND s.state = 'completed' AND s.id NOT LIKE '@%' ORDER BY s.position",
        (most, task),
    )
    return rows.fetchall()


def steps(db: sqlite3.Connection, task: int, subtask: str) -> list[tuple[str, int]]:
    """(name, results row) of every step of a subtask that has ended."""
    rows = db.execute(
        "SELECT name, result FROM steps WHERE task = ? AND subtask = ? AND result IS NOT NULL", (task, subtask)
    )
    return rows.fetchall()


def begun(db: sqlite3.Connection, task: int, subtask: str) -> dict[str, float]:
    """Name → time of each step that was begun and has no receipt: nobody knows whether its effect happened."""
    rows = db.execute(
        "SELECT name, started_at FROM steps WHERE task = ? AND subtask = ? AND result IS NULL", (task, subtask)
    )
    return dict(rows.fetchall())


def begin_step(db: sqlite3.Connection, task: int, subtask: str, name: str, now: float) -> None:
    """Records that a step was begun."""
    db.execute(
        "INSERT OR REPLACE INTO steps(task, subtask, name, started_at) VALUES(?, ?, ?, ?)", (task, subtask, name, now)
    )


def forget_step(db: sqlite3.Connection, task: int, subtask: str, name: str) -> None:
    """Takes back that a step was begun, if none of its calls was: nothing of it can have happened."""
    db.execute(
        "DELETE FROM steps WHERE task = ?1 AND subtask = ?2 AND name = ?3 AND result IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM spend WHERE task = ?1 AND subtask = ?2 AND step = ?3)",
        (task, subtask, name),
    )


def end_step(db: sqlite3.Connection, task: int, subtask: str, name: str, body: bytes, now: float) -> None:
    """Records a step's value."""
    db.execute(
        "UPDATE steps SET ended_at = ?, result = ? WHERE task = ? AND subtask = ? AND name = ?",
        (now, results.put(db, body), task, subtask, name),
    )


def durations(db: sqlite3.Connection, limit: int = 2000) -> dict[str, float]:
    """Mean seconds of each type over the last completed subtasks of this database: what a planner can learn from."""
    rows = db.execute(
        "SELECT type, avg(ended_at - started_at) FROM (SELECT type, ended_at, started_at FROM subtasks "
        "WHERE state = 'completed' AND task > (SELECT coalesce(max(number), 0) - 20 FROM tasks) LIMIT ?) GROUP BY type",
        (limit,),
    )
    return dict(rows.fetchall())


def running(db: sqlite3.Connection, task: int) -> int:
    """How many subtasks are marked as running."""
    (count,) = db.execute("SELECT count(*) FROM subtasks WHERE task = ? AND state = 'running'", (task,)).fetchone()
    return int(count)


def lost(db: sqlite3.Connection, task: int) -> list[str]:
    """Sets what a dead runner left as running back to waiting, or to held; returns their ids."""
    rows = db.execute("SELECT id FROM subtasks WHERE task = ? AND state = 'running'", (task,)).fetchall()
    return [id_ for (id_,) in rows if set_waiting(db, task, id_, SubtaskEvent.SEND_BACK)]


def stopped_by(db: sqlite3.Connection, task: int, who: str) -> list[SubtaskRow]:
    """The subtasks that somebody stops."""
    rows = db.execute(f"SELECT {COLUMNS} FROM subtasks WHERE task = ? AND stops LIKE ?", (task, f'%"{who}"%'))
    return [row for row in map(_row, rows) if who in row.stops]


def startable(rows: Sequence[SubtaskRow]) -> set[str]:
    """Those that may start now: waiting, not stopped, all they need is there, and no fallback that nothing needs."""
    usable = {row.id for row in rows if has_result(row)}
    failed = {row.id for row in rows if row.state == SubtaskState.FAILED and row.result is None}
    spare = {row.spec["fallback"] for row in rows if row.spec.get("fallback") and row.id not in failed}
    return {
        row.id
        for row in rows
        if row.state == SubtaskState.WAITING
        and not row.stops
        and row.id not in spare
        and usable.issuperset(row.spec.get("dependencies", ()))
    }


def open_types(db: sqlite3.Connection, task: int, *, undoing: bool = False) -> set[str]:
    """The types of the subtasks that are still to settle, or, ``undoing``, to be compensated."""
    marks = ", ".join(f"'{state}'" for state in sorted(SETTLED) if not (undoing and state == SubtaskState.COMPLETED))
    rows = db.execute(f"SELECT DISTINCT type FROM subtasks WHERE task = ? AND state NOT IN ({marks})", (task,))
    return {type_ for (type_,) in rows}


def is_settled(row: SubtaskRow) -> bool:
    """Whether the subtask will not run again."""
    return row.state in SETTLED


def _row(row: tuple[Any, ...]) -> SubtaskRow:
    id_, type_, spec, state, stops, *rest = row
    stopped = {} if stops == "{}" else json.loads(stops)
    return SubtaskRow(id_, type_, json.loads(spec), SubtaskState(state), stopped, *rest)
