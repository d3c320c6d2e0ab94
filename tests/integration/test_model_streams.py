"""A model's words as they come: to listeners, to the terminal's view and to A2A streams, and to no disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast import Holdfast
from holdfast.a2a.telling import Teller
from holdfast.checkpoints import events
from holdfast.cli.board import Board
from holdfast.cli.frame import frame
from holdfast.cli.remote_run import Runner
from holdfast.cli.text import tail
from holdfast.graphs.live import Live
from tests.acceptance.serving import Server, planned, subtask
from tests.models import kinds
from tests.models.at_work import at_work, says, until
from tests.models.server import ModelServer

OPTIONS = ("workers", "on_question", "on_failure", "approve", "yes", "budget", "reuse")
WORDS = "one two three four five six seven eight nine ten planted-words"


async def test_listeners_get_each_piece_in_order_and_nothing_of_it_is_stored(tmp_path):
    with ModelServer({"text": WORDS, "chunks": 10}) as server:
        async with at_work(server) as hf:
            heard: list[dict] = []
            hf.listen(heard.append)
            task = await hf.wait((await hf.start("go", plan=says())).id)
            told = [one for one in heard if one["type"] == "token"]
            assert "".join(one["data"]["text"] for one in told) == WORDS
            assert len(told) >= 8
            assert {(one["task"], one["subtask"], one["data"]["step"]) for one in told} == {(task.id, "a", "say 0")}
            kept = await hf.database.aread(lambda db: events.read(db, task.id, limit=-1))
            assert "token" not in {one.type for one in kept}
            assert "planted-words" not in str([one.to_json() for one in kept])


async def test_the_live_view_shows_the_end_of_what_is_written_under_its_subtask_and_then_no_more():
    with ModelServer({"text": WORDS, "chunks": 4, "between": 0.3}) as server:
        async with at_work(server, timeout=20.0) as hf:
            task = await hf.start("go", plan=says("a", "b"))
            board = Board(await hf.get(task.id))
            board.load(await hf.get(task.id))
            hf.listen(lambda news: news["type"] == "token" and board.token(news["subtask"], news["data"]["text"]))
            await until(lambda: server.open == 2)
            for event in await hf.database.aread(lambda db: events.read(db, task.id, limit=-1)):
                board.apply(event)
            await until(lambda: "two" in board.entries["a"].saying)
            lines = frame(board, 60, 24, 0.0, 0.0, None, "").plain.splitlines()
            at = next(number for number, line in enumerate(lines) if " a " in line)
            assert "two" in lines[at + 1]
            assert all(len(line) <= 60 for line in lines)
            short = frame(board, 60, 9, 0.0, 0.0, None, "").plain
            assert "two" not in short or len(short.splitlines()) <= 9
            await hf.wait(task.id)
            for event in await hf.database.aread(lambda db: events.read(db, task.id, after=board.seq, limit=-1)):
                board.apply(event)
            assert not any(one.saying for one in board.entries.values())


@pytest.mark.parametrize("text", ["日本語" * 50, "a\nb\x1b[31m" * 40, "", "short"])
def test_the_end_of_a_text_is_one_line_that_fits_and_commands_nothing(text):
    from rich.cells import cell_len

    line = tail(text, 20)
    assert cell_len(line) <= 20
    assert line.isprintable()


async def test_words_are_gathered_for_an_a2a_stream(tmp_path):
    with ModelServer({"text": WORDS, "chunks": 30}) as server:
        async with at_work(server) as hf:
            task = await hf.start("go", plan=says())
            teller = Teller.of(hf, await hf.view("", task.id))
            with Live(hf, task.id) as live:
                taken: list[str] = []
                while "planted-words" not in "".join(taken):
                    await live.something(asyncio.sleep(5))
                    taken += [news["data"]["text"] for news in live.take()]
            assert "".join(taken) == WORDS
            assert len(taken) < 10
            assert not hf.services.listeners
            update = teller.live("a", "words", 7)
            assert update.status.message.parts[0].text == "words"
            assert dict(update.metadata["holdfast"])["seq"] == 7
            await hf.wait(task.id)


async def test_of_progress_the_last_counts_and_of_another_task_nothing(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        with Live(hf, "t") as live:
            for task, done in (("t", 1), ("t", 2), ("u", 3)):
                hf.services.tell(task, "a", "progress", {"done": done, "total": 3})
            await live.something(asyncio.sleep(5))
            assert [news["data"]["done"] for news in live.take()] == [2]
            assert not live.take()


def test_a_client_of_a_server_reads_a_model_s_words_while_it_writes_them(tmp_path: Path) -> None:
    with (
        ModelServer({"text": WORDS, "chunks": 6, "between": 0.2}) as model,
        Server(tmp_path, types=(Path(kinds.__file__),), **model.env()) as server,
    ):
        with server.stream("SendStreamingMessage", {"message": planned(subtask("a", "m_say"))}) as stream:
            told = [one["statusUpdate"] for one in stream.rest() if "statusUpdate" in one]
        live = [one for one in told if one["metadata"]["holdfast"].get("event") == "token"]
        assert "".join(one["status"]["message"]["parts"][0]["text"] for one in live) == WORDS
        assert 1 < len(live) < 8
        assert {one["status"]["state"] for one in live} == {"TASK_STATE_WORKING"}
        assert told[-1]["status"]["state"] == "TASK_STATE_COMPLETED"
        task = server.task(told[0]["taskId"], historyLength=100)
        assert "planted-words" not in str(task.get("history"))


def test_a_terminal_on_a_server_hears_progress_and_words(tmp_path: Path) -> None:
    with (
        ModelServer({"text": WORDS, "chunks": 6, "between": 0.2}) as model,
        Server(tmp_path, types=(Path(kinds.__file__),), **model.env()) as server,
    ):

        async def follow() -> list[dict]:
            heard: list[dict] = []
            async with Runner(server.url) as there:
                there.listen(heard.append)
                task = await there.start("go", plan=says(), data=[], **dict.fromkeys(OPTIONS))
                async for _ in there.events(task.id):
                    pass
            return heard

        told = asyncio.run(follow())
        assert "".join(one["data"]["text"] for one in told if one["type"] == "token") == WORDS
        assert {one["subtask"] for one in told} == {"a"}
