"""How fast the A2A server is, asked over HTTP on the same machine by a client that shares its two cores.

Each figure has a server of its own, a process as anybody starts it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from benchmarks.race import folder
from holdfast.checkpoints import control, events, tasks
from holdfast.checkpoints.database import Database

HEADERS = {"A2A-Version": "1.0"}
SENDS, GETS, CLIENTS = 400, 1500, 16
STREAMS, MANY_STREAMS = 100, 300
WORKING, PAUSES = 100, 200
PAUSED = 10_000
ENDED = ("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED")
_ids = itertools.count(1)


def naps(*seconds: float) -> dict[str, Any]:
    """A plan of sleeping subtasks, one after the other."""
    made = [{"id": f"n{i}", "type": "sleep", "params": {"seconds": each}} for i, each in enumerate(seconds)]
    for before, after in itertools.pairwise(made):
        after["dependencies"] = [before["id"]]
    return {"subtasks": made}


class Server:
    """A server's process, and a client of it."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes], url: str, http: httpx.AsyncClient) -> None:
        self.path, self.process, self.url, self.http = path, process, url, http

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a JSON-RPC call."""
        reply = (await self.http.post(f"{self.url}/a2a", json=rpc(method, params))).json()
        if "error" in reply:
            raise AssertionError(reply["error"])
        return dict(reply["result"])

    async def send(self, plan: dict[str, Any]) -> str:
        """Begins a task; its id once it is durable."""
        return str((await self.call("SendMessage", message(plan, returnImmediately=True)))["task"]["id"])

    async def stream(self, method: str, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """What a stream brings."""
        async with self.http.stream("POST", f"{self.url}/a2a", json=rpc(method, params), timeout=60) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])["result"]

    def rss(self) -> float:
        """Its memory, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000


def rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params}


