"""docs/a2a-pause-resume.md line by line, by JSON-RPC and by HTTP+JSON, against a server process.

``binding`` runs a test once for each of the two.  Whatever has to be at work waits for a file that never comes, or
that the test makes, so that nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, task_type
from holdfast.checkpoints import keys
from holdfast.nodes.orchestration import create_task
from tests.acceptance.serving import (
    URI,
    Json,
    RpcError,
    Server,
    body_of,
    data,
    meanwhile,
    message,
    nap,
    pause_of,
    planned,
    seq_of,
    state,
    subtask,
    text,
)

RPC, REST = "JSON-RPC", "HTTP+JSON"
PAUSE, RESUME = "PauseTask", "ResumeTask"
VERB = {PAUSE: "pause", RESUME: "resume", "CancelTask": "cancel"}
FOREVER = "/nowhere/never"


@task_type("srv_only_here")
async def only_here(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Known in this process and not in the server's."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("pause"), TZ="Asia/Tokyo") as running:
        yield running


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has room for one task and is at work on one: all others stay submitted."""
    with Server(tmp_path_factory.mktemp("full"), "--tasks", "1") as running:
        working(running)
        yield running


@pytest.fixture(scope="module")
def at_work(server: Server) -> str:
    """A task that stays at work."""
    return working(server)


@pytest.fixture(params=[RPC, REST])
def binding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def call(server: Server, binding: str, method: str, task_id: str, wish: Any = None, **headers: str) -> Json:
    """The task, or an error as ``{"code", "reason", "state", "message", "http"}``, alike for both bindings."""
    metadata = {} if wish is None else {"metadata": {URI: wish}}
    if binding == RPC:
        answer = server.post(method, {"id": task_id, **metadata}, **headers)
        body = answer.json()
        if "result" in body:
            return dict(body["result"])
        error, details = body["error"], body["error"].get("data")
    else:
        answer = server.rest("POST", f"/tasks/{task_id}:{VERB[method]}", metadata or None, **headers)
        body = answer.json()
        if answer.status_code == 200:
            assert answer.headers["content-type"] == "application/a2a+json"
            return dict(body)
        error, details = body["error"], body["error"].get("details")
        assert error["code"] == answer.status_code
    info = details[0]
    assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "a2a-protocol.org")
    where = info.get("metadata", {}).get("state")
    return {"code": error["code"], "reason": info["reason"], "state": where, "message": error["message"]}


def refused(answer: Json, reason: str, binding: str) -> Json:
    """Asserts that a call was refused for that reason, with the binding's code for it."""
    codes = {
        "UNSUPPORTED_OPERATION": (-32004, 400),
        "TASK_NOT_FOUND": (-32001, 404),
        "INVALID_PARAMS": (-32602, 400),
        "VERSION_NOT_SUPPORTED": (-32009, 400),
        "TASK_NOT_CANCELABLE": (-32002, 400),
    }
    assert (answer.get("reason"), answer.get("code")) == (reason, codes[reason][binding == REST]), answer
    return answer


def working(server: Server, file: str | Path = FOREVER, **options: Any) -> str:
    """A task whose one step is under way."""
    task_id = server.run(subtask("u", "srv_until", file=str(file)), **options)
    server.until(task_id, lambda task: state(task) == "WORKING" and seq_of(task) >= 5)
    return task_id


def paused(server: Server, **wish: Any) -> str:
    task_id = working(server)
    assert pause_of(call(server, RPC, PAUSE, task_id, wish or None))
    return task_id


def asking(server: Server, *others: Json, **options: Any) -> str:
    task_id = server.run(subtask("a", "srv_ask", schema={"type": "integer"}), *others, **options)
    server.until(task_id, lambda task: "message" in task["status"])
    return task_id


def never_begun(server: Server) -> str:
    return server.run(nap("n", 0))


def ended(how: str) -> Callable[[Server], str]:
    def make(server: Server) -> str:
        if how == "CANCELED":
            task_id = working(server)
            server.rpc("CancelTask", {"id": task_id})
            return task_id
        task_id = server.run(subtask("n", "sleep") if how == "COMPLETED" else subtask("n", "srv_until"))
        while state(server.task(task_id)) != how:
            time.sleep(0.02)
        return task_id

    return make


