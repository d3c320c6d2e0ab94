"""What a server adds to Holdfast: taking up what nobody works on, room for so many, messages, keys, pages, the feed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.checkpoints import keys, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import BadInput, IllegalMove, UnknownTask
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.states import TaskState
from holdfast.graphs.feed import Feed
from holdfast.graphs.holdfast import Holdfast, Sender
from holdfast.nodes.orchestration import create_task


def nap(seconds: float, count: int = 1) -> dict[str, object]:
    return {"subtasks": [{"id": f"n{i}", "type": "sleep", "params": {"seconds": seconds}} for i in range(count)]}


def said(id_: str, text: str = "hello") -> Message:
    return Message(id_, "user", [{"text": text}])


async def test_a_server_takes_up_what_nobody_works_on(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as hf:
        waiting = await create_task(hf.services, "never begun", {"plan": nap(0)})
        begun = await hf.start("left behind", plan=nap(0.3, 3), workers=1)
        while (await hf.get(begun.id)).state == TaskState.SUBMITTED:
            await asyncio.sleep(0.01)
        paused = await hf.start("paused", plan=nap(5))
        await hf.pause(paused.id)
    async with Holdfast.open(tmp_path / "h.db", serves=8) as server:
        for task_id in (waiting.id, begun.id):
            assert (await asyncio.wait_for(server.wait(task_id), 20)).state == TaskState.COMPLETED
        assert (await server.get(paused.id)).state == TaskState.PAUSED


async def test_a_server_works_on_no_more_than_it_has_room_for(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db", serves=2) as server:
        made = [await server.start(f"task {i}", plan=nap(0.2)) for i in range(6)]
        most = 0
        while True:
            states = [(await server.get(one.id)).state for one in made]
            most = max(most, sum(map(server.working_on, (one.id for one in made))))
            if set(states) == {TaskState.COMPLETED}:
                break
            await asyncio.sleep(0.02)
    assert most == 2


async def test_what_is_resumed_waits_for_room_like_what_is_new(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db", serves=2) as server:
        made = [await server.start(f"task {i}", plan=nap(0.3)) for i in range(6)]
        for one in made:
            await server.pause(one.id, mode="now")
        while server.runs:
            await asyncio.sleep(0.01)
        for one in made:
            await server.resume(one.id)
            assert server.runs <= 2
        for one in made:
            async with asyncio.timeout(20):
                assert (await server.wait(one.id)).state == TaskState.COMPLETED


async def test_a_pause_whose_end_is_long_past_ends_at_once(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("x", plan=nap(0.5))
        await hf.pause(task.id, until=datetime(1970, 1, 1, tzinfo=UTC))
        async with asyncio.timeout(20):
            assert (await hf.wait(task.id)).state == TaskState.COMPLETED


async def test_a_new_task_is_its_starters_and_not_a_servers(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db", serves=8) as server, Holdfast.open(tmp_path / "h.db") as person:
        for number in range(20):
            task = await person.start(f"task {number}", plan=nap(0))
            assert not server.working_on(task.id)
            await person.wait(task.id)


async def test_the_feed_wakes_for_a_commit_of_another_connection_and_only_for_its_task(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as one, Holdfast.open(tmp_path / "h.db") as other:
        watched = await create_task(one.services, "watched", {"plan": nap(0)})
        quiet = await create_task(one.services, "quiet", {"plan": nap(0)})
        feed = Feed(one.database)
        seen = {task.id: (await one.services.task(task.id)).last_seq for task in (watched, quiet)}
        waits = asyncio.create_task(feed.changed(watched.id, seen[watched.id]))
        still = asyncio.create_task(feed.changed(quiet.id, seen[quiet.id]))
        await asyncio.sleep(0.1)
        assert not waits.done()
        await other.pause(watched.id)
        await asyncio.wait_for(waits, 5)
        assert not still.done()
        still.cancel()
        await asyncio.gather(still, return_exceptions=True)
        await feed.close()


async def test_messages_are_kept_in_order_told_and_read_by_types(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as hf:
        sender = Sender("ann", "talk", said("m1", "the goal"))
        task = await hf.start("the goal", plan=nap(5), sender=sender)
        await hf.say(task.id, said("m2", "more"), Message("r", "agent", [{"text": "kept"}]))
        seen = await hf.view("ann", task.id)
        assert [one.id for one in seen.messages] == ["m1", "m2", "r"]
        assert (seen.row.context_id, seen.row.owner) == ("talk", "ann")
        told = [event.data async for event in hf.events(task.id, follow=False) if event.type == "task.message"]
        assert told == [{"message": "m2", "role": "user"}, {"message": "r", "role": "agent"}]
        assert await hf.heard("ann", "m2") == (task.id, seen.messages[1])
        assert await hf.heard("bob", "m2") is None
        with pytest.raises(UnknownTask):
            await hf.view("bob", task.id)
        await hf.cancel(task.id)
        with pytest.raises(IllegalMove, match="take a message"):
            await hf.say(task.id, said("m3"))


async def test_pages_of_tasks_lose_none_and_double_none(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as hf:
        made = [await create_task(hf.services, f"task {i}", {"plan": nap(0)}, owner="ann") for i in range(25)]
        await create_task(hf.services, "another's", {"plan": nap(0)}, owner="bob")
        await hf.pause(made[3].id)
        found, after = [], None
        while True:
            views, total = await hf.page("ann", 10, after=after)
            assert total == 25
            if not views:
                break
            found += [one.row.id for one in views]
            after = (after[0] if after else views[0].row.updated_at, views[-1].row.number)
        assert found[0] == made[3].id, "the last changed comes first"
        assert sorted(found) == sorted(one.id for one in made)
        never_begun, _ = await hf.page("ann", 10, states=[(TaskState.PAUSED, False)])
        begun, _ = await hf.page("ann", 10, states=[(TaskState.PAUSED, True)])
        assert [one.row.id for one in never_begun] == [made[3].id]
        assert begun == []


def test_keys_are_shown_once_and_stored_hashed(tmp_path: Path) -> None:
    database = Database(tmp_path / "h.db")
    try:
        key = database.write(lambda db: keys.add(db, "ann", time.time()))
        assert database.read(lambda db: keys.owner_of(db, key)) == "ann"
        assert database.read(lambda db: keys.owner_of(db, key + "x")) is None
        with pytest.raises(BadInput, match="already"):
            database.write(lambda db: keys.add(db, "ann", time.time()))
        with pytest.raises(BadInput, match="small letters"):
            database.write(lambda db: keys.add(db, "Ann B", time.time()))
        database.write(lambda db: keys.revoke(db, "ann"))
        assert database.read(lambda db: keys.owner_of(db, key)) is None
    finally:
        database.close()
    with sqlite3.connect(tmp_path / "h.db") as db:
        assert key not in "\n".join(db.iterdump())


def test_a_task_counts_as_begun_once_it_has_worked(tmp_path: Path) -> None:
    database = Database(tmp_path / "h.db")
    try:
        task = database.write(lambda db: tasks.create(db, "goal", {}, time.time()))
        assert not database.read(lambda db: tasks.has_begun(db, task.number))
        database.write(lambda db: tasks.move(db, task.id, tasks.TaskEvent.START, time.time()))
        assert database.read(lambda db: tasks.has_begun(db, task.number))
    finally:
        database.close()


async def test_many_that_begin_or_go_on_at_once_do_not_share_one_place(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db", serves=2) as server:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, server.runs)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        made = await asyncio.gather(*(server.start(f"task {i}", plan=nap(600)) for i in range(6)))
        await asyncio.gather(*(server.pause(one.id, mode="now") for one in made))
        while server.runs:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(server.resume(one.id) for one in made))
        assert (server.runs, most) == (2, 2)
        await asyncio.gather(*(server.cancel(one.id) for one in made))
        watching.cancel()
