"""Opening the file: a new one appears whole or not at all, an old one is migrated, a wrong one is refused.

Numbered migrations are SQL files beside this module, each applied in one transaction with its row in ``migrations``.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from contextlib import closing
from importlib import resources
from pathlib import Path

from holdfast.checkpoints.errors import StoreError
from holdfast.checkpoints.files import write_whole

APPLICATION_ID = 0x48464153  # "HFAS", in the file's header
BUSY_SECONDS = 5.0


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) of every migration, in order."""
    folder = resources.files("holdfast.checkpoints") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:3]), name.removesuffix(".sql"), (folder / name).read_text("utf-8")) for name in names]


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """The sentence for what SQLite reported."""
    text = str(error)
    for mark, sentence in {
        "locked": "is locked by another program; end that program or try again",
        "readonly": "or its folder is read-only; make it writable or choose another with --db",
        "disk is full": "cannot grow, the disk is full; free some space, then resume",
        "disk I/O": "cannot be read or written (disk I/O error); check the disk, then resume",
        "malformed": "is damaged; restore it from a copy, or keep what `sqlite3 FILE .recover` can save",
        "not a database": "is not a SQLite database; choose another file with --db",
        "unable to open": "cannot be opened; check that the folder exists and that you may write to it",
    }.items():
        if mark in text:
            return StoreError(f"the database {path} {sentence}")
    return StoreError(f"the database {path} failed: {text}")


def open_file(path: Path) -> None:
    """Makes sure that ``path`` is a Holdfast database of this version; raises StoreError if it cannot be one."""
    try:
        if not path.exists():
            (_sibling(path, ".d") / "instance").unlink(missing_ok=True)  # it was deleted on purpose: begin anew
            _create(path)
        elif path.stat().st_size == 0 and not _sibling(path, "-wal").exists():
            raise StoreError(
                f"the database {path} is empty (0 bytes): it was emptied from outside; restore it from a copy, "
                "or delete it to begin anew"
            )
        with closing(connect(path)) as db:
            _migrate(db, path)
            _same(db, path)
    except OSError as error:
        raise StoreError(f"the database {path} cannot be used: {error.strerror or error}") from None
    except sqlite3.Error as error:
        raise explain(error, path) from None


def _same(db: sqlite3.Connection, path: Path) -> None:
    """Refuses a file that stands where another database stood: what lies beside it belongs to that one."""
    (instance,) = db.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
    note = _sibling(path, ".d") / "instance"
    if not note.exists():
        write_whole(note, instance.encode())
    elif (known := note.read_text()) != instance:
        raise StoreError(
            f"the database {path} is not the one that {note.parent} belongs to ({instance[:8]}, not {known[:8]}); "
            "put the right file back, or move that folder away"
        )


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, set up as every one of Holdfast's is."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    db.execute("PRAGMA synchronous=FULL")
    if read_only:
        db.execute("PRAGMA query_only=ON")
    return db


def _create(path: Path) -> None:
    """Builds the file under another name and links it into place, so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _sibling(path, f".new-{uuid.uuid4().hex}")
    try:
        with closing(connect(draft)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            _migrate(db, path)
            db.execute("INSERT INTO meta VALUES('instance', ?)", (uuid.uuid4().hex,))
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was faster; its file is as good
    finally:
        for suffix in ("", "-wal", "-shm"):
            _sibling(draft, suffix).unlink(missing_ok=True)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"the database {path} is not one of Holdfast's; choose another file with --db")
    db.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL NOT NULL)"
    )
    known = migrations()
    (done,) = db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    if done > known[-1][0]:
        raise StoreError(
            f"the database {path} was written by a newer Holdfast (format {done}, this one knows {known[-1][0]}); "
            "upgrade Holdfast to open it"
        )
    for number, name, sql in known:
        if number > done:
            row = f"INSERT INTO migrations VALUES({number}, '{name}', {time.time()});"
            try:
                db.executescript(f"BEGIN IMMEDIATE;\n{row}\n{sql}\nCOMMIT;")
            except sqlite3.IntegrityError:
                db.execute("ROLLBACK")  # another process has applied it meanwhile: its row was there first


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