def inside(server: Server, act: Callable[[Holdfast], Awaitable[Any]]) -> None:
    """Does something to the server's database from this process, as the command line would."""

    async def go() -> None:
        async with Holdfast.open(server.db) as hf:
            await act(hf)

    asyncio.run(go())


# the card


def test_the_card_declares_the_extension(server: Server) -> None:
    card = server.http.get("/.well-known/agent-card.json").json()
    (declared,) = [one for one in card["capabilities"]["extensions"] if one["uri"] == URI]
    assert declared["params"] == {"pause_resume": True, "methods": [PAUSE, RESUME], "modes": ["now", "step", "drain"]}
    assert "required" not in declared, "who does not know the extension can use the agent all the same"


def test_switched_off_both_methods_are_refused_and_the_card_is_silent(tmp_path: Path) -> None:
    with Server(tmp_path, HOLDFAST_PAUSE_RESUME="off") as off:
        assert "extensions" not in off.http.get("/.well-known/agent-card.json").json()["capabilities"]
        task_id, before = working(off), working(off)
        inside(off, lambda hf: hf.pause(before))
        for binding in (RPC, REST):
            for method in (PAUSE, RESUME):
                said = refused(call(off, binding, method, task_id), "UNSUPPORTED_OPERATION", binding)
                assert "switched off" in said["message"]
        assert "A2A-Extensions" not in off.post("GetTask", {"id": task_id}, A2A_Extensions=URI).headers
        assert state(off.task(task_id)) == "WORKING"
        assert pause_of(off.task(task_id)) is None
        assert pause_of(off.task(before)), "what is paused stays so, and says so"
        assert state(off.rpc("CancelTask", {"id": before})) == "CANCELED"


# the state table


TABLE: list[tuple[str, Callable[[Server], str], str, str]] = [
    # the task, PauseTask, ResumeTask: the state on the wire, "+" if the task is paused then, or the error
    ("working", working, "WORKING+", "WORKING"),
    ("paused", paused, "WORKING+", "WORKING"),
    ("input required", asking, "UNSUPPORTED_OPERATION", "UNSUPPORTED_OPERATION"),
    ("completed", ended("COMPLETED"), "UNSUPPORTED_OPERATION", "UNSUPPORTED_OPERATION"),
    ("failed", ended("FAILED"), "UNSUPPORTED_OPERATION", "UNSUPPORTED_OPERATION"),
    ("canceled", ended("CANCELED"), "UNSUPPORTED_OPERATION", "UNSUPPORTED_OPERATION"),
]


def check(answer: Json, wanted: str, binding: str) -> None:
    if wanted.isupper() and "_" in wanted and not wanted.startswith("INPUT"):
        refused(answer, wanted, binding)
        assert answer["state"] in answer["message"], "the error says in which state the task is"
    else:
        assert (state(answer), pause_of(answer) is not None) == (wanted.rstrip("+"), wanted.endswith("+"))


@pytest.mark.parametrize(("name", "make", "pausing", "resuming"), TABLE, ids=[row[0] for row in TABLE])
def test_the_state_table(server: Server, binding: str, name: str, make: Any, pausing: str, resuming: str) -> None:
    task_id = make(server)
    for method, wanted in ((PAUSE, pausing), (RESUME, resuming)):
        before = server.task(task_id)
        answer = call(server, binding, method, task_id)
        check(answer, wanted, binding)
        check(call(server, binding, method, task_id), wanted, binding)  # and the same once more
        if "code" in answer:
            assert server.task(task_id) == before, "what is refused changes nothing"


def test_a_submitted_task(full: Server, binding: str) -> None:
    task_id = never_begun(full)
    assert state(full.task(task_id)) == "SUBMITTED"
    assert refused(call(full, binding, RESUME, task_id), "UNSUPPORTED_OPERATION", binding)["state"] == "SUBMITTED"
    check(call(full, binding, PAUSE, task_id), "SUBMITTED+", binding)
    check(call(full, binding, PAUSE, task_id), "SUBMITTED+", binding)
    check(full.task(task_id), "SUBMITTED+", binding)
    listed = full.rpc("ListTasks", {"status": "TASK_STATE_SUBMITTED"})["tasks"]
    assert task_id in [one["id"] for one in listed]
    check(call(full, binding, RESUME, task_id), "WORKING", binding)  # and begins when the server has room
    check(full.task(task_id), "WORKING", binding)


