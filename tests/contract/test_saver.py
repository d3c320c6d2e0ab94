"""The saver keeps LangGraph's contract, and the promises that the stock one breaks."""

import asyncio
import os
import sqlite3

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate

from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import LeaseLost, StoreError
from holdfast.checkpoints.saver import Saver


def config(thread, **more):
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **more}}


async def test_all_eight_capabilities_of_the_conformance_suite_pass(tmp_path):
    opened = []

    @checkpointer_test(name="holdfast")
    async def saver():
        database = Database(tmp_path / f"{len(opened)}.db")
        opened.append(database)
        yield Saver(database)
        await asyncio.to_thread(database.close)

    report = await validate(saver)
    results = report.results
    assert len(results) == 8
    assert {name: result.passed for name, result in results.items()} == dict.fromkeys(results, True)


async def test_checkpoints_are_loaded_strictly():
    assert os.environ["LANGGRAPH_STRICT_MSGPACK"] == "true"
    from langgraph.checkpoint.serde import _msgpack

    assert _msgpack.STRICT_MSGPACK_ENABLED


async def test_a_write_that_meets_a_lock_fails_alone_and_the_next_one_works(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.checkpoints.schema.BUSY_SECONDS", 0.05)
    database = Database(tmp_path / "h.db")
    saver = Saver(database)
    blocker = sqlite3.connect(tmp_path / "h.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another program"):
        await saver.aput(config("t"), empty_checkpoint(), {}, {})
    blocker.execute("ROLLBACK")
    blocker.close()
    stored = await saver.aput(config("t"), empty_checkpoint(), {}, {})
    assert await saver.aget_tuple(stored)
    await asyncio.to_thread(database.close)


async def test_a_cancelled_write_leaves_no_open_transaction(tmp_path):
    database = Database(tmp_path / "h.db")
    saver = Saver(database)
    for i in range(100):
        write = asyncio.create_task(saver.aput(config("t"), empty_checkpoint(), {"step": i}, {}))
        await asyncio.sleep(0)
        write.cancel()
    await saver.aput(config("other"), empty_checkpoint(), {}, {})
    assert not database.connection.in_transaction
    kept = [row async for row in saver.alist(config("t"))]
    assert len(kept) == 100  # a caller that is cancelled does not take its write back
    await asyncio.to_thread(database.close)


async def test_half_read_lists_do_not_block_writes(tmp_path):
    database = Database(tmp_path / "h.db")
    saver = Saver(database)
    for _ in range(3):
        await saver.aput(config("t"), empty_checkpoint(), {}, {})
    half = saver.alist(config("t"))
    await anext(half)
    await asyncio.wait_for(saver.aput(config("t"), empty_checkpoint(), {}, {}), 5)
    await asyncio.to_thread(database.close)


async def test_a_runner_that_lost_its_lease_writes_no_checkpoint(tmp_path):
    first, second = Database(tmp_path / "h.db", lease_seconds=0.05), Database(tmp_path / "h.db")
    task = await first.awrite(lambda db: tasks.create(db, "goal", {}, 0.0))
    first.owner.keep(await first.awrite(lambda db: first.owner.take(db, task.number, task.id)))
    first._renewal.stop()  # as if the process had been stopped
    await asyncio.sleep(0.1)
    await second.awrite(lambda db: second.owner.take(db, task.number, task.id))
    with pytest.raises(LeaseLost, match="another runner"):
        await Saver(first).aput(config(task.id), empty_checkpoint(), {}, {})
    await Saver(second).aput(config(task.id), empty_checkpoint(), {}, {})
    for database in (first, second):
        await asyncio.to_thread(database.close)
