"""Holdfast inside the LangGraph API, as Studio sees it: ``langgraph dev`` on this repository's langgraph.json."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import tomllib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import AuthenticationError, ConflictError, NotFoundError, PermissionDeniedError

from holdfast import Holdfast
from holdfast.checkpoints import keys
from holdfast.graphs.holdfast import Sender
from tests.acceptance.api_process import ROOT, Server
from tests.conftest import chain
from tests.ports import free_port

URI = "urn:holdfast:a2a:pause-resume:v1"
NAMES = [f"part{number}" for number in range(8)]
LONG = chain(*NAMES, params={"seconds": 0.15})
PLAN = {
    "subtasks": [
        {"id": "first", "type": "sleep", "params": {"seconds": 0.05}},
        {"id": "second", "type": "sleep", "dependencies": ["first"]},
        {"id": "beside", "type": "sleep", "params": {"seconds": 0.05}},
    ]
}
IDS = {"first", "second", "beside"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("langgraph_api"), free_port())
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


class A2A:
    """The routes under /holdfast, as a client of theirs calls them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @classmethod
    @asynccontextmanager
    async def at(cls, server: Server, key: str | None = None) -> AsyncIterator[A2A]:
        headers = {"A2A-Version": "1.0", **({"X-API-Key": key} if key else {})}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
            yield cls(http)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self._rpc(method, params)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def error(self, method: str, **params: Any) -> dict[str, Any]:
        error: dict[str, Any] = (await self._rpc(method, params))["error"]
        return error

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(f"/holdfast/a2a/rest/{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ended(self, task: str) -> str:
        """The state in which a task ends."""
        state = ""

        async def over() -> bool:
            nonlocal state
            state = (await self.call("GetTask", id=task))["status"]["state"]
            return state not in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")

        await until(over)
        return state

    async def _rpc(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = (await self.http.post("/holdfast/a2a", json=body)).json()
        return answer


@pytest.fixture
async def a2a(server: Server) -> AsyncIterator[A2A]:
    async with A2A.at(server) as found:
        yield found


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
    thread = await new_thread(client)
    run = await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": LONG})
    async with Holdfast.open(server.database) as hf:
        await until_completed(server, thread, NAMES[0])
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
    await assert_each_ran_once(server, thread, set(NAMES))


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
    asked = {"goal": "Market research report on bicycles", "data": [str(data)], "out": str(out), "yes": True}
    thread = await new_thread(client)
    output = await client.runs.wait(thread, "holdfast", input=asked)
    assert output["status"] == "COMPLETED", output["error"]
    assert "report.md" in {artifact["name"] for artifact in output["artifacts"]}
    assert "Northwind" in (out / "report.md").read_text("utf-8")
    assert json.loads((out / "evidence.json").read_text("utf-8"))


async def test_a_message_becomes_a_run_of_the_api(client: LangGraphClient, server: Server, a2a: A2A) -> None:
    sent = await a2a.call("SendMessage", message=said({"text": "try it"}, {"data": {"plan": PLAN}}))
    task = sent["task"]["id"]
    assert sent["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert await until(thread_is(client, task, "idle"))
    [run] = await client.runs.list(task)
    assert run["status"] == "success"
    assert run_ids(server.database, task) == {run["run_id"]}
    await assert_each_ran_once(server, task, IDS)


async def test_a_message_is_streamed_through_the_api(a2a: A2A) -> None:
    body = {"message": said({"text": "try it"}, {"data": {"plan": PLAN}})}
    async with a2a.http.stream("POST", "/holdfast/a2a/rest/message:stream", json=body) as answer:
        told = [json.loads(line[5:]) async for line in answer.aiter_lines() if line.startswith("data:")]
    states = [one["statusUpdate"]["status"]["state"] for one in told if "statusUpdate" in one]
    assert states[-1] == "TASK_STATE_COMPLETED"


async def test_the_card_names_the_routes_where_they_are(a2a: A2A) -> None:
    card = (await a2a.http.get("/holdfast/.well-known/agent-card.json")).json()
    urls = {one["protocolBinding"]: one["url"] for one in card["supportedInterfaces"]}
    assert urls == {
        "JSONRPC": f"{a2a.http.base_url}/holdfast/a2a".replace("//holdfast", "/holdfast"),
        "HTTP+JSON": f"{a2a.http.base_url}/holdfast/a2a/rest".replace("//holdfast", "/holdfast"),
    }
    for path in ("healthz", "readyz", "metrics"):
        assert (await a2a.http.get(f"/holdfast/{path}")).status_code == 200, path


@pytest.mark.parametrize("by", ["Command(resume)", "ResumeTask"])
async def test_a_run_that_is_paused_by_our_route_goes_on_either_way(
    client: LangGraphClient, server: Server, a2a: A2A, by: str
) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": LONG})
    await until_completed(server, thread, NAMES[0])
    paused = await a2a.post(f"tasks/{thread}:pause", {"metadata": {URI: {"reason": "too expensive"}}})
    assert paused["metadata"][URI]["state"] == "PAUSED"
    await client.runs.join(thread, run["run_id"])
    seen = await client.threads.get(thread)
    assert seen["status"] == "interrupted"
    [[waiting]] = seen["interrupts"].values()
    assert (waiting["value"]["kind"], waiting["value"]["reason"]) == ("paused", "too expensive")
    if by == "ResumeTask":
        resumed = await a2a.call("ResumeTask", id=thread)
        assert URI not in resumed.get("metadata", {})
        assert (await a2a.ended(thread)) == "TASK_STATE_COMPLETED"
    else:
        output = await client.runs.wait(thread, "holdfast", command={"resume": "go on"})
        assert output["status"] == "COMPLETED"
    assert await until(thread_is(client, thread, "idle"))
    await assert_each_ran_once(server, thread, set(NAMES))


async def test_a_task_that_is_paused_and_resumed_again_and_again_runs_nothing_twice(
    client: LangGraphClient, server: Server, a2a: A2A
) -> None:
    thread = await new_thread(client)
    await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": LONG})
    await until_completed(server, thread, NAMES[0])
    for _ in range(10):  # each resume may meet a run that is still ending
        await a2a.call("PauseTask", id=thread)
        await a2a.call("ResumeTask", id=thread)
    assert (await a2a.ended(thread)) == "TASK_STATE_COMPLETED"
    await assert_each_ran_once(server, thread, set(NAMES))
    assert await until(thread_is(client, thread, "idle"))


async def test_a_question_of_an_sdk_run_is_answered_by_a_message(
    client: LangGraphClient, server: Server, a2a: A2A
) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "holdfast", input={"goal": "try it", "plan": PLAN, "approve": True})
    assert (await a2a.call("GetTask", id=thread))["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    answer = {**said({"data": {"answers": {"q1": "approve"}}}), "taskId": thread}
    sent = await a2a.call("SendMessage", message=answer)
    assert sent["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    await assert_each_ran_once(server, thread, IDS)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_the_api_cancels_leaves_its_task_paused(
    client: LangGraphClient, server: Server, a2a: A2A, action: Any
) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": LONG})
    await until_completed(server, thread, NAMES[1])
    await client.runs.cancel(thread, run["run_id"], action=action, wait=True)

    async def paused() -> bool:
        return URI in (await a2a.call("GetTask", id=thread))["metadata"]

    async def shown() -> bool:
        return bool((await client.threads.get(thread)).get("interrupts"))

    assert await until(paused)
    assert await until(shown)
    before = history(server, thread)
    assert ("subtask.completed", NAMES[-1]) not in before
    output = await client.runs.wait(thread, "holdfast", command={"resume": "go on"})
    assert output["status"] == "COMPLETED"
    assert_nothing_finished_ran_again(history(server, thread), set(NAMES))


async def test_a_stateless_run_that_is_canceled_leaves_its_task_paused(
    client: LangGraphClient, server: Server, a2a: A2A
) -> None:
    run = await client.runs.create(None, "holdfast", input={"goal": "try it", "plan": LONG})
    task = run["thread_id"]
    await until_completed(server, task, NAMES[0])
    await client.runs.cancel(task, run["run_id"])

    async def paused() -> bool:
        return URI in (await a2a.call("GetTask", id=task))["metadata"]

    assert await until(paused)
    await a2a.call("ResumeTask", id=task)
    assert (await a2a.ended(task)) == "TASK_STATE_COMPLETED"
    assert_nothing_finished_ran_again(history(server, task), set(NAMES))


async def test_a_second_run_of_a_thread_is_refused_if_that_is_wanted(client: LangGraphClient, server: Server) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": PLAN})
    with pytest.raises(ConflictError):
        await client.runs.create(thread, "holdfast", input={"goal": "try it"}, multitask_strategy="reject")
    await client.runs.join(thread, run["run_id"])
    await assert_each_ran_once(server, thread, IDS)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_was_killed_or_ended_goes_on_with_its_tasks(server: Server, how: signal.Signals) -> None:
    async with get_client(url=server.url) as client:
        thread = await new_thread(client)
        await client.runs.create(thread, "holdfast", input={"goal": "try it", "plan": LONG})
        await until_completed(server, thread, NAMES[1])
    server.end(how)
    assert ("subtask.completed", NAMES[-1]) not in history(server, thread)
    server.start()
    async with A2A.at(server) as a2a, get_client(url=server.url) as client:
        assert (await a2a.ended(thread)) == "TASK_STATE_COMPLETED"
        assert await until(thread_is(client, thread, "idle"))
    assert_nothing_finished_ran_again(history(server, thread), set(NAMES))


@pytest.fixture
async def keyed(server: Server) -> AsyncIterator[dict[str, str]]:
    """Keys of two owners, while a test runs."""
    async with Holdfast.open(server.database) as hf:
        made = {name: await hf.database.awrite(partial(keys.add, name=name, now=0.0)) for name in ("ann", "bob")}
        try:
            yield made
        finally:
            for name, _ in await hf.database.aread(keys.names):
                await hf.database.awrite(partial(keys.revoke, name=name))
            await hf.database.awrite(keys.off)


async def test_with_keys_everybody_has_to_show_one_and_sees_only_what_is_theirs(
    client: LangGraphClient, server: Server, a2a: A2A, keyed: dict[str, str]
) -> None:
    async def refused() -> bool:
        return (await a2a.http.get("/holdfast/a2a/rest/tasks")).status_code == 401

    assert await until(refused)
    for headers in ({}, {"x-auth-scheme": "langsmith"}, {"authorization": "Bearer hf_wrong"}):
        async with get_client(url=server.url, headers=headers) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.threads.search()
    async with (
        get_client(url=server.url, api_key=keyed["ann"]) as ann,
        get_client(url=server.url, headers={"authorization": f"Bearer {keyed['bob']}"}) as bob,
        A2A.at(server, keyed["ann"]) as ann_a2a,
        A2A.at(server, keyed["bob"]) as bob_a2a,
    ):
        thread = await new_thread(ann)
        run = await ann.runs.create(thread, "holdfast", input={"goal": "try it", "plan": PLAN, "approve": True})
        await ann.runs.join(thread, run["run_id"])
        assert (await ann_a2a.call("GetTask", id=thread))["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        assert (await bob_a2a.error("GetTask", id=thread))["code"] == -32001
        assert (await bob_a2a.error("ResumeTask", id=thread))["code"] == -32001
        assert thread not in [one["thread_id"] for one in await bob.threads.search()]
        for attempt in (
            lambda: bob.threads.get(thread),
            lambda: bob.threads.get_state(thread),
            lambda: bob.runs.list(thread),
            lambda: bob.runs.create(thread, "holdfast", command={"resume": "approve"}),
            lambda: bob.runs.get(thread, run["run_id"]),
        ):
            assert not await answered(attempt)
        assert (await ann.runs.wait(thread, "holdfast", command={"resume": "approve"}))["status"] == "COMPLETED"
        sent = await bob_a2a.call("SendMessage", message=said({"text": "try it"}, {"data": {"plan": PLAN}}))
        mine = sent["task"]["id"]
        assert mine in [one["thread_id"] for one in await bob.threads.search()]
        with pytest.raises(NotFoundError):
            await ann.threads.get(mine)
        async with Holdfast.open(server.database) as hf:  # a task that the API has no thread of
            other = (await hf.start("try it", plan=PLAN, sender=Sender("ann"))).id
            await hf.wait(other)
        for attempt in (
            lambda: bob.threads.create(thread_id=other),
            lambda: bob.runs.create(other, "holdfast", input={"goal": "x"}, if_not_exists="create"),
        ):
            assert not await answered(attempt)
        for wrong in ({"data": ["/etc/hosts"]}, {"out": "/tmp/elsewhere"}, {"reuse": thread}):
            output = await bob.runs.wait(None, "holdfast", input={"goal": "try it", **wrong}, raise_error=False)
            assert output["__error__"]["error"] in ("BadInput", "UnknownTask")
        assert not await answered(lambda: bob.store.put_item(["a"], "b", {}))


async def test_without_its_last_key_it_stays_closed(
    client: LangGraphClient, server: Server, a2a: A2A, keyed: dict[str, str]
) -> None:
    async with Holdfast.open(server.database) as hf:
        for name in keyed:
            await hf.database.awrite(partial(keys.revoke, name=name))
    async with get_client(url=server.url, api_key=keyed["ann"]) as ann:
        for one in (client, ann):
            with pytest.raises(AuthenticationError):
                await one.threads.search()
    assert (await a2a.http.get("/holdfast/a2a/rest/tasks", headers={"X-API-Key": keyed["ann"]})).status_code == 401


def test_every_path_that_the_dockerfile_names_exists(tmp_path: Path) -> None:
    """Without docker: what would be copied is there, and what the server would load can be loaded."""
    file = tmp_path / "Dockerfile"
    command = [sys.executable, "-m", "langgraph_cli", "dockerfile", "--config", str(ROOT / "langgraph.json"), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    text = file.read_text("utf-8")
    copied = re.findall(r"^(?:ADD|COPY) (\S+) ", text, re.M)
    assert copied
    assert not [name for name in copied if not (ROOT / name).exists()]
    set_ = {name: json.loads(value) for name, value in re.findall(r"^ENV (LANG\w+)='(.*)'$", text, re.M)}
    paths = [one["path"] for one in set_.pop("LANGSERVE_GRAPHS").values()]
    paths += [one.get("path") or one["app"] for one in set_.values()]
    assert len(paths) == 4
    for path in paths:
        module, name = re.fullmatch(r"([\w.]+)[.:](\w+)", path).groups()  # type: ignore[union-attr]
        assert hasattr(import_module(module), name), path
    installed = re.findall(r"uv pip install .* (a2a-sdk\S.*)$", text, re.M)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    extras = {one.replace(">=", "~=") for name in ("serve", "report", "documents") for one in wanted[name]}
    assert set(installed[0].split()) == extras  # no version with ">", which the shell would take for a redirection


def test_the_graph_and_its_checkpointer_share_one_open_database(server: Server) -> None:
    owners = list((server.database.with_name(server.database.name + ".d") / "runners").iterdir())
    assert len(owners) == 1  # the server's; two would write without knowing of each other's leases


async def test_nothing_blocked_the_event_loop(server: Server) -> None:
    """Last in the file: the log and the tasks of all runs above."""
    async with Holdfast.open(server.database) as hf:
        faults = [task.error for task in await hf.list() if task.error]
    said = [line for line in [*server.lines(), *faults] if re.search("blocking call|BlockingError", line, re.I)]
    assert not said


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": list(parts)}


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> bool:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)
    return True


def thread_is(client: LangGraphClient, thread: str, status: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await client.threads.get(thread))["status"] == status

    return holds


async def answered(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What a request gives; None if the API refuses it, as it refuses what is not there."""
    try:
        return await attempt()
    except (PermissionDeniedError, NotFoundError, ConflictError):
        return None


def run_ids(database: Path, thread: str) -> set[str]:
    """The runs of the API that wrote a thread's checkpoints."""
    run = "json_extract(CAST(metadata AS TEXT), '$.run_id')"
    return {found for (found,) in rows(database, f"SELECT {run} FROM checkpoints WHERE thread_id = ?", thread)}


def assert_nothing_finished_ran_again(events: list[tuple[str, str | None]], ids: set[str]) -> None:
    """A body that was cut off may run again; one whose result is on disk may not."""
    completed = [subtask for type_, subtask in events if type_ == "subtask.completed"]
    assert sorted(filter(None, completed)) == sorted(ids)
    for name in ids:
        mine = [type_ for type_, subtask in events if subtask == name and type_.startswith("subtask.")]
        assert "subtask.running" not in mine[mine.index("subtask.completed") :]


async def new_thread(client: LangGraphClient) -> str:
    return (await client.threads.create())["thread_id"]


def rows(database: Path, sql: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


def checkpoints(database: Path, thread: str) -> int:
    [(count,)] = rows(database, "SELECT count(*) FROM checkpoints WHERE thread_id = ?", thread)
    return int(count)


def history(server: Server, task: str) -> list[tuple[str, str | None]]:
    """The types and subtasks of a task's events; none while its run is still in the API's queue."""
    sql = "SELECT e.type, e.subtask FROM events e JOIN tasks t ON t.number = e.task WHERE t.id = ? ORDER BY e.seq"
    return [(type_, subtask) for type_, subtask in rows(server.database, sql, task)]


async def until_completed(server: Server, task: str, subtask: str) -> None:
    async with asyncio.timeout(30):
        while ("subtask.completed", subtask) not in history(server, task):
            await asyncio.sleep(0.02)


async def assert_each_ran_once(server: Server, task: str, ids: set[str]) -> None:
    events = history(server, task)
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
