"""Tells this process when another one has written to the file, so that nobody here has to look again and again.

SQLite counts for each connection the commits of others (``PRAGMA data_version``).  Asked of the writer's connection,
that counts other processes only: what is written here is told by who writes it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from holdfast.checkpoints.errors import StoreError

LOOK_SECONDS = 0.05


class Lookout:
    """A thread that looks as long as somebody wants to know."""

    def __init__(self, write: Callable[[Callable[[sqlite3.Connection], int]], int]) -> None:
        self._write = write
        self._told: list[Callable[[], None]] = []
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-lookout", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, tell: Callable[[], None]) -> Iterator[None]:
        """Calls ``tell``, in a thread of its own, whenever another process has written, as long as this lasts."""
        self._told.append(tell)
        self._wanted.set()
        try:
            yield
        finally:
            self._told.remove(tell)
            if not self._told:
                self._wanted.clear()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        seen = 0
        while self._wanted.wait() and not self._stopped.wait(LOOK_SECONDS):
            try:
                version = self._write(_version)
            except StoreError:
                continue  # whoever writes next meets the same fault and reports it
            if version != seen:
                seen = version
                for tell in list(self._told):
                    tell()


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA data_version").fetchone()[0])
