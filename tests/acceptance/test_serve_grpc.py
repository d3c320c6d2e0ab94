"""gRPC as clients meet it: a real server, real channels, A2A's service and the pause extension's."""

from __future__ import annotations

import json
import logging
import resource
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from a2a.utils.grpc_status import status_from_call
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2

from holdfast.a2a.errors import INSIDE
from holdfast.checkpoints import keys
from holdfast.checkpoints.database import Database
from holdfast.server.logs import NO_ACCEPT, SELDOM_SECONDS, Seldom
from holdfast.server.settings import OWN_FILES, Limits
from tests.acceptance.limited import Limited, limited, read_all
from tests.acceptance.serving import SLOW, URI, Server, nap, planned, subtask
from tests.ports import free_port

VERSION = (("a2a-version", "1.0"),)
PAUSE = "/holdfast.a2a.pause_resume.v1.PauseResumeService/"
WORKING, PAUSED_STATE = pb.TaskState.TASK_STATE_WORKING, "PAUSED"


class Client:
    """A channel to a server's gRPC port; every call carries ``metadata``."""

    def __init__(self, server: Server | Limited, *metadata: tuple[str, str]) -> None:
        port = server.words[-1] if isinstance(server, Server) else server.grpc_port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = A2AServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.metadata = [*VERSION, *metadata]

    def call(self, method: str, request: Any, metadata: Any = None) -> Any:
        return getattr(self.stub, method)(
            request, timeout=SLOW, metadata=self.metadata if metadata is None else metadata
        )

    def switch(self, method: str, task_id: str, **said: Any) -> pb.Task:
        request = pb.CancelTaskRequest(id=task_id)
        if said:
            request.metadata.update({URI: said})
        call = self.channel.unary_unary(
            PAUSE + method,
            request_serializer=pb.CancelTaskRequest.SerializeToString,
            response_deserializer=pb.Task.FromString,
        )
        task: pb.Task = call(request, timeout=SLOW, metadata=self.metadata)
        return task

    def send(self, message: dict[str, Any], *, at_once: bool = False) -> pb.Task:
        task: pb.Task = self.call("SendMessage", sent(message, at_once=at_once)).task
        return task


def sent(message: dict[str, Any], *, at_once: bool = False) -> pb.SendMessageRequest:
    return ParseDict({"message": message, "configuration": {"returnImmediately": at_once}}, pb.SendMessageRequest())


@contextmanager
def serving(folder: Path, **env: str) -> Iterator[Server]:
    with Server(folder, "--grpc-port", str(free_port()), **env) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("grpc")) as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    one = Client(server)
    yield one
    one.channel.close()


