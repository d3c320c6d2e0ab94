"""A real ``holdfast serve`` for tests: a process of its own on a free port, and the three ways to talk to it.

Requests carry ``A2A-Version: 1.0``; what a test wants otherwise it gives as headers.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from holdfast.checkpoints import events
from tests.acceptance import a2a_types
from tests.ports import free_port

URI = "urn:holdfast:a2a:pause-resume:v1"
TYPES = Path(a2a_types.__file__)  # imported too, so that a test can open the server's database itself
SLOW = 30.0
TERMINAL = ("COMPLETED", "FAILED", "CANCELED", "REJECTED")
Json = dict[str, Any]


class RpcError(AssertionError):
    """A JSON-RPC error object that came where a result was expected."""

    def __init__(self, error: Json) -> None:
        super().__init__(json.dumps(error))
        self.error, self.code, self.message = error, int(error["code"]), str(error["message"])


class Server:
    """One server process on ``folder``/holdfast.db; ``with Server(folder) as server``.

    ``words`` are further arguments of ``holdfast serve``, ``env`` further variables.  After ``kill`` or ``stop`` it can
    be started again, at the same address and on the same database.
    """

    def __init__(
        self, folder: Path, *words: str, types: Sequence[Path] = (TYPES,), port: int | None = None, **env: str
    ) -> None:
        self.folder, self.words, self.types = folder, words, types
        self.db, self.port = folder / "holdfast.db", port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "OPENAI_"))}
        self.env = kept | {"PYTHONWARNINGS": "default"} | env
        self.http = httpx.Client(
            base_url=self.url, timeout=SLOW, trust_env=False, verify=False, headers={"A2A-Version": "1.0"}
        )
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.http.close()

    # the process

    def start(self) -> Server:
        """Starts the process and waits until it answers."""
        typed = [word for path in self.types for word in ("--types", str(path))]
        command = [sys.executable, "-m", "holdfast", "serve", "--db", str(self.db), "--port", str(self.port)]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, *typed, *self.words], cwd=self.folder, env=self.env, stdout=log, stderr=log, text=True
            )
        until = time.monotonic() + SLOW
        while True:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log()}"
            try:
                if self.http.get("/.well-known/agent-card.json").status_code < 500:
                    return self
            except httpx.TransportError:
                assert time.monotonic() < until, f"it does not answer: {self.log()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """As the power cut does it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(SLOW)

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Asks it to end; returns how many seconds that took."""
        assert self.process
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(SLOW)
        return time.monotonic() - began

    def log(self) -> str:
        """What the process has written so far."""
        return (self.folder / "server.log").read_text()

    # JSON-RPC

    def post(self, method: str, params: Json | None = None, **headers: str) -> httpx.Response:
        """One JSON-RPC request, whatever comes back; ``A2A_Version="0.3"`` is the header A2A-Version."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.http.post("/a2a", json=body, headers=_headers(headers))

    def rpc(self, method: str, params: Json | None = None, **headers: str) -> Any:
        """The result of a JSON-RPC request; raises RpcError."""
        answer = self.post(method, params, **headers).json()
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def stream(self, method: str, params: Json, **headers: str) -> Stream:
        """A streaming JSON-RPC request; ``with server.stream(…) as stream``."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = self.http.build_request("POST", "/a2a", json=body, headers=_headers(headers))
        return Stream(self.http, request, lambda said: said.get("result", said))

    # HTTP+JSON

    def rest(self, verb: str, path: str, body: Json | None = None, **headers: str) -> httpx.Response:
        """One request below /a2a/rest, whatever comes back."""
        return self.http.request(verb, f"/a2a/rest{path}", json=body, headers=_headers(headers))

    def rest_stream(self, verb: str, path: str, body: Json | None = None, **headers: str) -> Stream:
        """A streaming request below /a2a/rest."""
        request = self.http.build_request(verb, f"/a2a/rest{path}", json=body, headers=_headers(headers))
        return Stream(self.http, request, lambda said: said)

    # tasks

    def send(self, said: Json, **configuration: Any) -> Json:
        """The task of a message that was sent by JSON-RPC, as soon as it is recorded."""
        sent = {"message": said, "configuration": {"returnImmediately": True, **configuration}}
        task: Json = self.rpc("SendMessage", sent)["task"]
        return task

    def run(self, *subtasks: Json, **options: Any) -> str:
        """The id of a new task that carries out a plan."""
        return str(self.send(planned(*subtasks, **options))["id"])

    def task(self, task_id: str, **params: Any) -> Json:
        """The task now."""
        task: Json = self.rpc("GetTask", {"id": task_id, **params})
        return task

    def until(self, task_id: str, wanted: Callable[[Json], Any] | str, seconds: float = SLOW) -> Json:
        """The task as soon as it is as wanted, or in the state of that name."""
        test = (lambda task: state(task) == wanted) if isinstance(wanted, str) else wanted
        limit = time.monotonic() + seconds
        while not test(task := self.task(task_id)):
            assert time.monotonic() < limit, f"it is not as wanted: {task}"
            assert state(task) not in TERMINAL, f"it ended before: {task}"
            time.sleep(0.02)
        return task

    def events(self, task_id: str) -> list[Json]:
        """The stored history, read from the file."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as db:
            return [event.to_json() for event in events.read(db, task_id, limit=-1)]


