"""One file, one writer: every write of a process goes through one thread, and returns when it is on disk.

``write`` runs a function in the writer's next transaction; whatever waits while one transaction commits goes together
into the next (group commit), and an error stays with its author: a batch that fails is rolled back and each job tried
alone.  Each job may name the lease it writes under; a lease that has been lost refuses that job, in the transaction
itself.  Reads run on a thread of their own.  No SQLite call ever runs on an event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from holdfast.checkpoints import leases, schema
from holdfast.checkpoints.errors import StoreError
from holdfast.checkpoints.files import Files
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.lookout import Lookout

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Work[T]
    lease: Lease | None
    future: Future[T] | asyncio.Future[T]
    loop: asyncio.AbstractEventLoop | None  # None: the future is a thread's

    def settle(self, value: T | None, error: BaseException | None) -> None:
        if self.future.done():
            return  # its caller was cancelled; what it wrote stays written
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]


_Outcome = tuple[_Job[Any], Any, BaseException | None]


class _Worker:
    """A thread with one connection that runs jobs, as many to a transaction as have come in."""

    def __init__(self, path: Path, name: str, begin: str, *, read_only: bool) -> None:
        self.db = schema.connect(path, read_only=read_only)
        self._path, self._begin = path, begin
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: _Job[Any]) -> None:
        if not self._thread.is_alive():
            raise StoreError(f"the database {self._path} is closed")
        self._jobs.put(job)

    def close(self) -> None:
        """Runs what is queued, then closes the connection."""
        self._jobs.put(None)
        self._thread.join()
        self.db.close()

    def _serve(self) -> None:
        serving = True
        while serving:
            batch = [self._jobs.get()]
            while not self._jobs.empty():
                batch.append(self._jobs.get())
            serving = None not in batch
            if jobs := [job for job in batch if job is not None]:
                self._settle(self._commit(jobs))

    def _commit(self, batch: list[_Job[Any]]) -> list[_Outcome]:
        try:
            self.db.execute(self._begin)
        except sqlite3.Error as error:  # nothing was tried: to try each alone would only wait as often
            return [(job, None, schema.explain(error, self._path)) for job in batch]
        try:
            for lease in {job.lease for job in batch if job.lease}:
                leases.check(self.db, lease)
            outcome: list[_Outcome] = [(job, job.work(self.db), None) for job in batch]
            self.db.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if len(batch) > 1:
                return [outcome for job in batch for outcome in self._commit([job])]
            return [(batch[0], None, schema.explain(error, self._path) if isinstance(error, sqlite3.Error) else error)]
        return outcome

    @staticmethod
    def _settle(outcome: list[_Outcome]) -> None:
        """Hands results back, with one wake-up for each event loop that waits."""

        def settle(part: list[_Outcome]) -> None:
            for job, value, error in part:
                job.settle(value, error)

        for loop in {job.loop for job, *_ in outcome}:
            part = [one for one in outcome if one[0].loop is loop]
            if loop is None:
                settle(part)
            else:
                with suppress(RuntimeError):  # the loop is closed: its run is over, and what it wrote stays written
                    loop.call_soon_threadsafe(settle, part)


class Database:
    """The open file with its writer, its reader, its files and this process's identity as a runner."""

    def __init__(self, path: str | Path, *, lease_seconds: float = leases.SECONDS, serves: bool = False) -> None:
        self.path = Path(path).absolute()
        schema.open_file(self.path)
        side = self.path.with_name(self.path.name + ".d")
        self.files = Files(side / "files")
        self.owner = leases.Owner(side / "runners", lease_seconds, serves=serves)
        self._writer = _Worker(self.path, "holdfast-writer", "BEGIN IMMEDIATE", read_only=False)
        self._reader = _Worker(self.path, "holdfast-reader", "BEGIN", read_only=True)
        self.connection = self._writer.db  # for the saver, whose methods run inside write()
        self._renewal = leases.Renewal(self.owner, self.write)
        self.lookout = Lookout(self.write)
        self._closed = False

    def write(self, work: Work[T], lease: Lease | None = None) -> T:
        """``work(connection)`` in the next transaction; returns once it is committed."""
        future: Future[T] = Future()
        self._writer.submit(_Job(work, lease, future, None))
        return future.result()

    async def awrite(self, work: Work[T], lease: Lease | None = None) -> T:
        """As ``write``; a caller that is cancelled does not take its write back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(_Job(work, lease, future, loop))
        return await future

    def read(self, work: Work[T]) -> T:
        """``work(connection)`` in a transaction that sees one state of the file."""
        future: Future[T] = Future()
        self._reader.submit(_Job(work, None, future, None))
        return future.result()

    async def aread(self, work: Work[T]) -> T:
        """As ``read``, for coroutines."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._reader.submit(_Job(work, None, future, loop))
        return await future

    def compact(self) -> None:
        """Gives unused space of the file back to the disk; raises StoreError while another process writes."""
        try:
            with closing(schema.connect(self.path)) as db:
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise schema.explain(error, self.path) from None

    def close(self) -> None:
        """Writes what is queued, gives back every lease and closes the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._renewal.stop()
        self.lookout.stop()
        try:
            self.write(self.owner.release_all)
        finally:
            self._reader.close()
            self._writer.close()
            self.owner.close()
