"""The server as a process: its end, its health, its figures, its log, and a second one beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from holdfast.checkpoints.database import Database
from holdfast.cli.serve import LARGE_MEGABYTES, _announce
from holdfast.server import health
from holdfast.server.serve import listen
from holdfast.server.settings import Settings
from tests.acceptance.serving import SLOW, Server, message, nap, planned, text
from tests.ports import free_port

QUICK = 4.0  # seconds in which a server has handed over, on a busy machine too


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("process")) as running:
        yield running


def log_of(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log().splitlines()]


def figure(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    found = 0.0
    for line in server.http.get("/metrics").text.splitlines():
        key, _, value = line.rpartition(" ")
        given = key.partition("{")[2]
        if key.partition("{")[0] == name and all(f'{label}="{one}"' in given for label, one in labels.items()):
            found += float(value)
    return found


@pytest.fixture
def hangup(request):
    """What processes do at SIGHUP that are begun here: end, unless nohup has it ignored; it may have these tests."""
    before = signal.signal(signal.SIGHUP, getattr(request, "param", signal.SIG_DFL))
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_hands_over_ends_streams_and_exits_0(tmp_path, number):
    with Server(tmp_path) as server:
        task = server.run(nap("n", 60))
        waiting: list[Any] = []
        said = planned(nap("m", 60))
        caller = threading.Thread(target=lambda: waiting.append(server.post("SendMessage", {"message": said})))
        caller.start()
        with server.stream("SubscribeToTask", {"id": task}) as stream:
            assert stream.next()
            server.until(task, "WORKING")
            while len(server.rpc("ListTasks")["tasks"]) < 2:
                time.sleep(0.02)
            took = server.stop(number)
            assert server.process
            assert server.process.returncode == 0
            assert took < QUICK
            stream.rest()
            assert stream.broken is None  # it was brought to its end
        caller.join(SLOW)
        assert waiting[0].status_code == 503
        assert waiting[0].headers["retry-after"] == "1"
        assert "going down" in waiting[0].json()["error"]["message"]
        assert "Traceback" not in server.log()
        assert not [line for line in log_of(server) if line["level"] in ("warning", "error", "critical")]
        server.start()  # what was handed over is taken up, and the message that got no answer is known again
        until = time.monotonic() + SLOW
        while not [line for line in log_of(server) if line["message"] == f"took up task {task}"]:
            assert time.monotonic() < until
        again = server.rpc("SendMessage", {"message": said, "configuration": {"returnImmediately": True}})
        assert len(server.rpc("ListTasks")["tasks"]) == 2
        assert again["task"]["status"]["state"] == "TASK_STATE_WORKING"


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("hangup", [signal.SIG_IGN], indirect=True)
def test_under_nohup_it_goes_on_without_its_terminal(tmp_path):
    with Server(tmp_path) as server:
        assert server.process
        server.process.send_signal(signal.SIGHUP)
        for _ in range(10):
            assert server.http.get("/healthz").status_code == 200
            time.sleep(0.02)
        assert server.stop() < QUICK
        assert server.process.returncode == 0


def test_signals_that_come_together_end_it_once(tmp_path):
    with Server(tmp_path) as server:
        server.run(nap("n", 60))
        assert server.process
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            server.process.send_signal(number)
        assert server.process.wait(SLOW) == 0
        assert "Traceback" not in server.log()


def test_idle_connections_do_not_hold_it_up(tmp_path):
    with Server(tmp_path) as server:
        bare = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
        bare[0].sendall(b"POST /a2a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        bare[1].sendall(b"GET /he")
        server.http.get("/healthz")
        assert server.stop() < QUICK
        assert server.process
        assert server.process.returncode == 0
        for one in bare:
            one.close()


def test_second_server_on_the_port_is_refused_in_a_sentence(server, tmp_path):
    command = [sys.executable, "-m", "holdfast", "serve", "--db", str(tmp_path / "b.db"), "--port", str(server.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=SLOW, check=False)
    assert second.returncode == 2
    assert second.stderr == (
        f"error: cannot listen on 127.0.0.1 port {server.port}: Address already in use; choose another\n"
    )
    assert not (tmp_path / "b.db").exists()
    assert server.http.get("/healthz").status_code == 200


def test_health_and_figures(server):
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.http.get("/readyz").json() == {"status": "ready"}
    task = server.run(nap("n", 60))
    server.until(task, "WORKING")
    working, runs = figure(server, "holdfast_tasks", state="WORKING"), figure(server, "holdfast_runs")
    assert working >= 1
    assert runs >= 1
    before = figure(server, "holdfast_http_requests_total", method="PauseTask", status="200")
    paused = figure(server, "holdfast_pause_seconds_count")
    server.rpc("PauseTask", {"id": task})
    server.rest("POST", f"/tasks/{task}:pause")
    assert figure(server, "holdfast_http_requests_total", method="PauseTask", status="200") == before + 2
    assert figure(server, "holdfast_http_requests_total", route="/a2a/rest/tasks/{id}:pause", status="200") >= 1
    assert figure(server, "holdfast_pause_seconds_count") == paused + 2
    assert figure(server, "holdfast_tasks", state="WORKING") == working - 1
    assert figure(server, "holdfast_tasks", state="PAUSED") >= 1
    with server.stream("SubscribeToTask", {"id": task}) as stream:
        stream.next()
        assert figure(server, "holdfast_open_streams") == 1
    server.rpc("CancelTask", {"id": task})


def test_figures_do_not_grow_with_what_clients_make_up(server):
    def size() -> int:
        return len(server.http.get("/metrics").text.splitlines())

    def bother(turn: int) -> None:
        server.http.get(f"/made/up/{turn}")
        server.http.request(f"VERB{turn}", "/a2a")
        server.post(f"Method{turn}")
        server.rest("GET", f"/tasks/none-{turn}")

    bother(0)
    before = size()
    for turn in range(1, 20):
        bother(turn)
    assert size() == before


def test_figures_are_few(server):
    assert "_created" not in server.http.get("/metrics").text


async def test_answers_are_not_held_back_until_the_client_has_acknowledged_their_head():
    settings, told = Settings(port=free_port()), asyncio.get_running_loop().create_future()

    class Told(asyncio.Protocol):
        def connection_made(self, transport):
            told.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with listen(settings) as listening:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Told, sock=listening):
            with socket.create_connection((settings.host, settings.port)):
                assert await told


def test_not_ready_while_the_database_cannot_be_written(tmp_path):
    with Server(tmp_path) as server:
        other = sqlite3.connect(server.db, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            began = time.monotonic()
            answer = server.http.get("/readyz")
            assert time.monotonic() - began < 3
            assert answer.status_code == 503
            assert list(answer.json()["failed"]) == ["database"]
            assert str(tmp_path) not in answer.text
            assert server.http.get("/healthz").status_code == 200
        finally:
            other.execute("ROLLBACK")
            other.close()
        until = time.monotonic() + SLOW
        while server.http.get("/readyz").status_code != 200:
            assert time.monotonic() < until


async def test_not_ready_without_room_on_the_disk(tmp_path):
    database = Database(tmp_path / "holdfast.db")
    try:
        assert await health.failures(database) == {}
        assert list(await health.failures(database, room=1 << 62)) == ["disk"]
    finally:
        database.close()


def test_log_is_one_object_per_line(server):
    task = server.run(nap("n", 0))
    server.until(task, "COMPLETED")
    server.rest("GET", f"/tasks/{task}")
    server.post("SendMessage", {"message": {"parts": 3}})
    server.http.get("/nothing")
    lines = log_of(server)
    assert "Holdfast serves" in lines[0]["message"]
    mine = [line for line in lines if line.get("task") == task]
    (got,) = [line for line in mine if line["route"] == "/a2a/rest/tasks/{id}"]
    assert got | {"at": "", "ms": 0} == {
        "at": "",
        "level": "info",
        "logger": "holdfast.server.access",
        "message": "request",
        "verb": "GET",
        "method": "GetTask",
        "route": "/a2a/rest/tasks/{id}",
        "status": 200,
        "ms": 0,
        "task": task,
    }
    assert got["ms"] > 0
    assert "Traceback" not in server.log()


def test_an_address_that_leads_nowhere_says_where_to_go(server):
    for path in ("/", "/nothing", "/a2a/nothing"):
        answer = server.http.get(path)
        assert answer.status_code == 404
        assert "agent-card.json says where" in answer.json()["error"]
    answer = server.http.get("/a2a/rest/nothing")
    assert "agent-card.json says where" in answer.json()["error"]["message"]
    answer = server.http.get("/a2a")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["message"] == "there is no GET here; allowed: POST"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--port", "abc"), "--port: abc is not a whole number of 1 to 65,535"),
        (("--port", "0"), "--port: 0 is not a whole number of 1 to 65,535"),
        (("--tasks", "0"), "--tasks: 0 is not a whole number of 1 or more"),
        (
            ("--port", "9000", "--grpc-port", "9000"),
            "port 9000 cannot serve both HTTP and gRPC; name another with --grpc-port",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, words, sentence):
    command = [sys.executable, "-m", "holdfast", "serve", "--db", str(tmp_path / "h.db"), *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {sentence}")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "h.db").exists()


def test_the_last_line_says_what_was_handed_over(tmp_path):
    with Server(tmp_path) as server:
        server.until(server.run(nap("n", 600)), "WORKING")
        server.stop()
        assert log_of(server)[-1]["message"] == (
            "Holdfast has ended; 1 task was at work and handed over, to go on when it is started again"
        )
        server.start()
        server.stop()
        assert "1 task was at work" in log_of(server)[-1]["message"]
    with Server(tmp_path / "other") as idle:
        idle.stop()
        assert log_of(idle)[-1]["message"] == "Holdfast has ended; no task was at work"


def test_fault_inside_tells_the_client_nothing_and_the_log_everything(tmp_path):
    with Server(tmp_path) as server:
        task = server.run(nap("n", 0))
        server.until(task, "COMPLETED")
        other = sqlite3.connect(server.db)
        other.execute("ALTER TABLE messages RENAME TO gone")
        other.commit()
        other.close()
        answers = [server.post("GetTask", {"id": task}), server.rest("GET", f"/tasks/{task}")]
        answers.append(server.post("SendMessage", {"message": message(text("x"))}))
        for answer in answers:
            assert "messages" not in answer.text
            assert str(tmp_path) not in answer.text
            assert "no such table" not in answer.text
            assert "log has the reason" in answer.text
        assert answers[1].status_code == 500
        told = [line for line in log_of(server) if line["level"] == "error"]
        assert told
        assert any("gone" in str(line) or "messages" in str(line) for line in told)


def test_whoever_waits_for_a_large_database_is_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "large.db"
    _announce(path)
    path.touch()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _announce(path)
    assert capsys.readouterr().err == ""
    os.truncate(path, LARGE_MEGABYTES << 20)
    _announce(path)
    assert capsys.readouterr().err == f"Holdfast opens {path} (256 MB) …\n"


def test_terminal_gets_a_sentence(tmp_path):
    import pty

    with Server(tmp_path / "first") as first:
        port = first.port
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "holdfast", "serve", "--db", str(tmp_path / "t.db"), "--port", str(port)]
        os.execve(sys.executable, command, first.env)
    received = b""
    while b"hands its tasks over" not in received:
        received += os.read(terminal, 65536)
    os.write(terminal, b"\x03")
    try:
        while chunk := os.read(terminal, 65536):
            received += chunk
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert received.startswith(b"Holdfast serves ")
    assert received.rstrip().endswith(b"Holdfast has ended; no task was at work")
    assert b"Traceback" not in received
