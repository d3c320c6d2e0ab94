"""A disk that is full, read-only or damaged, and a clock that is set back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import leases, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import HoldfastError, LeaseHeld, StoreError
from tests.conftest import chain


@task_type("d_bulk")
async def bulk(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """A result that takes space, no two alike."""
    return os.urandom(40_000).hex()


def mount(*arguments: str) -> None:
    """Mounts, or skips the test with the reason."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount {' '.join(arguments)} is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 3 MB."""
    if not Path("/proc/mounts").exists():
        pytest.skip("there is no tmpfs on this system")
    place = tmp_path / "small"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


async def ended(hf: Holdfast, task_id: str, limit: float = 60) -> Any:
    return await asyncio.wait_for(hf.wait(task_id), limit)


async def test_a_full_disk_stops_the_task_with_a_reason_and_it_goes_on_once_there_is_space(small_disk):
    ballast = small_disk / "ballast"
    ids = [f"t{i}" for i in range(20)]
    async with Holdfast.open(small_disk / "h.db") as hf:
        ballast.write_bytes(b"x" * 1_800_000)
        task = await hf.start("fill the disk", plan=chain(*ids, type_="d_bulk"))
        with pytest.raises(StoreError, match="the disk is full"):
            await ended(hf, task.id)
        stopped = await hf.get(task.id)
        done = [one.id for one in stopped.plan.subtasks if one.state == "completed"]
        assert 0 < len(done) < 20
        assert stopped.state in (TaskState.PAUSED, TaskState.WORKING)  # paused by `system` if that could be written
        ballast.unlink()
        (small_disk / "h.db.d").mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        await hf.resume(task.id)
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED
        lines = [event async for event in hf.events(task.id)]
        assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
        assert [line.subtask for line in lines if line.type == "subtask.completed"] == ids
    with closing(sqlite3.connect(small_disk / "h.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_on_a_full_disk_is_whole_or_not_there(small_disk):
    database = Database(small_disk / "h.db")
    (small_disk / "ballast").write_bytes(b"x" * 1_500_000)
    with pytest.raises(StoreError, match="No space left on device; nothing was left behind"):
        database.files.put(os.urandom(4_000_000))
    assert [path for path in (small_disk / "h.db.d" / "files").rglob("*") if path.is_file()] == []
    database.close()


def test_a_read_only_database_is_refused_with_a_sentence(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place))
    try:
        Database(place / "h.db").close()
        mount("-o", "remount,ro", str(place))
        with pytest.raises(StoreError, match=r"read-only|Read-only|you may write to it"):
            Database(place / "h.db").close()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


async def test_a_disk_that_becomes_read_only_breaks_the_run_with_a_sentence(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place))
    try:
        async with Holdfast.open(place / "h.db") as hf:
            task = await hf.start("x", plan=chain("a", "b", "c", params={"seconds": 0.3}))
            while not (await hf.get(task.id)).in_flight:
                await asyncio.sleep(0.01)
            # a mount stays writable while a file on it is open for writing, so the connection is told
            hf.database.connection.execute("PRAGMA query_only=ON")
            with pytest.raises(StoreError, match="read-only"):
                await ended(hf, task.id)
            hf.database.connection.execute("PRAGMA query_only=OFF")
        async with Holdfast.open(place / "h.db") as hf:
            await hf.resume(task.id)
            assert (await ended(hf, task.id)).state == TaskState.COMPLETED
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("table", ["results", "events", "subtasks"])
async def test_a_damaged_page_is_an_error_and_never_another_result(tmp_path, chance, table):
    path = tmp_path / "h.db"
    async with Holdfast.open(path) as hf:
        task = await hf.start("x", plan=chain(*(f"t{i}" for i in range(6)), type_="d_bulk"))
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED
        right = {f"t{i}": (await hf.get(task.id)).result(f"t{i}") for i in range(6)}
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = db.execute("PRAGMA page_size").fetchone()
        # the leaf pages of results hold the values; of the others any page of their tree will do
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    page = chance.randrange(pages // 2, pages) if table == "results" else root
    with path.open("r+b") as file:
        file.seek((page - 1) * size + (8 if table == "results" else 0))
        file.write(os.urandom(size - 16))
    told: list[str] = []
    try:
        async with Holdfast.open(path) as hf:
            for name, value in right.items():
                try:
                    assert (await hf.get(task.id)).result(name) == value
                except HoldfastError as error:
                    told.append(str(error))
            try:
                _ = [event async for event in hf.events(task.id)]
            except HoldfastError as error:
                told.append(str(error))
    except StoreError as error:
        told.append(str(error))
    assert told, "the damage was not noticed"
    assert all("damaged" in one or "restore it" in one for one in told), told


class Backwards:
    """A clock that is set back by an hour at each look."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now -= 3600
        return self.now


async def test_a_clock_that_is_set_back_disturbs_neither_the_history_nor_the_lease(tmp_path):
    async with Holdfast.open(tmp_path / "h.db", lease_seconds=0.6) as hf, Holdfast.open(tmp_path / "h.db") as other:
        hf.services.clock = Backwards()
        task = await hf.start("x", plan=chain("a", "b", "c", params={"seconds": 0.4}))
        for _ in range(4):
            await asyncio.sleep(0.2)
            with pytest.raises(LeaseHeld):
                await other.resume(task.id)
        done = await ended(hf, task.id)
        assert done.state == TaskState.COMPLETED
        lines = [event async for event in hf.events(task.id)]
        assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
        assert [line.subtask for line in lines if line.type == "subtask.completed"] == ["a", "b", "c"]


async def test_a_pause_and_a_question_live_through_a_clock_that_is_set_back(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        hf.services.clock = Backwards()
        task = await hf.start("x", plan=chain("a", "b", params={"seconds": 0.1}))
        await hf.pause(task.id)
        while hf.working_on(task.id):
            await asyncio.sleep(0.01)
        await hf.resume(task.id)
        assert (await ended(hf, task.id)).state == TaskState.COMPLETED


def test_a_lease_counts_on_the_clock_that_nobody_can_set(tmp_path, monkeypatch):
    first, second = Database(tmp_path / "h.db"), Database(tmp_path / "h.db")
    try:
        number = first.write(lambda db: tasks.create(db, "x", {}, 0.0)).number
        monkeypatch.setattr(time, "time", lambda: 0.0)
        held = first.write(lambda db: first.owner.take(db, number, "t"))
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(LeaseHeld):
            second.write(lambda db: second.owner.take(db, number, "t"))
        first.write(lambda db: leases.check(db, held))
    finally:
        first.close()
        second.close()


def test_a_process_that_reads_for_long_keeps_nobody_from_writing(tmp_path):
    database = Database(tmp_path / "h.db")
    with closing(sqlite3.connect(tmp_path / "h.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        wrote = threading.Event()

        def write() -> None:
            database.write(lambda db: db.execute("UPDATE meta SET value = value"))
            wrote.set()

        threading.Thread(target=write, daemon=True).start()
        assert wrote.wait(5)
    database.close()