def message(plan: dict[str, Any], **configuration: Any) -> dict[str, Any]:
    parts = [{"text": "measure"}, {"data": {"plan": plan}}]
    said = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": parts}
    return {"message": said, "configuration": configuration}


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Server, float]]:
    """A server on a free port, and the seconds that it took to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "holdfast", "serve", "--port", str(port), "--db", str(path / "h.db")]
    begun = time.monotonic()
    with (path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--tasks", "400"], stdout=log, stderr=log)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2)
    async with httpx.AsyncClient(headers=HEADERS, timeout=60, limits=limits) as http:
        server = Server(path, process, f"http://127.0.0.1:{port}", http)
        try:
            while True:
                with suppress(httpx.TransportError):
                    if (await http.get(f"{server.url}/.well-known/agent-card.json")).status_code == 200:
                        break
                if process.poll() is not None:
                    raise AssertionError((path / "log").read_text())
                await asyncio.sleep(0.02)
            yield server, time.monotonic() - begun
        finally:
            process.terminate()
            process.wait(15)


async def at_once(work: Callable[[], Coroutine[Any, Any, None]], times: int, clients: int) -> tuple[float, list[float]]:
    """(seconds in all, milliseconds of each) of so many calls by so many clients."""
    left, each = iter(range(times)), list[float]()

    async def client() -> None:
        for _ in left:
            begun = time.monotonic()
            await work()
            each.append(1e3 * (time.monotonic() - begun))

    begun = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.monotonic() - begun, sorted(each)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def requests(contender: str, rep: int) -> dict[str, float]:
    """Durable sends that return at once, and GetTask."""

    async def measure(path: Path) -> dict[str, float]:
        async with serving(path) as (server, _):
            plan = naps(0)

            async def send() -> None:
                await server.send(plan)

            sent, each = await at_once(send, SENDS, CLIENTS)
            task = await server.send(naps(0))
            await asyncio.sleep(2)

            async def get() -> None:
                await server.call("GetTask", {"id": task})

            got, _ = await at_once(get, GETS, CLIENTS)
            return {"sends": SENDS / sent, "send_p99": percentile(each, 0.99), "gets": GETS / got}

    with folder() as path:
        return asyncio.run(measure(path))


def streams(contender: str, rep: int) -> dict[str, float]:
    """Streams opened at once: how soon each has its first event, and whether any loses one, though some reconnect."""

    async def opened(server: Server, first: list[float]) -> None:
        begun = time.monotonic()
        async for _ in server.stream("SendStreamingMessage", message(naps(0.5, 0.5))):
            if begun:
                first.append(time.monotonic() - begun)
                begun = 0

    async def followed(server: Server, task: str, leaves: bool) -> bool:
        """Whether what a stream tells, which may be left once and taken up again, is all since its first snapshot."""
        begun, told, left = 0, set[int](), leaves
        while True:
            ended = True  # nothing comes of a task that has ended: then its last snapshot tells
            async for update in server.stream("SubscribeToTask", {"id": task}):
                ended = False
                ((kind, body),) = update.items()
                seq = int(body["metadata"]["holdfast"]["seq"])
                begun = begun or seq
                told |= set(range(begun, seq + 1)) if kind == "task" else {seq}
                if left and len(told) > 2:
                    left = False
                    break
                ended = body.get("status", {}).get("state") in ENDED
            if ended:
                last = await server.call("GetTask", {"id": task})
                seq = int(last["metadata"]["holdfast"]["seq"])
                told |= set(range(begun, seq + 1)) if seq not in told else set()
                return all(one in told for one in stored(server, task) if one > begun)

    async def measure(path: Path) -> dict[str, float]:
        async with serving(path) as (server, _):
            first: list[float] = []
            await asyncio.gather(*(opened(server, first) for _ in range(STREAMS)))
            made = [await server.send(naps(*([1.0] * 12))) for _ in range(10)]
            chance = random.Random(rep)
            whole = await asyncio.gather(
                *(followed(server, made[i % 10], chance.random() < 0.1) for i in range(MANY_STREAMS))
            )
            return {"first_p95": percentile(sorted(first), 0.95), "lossy": MANY_STREAMS - sum(whole)}

    with folder() as path:
        return asyncio.run(measure(path))


def stored(server: Server, task: str) -> list[int]:
    """The seq of each stored event that a stream tells of."""
    database = Database(server.path / "h.db")
    try:
        rows = database.read(lambda db: events.read(db, task))
    finally:
        database.close()
    return [one.seq for one in rows if one.type.startswith(("task.", "subtask."))]


def pause_calls(contender: str, rep: int) -> dict[str, float]:
    """PauseTask and ResumeTask while a hundred tasks are at work, each in subtasks of 0.5 to 2.5 s."""

    async def measure(path: Path) -> dict[str, float]:
        async with serving(path) as (server, _):
            chance, taken = random.Random(rep), list[float]()
            made = [await server.send(naps(*(chance.uniform(0.5, 2.5) for _ in range(60)))) for _ in range(WORKING)]
            await asyncio.sleep(3)
            for _ in range(PAUSES):
                task = chance.choice(made)
                begun = time.monotonic()
                await server.call("PauseTask", {"id": task})
                taken.append(1e3 * (time.monotonic() - begun))
                await server.call("ResumeTask", {"id": task})
            return {"pause": statistics.median(taken), "pause_p99": percentile(sorted(taken), 0.99)}

    with folder() as path:
        return asyncio.run(measure(path))


def paused_many(contender: str, rep: int) -> dict[str, float]:
    """A start with ten thousand paused tasks."""

    async def measure(path: Path) -> dict[str, float]:
        database = Database(path / "h.db")

        def fill(db: Any) -> None:
            for i in range(PAUSED):
                task = tasks.create(db, f"task {i}", {}, time.time())
                control.pause(db, task.id, time.time())

        database.write(fill)
        database.close()
        async with serving(path) as (server, seconds):
            await asyncio.sleep(3)
            return {"start": seconds, "rss": server.rss()}

    with folder() as path:
        return asyncio.run(measure(path))
