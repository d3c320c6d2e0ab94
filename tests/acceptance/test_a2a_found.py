"""Faults that were found in the server, each of which stays mended: two owners with keys, over all three bindings."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf import struct_pb2

from holdfast.a2a.reading import Readable
from holdfast.checkpoints import keys
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.messages import MOST_BYTES
from holdfast.graphs.standing import plan_file
from tests.acceptance.serving import (
    SLOW,
    URI,
    Json,
    RpcError,
    Server,
    data,
    free_port,
    message,
    nap,
    planned,
    state,
    subtask,
    text,
)
from tests.acceptance.test_serve_grpc import Client, refused

ROWS = "brand,year,units\n" + "".join(f"Own{i},{y},{10 + i + y}\n" for i in range(4) for y in (2020, 2021, 2022))
OTHERS = ROWS.replace("Own", "Foreign")
PYTHON = re.compile(r"NoneType|Error\b|Traceback|object is|not iterable|expected string|<class|\bint\(\)")
LOOP_SECONDS = 1.0  # for which an answer may be kept waiting by others; half of it on a machine that does nothing else


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, str]]:
    """The server, which asks for keys, and those of two owners; the first one's is shown unless told otherwise."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "open").mkdir()
    (folder / "open" / "sales.csv").write_text(ROWS)
    (folder / "secret.csv").write_text(OTHERS)
    database = Database(folder / "holdfast.db")
    ann, bob = (database.write(lambda db, name=name: keys.add(db, name, time.time())) for name in ("ann", "bob"))
    database.close()
    words = ("--data", str(folder / "open"), "--tasks", "500", "--grpc-port", str(free_port()))
    one = Server(folder, *words)
    one.http.headers["X-API-Key"] = ann
    with one:
        yield one, ann, bob


@pytest.fixture
def server(owners: tuple[Server, str, str]) -> Server:
    return owners[0]


@pytest.fixture
def client(owners: tuple[Server, str, str]) -> Iterator[Client]:
    one = Client(owners[0], ("x-api-key", owners[1]))
    yield one
    one.channel.close()


def file(content: str = ROWS, name: str = "x.csv") -> Json:
    return {"raw": base64.b64encode(content.encode()).decode(), "filename": name, "mediaType": "text/csv"}