def refused(call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


def reason(error: Any) -> str:
    """The reason in the error's google.rpc.ErrorInfo."""
    status = status_from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "a2a-protocol.org"
    return str(info.reason)


def said_of_pause(task: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = MessageToDict(task.metadata).get(URI)
    return found


def test_the_card_lists_grpc_where_it_listens(server: Server, client: Client) -> None:
    listed = server.http.get("/.well-known/agent-card.json").json()["supportedInterfaces"]
    urls = {one["protocolBinding"]: one["url"] for one in listed}
    assert urls["GRPC"] == f"127.0.0.1:{server.words[-1]}"
    extended = client.call("GetExtendedAgentCard", pb.GetExtendedAgentCardRequest())
    assert "type:sleep" in {skill.id for skill in extended.skills}


def test_a_message_becomes_a_task_that_every_binding_shows(server: Server, client: Client) -> None:
    task = client.send(planned(nap("n", 0)))
    assert task.status.state == pb.TaskState.TASK_STATE_COMPLETED
    assert client.call("GetTask", pb.GetTaskRequest(id=task.id)) == task
    assert server.task(task.id)["status"]["state"] == "TASK_STATE_COMPLETED"
    listed = client.call("ListTasks", pb.ListTasksRequest(context_id=task.context_id))
    assert [one.id for one in listed.tasks] == [task.id]


def test_a_stream_tells_a_task_from_its_beginning_to_its_end(client: Client) -> None:
    told = list(client.call("SendStreamingMessage", sent(planned(subtask("h", "srv_hand_out", bytes=300_000)))))
    assert told[0].WhichOneof("payload") == "task"
    assert told[-1].status_update.status.state == pb.TaskState.TASK_STATE_COMPLETED
    chunks = [one.artifact_update for one in told if one.artifact_update.artifact.name == "large.bin"]
    content = b"".join(one.artifact.parts[0].raw for one in chunks)
    assert content == b"".join(number.to_bytes(4, "big") for number in range(75_000))
    assert [one.last_chunk for one in chunks] == [False, True]


def test_a_subscriber_sees_the_pause_and_the_resume_by_the_extensions_service(client: Client) -> None:
    task = client.send(planned(*(nap(f"n{number}", 0.2) for number in range(4)), workers=1), at_once=True)
    told: list[pb.StreamResponse] = []
    stream = client.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))
    told.append(next(stream))
    reader = threading.Thread(target=lambda: told.extend(stream), daemon=True)
    reader.start()
    paused = client.switch("PauseTask", task.id, mode="step", reason="lunch")
    said = said_of_pause(paused)
    assert said is not None
    assert (said["state"], said["reason"]) == (PAUSED_STATE, "lunch")
    assert client.switch("PauseTask", task.id).id == task.id, "to pause what is paused changes nothing"
    resumed = client.switch("ResumeTask", task.id)
    assert resumed.status.state == WORKING
    assert said_of_pause(resumed) is None
    reader.join(SLOW)
    assert not reader.is_alive()
    marks = [said_of_pause(one.status_update) for one in told if one.HasField("status_update")]
    assert any(marks)
    assert marks[-1] is None
    assert told[-1].status_update.status.state == pb.TaskState.TASK_STATE_COMPLETED
    ended: Any = refused(lambda: client.switch("PauseTask", task.id))
    assert ended.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(ended) == "UNSUPPORTED_OPERATION"


def test_a_question_is_answered_and_a_task_cancelled(client: Client) -> None:
    asking = client.send(planned(subtask("ask", "srv_ask")))
    assert asking.status.state == pb.TaskState.TASK_STATE_INPUT_REQUIRED
    answer = {"messageId": str(uuid.uuid4()), "taskId": asking.id, "role": "ROLE_USER", "parts": [{"text": "42"}]}
    assert client.send(answer).status.state == pb.TaskState.TASK_STATE_COMPLETED
    other = client.send(planned(nap("n", 60)), at_once=True)
    canceled = client.call("CancelTask", pb.CancelTaskRequest(id=other.id))
    assert canceled.status.state == pb.TaskState.TASK_STATE_CANCELED


def test_a_goal_that_is_not_for_the_planner_is_rejected_with_the_reason(client: Client) -> None:
    message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": "Walk the dog"}]}
    task = client.send(message)
    assert task.status.state == pb.TaskState.TASK_STATE_REJECTED
    assert "needs data" in task.status.message.parts[0].text


