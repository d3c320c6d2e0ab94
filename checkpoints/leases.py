"""Who may write a task: a lease with a fencing token, and an operating-system lock that shows who is alive.

Each open database of each process is an *owner* with a lock file of its own, locked for as long as it lives.  A lease
row names its owner.  A task may be taken when its row names nobody, when the owner's lock is free (it died: at once),
or when the lease has run out (it hangs, or was stopped).  Taking raises the token, and every write checks the token in
its own transaction, so a runner that was stopped and wakes up writes nothing.

Expiry counts on CLOCK_MONOTONIC, which all processes of one boot share and which nobody can set.  After a reboot no
lock is held, so no expiry of before is ever looked at.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoints.errors import LeaseHeld, LeaseLost, StoreError

SECONDS = 10.0
SERVER = "server-"  # begins the last part of the name of an owner that takes up whatever nobody works on


_owners: weakref.WeakSet[Owner] = weakref.WeakSet()


def _forget_all() -> None:
    """A forked child must not keep its dead parent's lock alive."""
    for owner in _owners:
        owner.forget()


os.register_at_fork(after_in_child=_forget_all)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a task; valid while the row has this token."""

    task: int
    task_id: str
    token: int


class Owner:
    """This process's identity for one database, alive as long as its lock file is locked."""

    def __init__(self, folder: Path, seconds: float, *, serves: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.seconds, self._folder = seconds, folder
        self.name = f"{socket.gethostname()}:{os.getpid()}:{SERVER if serves else ''}{uuid.uuid4().hex}"
        self.held: dict[str, Lease] = {}
        self.last: dict[str, Lease] = {}  # the latest of each task that may still write here
        self._lock = _locked(self._path(self.name))
        _owners.add(self)

    def take(self, db: sqlite3.Connection, task: int, task_id: str) -> Lease:
        """The lease of a task; raises LeaseHeld while a live owner has one that has not run out.

        It is renewed from when it is committed and handed to ``keep``.
        """
        row = db.execute("SELECT token, owner, expires_at FROM leases WHERE task = ?", (task,)).fetchone()
        token, owner, expires_at = row or (0, None, 0.0)
        if owner and self._alive(owner) and time.monotonic() < expires_at:
            raise LeaseHeld(task_id, describe(owner), by_server=f":{SERVER}" in owner)
        db.execute(
            "INSERT OR REPLACE INTO leases VALUES(?, ?, ?, ?)",
            (task, token + 1, self.name, time.monotonic() + self.seconds),
        )
        return Lease(task, task_id, token + 1)

    def release(self, db: sqlite3.Connection, lease: Lease) -> None:
        """Gives a lease back; nothing happens if it was lost."""
        db.execute("UPDATE leases SET owner = NULL WHERE task = ? AND token = ?", (lease.task, lease.token))

    def keep(self, lease: Lease) -> None:
        """Renews a lease from now on, and lets the saver check its token."""
        self.held[lease.task_id] = self.last[lease.task_id] = lease

    def drop(self, lease: Lease, *, over: bool = True) -> None:
        """Renews a lease no more; not ``over``, what is still written for its task is checked against its token."""
        self.held.pop(lease.task_id, None)
        if over:
            self.last.pop(lease.task_id, None)

    def check_last(self, db: sqlite3.Connection, task_id: str) -> None:
        """Raises LeaseLost if somebody else took the task since this owner held it; a later lease of ours will do."""
        if lease := self.last.get(task_id):
            row = db.execute("SELECT token, owner FROM leases WHERE task = ?", (lease.task,)).fetchone()
            if row is None or (row[0] != lease.token and row[1] != self.name):
                raise LeaseLost(task_id)

    def release_all(self, db: sqlite3.Connection) -> None:
        """Gives back all leases."""
        for lease in list(self.held.values()):
            self.release(db, lease)

    def renew(self, db: sqlite3.Connection) -> None:
        """Puts off the expiry of every lease that is still ours."""
        until = time.monotonic() + self.seconds
        rows = [(until, lease.task, lease.token) for lease in list(self.held.values())]
        db.executemany("UPDATE leases SET expires_at = ? WHERE task = ? AND token = ?", rows)

    def runner(self, db: sqlite3.Connection, task: int) -> str | None:
        """Who works on the task now, in words; None if nobody that lives."""
        row = db.execute("SELECT owner, expires_at FROM leases WHERE task = ?", (task,)).fetchone()
        if row and row[0] and self._alive(row[0]) and time.monotonic() < row[1]:
            return describe(row[0])
        return None

    def close(self) -> None:
        """Unlocks and removes the lock file."""
        self._path(self.name).unlink(missing_ok=True)
        self.forget()

    def _alive(self, owner: str) -> bool:
        """Whether the owner's process holds its lock; the file of a dead one is removed."""
        if owner == self.name:
            return True
        path = self._path(owner)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not mistake each other for it
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        path.unlink(missing_ok=True)  # owners' names are never used again
        return False

    def _path(self, owner: str) -> Path:
        return self._folder / f"{owner.rsplit(':', 1)[-1]}.lock"

    def forget(self) -> None:
        """Lets the lock file go."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Renewal:
    """A thread that renews the owner's leases, so that a busy event loop does not lose them."""

    def __init__(self, owner: Owner, write: Callable[[Callable[[sqlite3.Connection], None]], None]) -> None:
        self._owner, self._write = owner, write
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._owner.seconds / 3):
            if self._owner.held:
                try:
                    self._write(self._owner.renew)
                except StoreError:
                    continue  # the runner's own next write meets the same fault and reports it


def check(db: sqlite3.Connection, lease: Lease) -> None:
    """Raises LeaseLost unless the row still has this token."""
    row = db.execute("SELECT token FROM leases WHERE task = ?", (lease.task,)).fetchone()
    if row is None or row[0] != lease.token:
        raise LeaseLost(lease.task_id)


def describe(owner: str) -> str:
    """An owner for a person to read."""
    host, pid, name = owner.rsplit(":", 2)
    return f"{'the server, ' if name.startswith(SERVER) else ''}process {pid} on {host}"


def _locked(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file
