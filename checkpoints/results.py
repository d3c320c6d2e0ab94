"""Results: JSON values as canonical bytes, each stored once under its hash and checked when read."""

from __future__ import annotations

import hashlib
import sqlite3

from holdfast.checkpoints.errors import DataCorrupt


def put(db: sqlite3.Connection, body: bytes) -> int:
    """The number of the row that holds ``body``; a value that is there already is not stored again."""
    digest = hashlib.sha256(body).digest()
    row = db.execute("SELECT number FROM results WHERE sha256 = ?", (digest,)).fetchone()
    if row:
        return int(row[0])
    return int(db.execute("INSERT INTO results(sha256, body) VALUES(?, ?)", (digest, body)).lastrowid or 0)


def get(db: sqlite3.Connection, number: int) -> bytes:
    """The bytes of a row; raises DataCorrupt if they are not what their hash says."""
    row = db.execute("SELECT sha256, body FROM results WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise DataCorrupt(f"result {number} is missing from the database; restore it from a copy")
    if not isinstance(row[1], bytes) or hashlib.sha256(row[1]).digest() != row[0]:
        raise DataCorrupt(f"result {number} in the database was damaged; restore it from a copy")
    return row[1]
