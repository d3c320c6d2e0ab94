"""API keys: who may use the server.  A key is shown once; the file has its SHA-256 only.

A key is 32 random bytes, so its hash needs no salt and no slow function: there is nothing to guess.

From the first key on requests have to show one, and that stays so when the last is revoked: a row in ``meta`` says it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Iterable

from holdfast.checkpoints.errors import BadInput

PREFIX = "hf_"
ASKED = "keys_asked"  # the row in meta
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def add(db: sqlite3.Connection, name: str, now: float) -> str:
    """Makes a key for an owner and returns it; raises BadInput if the name is none or taken."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"the name {name!r} is not one: use small letters, digits, dot, dash and underscore")
    if db.execute("SELECT 1 FROM keys WHERE name = ?", (name,)).fetchone():
        raise BadInput(f"there is a key of {name!r} already; revoke it first, or choose another name")
    key = PREFIX + secrets.token_urlsafe(32)
    db.execute("INSERT INTO keys VALUES(?, ?, ?)", (name, _hash(key), now))
    return key


def revoke(db: sqlite3.Connection, name: str) -> None:
    """Makes a key worthless at once; raises BadInput if there is none of that name."""
    if not db.execute("DELETE FROM keys WHERE name = ?", (name,)).rowcount:
        raise BadInput(f"there is no key of {name!r}")
    db.execute("INSERT OR IGNORE INTO meta VALUES(?, 'yes')", (ASKED,))


def asked(db: sqlite3.Connection) -> bool:
    """Whether requests have to show a key: there is one, or there was one and nobody has called ``off`` since."""
    (found,) = db.execute(
        "SELECT EXISTS(SELECT 1 FROM keys) OR EXISTS(SELECT 1 FROM meta WHERE key = ?)", (ASKED,)
    ).fetchone()
    return bool(found)


def off(db: sqlite3.Connection) -> None:
    """Asks for keys no more; raises BadInput while there is one."""
    if found := [name for name, _ in names(db)]:
        raise BadInput(f"there are keys still, of {', '.join(found)}; revoke them first")
    db.execute("DELETE FROM meta WHERE key = ?", (ASKED,))


def names(db: sqlite3.Connection) -> list[tuple[str, float]]:
    """(owner, when it was made) of every key, by name."""
    return [(name, at) for name, at in db.execute("SELECT name, created_at FROM keys ORDER BY name")]


def load(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """(owner, hash) of every key."""
    return [(name, known) for name, known in db.execute("SELECT name, sha256 FROM keys")]


def match(key: str, known: Iterable[tuple[str, bytes]]) -> str | None:
    """Whose key this is among those that ``load`` gave; takes as long for a wrong one as for a right one."""
    given, owner = _hash(key), None
    for name, hashed in known:
        if hmac.compare_digest(given, hashed):
            owner = name
    return owner


def owner_of(db: sqlite3.Connection, key: str) -> str | None:
    """Whose key this is, or None."""
    return match(key, load(db))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
