"""Retention: forgets tasks that ended long ago, and gives their space back.

What a resume needs is never touched: a task that has not ended keeps all its rows, and of its checkpoints the latest.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoints import cache
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.files import draft_name, drafted
from holdfast.checkpoints.states import TERMINAL

TABLES = ("subtasks", "steps", "events", "artifacts", "questions", "messages", "leases", "spend")
GRACE_SECONDS = 3600
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_ENDED = ", ".join(f"'{state}'" for state in sorted(TERMINAL))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten, how many bytes that gave back, and how many drafts were left by writers that were killed.

    ``uploads`` are the files of forgotten tasks, and of tasks that never came to be, which clients had sent.
    """

    tasks: int
    files: int
    bytes: int
    drafts: int = 0
    uploads: int = 0


def prune(database: Database, before: float, *, keep: int = 0) -> Pruned:
    """Forgets tasks that ended and were last changed before that time (seconds since 1970), but the ``keep`` newest."""
    young = time.time() - GRACE_SECONDS  # a subtask under way may have stored it and not named it yet
    drafts = [*database.files.drafts(), *database.read(_handed_out_drafts)]
    left = _remove([path for path in drafts if _before(path, young)])
    size = _size(database)
    forgotten = database.write(lambda db: _forget(db, before, keep))
    wanted = database.read(_hashes)
    stored = [path for path in database.files.all() if path.name not in wanted and _before(path, young)]
    removed = _remove(stored)
    given = _remove_uploads(database, set(forgotten), young)
    database.compact()
    shrunk = max(0, size - _size(database))
    return Pruned(len(forgotten), len(removed), shrunk + sum(left) + sum(given), len(left), len(given))


def uploads(database: Database) -> Path:
    """Where files that came with messages lie, a folder for each task."""
    return database.path.with_name(database.path.name + ".d") / "uploads"


def _remove_uploads(database: Database, forgotten: set[str], young: float) -> list[int]:
    """Removes what came with forgotten tasks, and what is left of messages that began none; returns the sizes."""
    folders = [path for path in uploads(database).glob("*") if path.is_dir()]
    old = {path.name for path in folders if _before(path, young)}  # a younger one may be of a message under way
    known = database.read(lambda db: {task_id for (task_id,) in db.execute("SELECT id FROM tasks")})
    sizes = list[int]()
    for folder in folders:
        if folder.name in forgotten | (old - known):
            sizes += _remove([path for path in folder.rglob("*") if path.is_file()])
            shutil.rmtree(folder, ignore_errors=True)
    return sizes


def _forget(db: sqlite3.Connection, before: float, keep: int) -> list[str]:
    """Forgets the tasks; returns their ids."""
    rows = db.execute(
        f"SELECT number, id FROM tasks WHERE state IN ({_ENDED}) AND updated_at < ? "
        "AND number NOT IN (SELECT number FROM tasks ORDER BY number DESC LIMIT ?)",
        (before, keep),
    ).fetchall()
    for number, task_id in rows:
        for table in TABLES:
            db.execute(f"DELETE FROM {table} WHERE task = ?", (number,))
        for table in ("checkpoints", "writes"):
            db.execute(f"DELETE FROM {table} WHERE thread_id = ?", (task_id,))
        db.execute("DELETE FROM tasks WHERE number = ?", (number,))
    latest = "SELECT thread_id, checkpoint_ns, max(checkpoint_id) FROM checkpoints GROUP BY thread_id, checkpoint_ns"
    for table in ("writes", "checkpoints"):
        db.execute(
            f"DELETE FROM {table} WHERE thread_id IN (SELECT id FROM tasks) "
            f"AND (thread_id, checkpoint_ns, checkpoint_id) NOT IN ({latest})"
        )
    db.execute(
        "DELETE FROM results WHERE number NOT IN (SELECT result FROM subtasks WHERE result IS NOT NULL "
        "UNION SELECT result FROM steps WHERE result IS NOT NULL)"
    )
    cache.clear_stale(db, time.time())
    return [task_id for _, task_id in rows]


def _handed_out_drafts(db: sqlite3.Connection) -> list[Path]:
    """Drafts of artifacts that lie beside them, in whatever folder they were written to."""
    names = defaultdict(set)
    for (path,) in db.execute("SELECT DISTINCT path FROM artifacts"):
        names[Path(path).parent].add(draft_name(Path(path).name))
    return [
        path
        for folder, written in names.items()
        if folder.is_dir()
        for path in folder.glob(".*")
        if drafted(path) in written
    ]


def _before(path: Path, moment: float) -> bool:
    """Whether a file was last changed before then; not if it has just gone."""
    with suppress(OSError):
        return path.stat().st_mtime < moment
    return False


def _remove(paths: list[Path]) -> list[int]:
    """Removes files; returns the sizes of those that could be."""
    sizes = []
    for path in paths:
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            sizes.append(size)
    return sizes


def _hashes(db: sqlite3.Connection) -> set[str]:
    """Every stored file that a task may still read: those it handed out, and those its results name."""
    named = {sha256 for (sha256,) in db.execute("SELECT sha256 FROM artifacts")}
    for (body,) in db.execute("SELECT body FROM results"):
        named.update(_HASH.findall(body.decode()))
    return named


def _size(database: Database) -> int:
    paths = [database.path, database.path.with_name(database.path.name + "-wal"), *database.files.all()]
    return sum(path.stat().st_size for path in paths if path.exists())
