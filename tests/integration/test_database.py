"""The file: what is refused, with which sentence, and that nothing is lost."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from holdfast import Holdfast
from holdfast.checkpoints import files, schema, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import DataCorrupt, LeaseHeld, LeaseLost, StoreError
from tests.conftest import chain


def test_a_new_file_is_made_with_its_folders_and_opens_again(tmp_path):
    path = tmp_path / "deep" / "er" / "h.db"
    Database(path).close()
    assert path.stat().st_size > 0
    assert [entry.name for entry in path.parent.iterdir() if ".new-" in entry.name] == []
    Database(path).close()


def test_many_processes_may_make_the_same_file_at_once(tmp_path):
    code = "import sys; from holdfast.checkpoints.database import Database; Database(sys.argv[1]).close()"
    started = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "h.db"]) for _ in range(6)]
    assert [process.wait(60) for process in started] == [0] * 6
    db = sqlite3.connect(tmp_path / "h.db")
    assert db.execute("SELECT count(*) FROM meta WHERE key = 'instance'").fetchone() == (1,)
    db.close()


def corrupt(path):
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(4096))


def newer(path):
    db = sqlite3.connect(path)
    db.execute("INSERT INTO migrations VALUES(999, 'future', 0)")
    db.commit()
    db.close()


def foreign(path):
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE somebodys(x)")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "is empty .* restore it from a copy, or delete it"),
        (lambda path: path.write_bytes(b"not a database at all, but long enough" * 50), "is not a SQLite database"),
        (corrupt, "is damaged; restore it from a copy"),
        (newer, "newer Holdfast .* upgrade"),
        (foreign, "is not one of Holdfast's"),
    ],
    ids=["emptied", "text", "corrupt", "newer", "foreign"],
)
def test_a_file_that_cannot_be_used_is_refused_and_left_as_it_is(tmp_path, harm, sentence):
    path = tmp_path / "h.db"
    Database(path).close()
    harm(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=sentence):
        Database(path)
    assert path.read_bytes() == before


def test_a_folder_or_an_impossible_path_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be"):
        Database(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be used: (Not a directory|File exists)"):
        Database(tmp_path / "file" / "h.db")


def test_a_locked_database_is_named_as_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    database = Database(tmp_path / "h.db")
    blocker = sqlite3.connect(tmp_path / "h.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another program; end that program or try again"):
        database.write(lambda db: tasks.create(db, "x", {}, 0.0))
    blocker.execute("ROLLBACK")
    blocker.close()
    database.write(lambda db: tasks.create(db, "x", {}, 0.0))
    database.close()


def test_an_error_in_a_batch_stays_with_its_author(tmp_path):
    database = Database(tmp_path / "h.db")
    hold = threading.Event()
    outcomes = {}

    def write(name, work):
        try:
            outcomes[name] = database.write(work)
        except Exception as error:
            outcomes[name] = error

    threads = [threading.Thread(target=write, args=("first", lambda _: hold.wait(5)))]
    for i in range(10):
        work = (lambda db: 1 / 0) if i == 5 else (lambda db, i=i: tasks.create(db, f"goal {i}", {}, 0.0).number)
        threads.append(threading.Thread(target=write, args=(i, work)))
    threads[0].start()
    time.sleep(0.05)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.05)
    hold.set()
    for thread in threads:
        thread.join()
    assert isinstance(outcomes[5], ZeroDivisionError)
    assert sum(isinstance(outcomes[i], int) for i in range(10)) == 9
    assert len(database.read(tasks.newest)) == 9
    database.close()


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "report.md").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"report.md cannot be written: No space left on device"):
        files.write_whole(tmp_path / "report.md", b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.md", "old")]


async def test_a_database_that_fills_up_breaks_the_run_with_a_sentence_and_it_goes_on_later(tmp_path):
    plan = {
        "subtasks": [
            {"id": f"t{i}", "type": "test_bulk", "dependencies": [f"t{i - 1}"] if i else [], "params": {"i": i}}
            for i in range(40)
        ]
    }
    from holdfast import task_type

    @task_type("test_bulk")
    async def bulk(params: dict, inputs: dict, ctx: object) -> str:
        return f"{params['i']}" * 30_000

    async with Holdfast.open(tmp_path / "h.db") as hf:
        (pages,) = await hf.database.aread(lambda db: db.execute("PRAGMA page_count").fetchone())
        await hf.database.awrite(lambda db: db.execute(f"PRAGMA max_page_count={pages + 100}").fetchone())
        task = await hf.start("fill it", plan=plan)
        with pytest.raises(StoreError, match="the disk is full; free some space, then resume"):
            await asyncio.wait_for(hf.wait(task.id), 30)
        done = sum(one.state == "completed" for one in (await hf.get(task.id)).plan.subtasks)
        assert 0 < done < 40
        await hf.database.awrite(lambda db: db.execute("PRAGMA max_page_count=1000000").fetchone())
        await hf.resume(task.id)
        ended = await asyncio.wait_for(hf.wait(task.id), 30)
        assert ended.state == "COMPLETED"
        runs = [event.subtask async for event in hf.events(task.id) if event.type == "subtask.completed"]
        assert sorted(runs) == sorted({f"t{i}" for i in range(40)})


def test_stored_files_are_checked_against_their_hash(tmp_path):
    store = files.Files(tmp_path)
    sha256, size = store.put(b"hello")
    assert size == 5
    assert store.put(b"hello")[0] == sha256
    assert store.path(sha256).read_bytes() == b"hello"
    store.path(sha256).write_bytes(b"jello")
    with pytest.raises(DataCorrupt, match="was changed"):
        store.path(sha256)
    (tmp_path / sha256[:2] / sha256).unlink()
    with pytest.raises(DataCorrupt, match="is missing"):
        store.path(sha256)


def lease(database, task):
    taken = database.write(lambda db: database.owner.take(db, task.number, task.id))
    database.owner.keep(taken)
    return taken


def test_a_live_owner_keeps_its_lease_and_a_released_one_is_free(tmp_path):
    first, second = Database(tmp_path / "h.db"), Database(tmp_path / "h.db")
    task = first.write(lambda db: tasks.create(db, "x", {}, 0.0))
    held = lease(first, task)
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"):
        lease(second, task)
    with pytest.raises(LeaseHeld):
        lease(first, task)  # nor may a second run of the same process
    first.write(lambda db: first.owner.release(db, held))
    assert lease(second, task).token == held.token + 1
    first.close()
    second.close()


def test_a_dead_owners_lease_is_taken_at_once(tmp_path):
    database = Database(tmp_path / "h.db")
    task = database.write(lambda db: tasks.create(db, "x", {}, 0.0))
    code = (
        "import os, signal, sys; from holdfast.checkpoints.database import Database; d = Database(sys.argv[1])\n"
        f"d.write(lambda db: d.owner.take(db, {task.number}, {task.id!r})); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "h.db"], check=False, timeout=60)
    began = time.monotonic()
    assert lease(database, task).token == 2
    assert time.monotonic() - began < 2
    database.close()


def test_an_expired_lease_is_taken_and_its_late_owner_writes_nothing(tmp_path):
    first, second = Database(tmp_path / "h.db", lease_seconds=0.05), Database(tmp_path / "h.db")
    task = first.write(lambda db: tasks.create(db, "x", {}, 0.0))
    held = lease(first, task)
    first._renewal.stop()
    time.sleep(0.1)
    lease(second, task)
    with pytest.raises(LeaseLost, match="wrote nothing more"):
        first.write(lambda db: tasks.create(db, "from the grave", {}, 0.0), held)
    assert [row.goal for row in second.read(tasks.newest)] == ["x"]
    first.close()
    second.close()


def test_renewal_keeps_a_lease_longer_than_its_time(tmp_path):
    first, second = Database(tmp_path / "h.db", lease_seconds=0.3), Database(tmp_path / "h.db", lease_seconds=0.3)
    task = first.write(lambda db: tasks.create(db, "x", {}, 0.0))
    lease(first, task)
    time.sleep(1.0)
    with pytest.raises(LeaseHeld):
        lease(second, task)
    first.close()
    second.close()


async def test_a_task_of_another_process_is_not_taken_twice(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf, Holdfast.open(tmp_path / "h.db") as other:
        task = await hf.start("try it", plan=chain("a", params={"seconds": 0.5}))
        with pytest.raises(LeaseHeld):
            await other.resume(task.id)
        assert (await other.wait(task.id)).state == "COMPLETED"