@pytest.mark.parametrize("metadata", [[], [("a2a-version", "")], [("a2a-version", "0.3")], [("a2a-version", "99.0")]])
def test_a_call_in_another_version_is_refused(client: Client, metadata: list[tuple[str, str]]) -> None:
    error: Any = refused(lambda: client.call("GetTask", pb.GetTaskRequest(id="x"), metadata))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(error) == "VERSION_NOT_SUPPORTED"
    streamed: Any = refused(lambda: list(client.call("SubscribeToTask", pb.SubscribeToTaskRequest(id="x"), metadata)))
    assert streamed.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_errors_have_their_status_and_reason(client: Client) -> None:
    unknown: Any = refused(lambda: client.call("GetTask", pb.GetTaskRequest(id=str(uuid.uuid4()))))
    assert (unknown.code(), reason(unknown)) == (grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
    push: Any = refused(
        lambda: client.call("CreateTaskPushNotificationConfig", pb.TaskPushNotificationConfig(task_id="x", url="u"))
    )
    assert reason(push) == "PUSH_NOTIFICATION_NOT_SUPPORTED"
    large = {"messageId": "large", "role": "ROLE_USER", "parts": [{"text": "x" * (2 << 20)}]}
    assert refused(lambda: client.send(large)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    no_such = client.channel.unary_unary(PAUSE + "ExplodeTask")
    assert refused(lambda: no_such(b"", timeout=SLOW)).code() == grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


def test_the_extension_is_echoed_to_who_asks_for_it(server: Server) -> None:
    def echoed(*metadata: tuple[str, str]) -> Any:
        client = Client(server, *metadata)
        _, call = client.stub.ListTasks.with_call(pb.ListTasksRequest(), metadata=client.metadata, timeout=SLOW)
        client.channel.close()
        return dict(call.initial_metadata()).get("a2a-extensions")

    assert echoed(("a2a-extensions", f"https://example.org/other, {URI}")) == URI
    assert echoed() is None


def test_a_key_is_asked_for_and_tells_the_owner(tmp_path: Path) -> None:
    database = Database(tmp_path / "holdfast.db")
    ann, bob = (database.write(lambda db, name=name: keys.add(db, name, time.time())) for name in ("ann", "bob"))
    database.close()
    with serving(tmp_path) as server:
        anns, bobs = Client(server, ("authorization", f"Bearer {ann}")), Client(server, ("x-api-key", bob))
        task = anns.send(planned(nap("n", 60)), at_once=True)
        assert said_of_pause(anns.switch("PauseTask", task.id))
        for call in (
            lambda: bobs.call("GetTask", pb.GetTaskRequest(id=task.id)),
            lambda: bobs.switch("ResumeTask", task.id),
            lambda: list(bobs.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))),
        ):
            assert refused(call).code() == grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]
        assert not bobs.call("ListTasks", pb.ListTasksRequest()).tasks
        for wrong in ([], [("x-api-key", f"{ann}x")], [("authorization", f"Basic {ann}")]):
            nobody = Client(server, *wrong)
            for call in (
                lambda: nobody.call("GetTask", pb.GetTaskRequest(id=task.id)),  # noqa: B023
                lambda: nobody.switch("ResumeTask", task.id),  # noqa: B023
                lambda: list(nobody.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))),  # noqa: B023
            ):
                error: Any = refused(call)
                assert error.code() == grpc.StatusCode.UNAUTHENTICATED
                assert ann not in error.details()
        log = [json.loads(line) for line in server.log().splitlines()]
        told = {(one["method"], one["status"], one.get("owner")) for one in log if one.get("verb") == "GRPC"}
        assert {("PauseTask", "OK", "ann"), ("ResumeTask", "NOT_FOUND", "bob")} <= told
        assert ("SubscribeToTask", "UNAUTHENTICATED", None) in told
        assert ann not in server.log()


def test_a_port_that_is_taken_is_told_in_one_sentence(server: Server, tmp_path: Path) -> None:
    second = Server(tmp_path, *server.words)
    with pytest.raises(AssertionError, match="it ended with 2"):
        second.start()
    second.http.close()
    assert second.log() == f"error: cannot listen on 127.0.0.1 port {server.words[-1]} for gRPC; choose another\n"


def test_the_server_ends_at_once_while_a_stream_is_open(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = Client(server)
        task = client.send(planned(nap("n", 60)), at_once=True)
        stream = client.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))
        next(stream)
        assert server.stop() < 5
        broken: Any = refused(lambda: list(stream))
        assert broken.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert INSIDE not in broken.details()
        assert "Traceback" not in server.log()
        server.start()
        assert client.call("GetTask", pb.GetTaskRequest(id=task.id)).status.state == WORKING


def begun(client: Client, *, at_once: bool = True) -> Any:
    """A call that sends a message which begins a task of a minute."""
    request = sent(planned(nap("n", 60)), at_once=at_once)
    return client.stub.SendMessage.future(request, timeout=SLOW, metadata=client.metadata)


