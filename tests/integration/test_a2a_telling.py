"""What a stream reads to tell one event: not more of a file than it sends, and of the messages only that one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast import Holdfast, Plan, Subtask
from holdfast.a2a import wire
from holdfast.a2a.telling import Teller
from holdfast.checkpoints import events, messages
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.messages import Message
from tests.acceptance import a2a_types  # noqa: F401  registers its types


async def begun(hf: Holdfast, kind: str, **params: object) -> tuple[str, Teller]:
    task = await hf.start("go", plan=Plan(subtasks=[Subtask(id="a", type=kind, params=params)]))
    return task.id, Teller.of(hf, await hf.view("", task.id))


async def test_a_file_is_read_as_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = wire.chunks

    def counted(*args):
        for part in whole(*args):
            made.append(1)
            yield part

    monkeypatch.setattr(wire, "chunks", counted)
    async with Holdfast.open(tmp_path / "a.db") as hf:
        task_id, teller = await begun(hf, "srv_hand_out", bytes=5 * wire.CHUNK_BYTES)
        await hf.wait(task_id)
        told = await hf.database.aread(lambda db: events.read(db, task_id, limit=-1))
        (added,) = [one for one in told if one.type == "artifact.added" and one.data["name"] == "large.bin"]
        parts = teller.tell(added)
        await anext(parts)
        assert len(made) == 1
        assert len([part async for part in parts]) == 4


async def test_one_message_is_read_and_not_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Holdfast.open(tmp_path / "a.db") as hf:
        task_id, teller = await begun(hf, "sleep", seconds=60)
        await hf.say(task_id, Message("m1", "agent", [{"text": "one"}]), Message("m2", "agent", [{"text": "two"}]))
        told = await hf.database.aread(lambda db: events.read(db, task_id, limit=-1))
        monkeypatch.setattr(messages, "load", None)
        said = [[one async for one in teller.tell(event)] for event in told if event.type == "task.message"]
        assert [one.status.message.parts[0].text for (one,) in said] == ["one", "two"]
        await hf.cancel(task_id)


async def test_a_task_keeps_1000_messages_and_its_answers(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "a.db") as hf:
        task_id, _ = await begun(hf, "srv_ask")
        while not (open_ := (await hf.get(task_id)).questions):
            await asyncio.sleep(0.01)
        await hf.say(task_id, *(Message(f"m{number}", "user", [{"text": "x"}]) for number in range(messages.MOST)))
        with pytest.raises(BadInput, match=r"1,000 messages"):
            await hf.say(task_id, Message("one more", "user", [{"text": "x"}]))
        await hf.answer_all(task_id, {open_[0].id: "yes"}, [Message("answer", "user", [{"text": "yes"}])])
        assert (await hf.wait(task_id)).state == "COMPLETED"
        row = await hf.services.task(task_id)
        kept = await hf.database.aread(lambda db: messages.load(db, row.number))
        assert (len(kept), kept[-1].id) == (1001, "answer")
        few = await hf.database.aread(lambda db: messages.load(db, row.number, most=100))
        assert 0 < len(few) < 10
        assert few == kept[-len(few) :]


async def test_a_message_without_more_is_kept_as_before(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "a.db") as hf:
        task_id, _ = await begun(hf, "sleep", seconds=60)
        more = Message("m2", "user", [{"text": "b"}], about={"extensions": ["x"]})
        await hf.say(task_id, Message("m1", "user", [{"text": "a"}]), more)
        row = await hf.services.task(task_id)

        def read(db):
            bodies = [body for (body,) in db.execute("SELECT body FROM messages ORDER BY number")]
            return bodies, messages.get(db, row.number, "m2"), messages.get(db, row.number, "none")

        bodies, found, none = await hf.database.aread(read)
        assert bodies == ['[{"text":"a"}]', '{"parts":[{"text":"b"}],"extensions":["x"]}']
        assert found
        assert (found.parts, found.about) == ([{"text": "b"}], {"extensions": ["x"]})
        assert none is None
        await hf.cancel(task_id)
