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
from holdfast.checkpoints.states import SETTLED, SubtaskState

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
    db.executemany(
        "INSERT INTO subtasks(task, id, position, type, spec, state) VALUES(?, ?, ?, ?, ?, 'waiting')",
        [
            (task, spec["id"], i, spec["type"], json.dumps(spec, ensure_ascii=False, separators=(",", ":")))
            for i, spec in enumerate(specs)
        ],
    )


def load(db: sqlite3.Connection, task: int) -> list[SubtaskRow]:
    """All subtasks of a task in the order of the plan."""
    rows = db.execute(f"SELECT {COLUMNS} FROM subtasks WHERE task = ? ORDER BY position", (task,))
    return [_row(row) for row in rows]


def find(db: sqlite3.Connection, task: int, subtask: str) -> SubtaskRow | None:
    """One subtask, or None."""
    row = db.execute(f"SELECT {COLUMNS} FROM subtasks WHERE task = ? AND id = ?", (task, subtask)).fetchone()
    return _row(row) if row else None


def may_run(db: sqlite3.Connection, task: int) -> bool:
    """Whether the control row lets work start: the task is WORKING and nobody has stopped it."""
    row = db.execute("SELECT state, stops FROM tasks WHERE number = ?", (task,)).fetchone()
    return bool(row) and row[0] == "WORKING" and row[1] == "{}"


def start(db: sqlite3.Connection, task: int, subtask: str, now: float) -> None:
    """Marks a subtask as running; the caller has asked ``may_run`` in this transaction."""
    db.execute(
        "UPDATE subtasks SET state = 'running', started_at = coalesce(started_at, ?), ended_at = NULL "
        "WHERE task = ? AND id = ?",
        (now, task, subtask),
    )


def complete(db: sqlite3.Connection, task: int, subtask: str, body: bytes, now: float) -> None:
    """Stores the result and marks the subtask as completed."""
    db.execute(
        "UPDATE subtasks SET state = 'completed', ended_at = ?, error = NULL, result = ? WHERE task = ? AND id = ?",
        (now, results.put(db, body), task, subtask),
    )


def settle(db: sqlite3.Connection, task: int, subtask: str, state: SubtaskState, error: str | None, now: float) -> None:
    """Marks a subtask as failed or skipped, with the sentence that says why."""
    db.execute(
        "UPDATE subtasks SET state = ?, ended_at = ?, error = ? WHERE task = ? AND id = ?",
        (state, now, error, task, subtask),
    )


def send_back(db: sqlite3.Connection, task: int, subtask: str, error: str | None) -> None:
    """Sets a running subtask back to waiting; with an error that attempt has failed and is counted."""
    db.execute(
        "UPDATE subtasks SET state = 'waiting', attempts = attempts + ?, error = ? WHERE task = ? AND id = ?",
        (1 if error else 0, error, task, subtask),
    )


def steps(db: sqlite3.Connection, task: int, subtask: str) -> dict[str, int]:
    """Name → results row of every step of a subtask that has ended."""
    return dict(
        db.execute(
            "SELECT name, result FROM steps WHERE task = ? AND subtask = ? AND result IS NOT NULL", (task, subtask)
        ).fetchall()
    )


def begin_step(db: sqlite3.Connection, task: int, subtask: str, name: str, now: float) -> None:
    """Records that a step was begun."""
    db.execute(
        "INSERT OR REPLACE INTO steps(task, subtask, name, started_at) VALUES(?, ?, ?, ?)", (task, subtask, name, now)
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


def open_types(db: sqlite3.Connection, task: int) -> set[str]:
    """The types of the subtasks that are still to settle."""
    marks = ", ".join(f"'{state}'" for state in sorted(SETTLED))
    rows = db.execute(f"SELECT DISTINCT type FROM subtasks WHERE task = ? AND state NOT IN ({marks})", (task,))
    return {type_ for (type_,) in rows}


def counts(db: sqlite3.Connection, task: int) -> dict[str, int]:
    """How many subtasks are in each state."""
    return dict(db.execute("SELECT state, count(*) FROM subtasks WHERE task = ? GROUP BY state", (task,)).fetchall())


def is_settled(row: SubtaskRow) -> bool:
    """Whether the subtask will not run again."""
    return row.state in SETTLED


def _row(row: tuple[Any, ...]) -> SubtaskRow:
    id_, type_, spec, state, stops, *rest = row
    return SubtaskRow(id_, type_, json.loads(spec), SubtaskState(state), json.loads(stops), *rest)
