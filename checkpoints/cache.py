"""Answers that may be used again: stored by key, found until they are stale, forgotten by key, tag or what they are of.

A tag is a word of the form ``name:value``.  ``file:`` and ``subtask:`` tell what an answer was made from, over all the
subtasks between, so that whoever changes an input can forget everything that was derived from it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

FILE, SUBTASK = "file:", "subtask:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer; ``value`` is JSON, ``cost`` dollars, ``stale_at`` seconds since 1970 or None for never."""

    key: bytes
    type: str
    model: str
    value: bytes
    cost: float
    tokens: int
    made_at: float
    stale_at: float | None = None

    def made(self, now: float, seconds: float) -> Entry:
        """The answer as one that is made now and may be used for so long."""
        return replace(self, made_at=now, stale_at=now + seconds)

    def is_stale(self, now: float) -> bool:
        """Whether it may not be used any more."""
        return self.stale_at is not None and self.stale_at <= now


@dataclass(frozen=True, slots=True)
class Stats:
    """What the answers of a type, or of all types, come to; ``saved`` is what hits did not cost."""

    type: str | None
    entries: int
    stale: int
    bytes: int
    hits: int
    saved: float
    saved_tokens: int


def put(db: sqlite3.Connection, entry: Entry, tags: Iterable[str] = ()) -> None:
    """Stores an answer in the place of one with the same key."""
    forget(db, "SELECT number FROM cache WHERE key = ?", (entry.key,))
    number = db.execute(
        "INSERT INTO cache(key, type, model, value, cost, tokens, made_at, stale_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.key, entry.type, entry.model, entry.value, entry.cost, entry.tokens, entry.made_at, entry.stale_at,
        ),
    ).lastrowid  # fmt: skip
    db.executemany("INSERT OR IGNORE INTO cache_tags VALUES(?, ?)", [(tag, number) for tag in tags])


def find(db: sqlite3.Connection, key: bytes) -> Entry | None:
    """The answer of that key, stale or not."""
    row = db.execute(
        "SELECT key, type, model, value, cost, tokens, made_at, stale_at FROM cache WHERE key = ?", (key,)
    ).fetchone()
    return Entry(*row) if row else None


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether nothing is kept."""
    return db.execute("SELECT 1 FROM cache LIMIT 1").fetchone() is None


def hit(db: sqlite3.Connection, entry: Entry) -> bool:
    """Counts a use of an answer; False if it has been forgotten, or made anew, since it was read."""
    sql = "UPDATE cache SET hits = hits + 1 WHERE key = ? AND made_at = ?"
    return db.execute(sql, (entry.key, entry.made_at)).rowcount == 1


def stats(db: sqlite3.Connection, now: float) -> list[Stats]:
    """The sums of each type, most entries first."""
    rows = db.execute(
        "SELECT type, count(*), sum(stale_at IS NOT NULL AND stale_at <= ?), sum(length(value)), sum(hits), "
        "sum(hits * cost), sum(hits * tokens) FROM cache GROUP BY type ORDER BY count(*) DESC, type",
        (now,),
    )
    return [Stats(*row) for row in rows]


def summed(parts: Sequence[Stats]) -> Stats:
    """All types together."""
    return Stats(
        None,
        sum(one.entries for one in parts),
        sum(one.stale for one in parts),
        sum(one.bytes for one in parts),
        sum(one.hits for one in parts),
        sum(one.saved for one in parts),
        sum(one.saved_tokens for one in parts),
    )


def clear(db: sqlite3.Connection) -> int:
    """Forgets all answers; returns how many."""
    return forget(db, "SELECT number FROM cache")


def clear_key(db: sqlite3.Connection, start: str) -> int:
    """Forgets the answers whose key begins with those hexadecimal digits."""
    return forget(db, "SELECT number FROM cache WHERE substr(lower(hex(key)), 1, ?) = ?", (len(start), start.lower()))


def clear_type(db: sqlite3.Connection, type_: str) -> int:
    """Forgets the answers that subtasks of a type asked for."""
    return forget(db, "SELECT number FROM cache WHERE type = ?", (type_,))


def clear_tag(db: sqlite3.Connection, tag: str) -> int:
    """Forgets the answers with a tag."""
    return forget(db, "SELECT entry FROM cache_tags WHERE tag = ?", (tag,))


def clear_file(db: sqlite3.Connection, path: PurePath) -> int:
    """Forgets what was derived from a file, from a folder that it is in, or from anything inside that folder."""
    above = [f"{FILE}{one}" for one in (path, *path.parents)]
    inside = f"{FILE}{path}".rstrip("/") + "/"
    return forget(
        db,
        f"SELECT entry FROM cache_tags WHERE tag IN ({', '.join('?' * len(above))}) OR substr(tag, 1, ?) = ?",
        (*above, len(inside), inside),
    )


def clear_stale(db: sqlite3.Connection, now: float) -> int:
    """Forgets what may not be used any more."""
    return forget(db, "SELECT number FROM cache WHERE stale_at <= ?", (now,))


def forget(db: sqlite3.Connection, which: str, values: Sequence[object] = ()) -> int:
    """Forgets the answers whose numbers the query ``which`` gives; returns how many."""
    numbers = db.execute(which, values).fetchall()
    gone = {number for (number,) in numbers}
    for table, column in (("cache_tags", "entry"), ("cache", "number")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(number,) for number in gone])
    return len(gone)
