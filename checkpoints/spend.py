"""What calls of a model cost: reserved before the call, settled after it, and never above the task's budget."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

RESERVED, COUNTED, ESTIMATED = "reserved", "counted", "estimated"


@dataclass(frozen=True, slots=True)
class Spent:
    """A sum of calls; ``cost`` in dollars, ``estimated`` if any of it was not counted by the server."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.input_tokens + self.output_tokens


def reserve(
    db: sqlite3.Connection,
    task: int,
    subtask: str,
    step: str,
    model: str,
    most: Spent,
    limits: Mapping[str, Any],
    now: float,
) -> int | None:
    """Sets aside what a call costs at most; the number of the attempt, or None if that would pass a limit.

    ``limits`` may have ``cost`` in dollars and ``tokens``; what is reserved counts as if it were spent.
    """
    spent = total(db, task)
    if spent.cost + most.cost > limits.get("cost", float("inf")) + 1e-12:
        return None
    if spent.tokens + most.tokens > limits.get("tokens", float("inf")):
        return None
    (attempt,) = db.execute(
        "SELECT coalesce(max(attempt), 0) + 1 FROM spend WHERE task = ? AND subtask = ? AND step = ?",
        (task, subtask, step),
    ).fetchone()
    db.execute(
        "INSERT INTO spend VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (task, subtask, step, attempt, now, model, most.input_tokens, most.output_tokens, most.cost, RESERVED),
    )
    return int(attempt)


def settle(db: sqlite3.Connection, task: int, subtask: str, step: str, attempt: int, spent: Spent) -> None:
    """Puts what a call did cost in the place of what was reserved for it."""
    db.execute(
        "UPDATE spend SET input_tokens = ?, output_tokens = ?, cost = ?, state = ? "
        "WHERE task = ? AND subtask = ? AND step = ? AND attempt = ?",
        (
            spent.input_tokens, spent.output_tokens, spent.cost, ESTIMATED if spent.estimated else COUNTED,
            task, subtask, step, attempt,
        ),
    )  # fmt: skip


def by_subtask(db: sqlite3.Connection, task: int) -> dict[str, float]:
    """Dollars of each subtask that has spent or reserved any."""
    return dict(db.execute("SELECT subtask, sum(cost) FROM spend WHERE task = ? GROUP BY subtask", (task,)).fetchall())


def to_finish(done: Iterable[tuple[str, float]], ahead: Iterable[tuple[str, float]]) -> float | None:
    """Dollars that the rest of a plan is expected to cost; None while nothing is known of any of its types.

    ``done`` has type and dollars of what has completed, ``ahead`` type and dollars so far of what has not: each is
    expected to come to the mean of its type.
    """
    known: dict[str, list[float]] = {}
    for kind, cost in done:
        known.setdefault(kind, []).append(cost)
    expected = [max(sum(some) / len(some) - cost, 0.0) for kind, cost in ahead if (some := known.get(kind))]
    return sum(expected) if expected else None


def total(db: sqlite3.Connection, task: int, subtask: str | None = None) -> Spent:
    """All that a task, or one of its subtasks, has spent and reserved."""
    row: tuple[Any, ...] = db.execute(
        "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost), 0.0), "
        "coalesce(max(state != 'counted'), 0) FROM spend WHERE task = ?1 AND (?2 IS NULL OR subtask = ?2)",
        (task, subtask),
    ).fetchone()
    return Spent(int(row[0]), int(row[1]), float(row[2]), bool(row[3]))
