"""A minute's share of calls, for all tasks and all processes of a file: who comes first gets the next free moment.

A caller takes a moment, which may lie ahead, and waits for it.  Moments are given in the order in which they are asked
for, so nobody is passed by.  One that is not used is given back; those of a killed process run out by themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

MINUTE = 60.0  # seconds
AHEAD = 3600.0  # seconds; a moment further ahead is of a clock that was set back since
Taken = tuple[float, int]  # (when, tokens)


def take(
    db: sqlite3.Connection, model: str, tokens: int, requests: int | None, most_tokens: int | None, now: float
) -> tuple[int, float]:
    """Takes the next free moment of a model: (its number, when), within the calls and tokens that a minute allows."""
    db.execute("DELETE FROM pace WHERE at <= ? OR at > ?", (now - MINUTE, now + AHEAD))
    rows = db.execute("SELECT at, tokens FROM pace WHERE model = ? ORDER BY at DESC", (model,)).fetchall()
    at = moment(rows, tokens, requests, most_tokens, now)
    number = db.execute("INSERT INTO pace(at, model, tokens) VALUES(?, ?, ?)", (at, model, tokens)).lastrowid
    assert number is not None
    return number, at


def correct(db: sqlite3.Connection, number: int, tokens: int) -> None:
    """Puts the tokens that a call did use in the place of those that it might."""
    db.execute("UPDATE pace SET tokens = ? WHERE rowid = ?", (tokens, number))


def give_back(db: sqlite3.Connection, number: int) -> None:
    """Lets somebody else have a moment."""
    db.execute("DELETE FROM pace WHERE rowid = ?", (number,))


def moment(taken: Sequence[Taken], tokens: int, requests: int | None, most_tokens: int | None, now: float) -> float:
    """The first moment from ``now`` on, after all that are taken (newest first), that keeps each minute to its limits.

    A call of more tokens than a minute allows has a minute to itself.
    """
    at = max([now, *(when for when, _ in taken[:1])])
    if requests is not None and len(taken) >= requests:
        at = max(at, taken[requests - 1][0] + MINUTE)
    if most_tokens is not None:
        room = most_tokens - min(tokens, most_tokens)
        for when, used in taken:
            room -= used
            if room < 0:
                return max(at, when + MINUTE)
    return at
