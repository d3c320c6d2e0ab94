"""``holdfast.a2a.connect`` against a real server: what it sends, what it gives back, and lost connections."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from a2a.client.errors import A2AClientError, AgentCardResolutionError
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from holdfast.a2a import client as module
from holdfast.a2a import connect, paused
from holdfast.a2a.client import Agent, is_lost, seq
from holdfast.a2a.wire import plain
from holdfast.checkpoints.errors import BadInput
from tests.acceptance.serving import Server, nap, subtask

SLOW = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("there")) as started:
        yield started


def plan(*subtasks: dict[str, Any]) -> dict[str, Any]:
    return {"subtasks": list(subtasks)}


def state(task: pb.Task | pb.TaskStatusUpdateEvent) -> str:
    return pb.TaskState.Name(task.status.state).removeprefix("TASK_STATE_")


def kind(update: pb.StreamResponse) -> Any:
    return getattr(update, str(update.WhichOneof("payload")))


async def until(agent: Agent, task_id: str, wanted: str) -> pb.Task:
    async with asyncio.timeout(SLOW):
        while state(task := await agent.get(task_id)) != wanted:
            await asyncio.sleep(0.02)
        return task


class Wire:
    """A way to the server that can be cut, as a network is."""

    def __init__(self, port: int) -> None:
        self._port, self._open = port, set[asyncio.StreamWriter]()
        self.connections, self.refuses = 0, False

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        listening = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        async with listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            listening.close()
            self.cut()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, back}
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(65536):
                target.write(chunk)
                await target.drain()
        target.transport.abort()


async def test_a_task_is_sent_waited_for_and_read(server: Server) -> None:
    async with connect(server.url) as agent:
        task = await agent.send("two naps", plan=plan(nap("a", 0.1), nap("b", 0.0, "a")), options={"workers": 1})
        assert state(task) == "COMPLETED"
        assert [one.name for one in task.artifacts] == ["results"]
        again = await agent.get(task.id)
        assert again.status == task.status
        assert paused(task) is None
        assert task.id in [one.id for one in await agent.list()]
        assert [one.id for one in await agent.list(context_id=task.context_id)] == [task.id]


async def test_files_are_sent_with_their_names_and_a_missing_one_is_told_before(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("month,region,units\n2026-01,North,12\n")
    async with connect(server.url) as agent:
        task = await agent.send("a report", files=[tmp_path / "sales.csv"], options={"approve": True}, wait=False)
        (goal,) = task.history
        files = [(one.filename, one.media_type) for one in goal.parts if one.filename]
        assert files == [("sales.csv", "text/csv")]
        await agent.cancel(task.id)
        with pytest.raises(BadInput, match="no such file"):
            await agent.send("a report", files=[tmp_path / "none.csv"])


async def test_a_pause_carries_its_reason_and_its_end_and_a_resume_lifts_it(server: Server) -> None:
    async with connect(server.url) as agent:
        task = await agent.send("long", plan=plan(nap("a", 600)), wait=False)
        await until(agent, task.id, "WORKING")
        over = datetime.now(UTC) + timedelta(hours=2)
        task = await agent.pause(task.id, mode="now", reason="lunch", until=over)
        said = paused(task)
        assert said is not None
        assert (said["state"], said["initiatedBy"], said["reason"]) == ("PAUSED", "person", "lunch")
        assert abs(datetime.fromisoformat(said["pausedUntil"]) - over) < timedelta(seconds=1)
        assert state(task) == "WORKING", "a client that does not know the extension sees a task at work"
        assert paused(await agent.resume(task.id)) is None
        with pytest.raises(BadInput, match="time zone"):
            await agent.pause(task.id, until=datetime(2999, 1, 1))  # noqa: DTZ001
        assert state(await agent.cancel(task.id)) == "CANCELED"


async def test_questions_are_answered_by_id_all_or_none(server: Server) -> None:
    async with connect(server.url) as agent:
        asks = [subtask("a", "srv_ask"), subtask("b", "srv_ask")]
        task = await agent.send("ask", plan=plan(*asks), options={"on_question": "continue"})
        assert state(task) == "INPUT_REQUIRED"
        with pytest.raises(InvalidParamsError, match="no question 'q9'"):
            await agent.answer(task.id, {"q1": "tea", "q9": "no"})
        await agent.answer(task.id, {"q1": "tea", "q2": 7})
        task = await until(agent, task.id, "COMPLETED")
        assert sorted(map(str, plain(task.artifacts[-1].parts[0].data).values())) == ["7", "tea"]


async def test_what_the_server_refuses_is_the_sdks_error(server: Server) -> None:
    async with connect(server.url) as agent:
        for call in (agent.get, agent.pause, agent.resume, agent.cancel):
            with pytest.raises(TaskNotFoundError, match="no task"):
                await call("00000000-0000-0000-0000-000000000000")
        with pytest.raises(TaskNotFoundError):
            await anext(aiter(agent.subscribe("00000000-0000-0000-0000-000000000000")))
        task = await agent.send("short", plan=plan(nap("a", 0)))
        with pytest.raises(UnsupportedOperationError, match="COMPLETED"):
            await agent.pause(task.id)
        with pytest.raises(TaskNotCancelableError, match="COMPLETED"):
            await agent.cancel(task.id)
        with pytest.raises(InvalidParamsError, match="mode has to be one of"):
            await agent.pause(task.id, mode="soon")


async def test_a_stream_begins_with_the_task_and_ends_with_its_end(server: Server) -> None:
    async with connect(server.url) as agent:
        told = [update async for update in agent.stream("naps", plan=plan(nap("a", 0.1), nap("b", 0, "a")))]
        assert told[0].HasField("task")
        assert state(told[-1].status_update) == "COMPLETED"
        numbers = [seq(kind(one)) for one in told]
        assert numbers == sorted(numbers)
        (ended,) = [one async for one in agent.subscribe(told[0].task.id)]
        assert state(ended.task) == "COMPLETED"


async def test_a_lost_connection_loses_no_update_and_doubles_none(server: Server) -> None:
    """Between two snapshots the updates are those that the history has, each once."""
    wire = Wire(server.port)
    naps = [nap(f"n{number}", 0.1, *([f"n{number - 1}"] if number else [])) for number in range(24)]
    told: list[pb.StreamResponse] = []
    async with wire.laid() as url, connect(url) as agent:
        async for update in agent.stream("naps", plan=plan(*naps)):
            told.append(update)
            if len(told) % 5 == 3:
                wire.cut()
    assert wire.connections > 4, "it was cut again and again"
    history = server.events(told[0].task.id)
    due = [one["seq"] for one in history if one["type"].startswith(("task.", "subtask."))]
    last = -1
    for one in told:
        number = seq(kind(one))
        if one.HasField("artifact_update"):  # the results are told with the end
            continue
        assert number > last, "out of order, or told twice"
        if not one.HasField("task"):
            assert not [missed for missed in due if last < missed < number], "lost"
        last = number
    assert last == due[-1]
    assert state(kind(told[-1])) == "COMPLETED"


async def test_an_artifact_that_was_cut_in_the_middle_is_told_again_as_a_whole(server: Server) -> None:
    wire = Wire(server.port)
    big = subtask("a", "srv_hand_out", bytes=8 << 20)  # more than is on its way at any moment
    told: list[pb.StreamResponse] = []
    async with wire.laid() as url, connect(url) as agent:
        async for update in agent.stream("files", plan=plan(big)):
            told.append(update)
            if update.HasField("artifact_update") and not update.artifact_update.last_chunk:
                wire.cut()
        cut_at = next(i for i, one in enumerate(told) if one.HasField("artifact_update"))
        after = next(one for one in told[cut_at:] if not one.HasField("artifact_update"))
        assert after.HasField("task"), "after half an artifact comes the task, which names the whole one"
        assert "large.bin" in [one.name for one in after.task.artifacts]
        assert state(kind(told[-1])) == "COMPLETED"


async def test_a_stream_goes_on_over_a_server_that_was_killed(tmp_path: Path) -> None:
    with Server(tmp_path / "there") as server:
        async with connect(server.url) as agent:
            told = []
            steps = subtask("a", "srv_steps", steps=30, seconds=0.05)
            async for update in agent.stream("steps", plan=plan(steps, nap("z", 0, "a"))):
                told.append(update)
                if len(told) == 4:
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
            assert state(kind(told[-1])) == "COMPLETED"
            numbers = [seq(one.status_update) for one in told if one.HasField("status_update")]
            assert numbers == sorted(set(numbers))


async def test_a_server_that_stays_away_is_an_error_after_a_while(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    wire = Wire(server.port)
    async with wire.laid() as url, connect(url) as agent:
        updates = agent.stream("long", plan=plan(nap("a", 600)))
        task_id = (await anext(updates)).task.id
        wire.refuses = True
        wire.cut()
        with pytest.raises(A2AClientError) as caught:
            [update async for update in updates]
        assert is_lost(caught.value)
    async with connect(server.url) as agent:
        await agent.cancel(task_id)


async def test_a_key_lets_its_owner_in_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(name: str) -> str:
        made = [sys.executable, "-m", "holdfast", "keys", "add", name, "--db", str(tmp_path / "there/holdfast.db")]
        return subprocess.run(made, capture_output=True, text=True, check=True, timeout=SLOW).stdout.strip()

    (tmp_path / "there").mkdir()
    ann, bob = key("ann"), key("bob")
    with Server(tmp_path / "there") as server:
        async with connect(server.url, ann) as agent:
            task = await agent.send("hers", plan=plan(nap("a", 0)))
        monkeypatch.setenv("HOLDFAST_API_KEY", bob)
        async with connect(server.url) as agent:
            with pytest.raises(TaskNotFoundError):
                await agent.get(task.id)
            assert await agent.list() == []
        for wrong in ("hf_wrong", ""):
            async with connect(server.url, wrong) as agent:
                with pytest.raises(A2AClientError, match="401") as caught:
                    await agent.get(task.id)
                assert not is_lost(caught.value)
        assert ann not in server.log()
        assert bob not in server.log()


async def test_a_key_is_shown_to_its_server_only() -> None:
    """A card may name any address; a key goes to none but the one that was connected to."""
    seen: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        with pytest.raises(AgentCardResolutionError):
            await connect(f"http://127.0.0.1:{port}", "hf_secret").__aenter__()
        agent = connect("http://127.0.0.1:1", "hf_secret")
        with pytest.raises(AgentCardResolutionError):
            await agent.__aenter__()
        async with module.httpx.AsyncClient(auth=module.KeyFor("http://localhost:1", "hf_secret")) as http:
            await http.get(f"http://127.0.0.1:{port}/a2a")
    assert b"hf_secret" in seen[0]
    assert b"hf_secret" not in seen[1]


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown() -> None:
    for key in ("hf_sec ret", "hf_sec\nret", "hf_sécret"):
        with pytest.raises(BadInput, match="copy it again") as caught:
            connect("http://127.0.0.1:1", key)
        assert key not in str(caught.value)


def test_the_package_loads_no_sdk_until_the_client_is_wanted() -> None:
    said = "import sys, holdfast.a2a; assert 'httpx' not in sys.modules and 'a2a' not in sys.modules"
    subprocess.run([sys.executable, "-c", said], check=True, timeout=SLOW)