def open_calls(server: Any) -> int:
    line = next(one for one in server.http.get("/metrics").text.splitlines() if one.startswith("holdfast_open_streams"))
    return int(float(line.split()[1]))


def soon(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it is not so within {seconds:g} s"
        time.sleep(0.02)


def test_calls_that_wait_are_counted_together_with_those_over_http(tmp_path: Path) -> None:
    with limited(tmp_path, grpc=True, streams=2) as server:
        client = Client(server)
        task = begun(client).result().task
        waiting = begun(client, at_once=False)
        stream = client.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))
        next(stream)
        soon(lambda: open_calls(server) == 2)
        error: Any = refused(lambda: begun(client, at_once=False).result())
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "2 streams and other calls that wait" in error.details()
        assert server.rpc("SendMessage", {"message": planned(nap("m", 0))}).status_code == 429
        stream.cancel()
        soon(lambda: open_calls(server) == 1)
        assert client.call("GetTask", pb.GetTaskRequest(id=task.id)).id == task.id
        waiting.cancel()
        soon(lambda: open_calls(server) == 0)
        assert client.send(planned(nap("m", 0))).status.state == pb.TaskState.TASK_STATE_COMPLETED


def test_calls_that_wait_leave_room_for_those_that_do_not(tmp_path: Path) -> None:
    with limited(tmp_path, grpc=True, waiting=3) as server:
        client = Client(server)
        waiting = [begun(client, at_once=False) for _ in range(3)]
        soon(lambda: open_calls(server) == 3)
        assert refused(lambda: begun(client).result()).code() == grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        assert server.rpc("SendMessage", {"message": planned(nap("m", 0))}).status_code == 503
        assert server.rpc("ListTasks", {}).status_code == 200
        for one in waiting:
            one.cancel()
        soon(lambda: begun(client).exception() is None)


def test_a_message_has_to_come_in_time_and_be_one(tmp_path: Path) -> None:
    with limited(tmp_path, grpc=True, body_seconds=0.3) as server:
        client = Client(server)
        end = threading.Event()

        def never() -> Iterator[bytes]:
            end.wait(SLOW)
            yield from ()

        call = client.channel.stream_unary("/lf.a2a.v1.A2AService/GetTask")
        late: Any = refused(lambda: call(never(), timeout=SLOW, metadata=client.metadata))
        end.set()
        assert (late.code(), "within 0.3 s" in late.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)
        for nonsense in ([], [b"\xff" * 9]):
            bad: Any = refused(lambda: call(iter(nonsense), timeout=SLOW, metadata=client.metadata))  # noqa: B023
            assert bad.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_requests_over_both_bindings_are_counted_together_and_wrong_keys_too(tmp_path: Path) -> None:
    with limited(tmp_path, grpc=True, rate=0.5, burst=4) as server:
        nobody, wrong = Client(server), Client(server, ("x-api-key", "hf_wrong"))
        for _ in range(2):
            assert server.rpc("ListTasks", {}).status_code == 200
        assert not nobody.call("ListTasks", pb.ListTasksRequest()).tasks
        error: Any = refused(lambda: wrong.call("ListTasks", pb.ListTasksRequest()))
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        for client in (nobody, wrong):
            error = refused(lambda: client.call("ListTasks", pb.ListTasksRequest()))  # noqa: B023
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            again, status = error_details_pb2.RetryInfo(), status_from_call(error)
            assert status is not None
            assert status.details[1].Unpack(again)
            assert again.retry_delay.seconds == 2
        assert server.rpc("ListTasks", {}).status_code == 429


