"""The server is killed in the middle of every method, handed over, and doubled; no client loses anything by it."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.acceptance.serving import (
    SLOW,
    Json,
    RpcError,
    Server,
    Stream,
    body_of,
    data,
    message,
    pause_of,
    planned,
    seq_of,
    state,
    subtask,
    text,
)

ROUNDS = 20 if os.environ.get("HOLDFAST_TORTURE") == "1" else 2
AGENTS, STEPS = 3, 6
TOLD = ("task.", "subtask.", "question.", "artifact.")  # what a stream tells of a history


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("durable")) as running:
        yield running


def work(log: Path, *more: Json, seconds: float = 0.03) -> list[Json]:
    """Agents side by side that write down each step, and one that needs them all."""
    names = [f"w{number}" for number in range(AGENTS)]
    agents = [subtask(name, "srv_steps", steps=STEPS, seconds=seconds, log=str(log)) for name in names]
    return [*agents, *more, subtask("last", "srv_steps", *names, steps=1, log=str(log))]


def check_effects(server: Server, task_id: str, log: Path, kills: int) -> None:
    """What was finished never ran again, and what ran again had no receipt."""
    begun, ended, completed = Counter[str](), set[str](), set[str]()
    for event in server.events(task_id):
        step = f"{event['subtask']}/{event['data'].get('step')}"
        match event["type"]:
            case "step.started":
                assert step not in ended, f"{step} was on disk and ran again"
                begun[step] += 1
            case "step.completed":
                ended.add(step)
            case "subtask.running":
                assert event["subtask"] not in completed, f"{event['subtask']} had completed and ran again"
            case "subtask.completed":
                completed.add(event["subtask"])
    done = Counter(log.read_text().splitlines())
    assert set(done) == ended, "each step was done"
    assert all(done[step] <= begun[step] <= 1 + kills for step in done)


def check_numbers(server: Server, task_id: str) -> None:
    numbers = [event["seq"] for event in server.events(task_id)]
    assert numbers == list(range(1, len(numbers) + 1))


class Follower:
    """A client that follows one task over any number of broken streams, and adds up what it was told."""

    def __init__(self, server: Server, task_id: str) -> None:
        self.server, self.task_id = server, task_id
        self.first = 0  # the seq of its first snapshot, which told all before
        self.heard: list[int] = []  # the seqs that it was told of since
        self.ended = False
        self.failed: BaseException | None = None

    def begin(self) -> Follower:
        """Subscribes, from now on."""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def wait(self) -> None:
        """Waits until the stream has ended or broken."""
        self._thread.join(SLOW)
        assert not self._thread.is_alive()
        if self.failed:
            raise self.failed

    def check(self) -> None:
        """Asserts that it was told the whole of the history, to the end."""
        assert self.ended
        assert sorted(set(self.heard)) == self._told(self.first, self.last)
        assert self._told(self.last) == []

    @property
    def last(self) -> int:
        return max([self.first, *self.heard])

    def _follow(self) -> None:
        try:
            with self.server.stream("SubscribeToTask", {"id": self.task_id}) as stream:
                for said in stream:
                    self._hear({"task": self.server.task(self.task_id)} if "error" in said else said)
                self.ended = stream.broken is None
        except httpx.TransportError:
            return  # the server was killed before it answered
        except BaseException as error:
            self.failed = error

    def _hear(self, said: Json) -> None:
        seq = seq_of(body_of(said))
        if "task" not in said:
            assert seq >= self.last, f"{seq} came after {self.last}"
            self.heard.append(seq)
        elif self.first:
            assert seq >= self.last, "a snapshot is never older than what was told before"
            self.heard += self._told(self.last, seq)  # the snapshot has them
        else:
            self.first = seq

    def _told(self, after: int, to: int = sys.maxsize) -> list[int]:
        """The stored events between two seqs of which streams tell."""
        found = (one for one in self.server.events(self.task_id) if one["type"].startswith(TOLD))
        return [one["seq"] for one in found if after < one["seq"] <= to]


class TaskNotCancelable(RpcError):
    """Code -32002."""


def cancel(server: Server, task_id: str) -> Json:
    try:
        return dict(server.rpc("CancelTask", {"id": task_id}))
    except RpcError as error:
        raise TaskNotCancelable(error.error) if error.code == -32002 else error from None


def quietly(act: Callable[[], object]) -> threading.Thread:
    """Makes a request that the kill may cut off."""

    def run() -> None:
        with suppress(httpx.TransportError, RpcError, ValueError):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_kill_in_the_middle_of_every_method(server: Server, tmp_path: Path, chance: random.Random) -> None:
    for number in range(ROUNDS):
        kill_once(server, tmp_path / str(number), chance)


def kill_once(server: Server, folder: Path, chance: random.Random) -> None:
    folder.mkdir()
    go = folder / "go"
    never = subtask("u", "srv_until", file=str(go))

    def begun(*plan: Json, enough: int = 5) -> str:
        task_id = server.run(*plan)
        server.until(task_id, lambda task: seq_of(task) >= enough or "message" in task["status"])
        return task_id

    def log(name: str) -> Path:
        return folder / name

    resting, to_pause, to_resume, to_cancel = begun(never), begun(never), begun(never), begun(never)
    asked, listening = begun(subtask("a", "srv_ask")), begun(*work(log("subscribed")))
    for one in (resting, to_resume):
        server.rpc("PauseTask", {"id": one, "metadata": {}})
    blocking, streaming = planned(*work(log("blocking"))), planned(*work(log("streaming")))
    answer = message(data(answers={"q1": "yes"}), taskId=asked)
    hello = message(text("hello"), taskId=to_pause)
    follower = Follower(server, listening).begin()
    calls: dict[str, Callable[[], Json]] = {
        "send": lambda: dict(server.rpc("SendMessage", {"message": blocking})),
        "stream": lambda: {"seen": read_all(server.stream("SendStreamingMessage", {"message": streaming}))},
        "answer": lambda: dict(server.rpc("SendMessage", {"message": answer})),
        "say": lambda: dict(server.send(hello)),
        "pause": lambda: dict(server.rpc("PauseTask", {"id": to_pause})),
        "resume": lambda: dict(server.rpc("ResumeTask", {"id": to_resume})),
        "cancel": lambda: cancel(server, to_cancel),
    }
    names = list(calls)
    chance.shuffle(names)
    threads = [quietly(calls[name]) for name in names]
    time.sleep(chance.random() * 0.25)  # anywhere in the middle of them
    server.kill()
    for thread in threads:
        thread.join(SLOW)
        assert not thread.is_alive(), "no client waits for a server that is dead"
    follower.wait()
    server.start()

    assert pause_of(server.task(resting)), "what was paused stays paused"
    follower.begin()
    for name in ("answer", "say", "pause", "resume"):
        calls[name]()
    with suppress(TaskNotCancelable):  # because it had been canceled before the kill
        calls["cancel"]()
    assert state(server.task(to_cancel)) == "CANCELED"
    assert pause_of(server.task(to_pause))
    assert [one["messageId"] for one in server.task(to_pause)["history"]].count(hello["messageId"]) == 1
    assert pause_of(server.task(to_resume)) is None
    assert [one["messageId"] for one in server.task(asked)["history"]].count(answer["messageId"]) == 1

    sent = calls["send"]()["task"]
    streamed = body_of(calls["stream"]()["seen"][0])
    follower.wait()
    follower.check()
    for task, name in ((sent, "blocking"), (streamed, "streaming"), ({"id": listening}, "subscribed")):
        assert state(server.task(task["id"])) == "COMPLETED"
        check_numbers(server, task["id"])
        check_effects(server, task["id"], log(name), kills=1)
    everything = [one["history"][0]["messageId"] for one in server.rpc("ListTasks", {"pageSize": 100})["tasks"]]
    assert everything.count(blocking["messageId"]) == everything.count(streaming["messageId"]) == 1
    go.touch()
    server.until(to_resume, "COMPLETED")
    server.until(asked, "COMPLETED")
    assert pause_of(server.task(resting))


def read_all(stream: Stream) -> list[Json]:
    with stream:
        return stream.rest()


def test_what_was_at_work_goes_on_by_itself(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    task_id = server.run(*work(log))
    while not log.exists():
        time.sleep(0.01)
    server.kill()
    server.start()
    at = time.monotonic()
    server.until(task_id, "COMPLETED")
    print(f"completed {time.monotonic() - at:.2f} s after the restart")
    check_effects(server, task_id, log, kills=1)


def test_two_servers_on_one_database(server: Server, tmp_path: Path) -> None:
    """One works, both answer; one is handed over and one is killed, and the other carries on."""
    log, ask = tmp_path / "log", subtask("a", "srv_ask", log=str(tmp_path / "log"))
    with Server(server.folder) as other, ExitStack() as open_:
        task_id = server.run(*work(log, ask, seconds=0.05), on_question="continue")
        followers = [Follower(one, task_id).begin() for one in (server, other)]
        assert other.task(task_id)["id"] == task_id
        assert pause_of(other.rpc("PauseTask", {"id": task_id}))
        assert pause_of(server.task(task_id)), "what one has acknowledged the other one knows"
        server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
        assert pause_of(other.rpc("ResumeTask", {"id": task_id})) is None
        assert pause_of(server.rpc("ResumeTask", {"id": task_id})) is None, "resumed already is resumed"
        other.until(task_id, lambda task: "message" in task["status"])
        other.send(message(data(answers={"q1": "yes"}), taskId=task_id))

        blocked = quietly(lambda: server.rpc("SendMessage", {"message": planned(subtask("l", "sleep", seconds=60))}))
        slow = server.run(subtask("s", "srv_steps", steps=1, seconds=60))
        waiting = server.run(subtask("u", "srv_until", file=str(tmp_path / "go")))
        server.until(waiting, lambda task: seq_of(task) >= 5)
        watching = open_.enter_context(server.stream("SubscribeToTask", {"id": waiting}))
        assert watching.next()
        seconds = server.stop()
        blocked.join(SLOW)
        print(f"handed over in {seconds:.2f} s")
        assert seconds < 4.5
        assert server.process
        assert server.process.returncode == 0
        assert "Traceback" not in server.log()
        followers[1].wait()
        followers[1].check()
        check_effects(other, task_id, log, kills=2)
        taken = other.until(waiting, lambda task: count(other, waiting, "step.started") == 2)
        assert state(taken) == "WORKING"
        assert state(other.task(slow)) == "WORKING"

        server.start()
        other.kill()
        server.until(waiting, lambda task: count(server, waiting, "step.started") == 3)
        (tmp_path / "go").touch()
        server.until(waiting, "COMPLETED")
        server.rpc("CancelTask", {"id": slow})


def count(server: Server, task_id: str, type_: str) -> int:
    return [one["type"] for one in server.events(task_id)].count(type_)