class Stream:
    """Server-sent events as they come: a thread reads them, so that a test can do other things meanwhile."""

    def __init__(self, http: httpx.Client, request: httpx.Request, unwrap: Callable[[Json], Json]) -> None:
        self._http, self._request, self._unwrap = http, request, unwrap
        self._queue: queue.Queue[Json | None] = queue.Queue()
        self.seen: list[Json] = []
        self.headers = httpx.Headers()
        self.ended = False  # by the server, and told to the test
        self.broken: Exception | None = None

    def __enter__(self) -> Stream:
        self._response = self._http.send(self._request, stream=True)
        self.headers, self.status = self._response.headers, self._response.status_code
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Goes away, as a client does whose network is lost."""
        stream = self._response.extensions.get("network_stream")
        raw = stream.get_extra_info("socket") if stream else None
        if raw is not None and self._thread.is_alive():
            with suppress(OSError):  # the server was faster
                raw.shutdown(socket.SHUT_RDWR)
        self._thread.join(SLOW)
        self._response.close()

    def __iter__(self) -> Iterator[Json]:
        """Each event, until the server ends the stream."""
        while (said := self.next()) is not None:
            yield said

    def next(self, seconds: float = SLOW) -> Json | None:
        """The next event; None once the stream has ended."""
        if self.ended:
            return None
        said = self._queue.get(timeout=seconds)
        if said is None:
            self.ended = True
        else:
            self.seen.append(said)
        return said

    def until(self, wanted: Callable[[Json], Any]) -> Json:
        """The next event that is as wanted."""
        for said in self:
            if wanted(said):
                return said
        raise AssertionError(f"the stream ended before ({self.broken}): {self.seen}")

    def rest(self) -> list[Json]:
        """All that is still to come, to the end."""
        return list(self)

    def _read(self) -> None:
        try:
            if "text/event-stream" not in self.headers.get("content-type", ""):
                self._response.read()
                self._queue.put(self._unwrap(self._response.json()))
            for line in self._response.iter_lines() if not self._response.is_stream_consumed else ():
                if line.startswith("data:"):
                    self._queue.put(self._unwrap(json.loads(line.removeprefix("data:"))))
        except (httpx.HTTPError, OSError, ValueError) as error:
            self.broken = error
        finally:
            self._queue.put(None)


@contextmanager
def meanwhile(*calls: Callable[[], Any]) -> Iterator[list[Callable[[], Any]]]:
    """Begins calls in threads at once; what it gives waits for each one's result."""
    gate = threading.Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> Any:
        gate.wait(SLOW)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(begin, call) for call in calls]
        yield [lambda one=one: one.result(SLOW) for one in futures]


def message(*parts: Json, **fields: Any) -> Json:
    """A user's message of these parts, with an id of its own unless ``messageId`` is given."""
    return {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": list(parts), **fields}


def text(said: str) -> Json:
    """A text part."""
    return {"text": said}


def data(**content: Any) -> Json:
    """A data part."""
    return {"data": content, "mediaType": "application/json"}


def planned(*subtasks: Json, **options: Any) -> Json:
    """A message that begins a task with a plan; ``options`` are the task's."""
    return message(data(plan={"subtasks": list(subtasks)}, **({"options": options} if options else {})))


def subtask(id_: str, type_: str, *dependencies: str, **params: Any) -> Json:
    """One subtask of a plan."""
    return {"id": id_, "type": type_, "params": params, "dependencies": list(dependencies), "retries": 0}


def nap(id_: str, seconds: float, *dependencies: str) -> Json:
    """A subtask that sleeps."""
    return subtask(id_, "sleep", *dependencies, seconds=seconds)


def state(task: Json) -> str:
    """The state on the wire, of a task or of a status update, without its prefix."""
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


def pause_of(said: Json) -> Json | None:
    """What the pause extension says, in a task or a status update; None if it says nothing."""
    found: Json | None = said.get("metadata", {}).get(URI)
    return found


def seq_of(said: Json) -> int:
    """The seq of the event that this tells of."""
    return int(said["metadata"]["holdfast"]["seq"])


def body_of(event: Json) -> Json:
    """What a stream's event has in it: the task, the status update or the artifact update."""
    (body,) = event.values()
    return dict(body)


def _headers(given: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in given.items()}