@pytest.mark.parametrize("first", [False, True], ids=["revoked", "first-key"])
def test_what_waits_ends_with_its_key(tmp_path: Path, first: bool) -> None:
    database = Database(tmp_path / "holdfast.db")
    key = None if first else database.write(lambda db: keys.add(db, "ann", time.time()))
    with serving(tmp_path) as server:
        client = Client(server, *([("x-api-key", key)] if key else []))
        task = client.send(planned(nap("n", 60)), at_once=True)
        waiting, stream = (
            begun(client, at_once=False),
            client.call("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id)),
        )
        next(stream)
        time.sleep(0.2)
        database.write(lambda db: keys.add(db, "bob", time.time()) if first else keys.revoke(db, "ann"))
        began = time.monotonic()
        for call in (lambda: list(stream), waiting.result):
            assert refused(call).code() == grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        assert time.monotonic() - began < 1.5
        assert "Traceback" not in server.log()
    database.close()


def test_an_error_names_the_state_that_is_its_cause(client: Client) -> None:
    task = client.send(planned(nap("n", 0)))
    for call in (
        lambda: client.switch("PauseTask", task.id),
        lambda: client.call("CancelTask", pb.CancelTaskRequest(id=task.id)),
    ):
        status, info = status_from_call(refused(call)), error_details_pb2.ErrorInfo()  # type: ignore[arg-type]
        assert status is not None
        assert status.details[0].Unpack(info)
        assert dict(info.metadata) == {"state": "COMPLETED"}


def test_calls_are_among_the_figures(server: Server, client: Client) -> None:
    def figures(name: str) -> list[str]:
        return [one for one in server.http.get("/metrics").text.splitlines() if one.startswith(name)]

    task = client.send(planned(nap("n", 60)), at_once=True)
    before = figures("holdfast_pause_seconds_count")
    client.switch("PauseTask", task.id)
    assert figures("holdfast_pause_seconds_count") != before
    assert any('method="PauseTask",status="OK"' in one for one in figures("holdfast_grpc_calls_total"))
    assert figures('holdfast_grpc_call_seconds_count{method="SendMessage",status="OK"}')
    client.call("CancelTask", pb.CancelTaskRequest(id=task.id))


def test_connections_that_say_nothing_are_closed_and_so_are_too_many(tmp_path: Path) -> None:
    with limited(tmp_path, grpc=True, connections=4, header_seconds=0.5) as server, ExitStack() as opened:
        assert server.grpc_port
        idle = [opened.enter_context(socket.create_connection(("127.0.0.1", server.grpc_port))) for _ in range(20)]
        began = time.monotonic()
        for one in idle:
            one.settimeout(SLOW)
            read_all(one)  # to its end
        assert time.monotonic() - began < 8
        assert server.http.get("/healthz").status_code == 200
        client = Client(server)
        soon(lambda: begun(client).exception() is None)


def test_idle_connections_do_not_use_up_the_files_of_the_server(tmp_path: Path) -> None:
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = Server(tmp_path, "--grpc-port", str(free_port()))
    with ExitStack() as opened:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
        try:
            opened.enter_context(server)  # which begins with so few
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
        for _ in range(400):
            opened.enter_context(socket.create_connection(("127.0.0.1", int(server.words[-1]))))
        with httpx.Client(base_url=server.url, timeout=5) as other:
            assert other.get("/healthz").status_code == 200
        assert "socket.accept()" not in server.log()


def test_fewer_files_are_fewer_connections() -> None:
    limits = Limits()
    assert limits.fitted(1 << 16) == limits
    assert limits.fitted(2 * limits.connections + OWN_FILES) == limits
    fewer = limits.fitted(1024)
    assert 2 * fewer.connections + OWN_FILES <= 1024
    assert 0 < fewer.waiting < fewer.connections
    assert 0 < fewer.per_peer < fewer.connections


def test_what_cannot_be_accepted_is_told_once_in_a_while() -> None:
    now = [0.0]
    seldom = Seldom(lambda: now[0])

    def tells(message: str) -> bool:
        return seldom.filter(logging.LogRecord("asyncio", logging.ERROR, "", 0, message, (), None))

    said = [tells(NO_ACCEPT) for _ in range(1000)]
    assert (said[0], sum(said)) == (True, 1)
    assert tells("something else")
    now[0] = SELDOM_SECONDS
    assert tells(NO_ACCEPT)