def test_an_unknown_id_and_one_that_is_only_a_prefix(server: Server, binding: str) -> None:
    task_id = working(server)
    for method in (PAUSE, RESUME):
        for unknown in ("there-is-none", task_id[:8]):
            refused(call(server, binding, method, unknown), "TASK_NOT_FOUND", binding)
    assert pause_of(server.task(task_id)) is None
    for method in (PAUSE, RESUME):
        assert server.post(method, {}).json()["error"]["code"] == -32602


@pytest.mark.parametrize(
    "wish",
    [
        {"mode": "later"},
        {"mode": ["now"]},
        {"mode": None},
        {"reason": 5},
        {"reason": "x" * 1001},
        {"until": "tomorrow"},
        {"until": 1893456000},
        {"until": "2031-01-31T12:00:00"},
        {"until": "9999-12-31T23:59:59-23:59"},
        {"till": "2031-01-31T12:00:00Z"},
        ["now"],
        "now",
    ],
    ids=str,
)
def test_wishes_that_are_none_change_nothing(server: Server, at_work: str, binding: str, wish: Any) -> None:
    refused(call(server, binding, PAUSE, at_work, wish), "INVALID_PARAMS", binding)
    assert pause_of(server.task(at_work)) is None


@pytest.mark.parametrize("option", ["mode", "reason", "until"])
def test_an_option_beside_the_id_is_refused_with_its_place(server: Server, at_work: str, option: str) -> None:
    said = [
        server.post(PAUSE, {"id": at_work, option: "now"}).json(),
        server.rest("POST", f"/tasks/{at_work}:pause", {option: "now"}).json(),
    ]
    assert said[0]["error"]["code"] == -32602
    assert said[1]["error"]["details"][0]["reason"] == "INVALID_PARAMS"
    for one in said:
        assert f"{option} belongs in the metadata" in one["error"]["message"]
        assert URI in one["error"]["message"]
    assert pause_of(server.task(at_work)) is None


# what a paused task says of itself


def test_the_metadata_of_a_paused_task(server: Server, binding: str) -> None:
    task_id, asked = working(server), datetime.now(UTC)
    wish = {"mode": "now", "reason": "too dear", "until": "2031-01-31T13:30:00+01:30"}
    said = pause_of(call(server, binding, PAUSE, task_id, wish))
    assert said is not None
    assert set(said) == {"state", "initiatedBy", "reason", "pausedAt", "pausedUntil", "in_flight"}
    assert (said["state"], said["initiatedBy"], said["reason"]) == ("PAUSED", "person", "too dear")
    assert said["pausedUntil"] == "2031-01-31T12:00:00.000Z"
    assert abs(datetime.fromisoformat(said["pausedAt"]) - asked) < timedelta(seconds=30)
    server.until(task_id, lambda task: (pause_of(task) or {}).get("in_flight") == 0)
    (listed,) = [one for one in server.rpc("ListTasks", {})["tasks"] if one["id"] == task_id]
    assert (pause_of(listed) or {}) | {"in_flight": 0} == said | {"in_flight": 0}
    resumed = call(server, binding, RESUME, task_id, {"mode": "whatever"})
    assert pause_of(resumed) is None, "ResumeTask has nothing to say under the key"
    assert URI not in server.task(task_id).get("metadata", {})


def test_a_plain_pause_says_no_more_than_it_knows(server: Server, binding: str) -> None:
    said = pause_of(call(server, binding, PAUSE, working(server)))
    assert set(said or ()) == {"state", "initiatedBy", "pausedAt", "in_flight"}


def test_in_flight_counts_what_is_still_ending(server: Server, tmp_path: Path) -> None:
    task_id = working(server, tmp_path / "go")
    assert (pause_of(call(server, RPC, PAUSE, task_id, {"mode": "step"})) or {})["in_flight"] == 1
    (tmp_path / "go").touch()
    server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
    assert [one["type"] for one in server.events(task_id)][-2:] == ["step.completed", "subtask.waiting"]


# who may