def error_of(server: Server, said: Json, **headers: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        server.rpc("SendMessage", {"message": said, "configuration": {"returnImmediately": True}}, **headers)
    return caught.value


def uploads(server: Server) -> Path:
    return server.db.with_name("holdfast.db.d") / "uploads"


def folders(server: Server) -> set[str]:
    return {one.name for one in uploads(server).iterdir()} if uploads(server).exists() else set()


def collects(*paths: str, **fields: Any) -> Json:
    return message(data(plan={"subtasks": [subtask("c", "collect_data", paths=list(paths))]}), **fields)


@contextmanager
def probed(server: Server) -> Iterator[list[float]]:
    """How long a small question takes meanwhile, again and again."""
    taken, over = [0.0], threading.Event()

    def probe() -> None:
        with httpx.Client(base_url=server.url, timeout=SLOW, trust_env=False) as http:
            while not over.wait(0.01):
                began = time.monotonic()
                http.get("/healthz")
                taken.append(time.monotonic() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join(SLOW)


# which files a client may name


@pytest.mark.parametrize(
    "name",
    ["{uploads}/*/x.csv", "{uploads}/?*/x.csv", "{uploads}/[0-9]*/x.csv", "{uploads}", "{open}", "{open}/*.csv", "*",
     "/**/**/*.nosuch", "{uploads}/../../secret.csv", "../../secret.csv", "/etc/passwd", "~/.profile", "a" * 5000,
     "x.csv\0", ""],
)  # fmt: skip
def test_what_no_plan_may_read(server: Server, name: str) -> None:
    name = name.format(uploads=uploads(server), open=server.folder / "open")
    for type_, field in (("collect_data", "paths"), ("plan", "data")):
        goal = {"goal": "Market research report on cars"} if type_ == "plan" else {}
        plan = {"subtasks": [nap("n", 0), subtask("c", type_, **{field: [name]}, **goal)]}
        began = time.monotonic()
        before = folders(server)
        assert error_of(server, message(data(plan=plan), file())).code == -32602
        assert folders(server) == before, "what came with it does not stay"
        assert time.monotonic() - began < 5, "nothing was looked for"


@pytest.mark.parametrize(
    "name",
    ["\0", "a" * 5000, "/etc/passwd", "../secret.csv", "*", "", ".", "x\ud7ff" * 300, "sales.csv/../../secret.csv"],
)
def test_what_no_option_may_name(server: Server, name: str) -> None:
    said = message(data(plan={"subtasks": [nap("n", 0)]}, options={"data": [name]}))
    assert error_of(server, said).code == -32602
    answer = server.rest("POST", "/message:send", {"message": {**said, "messageId": str(uuid.uuid4())}})
    assert answer.status_code == 400
    assert PYTHON.search(answer.text) is None


def test_a_pattern_in_an_edited_plan_reads_no_other_owners_file(owners: tuple[Server, str, str]) -> None:
    server, _, bob = owners
    goal = text("Market research report on cars")
    asked = server.rpc("SendMessage", {"message": message(goal, data(options={"approve": True}), file())})["task"]
    (question,) = asked["status"]["message"]["parts"][1]["data"]["questions"]
    path = str((uploads(server) / asked["id"] / "x.csv").resolve())
    foreign = server.send(message(goal, file(OTHERS)))  # which is there now, and would be later
    for name in (path.replace(asked["id"], "*"), path.replace(asked["id"], foreign["id"]), str(uploads(server))):
        answers = {question["id"]: {"edit": {"subtasks": [nap("n", 0), subtask("c", "collect_data", paths=[name])]}}}
        assert error_of(server, message(data(answers=answers), taskId=asked["id"])).code == -32602
        posted = server.http.post(f"/api/tasks/{asked['id']}/answer", json={"answers": answers})
        assert posted.status_code == 400
    assert error_of(server, collects(path), X_API_Key=bob).code == -32602
    edit = {"subtasks": [subtask("c", "collect_data", paths=[path, "x.csv"])]}
    answers = {question["id"]: {"edit": edit}}
    done = server.rpc("SendMessage", {"message": message(data(answers=answers), taskId=asked["id"])})["task"]
    assert state(done) == "COMPLETED", "its own file by the path that it was told, and by its name"


def test_a_plan_names_what_came_with_it_by_its_name(server: Server) -> None:
    said = {**collects("x.csv", "sales.csv")}
    said["parts"] += [file(), file(OTHERS)]
    done = server.rpc("SendMessage", {"message": said})["task"]
    assert state(done) == "COMPLETED", done["status"]
    with closing(sqlite3.connect(server.db)) as db:
        (spec,) = plan_file(db, done["id"])["subtasks"]
    own, handed_out = map(Path, spec["params"]["paths"])
    assert own == (uploads(server) / done["id"] / "x.csv").resolve(), "what was looked at is what is read"
    assert handed_out == (server.folder / "open" / "sales.csv").resolve()
    assert own.read_text() == ROWS


def test_a_plan_tells_no_path_that_its_client_did_not_give(server: Server) -> None:
    goal = text("Market research report on cars")
    said = message(goal, data(options={"approve": True, "data": ["sales.csv"]}), file(), file(OTHERS, "sales.csv"))
    asked = server.rpc("SendMessage", {"message": said})["task"]
    (question,) = asked["status"]["message"]["parts"][1]["data"]["questions"]
    about = f"/api/tasks/{asked['id']}"
    plan = server.http.get(f"{about}/plan").json()
    assert plan["subtasks"][0]["params"]["paths"][:2] == ["x.csv", "sales.csv"]
    edit = {"subtasks": [subtask("c", "collect_data", paths=["x.csv", "sales.csv"])]}
    server.http.post(f"{about}/answer", json={"answers": {question["id"]: {"edit": edit}}}).raise_for_status()
    server.until(asked["id"], "COMPLETED")
    assert server.http.get(f"{about}/plan").json()["subtasks"][0]["params"]["paths"] == ["x.csv", "sales.csv"]
    for path in ("", "/plan", "/explain", "/standing", "/events", f"/questions/{question['id']}"):
        assert str(server.folder) not in server.http.get(f"{about}{path}").text, path


def test_a_name_is_one_that_leads_back(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.csv").write_text(ROWS)
    (tmp_path / "second" / "other.csv").write_text(ROWS)
    readable = Readable([tmp_path / "first", tmp_path / "second"])
    paths = [str(tmp_path / one) for one in ("first/same.csv", "second/same.csv", "second/other.csv", "elsewhere.csv")]
    assert [readable.name(one) for one in paths] == ["same.csv", paths[1], "other.csv", paths[3]]
    assert readable.find([readable.name(one) for one in paths[:3]]) == paths[:3]


def test_a_link_leads_nowhere_else(server: Server) -> None:
    link = server.folder / "open" / "link.csv"
    link.symlink_to(server.folder / "secret.csv")
    (server.folder / "open" / "folder").symlink_to(uploads(server))
    (server.folder / "open" / "circle").symlink_to(server.folder / "open" / "circle")
    for name in ("link.csv", str(link), "folder/x.csv", "circle", "circle/x.csv"):
        assert error_of(server, collects(name)).code == -32602


@pytest.mark.parametrize("names", [("2-x.csv", "x.csv"), ("x.csv", "2-x.csv", "x.csv"), ("X.csv", "x.csv"), ("", "")])
def test_no_upload_overwrites_another(server: Server, names: tuple[str, ...]) -> None:
    parts = [file(f"a\n{number}\n", name) for number, name in enumerate(names)]
    task = server.send(message(data(plan={"subtasks": [nap("n", 0)]}), *parts))
    written = {one.read_text() for one in (uploads(server) / task["id"]).iterdir()}
    assert written == {f"a\n{number}\n" for number in range(len(names))}


@pytest.mark.parametrize("name", ["数" * 100 + ".csv", "é" * 250 + ".csv", "a" * 5000 + ".csv", "🙂" * 90 + ".csv"])
def test_an_upload_of_any_name(server: Server, name: str) -> None:
    task = server.send(message(data(plan={"subtasks": [nap("n", 0)]}), file(name=name)))
    (written,) = (uploads(server) / task["id"]).iterdir()
    assert written.name.endswith(".csv")
    assert len(written.name.encode()) <= 200


# how large a request and an answer may be


def body(params: str, method: str = "SendMessage") -> str:
    return f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'


@pytest.mark.parametrize(
    "values",
    ["[" + ",".join(["1"] * 900_000) + "]", "[" + ",".join(["{}"] * 600_000) + "]",
     "{" + ",".join(f'"{number}":1' for number in range(100_000)) + "}"],
    ids=["numbers", "objects", "members"],
)  # fmt: skip
def test_wide_json_is_refused_at_once(server: Server, values: str) -> None:
    params = f'{{"message":{{"messageId":"w","role":"ROLE_USER","parts":[{{"data":{values}}}]}}}}'
    with probed(server) as taken:
        for path, content in (("/a2a", body(params)), ("/a2a/rest/message:send", params), ("/a2a", body(params, "x"))):
            answer = server.http.post(path, content=content)
            assert answer.status_code == 413
            assert "50,000" in answer.text
    assert max(taken) < LOOP_SECONDS
    assert server.http.post("/a2a", content=body(params)).json()["error"]["code"] == -32600


def test_the_widest_json_that_is_taken_keeps_nobody_waiting(server: Server) -> None:
    values = [1] * 49_000
    task_id = server.send(message(data(plan={"subtasks": [nap("n", 600)]})))["id"]
    with probed(server) as taken:
        for _ in range(3):
            server.send(message(data(values=values), taskId=task_id))
        kept = server.task(task_id)["history"]
        with server.stream("SubscribeToTask", {"id": task_id}) as stream:
            stream.next()
        assert server.rest("GET", f"/tasks/{task_id}").status_code == 200
        server.rpc("PauseTask", {"id": task_id, "metadata": {"urn:other": {"a": values}}})
        server.rpc("ListTasks", {})
    assert kept[-2]["parts"][0]["data"] == {"values": values}
    assert max(taken) < LOOP_SECONDS


def test_a_message_has_at_most_100_parts(server: Server, client: Client) -> None:
    plan = data(plan={"subtasks": [nap("n", 0)]})
    assert state(server.send(message(plan, *[text("a")] * 99))) in ("SUBMITTED", "WORKING", "COMPLETED")
    assert error_of(server, message(plan, *[text("a")] * 100)).code == -32602
    with probed(server) as taken:
        wide = server.http.post("/a2a", content=body(json.dumps({"message": message(*[text("a")] * 150_000)})))
        assert wide.status_code == 413
        many = pb.Message(message_id="many", role=pb.Role.ROLE_USER, parts=[pb.Part(text="a")] * 150_000)
        error: Any = refused(lambda: client.call("SendMessage", pb.SendMessageRequest(message=many)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert max(taken) < LOOP_SECONDS


def test_a_task_keeps_so_much_and_no_more(server: Server) -> None:
    task_id = server.run(nap("n", 600))
    size = 1_900_000
    for _ in range(MOST_BYTES // size):
        server.send(message(text("x" * size), taskId=task_id), historyLength=0)
    refusal = error_of(server, message(text("x" * size), taskId=task_id))
    assert (refusal.code, "16 MB" in refusal.message) == (-32602, True)
    assert "history" not in server.task(task_id, historyLength=0)
    with probed(server) as taken:
        answer = server.post("GetTask", {"id": task_id})
    assert 2 * size < len(answer.content) < 5_000_000, "the newest, as far as an answer goes"
    assert max(taken) < LOOP_SECONDS
    for method in ("PauseTask", "ResumeTask", "CancelTask"):
        assert len(server.post(method, {"id": task_id}).content) < 500_000


def test_how_much_history_is_told(server: Server) -> None:
    task_id = server.run(nap("n", 600))
    for number in range(60):
        server.send(message(text(f"m{number}"), taskId=task_id), historyLength=0)

    def told(task: Json) -> list[str]:
        return [part["text"] for one in task["history"] for part in one["parts"] if part.get("text", "")[:1] == "m"]

    assert len(server.task(task_id)["history"]) == 100
    assert len(server.task(task_id, historyLength=121)["history"]) == 121
    for method in ("PauseTask", "ResumeTask"):
        assert told(server.rpc(method, {"id": task_id})) == [f"m{number}" for number in range(55, 60)]
    with server.stream("SubscribeToTask", {"id": task_id}) as stream:
        assert len((stream.next() or {})["task"]["history"]) == 10
    listed = {one["id"]: one for one in server.rpc("ListTasks", {})["tasks"]}
    assert len(listed[task_id]["history"]) == 10
    said = {"message": message(text("m60"), taskId=task_id), "configuration": {"historyLength": 3}}
    with server.stream("SendStreamingMessage", said) as stream:
        assert len((stream.next() or {})["task"]["history"]) == 3
    assert len(server.rpc("CancelTask", {"id": task_id})["history"]) == 10


# what is the client's mistake, and not the server's


@pytest.mark.parametrize(
    "token",
    ["[1, 1e999]", "[1, " + "9" * 30 + "]", "[" * 5000, "[1" + "0" * 400 + ", 1]", "[NaN, 1]", "[1, -1]", "{}", "[1]",
     "[true, 1]", '["1", 1]', "[1, 1.5]", "é"],
)  # fmt: skip
def test_page_tokens_that_are_none(server: Server, token: str) -> None:
    made = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    with pytest.raises(RpcError) as caught:
        server.rpc("ListTasks", {"pageToken": made})
    assert caught.value.code == -32602
    assert server.rest("GET", f"/tasks?pageToken={made}").status_code == 400


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_over_grpc(server: Server, client: Client, number: float) -> None:
    task_id = server.run(nap("n", 600))
    value = struct_pb2.Value(number_value=number)
    inside = struct_pb2.Struct(fields={"n": value})
    for part, metadata in (
        (pb.Part(data=value), None),
        (pb.Part(text="a"), inside),
        (pb.Part(text="a", metadata=inside), None),
    ):
        said = pb.Message(message_id="n", role=pb.Role.ROLE_USER, task_id=task_id, parts=[part], metadata=metadata)
        error: Any = refused(lambda said=said: client.call("SendMessage", pb.SendMessageRequest(message=said)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert client.switch("PauseTask", task_id).id == task_id
    error = refused(lambda: client.switch("PauseTask", task_id, until=number))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    request = pb.CancelTaskRequest(id=task_id)
    request.metadata["urn:other"] = number
    call = client.channel.unary_unary(
        "/holdfast.a2a.pause_resume.v1.PauseResumeService/ResumeTask",
        request_serializer=pb.CancelTaskRequest.SerializeToString,
        response_deserializer=pb.Task.FromString,
    )
    assert call(request, timeout=SLOW, metadata=client.metadata).id == task_id, "other keys are not looked into"
    assert client.call("GetTask", pb.GetTaskRequest(id=task_id)).id == task_id


def test_times_and_widths_over_grpc(server: Server, client: Client) -> None:
    for seconds in (10**15, -(10**15), 2**62):
        request = pb.ListTasksRequest()
        request.status_timestamp_after.seconds = seconds
        error: Any = refused(lambda request=request: client.call("ListTasks", request))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    wide = struct_pb2.Value()
    wide.list_value.values.extend([struct_pb2.Value(bool_value=True)] * 300_000)
    said = pb.Message(message_id="w", role=pb.Role.ROLE_USER, parts=[pb.Part(data=wide)])
    with probed(server) as taken:
        error = refused(lambda: client.call("SendMessage", pb.SendMessageRequest(message=said)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert max(taken) < LOOP_SECONDS


@pytest.mark.parametrize("path", ["/a2a", "/a2a/rest/message:stream"])
def test_streams_want_what_is_required(server: Server, path: str) -> None:
    plan = data(plan={"subtasks": [nap("n", 0)]})
    for missing in ("messageId", "parts", "role"):
        said = {name: value for name, value in message(plan).items() if name != missing}
        params = {"message": said}
        wrapped = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": params}
        answer = server.http.post(path, json=wrapped if path == "/a2a" else params)
        assert "event-stream" not in answer.headers["content-type"]
        assert f"message.{'message_id' if missing == 'messageId' else missing}" in answer.text
    assert server.post("SubscribeToTask", {}).json()["error"]["code"] == -32602


@pytest.mark.parametrize(
    "content",
    ["null", "[]", "5", '"x"', "{bad", "[{}]", "{}", '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","method":[],"id":1}',
     body("null"), body("[]"), body("5"), body("[{}]"), body('{"message":5}'), body('{"message":{"parts":[5]}}'),
     body('{"message":{"parts":[{"text":5}]}}'), body('{"message":{"messageId":"\\ud800"}}'),
     body('{"message":{"parts":[{"data":{"\\ud800":1}}]}}'), body('{"configuration":{"historyLength":"x"}}')],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_a_sentence(server: Server, content: str) -> None:
    answer = server.http.post("/a2a", content=content)
    assert answer.json()["error"]["code"] in (-32700, -32600, -32602)
    assert PYTHON.search(answer.text) is None, answer.text
    for path in ("message:send", "message:stream", f"tasks/{uuid.uuid4()}:pause", f"tasks/{uuid.uuid4()}:resume"):
        given = json.loads(content)["params"] if '"params"' in content else None
        answer = server.http.post(f"/a2a/rest/{path}", content=content if given is None else json.dumps(given))
        assert answer.status_code in (400, 404)
        assert PYTHON.search(answer.text) is None, answer.text
    assert PYTHON.search(server.rest("GET", "/tasks?historyLength=x&pageSize=y").text) is None


@pytest.mark.parametrize(
    ("method", "params", "missing"),
    [
        ("PauseTask", {}, "id"),
        ("ResumeTask", {"metadata": {}}, "id"),
        ("GetTask", {"id": ""}, "id"),
        ("CancelTask", {}, "id"),
        ("SubscribeToTask", {}, "id"),
        ("SendMessage", {}, "message"),
        ("SendMessage", {"message": {"parts": [{"text": "x"}]}}, "message.messageId, message.role"),
        ("SendStreamingMessage", {"message": {"messageId": "m", "role": "ROLE_USER"}}, "message.parts"),
    ],
)
def test_the_field_that_is_missing_is_named(server: Server, method: str, params: Json, missing: str) -> None:
    error = server.post(method, params).json()["error"]
    assert (error["code"], error["message"]) == (-32602, f"this is required and missing: {missing}")


def test_the_field_that_does_not_fit_is_named(server: Server) -> None:
    error = server.http.post("/a2a", content=body('{"message":{"parts":[{"text":5}]}}')).json()["error"]
    assert error["message"] == "the field message.parts.text of the parameters is not as SendMessageRequest has it"


# the rest of what the specifications say


@pytest.mark.parametrize(
    "until",
    ["2037-W05-1T12:00:00Z", "20370131T120000Z", "2037-01-31 12:00:00Z", "2037-01-31T12Z", "2037-01-31T12:00Z",
     "2037-01-31T12:00:00+00:00:30", "2037-01-31T12:00:00", "2037-01-31", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59-14:00", "1e12", "-1", "٢037-01-31T12:00:00Z", "", 5, [], {}],
)  # fmt: skip
def test_a_time_that_is_none_by_rfc_3339(server: Server, until: Any) -> None:
    task_id = server.run(nap("n", 600))
    with pytest.raises(RpcError) as caught:
        server.rpc("PauseTask", {"id": task_id, "metadata": {URI: {"until": until}}})
    assert caught.value.code == -32602
    answer = server.http.post(f"/api/tasks/{task_id}/pause", json={"until": until})
    assert answer.status_code == 422
    assert answer.json()["error"] == "until: has to be a time with its time zone, as in 2026-01-31T12:00:00Z"
    assert URI not in server.task(task_id)["metadata"]


@pytest.mark.parametrize(
    "until", ["2037-01-31t12:00:00z", "2037-01-31T12:00:00.123456789Z", "2037-01-31T13:00:00+01:00"]
)
def test_a_time_by_rfc_3339(server: Server, until: str) -> None:
    task = server.rpc("PauseTask", {"id": server.run(nap("n", 600)), "metadata": {URI: {"until": until}}})
    assert task["metadata"][URI]["pausedUntil"].startswith("2037-01-31T12:00:00")
    server.rpc("ResumeTask", {"id": task["id"]})
    told = server.http.post(f"/api/tasks/{task['id']}/pause", json={"until": until}).json()
    assert told["paused_until"].startswith("2037-01-31T12:00:00")


@pytest.mark.parametrize("tenant", ["", "/somebody"])
def test_pausing_over_rest_passes_over_an_id_in_the_body(server: Server, tenant: str) -> None:
    task_id = server.run(nap("n", 600))
    for path, id_ in (("pause", 5), ("resume", None), ("pause", str(uuid.uuid4())), ("resume", {"a": []})):
        answer = server.http.post(f"{tenant}/a2a/rest/tasks/{task_id}:{path}", json={"id": id_, "metadata": {}})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["id"], URI in answer.json()["metadata"]) == (task_id, path == "pause")
    assert server.http.get(f"{tenant}/a2a/rest/tasks/{task_id}").json()["id"] == task_id


def test_history_tells_a_message_as_it_was_sent(server: Server) -> None:
    task_id = server.run(nap("n", 600))
    parts = [
        {"text": "# hi", "mediaType": "text/markdown", "filename": "z.md", "metadata": {"a": 1}},
        {"data": {"b": [1, None, 2.5, "x"]}, "metadata": {"c": {"d": True}}},
    ]
    said = message(*parts, taskId=task_id, metadata={"k": [1]}, extensions=["urn:x"], referenceTaskIds=[task_id])
    server.send(said)
    (kept,) = [one for one in server.task(task_id)["history"] if one["messageId"] == said["messageId"]]
    assert {name: value for name, value in kept.items() if name != "contextId"} == said
    server.send(said)
    for other in (
        {"metadata": {"k": [2]}},
        {"extensions": []},
        {"parts": [{**parts[0], "filename": "y.md"}, parts[1]]},
    ):
        assert error_of(server, {**said, **other}).code == -32602, "it says something else"


def test_one_artifact_has_one_content(server: Server, owners: tuple[Server, str, str]) -> None:
    done = server.rpc("SendMessage", {"message": planned(subtask("f", "srv_hand_out", bytes=100_000))})["task"]
    for name in ("large.bin", "small.csv", "note"):
        by_link = server.http.get(f"/a2a/artifacts/{done['id']}/{name}")
        by_api = server.http.get(f"/api/tasks/{done['id']}/artifacts/{name}")
        assert (by_link.status_code, by_link.content) == (200, by_api.content)
        assert by_link.headers["etag"] == by_api.headers["etag"]
    assert server.http.get(f"/a2a/artifacts/{done['id']}/none").status_code == 404
    foreign = server.http.get(f"/a2a/artifacts/{done['id']}/note", headers={"X-API-Key": owners[2]})
    assert foreign.status_code == 404


def test_what_clients_sent_is_forgotten_with_their_tasks(server: Server, tmp_path: Path) -> None:
    with Server(tmp_path) as other:
        gone = other.rpc("SendMessage", {"message": message(data(plan={"subtasks": [nap("n", 0)]}), file())})["task"]
        kept = other.send(message(data(plan={"subtasks": [nap("n", 600)]}), file()))
        young, old = uploads(other) / str(uuid.uuid4()), uploads(other) / str(uuid.uuid4())
        for folder, age in ((young, 60), (old, 7200)):
            folder.mkdir()
            (folder / "x.csv").write_text(ROWS)
            _age(folder, age)
        told = _prune(other)
        assert (told["tasks"], told["uploads"]) == (1, 2)
        assert folders(other) == {kept["id"], young.name}
        assert gone["id"] not in folders(other)
        assert _prune(other)["uploads"] == 0


def _age(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def _prune(server: Server) -> Json:
    command = [sys.executable, "-m", "holdfast", "prune", "--older-than", "0s", "--json", "--db", str(server.db)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=server.env)
    return dict(json.loads(done.stdout))


def test_nothing_of_this_was_an_error_of_the_server(server: Server) -> None:
    """Runs last."""
    assert '"level": "error"' not in server.log(), server.log()[-3000:]


def test_head_opens_no_stream(server: Server) -> None:
    task_id = server.run(nap("n", 600))
    answer = server.rest("HEAD", f"/tasks/{task_id}:subscribe")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert server.rest("HEAD", f"/tasks/{task_id}").status_code == 200


@pytest.mark.parametrize("tenant", ["", "/somebody"])
@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("GET", "/tasks/x:pause", "POST"),
        ("PUT", "/tasks/x:cancel", "POST"),
        ("DELETE", "/tasks/x", "GET, HEAD"),
        ("POST", "/tasks", "GET, HEAD"),
        ("GET", "/message:send", "POST"),
        ("PATCH", "/tasks/x/pushNotificationConfigs", "GET, HEAD, POST"),
    ],
)
def test_a_wrong_verb_is_told_the_right_ones(server: Server, tenant: str, verb: str, path: str, allowed: str) -> None:
    answer = server.http.request(verb, f"{tenant}/a2a/rest{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    error = answer.json()["error"]
    assert (error["status"], error["details"][0]["reason"]) == ("UNIMPLEMENTED", "WRONG_VERB")
    assert error["message"] == f"there is no {verb} here; allowed: {allowed}"


def test_an_address_that_there_is_not_is_not_found(server: Server) -> None:
    answer = server.rest("GET", "/nothing")
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("option", ["mode=now", "reason=x", "until=2037-01-31T12:00:00Z"])
def test_options_of_a_pause_in_the_query_are_told_where_they_belong(server: Server, option: str) -> None:
    task_id = server.run(nap("n", 600))
    answer = server.rest("POST", f"/tasks/{task_id}:pause?{option}")
    assert answer.status_code == 400
    assert f"{option.partition('=')[0]} belongs in the metadata" in answer.json()["error"]["message"]
    assert URI not in server.task(task_id)["metadata"]


def test_a_json_file_is_handed_out_as_it_is(server: Server) -> None:
    task_id = server.run(subtask("m", "srv_hand_out", bytes=10))
    server.until(task_id, "COMPLETED")
    paths = [one["path"] for one in server.http.get(f"/api/tasks/{task_id}").json()["artifacts"]]
    assert b'{"total": 12}' in [server.http.get(path).content for path in paths]
