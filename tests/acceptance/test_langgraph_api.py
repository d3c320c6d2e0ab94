"""Holdfast inside the LangGraph API, as Studio sees it: ``langgraph dev`` on this repository's langgraph.json."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from holdfast import Holdfast

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
NO_NETWORK = "http://127.0.0.1:9"  # nobody listens there
PLAN = {
    "subtasks": [
        {"id": "first", "type": "sleep", "params": {"seconds": 0.05}},
        {"id": "second", "type": "sleep", "dependencies": ["first"]},
        {"id": "beside", "type": "sleep", "params": {"seconds": 0.05}},
    ]
}
IDS = {"first", "second", "beside"}


@dataclass
class Server:
    url: str
    database: Path
    log: Path

    def lines(self) -> list[str]:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text("utf-8")).splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("langgraph_api")
    port = free_port()
    found = Server(f"http://127.0.0.1:{port}", folder / "holdfast.db", folder / "server.log")
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(ROOT / "langgraph.json")]
    options = ["--no-browser", "--no-reload", "--port", str(port), "--n-jobs-per-worker", "10"]
    with found.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=offline(found.database),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_start(process, found)
        yield found
    finally:
        end(process)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


def offline(database: Path) -> dict[str, str]:
    """An environment with no settings of the caller's and no way out to the network."""
    ours = ("HOLDFAST_", "OPENAI_", "LANGGRAPH_", "LANGCHAIN_", "LANGSMITH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NO_NETWORK)
    switches = {"LANGGRAPH_NO_VERSION_CHECK": "1", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_PROXY": "127.0.0.1,localhost"}
    return {**kept, **proxies, **switches, "HOLDFAST_DB": str(database)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_start(process: subprocess.Popen[bytes], server: Server) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/ok", timeout=1):
                return
        except (URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError("langgraph dev did not start:\n" + "\n".join(server.lines()[-40:]))


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and whatever it started, whether it wants to or not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


async def test_studios_form_shows_what_a_run_needs(client: LangGraphClient) -> None:
    [assistant] = await client.assistants.search()
    form = (await client.assistants.get_schemas(assistant["assistant_id"]))["input_schema"]
    assert assistant["graph_id"] == "holdfast"
    assert form is not None
    assert form["required"] == ["goal"]
    for name in ("goal", "data", "out", "workers", "plan"):
        field = form["properties"][name]
        assert field["title"]
        assert field["description"]
    assert form["properties"]["goal"]["examples"]
    assert form["properties"]["data"]["examples"]


async def test_the_drawing_has_the_nodes_of_the_orchestrator(client: LangGraphClient) -> None:
    drawing = await client.assistants.get_graph("holdfast")
    assert {"plan", "review", "supervise", "finish", "gate"} <= {node["id"] for node in drawing["nodes"]}


async def test_a_run_completes_and_everything_about_it_is_in_our_database(
    client: LangGraphClient, server: Server
) -> None:
    thread = await new_thread(client)
    output = await client.runs.wait(thread, "holdfast", input={"goal": "try it", "plan": PLAN})
    assert output["status"] == "COMPLETED"
    assert output["subtasks"] == {"completed": 3}
    assert output["task"] == str(uuid.UUID(thread))
    async with Holdfast.open(server.database) as hf:
        task = await hf.get(thread)
        assert (task.state, task.goal) == ("COMPLETED", "try it")
        assert {subtask.id for subtask in task.plan.subtasks} >= IDS
        assert task.result("second")["seconds"] == 0
    assert checkpoints(server.database, thread) > 0
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_a_stream_shows_each_subtask_under_supervise_with_its_id(client: LangGraphClient) -> None:
    started, ended = set(), set()
    stream = client.runs.stream(
        await new_thread(client),
        "holdfast",
        input={"goal": "try it", "plan": PLAN},
        stream_mode=["tasks", "events"],
        stream_subgraphs=True,
    )
    named = set()
    async for part in stream:
        if part.event.startswith("tasks|supervise:"):
            if "result" in part.data:
                ended.add(part.data["result"]["subtask"])
            else:
                started.add(part.data["metadata"]["subtask"])
        elif part.event == "events" and part.data["event"] == "on_chain_start":
            named.add(part.data["name"])
    assert started == ended == IDS
    assert {f"subtask_{name}" for name in IDS} <= named


async def test_two_runs_on_one_thread_do_the_work_once(client: LangGraphClient, server: Server) -> None:
    thread = await new_thread(client)
    asked = {"goal": "try it", "plan": PLAN}
    outputs = await asyncio.gather(*(client.runs.wait(thread, "holdfast", input=asked) for _ in range(2)))
    assert [output["status"] for output in outputs] == ["COMPLETED", "COMPLETED"]
    await assert_each_ran_once(server, thread, IDS)


async def test_a_task_paused_from_outside_waits_as_an_interrupt_and_goes_on_where_it_was(
    client: LangGraphClient, server: Server
) -> None:
    names = [f"part{number}" for number in range(8)]
    chain = [
        {"id": name, "type": "sleep", "params": {"seconds": 0.2}, "dependencies": names[:number][-1:]}
        for number, name in enumerate(names)
    ]
    thread = await new_thread(client)
    run = await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": {"subtasks": chain}})
    async with Holdfast.open(server.database) as hf:
        await until_completed(server, thread, names[0])
        await hf.pause(thread, reason="too expensive")
        await client.runs.join(thread, run["run_id"])
        paused = await client.threads.get(thread)
        assert paused["status"] == "interrupted"
        [[waiting]] = paused["interrupts"].values()
        assert waiting["value"]["kind"] == "paused"
        assert waiting["value"]["reason"] == "too expensive"
        assert (await hf.get(thread)).state == "PAUSED"
    output = await client.runs.wait(thread, "holdfast", command={"resume": "go on"})
    assert output["status"] == "COMPLETED"
    await assert_each_ran_once(server, thread, set(names))


async def test_a_question_waits_as_an_interrupt_in_the_agent_inbox_form_and_its_answer_carries_on(
    client: LangGraphClient, server: Server
) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "holdfast", input={"goal": "try it", "plan": PLAN, "approve": True})
    [[waiting]] = (await client.threads.get(thread))["interrupts"].values()
    assert waiting["value"]["kind"] == "input_required"
    assert [request["name"] for request in waiting["value"]["action_requests"]] == ["q1"]
    unclear = await client.runs.wait(thread, "holdfast", command={"resume": "perhaps"})
    assert unclear["status"] == "INPUT_REQUIRED"  # refused with the reason, and asked again
    output = await client.runs.wait(thread, "holdfast", command={"resume": {"decisions": [{"type": "approve"}]}})
    assert output["status"] == "COMPLETED"
    await assert_each_ran_once(server, thread, IDS)


async def test_a_plan_that_cannot_run_ends_in_an_error_and_leaves_no_task(
    client: LangGraphClient, server: Server
) -> None:
    thread = await new_thread(client)
    wrong = {"goal": "try it", "plan": {"subtasks": [{"id": "a", "type": "no_such_type"}]}}
    output = await client.runs.wait(thread, "holdfast", input=wrong, raise_error=False)
    assert output["__error__"]["error"] == "InvalidPlan"
    assert (await client.threads.get(thread))["status"] == "error"
    assert any("no_such_type" in line for line in server.lines())
    async with Holdfast.open(server.database) as hf:
        assert thread not in [task.id for task in await hf.list()]


async def test_a_market_report_on_a_data_file_comes_through_the_api(
    client: LangGraphClient, server: Server, tmp_path: Path
) -> None:
    data, out = tmp_path / "market.csv", tmp_path / "report"
    data.write_text(sales(), "utf-8")
    asked = {"goal": "Market research report on bicycles", "data": [str(data)], "out": str(out)}
    thread = await new_thread(client)
    output = await client.runs.wait(thread, "holdfast", input=asked)
    assert output["status"] == "COMPLETED", output["error"]
    assert "report.md" in {artifact["name"] for artifact in output["artifacts"]}
    assert "Northwind" in (out / "report.md").read_text("utf-8")
    assert json.loads((out / "evidence.json").read_text("utf-8"))


def test_the_graph_and_its_checkpointer_share_one_open_database(server: Server) -> None:
    owners = list((server.database.with_name(server.database.name + ".d") / "runners").iterdir())
    assert len(owners) == 1  # the server's; two would write without knowing of each other's leases


async def test_nothing_blocked_the_event_loop(server: Server) -> None:
    """Last in the file: the log and the tasks of all runs above."""
    async with Holdfast.open(server.database) as hf:
        faults = [task.error for task in await hf.list() if task.error]
    said = [line for line in [*server.lines(), *faults] if re.search("blocking call|BlockingError", line, re.I)]
    assert not said


async def new_thread(client: LangGraphClient) -> str:
    return (await client.threads.create())["thread_id"]


def checkpoints(database: Path, thread: str) -> int:
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        [count] = db.execute("SELECT count(*) FROM checkpoints WHERE thread_id = ?", (thread,)).fetchone()
    finally:
        db.close()
    return int(count)


async def history(server: Server, task: str) -> list[tuple[str, str | None]]:
    async with Holdfast.open(server.database) as hf:
        if task not in [one.id for one in await hf.list()]:
            return []  # the run is still in the server's queue
        return [(event.type, event.subtask) async for event in hf.events(task, follow=False)]


async def until_completed(server: Server, task: str, subtask: str) -> None:
    async with asyncio.timeout(30):
        while ("subtask.completed", subtask) not in await history(server, task):
            await asyncio.sleep(0.02)


async def assert_each_ran_once(server: Server, task: str, ids: set[str]) -> None:
    events = await history(server, task)
    for kind in ("subtask.running", "subtask.completed"):
        assert sorted(subtask for type_, subtask in events if type_ == kind and subtask) == sorted(ids)


def sales() -> str:
    """Three years of monthly sales of four makes."""
    makes = {"Northwind": 420, "Halcyon": 300, "Kestrel": 180, "Ostrava": 90}
    rows: list[Any] = [
        f"{year}-{month:02d}-01,{make},{units + 5 * month + (year - 2021) * (12 if make == 'Kestrel' else 3)}"
        for year in (2021, 2022, 2023)
        for month in range(1, 13)
        for make, units in makes.items()
    ]
    return "\n".join(["date,make,units_sold", *rows]) + "\n"