def test_a_foreign_task_is_as_unknown_as_none(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = dict[str, str]()

    async def make_keys(hf: Holdfast) -> None:
        for name in ("ann", "bob"):
            made[name] = await hf.database.awrite(lambda db, name=name: keys.add(db, name, 0.0))

    inside(server, make_keys)
    with server:
        ann, bob = ({"X_API_Key": made[name]} for name in ("ann", "bob"))
        sent = {
            "message": planned(subtask("u", "srv_until", file=FOREVER)),
            "configuration": {"returnImmediately": True},
        }
        task_id = server.rpc("SendMessage", sent, **ann)["task"]["id"]
        for binding in (RPC, REST):
            for method in (PAUSE, RESUME):
                foreign = refused(call(server, binding, method, task_id, **bob), "TASK_NOT_FOUND", binding)
                none = refused(call(server, binding, method, "x" * 36, **bob), "TASK_NOT_FOUND", binding)
                assert foreign["message"].replace(task_id, "") == none["message"].replace("x" * 36, "")
        assert server.post(PAUSE, {"id": task_id}).status_code == 401
        assert pause_of(server.rpc("GetTask", {"id": task_id}, **ann)) is None
        assert pause_of(call(server, RPC, PAUSE, task_id, **ann))


def test_a_task_that_cannot_run_here_is_not_resumed_here(server: Server, binding: str) -> None:
    async def make() -> str:
        async with Holdfast.open(server.db) as hf:
            plan = {"subtasks": [{"id": "o", "type": "srv_only_here"}]}
            task = await create_task(hf.services, "of a kind that the server does not know", {"plan": plan})
            await hf.pause(task.id)
            return task.id

    task_id = asyncio.run(make())
    said = refused(call(server, binding, RESUME, task_id), "UNSUPPORTED_OPERATION", binding)
    assert "srv_only_here" in said["message"]
    check(server.task(task_id), "SUBMITTED+", binding)


# what is acknowledged


def test_after_the_acknowledgement_nothing_starts(server: Server, binding: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    task_id = server.run(
        *(subtask(f"s{i}", "srv_steps", *([f"s{i - 1}"] if i else []), seconds=0.01, log=str(log)) for i in range(8))
    )
    while not log.exists():
        time.sleep(0.01)
    acknowledged = seq_of(call(server, binding, PAUSE, task_id))
    server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
    later = [one["type"] for one in server.events(task_id) if one["seq"] > acknowledged]
    assert not {"step.started", "subtask.running"} & set(later)
    call(server, binding, RESUME, task_id)
    server.until(task_id, "COMPLETED")
    done = log.read_text().splitlines()
    assert sorted(done) == sorted({f"s{i}/s{j}" for i in range(8) for j in range(3)}), "once each"


@pytest.mark.parametrize(("mode", "begun"), [("now", 2), ("step", 1), ("drain", 1)])
def test_the_modes(server: Server, binding: str, tmp_path: Path, mode: str, begun: int) -> None:
    """now: the step is broken off and runs again; step: it ends and is kept; drain: the subtask ends."""
    go, log = tmp_path / "go", tmp_path / "log"
    first = subtask("u", "srv_until", file=str(go), log=str(log))
    task_id = server.run(first, subtask("v", "srv_steps", "u", log=str(log)))
    server.until(task_id, lambda task: seq_of(task) >= 5)
    call(server, binding, PAUSE, task_id, {"mode": mode})
    if mode == "now":
        server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
    go.touch()
    server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
    told = [one["type"] for one in server.events(task_id)]
    assert ("step.completed" in told, "subtask.completed" in told) == (mode != "now", mode == "drain")
    assert told.count("subtask.running") == 1
    call(server, binding, RESUME, task_id)
    server.until(task_id, "COMPLETED")
    assert [one["type"] for one in server.events(task_id)].count("step.started") == begun + 4
    assert [line for line in log.read_text().splitlines() if line.startswith("v/")] == ["v/s0", "v/s1", "v/s2"]


# pausing again


def test_pausing_again(server: Server, binding: str) -> None:
    task_id = working(server)
    call(server, binding, PAUSE, task_id, {"mode": "drain", "reason": "lunch"})
    first = pause_of(server.task(task_id)) or {}
    seq = seq_of(server.task(task_id))
    same = call(server, binding, PAUSE, task_id, {"mode": "drain", "reason": "dinner"})
    assert (pause_of(same), seq_of(same)) == (first, seq), "the same wish again changes nothing"
    assert first["in_flight"] == 1
    call(server, binding, PAUSE, task_id, {"mode": "now"})
    server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
    milder = pause_of(call(server, binding, PAUSE, task_id, {"mode": "drain", "until": "2031-01-31T12:00:00Z"}))
    assert milder == first | {"in_flight": 0, "pausedUntil": "2031-01-31T12:00:00.000Z"}
    longer = pause_of(call(server, binding, PAUSE, task_id, {"reason": "holiday"}))
    assert longer == first | {"in_flight": 0, "reason": "holiday"}, "without until: until somebody resumes it"
    modes = [one["data"]["mode"] for one in server.events(task_id) if one["data"].get("do") == "pause"]
    assert modes == ["drain", "now", "now", "now"], "a milder mode does not weaken a stricter one"
    assert pause_of(call(server, binding, RESUME, task_id)) is None, "one resume lifts it, however often it was paused"


def test_many_pauses_and_resumes_at_once_all_succeed(server: Server, binding: str) -> None:
    task_id = working(server)
    for method, is_paused in ((PAUSE, True), (RESUME, False)):
        with meanwhile(*[lambda method=method: call(server, binding, method, task_id)] * 8) as results:
            answers = [one() for one in results]
        assert [pause_of(one) is not None for one in answers] == [is_paused] * 8, answers
    told = [one["type"] for one in server.events(task_id)]
    assert (told.count("task.paused"), told.count("task.working")) == (1, 2)


def test_a_pause_whose_time_is_over_ends_by_itself(server: Server, binding: str, tmp_path: Path) -> None:
    task_id = working(server, tmp_path / "go")
    until = datetime.now(UTC) + timedelta(seconds=0.3)
    call(server, binding, PAUSE, task_id, {"mode": "now", "until": until.isoformat()})
    server.until(task_id, lambda task: pause_of(task) is None)
    assert datetime.now(UTC) >= until
    past = call(server, binding, PAUSE, task_id, {"until": "2020-01-31T12:00:00Z"})
    assert (pause_of(past) or {})["pausedUntil"] == "2020-01-31T12:00:00.000Z"
    server.until(task_id, lambda task: pause_of(task) is None)
    (tmp_path / "go").touch()
    server.until(task_id, "COMPLETED")


# messages, answers, cancel, rollback, other stops


def test_a_message_to_a_paused_task_is_kept_and_does_not_resume_it(server: Server, binding: str) -> None:
    task_id = paused(server)
    said = message(text("Mind the gap"), taskId=task_id)
    if binding == RPC:
        kept = server.send(said)
    else:
        body = {"message": said, "configuration": {"returnImmediately": True}}
        kept = server.rest("POST", "/message:send", body).json()["task"]
    assert pause_of(kept)
    assert said["messageId"] in [one["messageId"] for one in kept["history"]]


@pytest.mark.parametrize("on_question", ["pause", "continue"])
def test_a_question_that_comes_while_paused(server: Server, tmp_path: Path, on_question: str) -> None:
    """It is recorded and can be answered, and the task stays paused; resuming then waits only if it must."""
    answered = working_then_asks(server, tmp_path / "one", on_question)
    given = server.send(message(data(answers={"q1": 7}), taskId=answered))
    assert pause_of(given)
    assert "message" not in given["status"]
    check(call(server, RPC, RESUME, answered), "WORKING", RPC)
    assert server.until(answered, "COMPLETED")["artifacts"][0]["parts"][0]["data"] == {"a": 7}
    open_ = working_then_asks(server, tmp_path / "two", on_question)
    assert pause_of(server.send(message(text("7"), taskId=open_))), "text does not answer a paused task's question"
    resumed = call(server, RPC, RESUME, open_)
    assert pause_of(resumed) is None
    assert state(resumed) == "INPUT_REQUIRED"
    assert resumed["status"]["message"]["parts"][1]["data"]["questions"][0]["id"] == "q1"


def working_then_asks(server: Server, file: Path, on_question: str) -> str:
    task_id = server.run(subtask("a", "srv_ask", file=str(file)), on_question=on_question)
    server.until(task_id, lambda task: seq_of(task) >= 6)
    call(server, RPC, PAUSE, task_id, {"mode": "drain"})
    file.touch()
    asked = server.until(task_id, lambda task: "message" in task["status"])
    assert pause_of(asked)
    assert state(asked) == "WORKING"
    return task_id


def test_a_question_that_lets_others_go_on_does_not_keep_from_pausing(server: Server, binding: str) -> None:
    task_id = asking(server, subtask("u", "srv_until", file=FOREVER), on_question="continue")
    assert state(server.task(task_id)) == "WORKING"
    check(call(server, binding, PAUSE, task_id, {"mode": "now"}), "WORKING+", binding)
    assert pause_of(server.send(message(data(answers={"q1": 3}), taskId=task_id)))
    check(call(server, binding, RESUME, task_id), "WORKING", binding)


def test_cancel_beats_pause(server: Server, binding: str) -> None:
    task_id = paused(server)
    check(call(server, binding, "CancelTask", task_id), "CANCELED", binding)
    refused(call(server, binding, "CancelTask", task_id), "TASK_NOT_CANCELABLE", binding)


def test_a_rollback_is_not_paused(server: Server, binding: str, tmp_path: Path) -> None:
    done = subtask("d", "srv_steps", undo_until=str(tmp_path / "undone"))
    task_id = server.run(done, subtask("u", "srv_until", "d", file=FOREVER))
    server.until(task_id, lambda task: seq_of(task) >= 13)
    inside(server, lambda hf: hf.cancel(task_id, rollback=True))
    said = refused(call(server, binding, PAUSE, task_id), "UNSUPPORTED_OPERATION", binding)
    assert "rolling back" in said["message"]
    check(call(server, binding, RESUME, task_id), "WORKING", binding)
    (tmp_path / "undone").touch()
    server.until(task_id, "CANCELED")


def test_a_task_of_which_all_is_held(server: Server, binding: str) -> None:
    task_id = working(server)
    inside(server, lambda hf: hf.hold(task_id, "u", mode="now", reason="wait"))
    held = server.until(task_id, pause_of)
    assert (pause_of(held) or {})["initiatedBy"] == "holds"
    call(server, binding, RESUME, task_id)
    server.until(task_id, lambda task: (pause_of(task) or {}).get("initiatedBy") == "holds")  # again: it is still held
    assert (pause_of(call(server, binding, PAUSE, task_id)) or {})["initiatedBy"] == "holds", "whose was first"


# blocking calls and streams


def test_a_blocking_call_waits_through_a_pause(server: Server, binding: str, tmp_path: Path) -> None:
    go, said = tmp_path / "go", planned(subtask("u", "srv_until", file=str(tmp_path / "go")))

    def send() -> Json:
        if binding == RPC:
            return dict(server.rpc("SendMessage", {"message": said})["task"])
        return dict(server.rest("POST", "/message:send", {"message": said}).json()["task"])

    with meanwhile(send) as (result,):
        task_id = None
        while task_id is None:
            known = server.rpc("ListTasks", {"pageSize": 1})["tasks"][0]
            task_id = known["id"] if known["history"][0]["messageId"] == said["messageId"] else None
        server.until(task_id, lambda task: seq_of(task) >= 5)
        call(server, binding, PAUSE, task_id, {"mode": "now"})
        server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
        go.touch()
        call(server, binding, RESUME, task_id)
        answer = result()
    assert (answer["id"], state(answer), pause_of(answer)) == (task_id, "COMPLETED", None)


def test_streams_stay_open_through_a_pause_and_tell_it(server: Server, binding: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    sent = {"message": planned(subtask("u", "srv_until", file=str(go)), subtask("v", "srv_steps", "u"))}
    rest, rpc = server.rest_stream, server.stream
    with rpc("SendStreamingMessage", sent) if binding == RPC else rest("POST", "/message:stream", sent) as sending:
        task_id = str(body_of(sending.next() or {})["id"])
        watch = rpc("SubscribeToTask", {"id": task_id})
        with watch if binding == RPC else rest("GET", f"/tasks/{task_id}:subscribe") as watching:
            assert body_of(watching.next() or {})["id"] == task_id
            server.until(task_id, lambda task: seq_of(task) >= 5)
            call(server, binding, PAUSE, task_id, {"reason": "look"})
            server.send(message(text("still there?"), taskId=task_id))
            call(server, binding, PAUSE, task_id, {"reason": "look again", "until": "2031-01-31T12:00:00Z"})
            for stream in (sending, watching):
                stream.until(lambda said: pause_of(body_of(said)))
                stream.until(lambda said: "pausedUntil" in (pause_of(body_of(said)) or {}))
            late = rpc("SubscribeToTask", {"id": task_id})
            with late:
                assert (pause_of(body_of(late.next() or {})) or {})["reason"] == "look again", "the snapshot says it"
            go.touch()
            server.until(task_id, lambda task: (pause_of(task) or {})["in_flight"] == 0)
            call(server, binding, RESUME, task_id)
            for stream in (sending, watching):
                stream.rest()
                assert stream.broken is None
    told = server.events(task_id)
    begin = next(one["seq"] for one in told if one["type"] == "task.paused")
    end = next(one["seq"] for one in told if one["type"] == "task.working" and one["seq"] > begin)
    for stream in (sending, watching):
        updates = [body_of(one) for one in stream.seen if "statusUpdate" in one]
        assert all(state(one) in ("SUBMITTED", "WORKING") for one in updates[:-1])
        assert state(updates[-1]) == "COMPLETED"
        while_paused = [one for one in updates if begin <= seq_of(one) < end]
        assert len(while_paused) >= 4
        assert all((pause_of(one) or {}).get("state") == "PAUSED" for one in while_paused), "in every status update"
        assert all(pause_of(one) is None for one in updates if not begin <= seq_of(one) < end)


def test_a_paused_task_among_others(server: Server) -> None:
    """ListTasks counts it as working."""
    in_context = message(data(plan={"subtasks": [subtask("u", "srv_until", file=FOREVER)]}), contextId="paused-ones")
    task_id = str(server.send(in_context)["id"])
    server.until(task_id, lambda task: seq_of(task) >= 5)
    call(server, RPC, PAUSE, task_id)
    for status, found in (("WORKING", [task_id]), ("SUBMITTED", []), ("INPUT_REQUIRED", [])):
        listed = server.rpc("ListTasks", {"contextId": "paused-ones", "status": f"TASK_STATE_{status}"})
        assert [one["id"] for one in listed["tasks"]] == found
        query = f"/tasks?contextId=paused-ones&status=TASK_STATE_{status}"
        assert [one["id"] for one in server.rest("GET", query).json()["tasks"]] == found


# headers


@pytest.mark.parametrize(
    "asked", [None, URI, f"urn:other:v1, {URI}", "urn:other:v1", "urn:holdfast:a2a:pause-resume:v2"]
)
def test_the_extension_header(server: Server, binding: str, asked: str | None) -> None:
    """The methods work with and without it; the answer names the extension if it was asked for, and no other."""
    task_id = working(server)
    headers = {} if asked is None else {"A2A_Extensions": asked}
    check(call(server, binding, PAUSE, task_id, **headers), "WORKING+", binding)
    if binding == RPC:
        answer = server.post("GetTask", {"id": task_id}, **headers)
    else:
        answer = server.rest("GET", f"/tasks/{task_id}", **headers)
    echoed = URI if asked and URI in asked else None
    assert answer.headers.get("A2A-Extensions") == echoed


def test_the_version_header(server: Server, binding: str) -> None:
    task_id = working(server)
    for version in ("0.3", "", "2.0"):
        refused(call(server, binding, PAUSE, task_id, A2A_Version=version), "VERSION_NOT_SUPPORTED", binding)
    assert pause_of(server.task(task_id)) is None
    check(call(server, binding, PAUSE, task_id, A2A_Version="1.0"), "WORKING+", binding)


def test_the_verbs_of_rest(server: Server) -> None:
    task_id = working(server)
    assert server.rest("GET", f"/tasks/{task_id}:pause").status_code in (404, 405)
    bad = server.http.post(f"/a2a/rest/tasks/{task_id}:pause", content="{nonsense")
    assert (bad.status_code, bad.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert pause_of(server.task(task_id)) is None
    other = server.rest("POST", f"/tasks/{task_id}:pause", {"id": "another", "metadata": {"urn:other": {"mode": 1}}})
    assert other.json()["id"] == task_id, "the path names the task; what is under other keys is others' business"
    with pytest.raises(RpcError) as unknown:
        server.rpc("HoldTask", {"id": task_id})
    assert unknown.value.code == -32601
