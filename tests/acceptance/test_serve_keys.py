"""Who may do what: every method by either binding, without a key, with a wrong one, with another's, with one's own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.a2a.routes import METHODS
from holdfast.checkpoints import keys as stored
from holdfast.checkpoints import tasks
from holdfast.checkpoints.database import Database
from tests.acceptance.serving import SLOW, Server, data, message, nap, planned, subtask, text

INSIDE = re.compile(r"Traceback|\.py\b|site-packages|File \"|/work/|/tmp/|/root/")


def keys(db: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "holdfast", "keys", *words, "--db", str(db)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def key(db: Path, owner: str) -> dict[str, str]:
    made = keys(db, "add", owner)
    assert made.returncode == 0, made.stderr
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


class Keyed:
    """A server with keys, and one task of alice's that has handed out a file."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.alice, self.bob = key(server.db, "alice"), key(server.db, "bob")
        self.wrong = {"Authorization": "Bearer hf_" + "A" * 43}
        sent = {"message": planned(subtask("out", "srv_hand_out", bytes=100_000)), "configuration": {}}
        self.done = server.rpc("SendMessage", sent, **self.alice)["task"]["id"]

    def begin(self) -> str:
        """A task of alice's that stays at work."""
        sent = {"message": planned(nap("n", 600)), "configuration": {"returnImmediately": True}}
        task = str(self.server.rpc("SendMessage", sent, **self.alice)["task"]["id"])
        now = partial(self.server.rpc, "GetTask", {"id": task}, **self.alice)
        soon(lambda: now()["status"]["state"] == "TASK_STATE_WORKING", SLOW)
        return task


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("keyed"), "--metrics-for", "alice") as server:
        yield Keyed(server)


@dataclass(frozen=True)
class Asks:
    """A request; ``of_task`` says whether it is about a task, whose owner alone may make it."""

    verb: str
    path: str
    body: Any = None
    of_task: bool = True

    def send(self, http: httpx.Client, headers: dict[str, str]) -> tuple[int, str]:
        """(status, body); of a stream only that it is one."""
        with http.stream(self.verb, self.path, json=self.body, headers=headers) as answer:
            assert answer.headers["x-content-type-options"] == "nosniff"
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                return answer.status_code, "a stream"
            return answer.status_code, answer.read().decode()


def rpc(method: str, task: str) -> Asks:
    said = message(text("more"), taskId=task)
    config = {"taskId": task, "id": "c", "url": "https://example.org/"}
    params: dict[str, Any] = {
        "SendMessage": {"message": said, "configuration": {"returnImmediately": True}},
        "SendStreamingMessage": {"message": said},
        "ListTasks": {},
        "GetExtendedAgentCard": {},
        "CreateTaskPushNotificationConfig": config,
        "GetTaskPushNotificationConfig": config,
        "DeleteTaskPushNotificationConfig": config,
        "ListTaskPushNotificationConfigs": {"taskId": task},
    }.get(method, {"id": task})
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return Asks("POST", "/a2a", body, of_task=method not in ("ListTasks", "GetExtendedAgentCard"))


REST: dict[str, Any] = {
    "message:send": lambda task: Asks(
        "POST",
        "/message:send",
        {"message": message(text("more"), taskId=task), "configuration": {"returnImmediately": True}},
    ),
    "message:stream": lambda task: Asks("POST", "/message:stream", {"message": message(text("more"), taskId=task)}),
    "get": lambda task: Asks("GET", f"/tasks/{task}"),
    "list": lambda task: Asks("GET", "/tasks", of_task=False),
    "cancel": lambda task: Asks("POST", f"/tasks/{task}:cancel", {}),
    "pause": lambda task: Asks("POST", f"/tasks/{task}:pause", {}),
    "resume": lambda task: Asks("POST", f"/tasks/{task}:resume", {}),
    "subscribe": lambda task: Asks("GET", f"/tasks/{task}:subscribe"),
    "subscribe by POST": lambda task: Asks("POST", f"/tasks/{task}:subscribe", {}),
    "card": lambda task: Asks("GET", "/extendedAgentCard", of_task=False),
    "configs": lambda task: Asks("GET", f"/tasks/{task}/pushNotificationConfigs"),
    "new config": lambda task: Asks("POST", f"/tasks/{task}/pushNotificationConfigs", {"url": "https://example.org"}),
    "config": lambda task: Asks("GET", f"/tasks/{task}/pushNotificationConfigs/c"),
    "no config": lambda task: Asks("DELETE", f"/tasks/{task}/pushNotificationConfigs/c"),
}
EXTENSION = ("pause", "resume")  # has no addresses of tenants
NOT_SUPPORTED = ("PushNotification", "onfig")


def rest(name: str, task: str, tenant: str = "") -> Asks:
    asks: Asks = REST[name](task)
    return Asks(asks.verb, f"{tenant}/a2a/rest{asks.path}", asks.body, asks.of_task)


CASES = {f"rpc {method}": lambda task, m=method: rpc(m, task) for method in METHODS}
CASES |= {f"rest {name}": lambda task, n=name: rest(n, task) for name in REST}
CASES |= {f"tenant {name}": lambda task, n=name: rest(n, task, "/acme") for name in REST if name not in EXTENSION}


def blank(answer: tuple[int, str], task: str) -> tuple[int, str]:
    return answer[0], re.sub(r'"messageId": ?"[^"]*"', "", answer[1].replace(task, "TASK"))


@pytest.mark.parametrize("case", CASES)
def test_every_method_knows_whose_task_it_is(keyed, case):
    http, make, task, nobodys = keyed.server.http, CASES[case], keyed.begin(), str(uuid.uuid4())
    for headers in ({}, keyed.wrong, {"Authorization": "Basic YTpi"}, {"X-API-Key": "hf_"}, {"Authorization": ""}):
        status, body = make(task).send(http, headers)
        assert status == 401
        assert not INSIDE.search(body)
        assert "key" in body
    foreign = blank(make(task).send(http, keyed.bob), task)
    unknown = blank(make(nobodys).send(http, keyed.bob), nobodys)
    assert foreign == unknown  # one cannot even learn that there is such a task
    assert not INSIDE.search(foreign[1])
    own = make(task).send(http, keyed.alice)
    assert own[0] < 500
    assert not INSIDE.search(own[1])
    if make(task).of_task and not any(word in case for word in NOT_SUPPORTED):
        assert blank(own, task) != unknown
        assert own[0] == 200
        if own[1] != "a stream":
            assert "error" not in own[1]
    else:
        assert own[0] in (200, 400)
    still = keyed.server.rpc("GetTask", {"id": task}, **keyed.alice)  # what bob tried has changed nothing
    if "ancel" not in case:
        assert still["status"]["state"] == "TASK_STATE_WORKING"
        keyed.server.rpc("CancelTask", {"id": task}, **keyed.alice)


@pytest.mark.parametrize(("path", "bobs"), [("/metrics", 403), ("/readyz", 200)])
def test_figures_need_a_key_and_are_for_whom_they_were_meant(keyed, path, bobs):
    http = keyed.server.http
    asked = [http.get(path, headers=one) for one in ({}, keyed.wrong, keyed.bob, keyed.alice)]
    assert [one.status_code for one in asked] == [401, 401, bobs, 200]
    if bobs == 403:
        assert "--metrics-for" in asked[2].json()["error"]


@pytest.mark.parametrize("path", ["/healthz", "/.well-known/agent-card.json"])
def test_what_is_public_needs_none(keyed, path):
    assert [keyed.server.http.get(path, headers=one).status_code for one in ({}, keyed.wrong, keyed.bob)] == [200] * 3


def test_addresses_that_are_none_need_a_key_too(keyed):
    for path in ("/", "/nothing", "/a2a", "/healthz/", "//healthz", "/x/healthz", "/healthz%2f", "/HEALTHZ"):
        assert keyed.server.http.get(path).status_code == 401, path


def test_artifacts_are_their_owners(keyed):
    http, url = keyed.server.http, f"/a2a/artifacts/{keyed.done}/large.bin"
    assert [http.get(url, headers=one).status_code for one in ({}, keyed.wrong)] == [401, 401]
    foreign, unknown = (http.get(one, headers=keyed.bob) for one in (url, f"/a2a/artifacts/{uuid.uuid4()}/large.bin"))
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text == unknown.text
    own = http.get(url, headers=keyed.alice)
    assert (own.status_code, len(own.content)) == (200, 100_000)
    for name in ("../holdfast.db", "..%2f..%2fholdfast.db", "%2e%2e/holdfast.db", "none.bin", "large.bin/"):
        assert http.get(f"/a2a/artifacts/{keyed.done}/{name}", headers=keyed.alice).status_code == 404, name


def test_another_owners_tasks_are_neither_listed_nor_reused(keyed):
    assert keyed.server.rpc("ListTasks", {}, **keyed.bob)["tasks"] == []
    assert keyed.done in str(keyed.server.rpc("ListTasks", {}, **keyed.alice))
    known = message(data(plan={"subtasks": []}), referenceTaskIds=[keyed.done])
    answer = keyed.server.post("SendMessage", {"message": known}, **keyed.bob).json()
    assert answer["error"]["code"] == -32001


def test_message_ids_are_each_owners_own(keyed):
    said = planned(nap("n", 0))
    tasks = {
        keyed.server.rpc("SendMessage", {"message": said}, **one)["task"]["id"] for one in (keyed.alice, keyed.bob)
    }
    assert len(tasks) == 2


def test_api_key_header_does_as_well(keyed):
    bare = keyed.alice["Authorization"].removeprefix("Bearer ")
    assert keyed.server.http.get("/a2a/rest/tasks", headers={"X-API-Key": bare}).status_code == 200
    assert keyed.server.http.get("/a2a/rest/tasks", headers={"Authorization": f"bearer {bare}"}).status_code == 200
    assert keyed.server.http.get(f"/a2a/rest/tasks?key={bare}").status_code == 401


def test_refusals_are_in_the_words_of_the_binding(keyed):
    http = keyed.server.http
    by_rpc = http.post("/a2a", json={"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}).json()
    assert by_rpc["jsonrpc"] == "2.0"
    assert by_rpc["error"]["data"][0]["reason"] == "UNAUTHENTICATED"
    by_rest = http.get("/a2a/rest/tasks").json()["error"]
    assert (by_rest["code"], by_rest["status"]) == (401, "UNAUTHENTICATED")
    assert isinstance(http.get("/metrics").json()["error"], str)


def test_the_log_has_neither_keys_nor_what_clients_wrote(keyed):
    secret = str(uuid.uuid4())
    server = keyed.server
    server.post("SendMessage", {"message": message(text(f"secret {secret}"), taskId="no-such-task")}, **keyed.alice)
    server.post("SendMessage", {"message": {"parts": f"secret {secret}"}}, **keyed.alice)
    server.post("GetTask", {"id": f"secret {secret}"}, **keyed.alice)
    server.post(f"secret {secret}", {}, **keyed.alice)
    server.rest("POST", "/message:send", {"message": f"secret {secret}"}, **keyed.alice)
    server.rest("GET", f"/tasks/secret{secret}", **keyed.alice)
    server.rest("GET", f"/tasks?pageToken=secret{secret}", **keyed.alice)
    server.http.get(f"/secret{secret}", headers={"Authorization": f"Bearer hf_{secret}"})
    told = server.log()
    assert '"owner": "alice"' in told
    assert secret not in told
    assert keyed.alice["Authorization"].removeprefix("Bearer ") not in told
    assert "Traceback" not in told
    assert '"level": "error"' not in told


def test_keys_come_and_go_while_the_server_runs(tmp_path):
    with Server(tmp_path) as server:
        assert server.http.get("/a2a/rest/tasks").status_code == 200
        before = server.run(nap("n", 0))
        assert "securitySchemes" not in server.http.get("/.well-known/agent-card.json").json()
        alice = key(server.db, "alice")
        assert server.http.get("/a2a/rest/tasks", headers=alice).status_code == 200
        soon(lambda: server.http.get("/a2a/rest/tasks").status_code == 401)
        card = server.http.get("/.well-known/agent-card.json").json()
        assert set(card["securitySchemes"]) == {"apiKey", "bearer"}
        assert server.rest("GET", f"/tasks/{before}", **alice).status_code == 404  # nobody's is not everybody's
        bob = key(server.db, "bob")
        assert server.http.get("/a2a/rest/tasks", headers=bob).status_code == 200  # at once
        assert keys(server.db, "revoke", "bob").returncode == 0
        soon(lambda: server.http.get("/a2a/rest/tasks", headers=bob).status_code == 401)
        assert server.http.get("/a2a/rest/tasks", headers=alice).status_code == 200


def test_without_its_last_key_the_server_stays_closed_until_it_is_told_otherwise(tmp_path):
    def asked(path: str = "/a2a/rest/tasks") -> list[int]:
        return [server.http.get(path, headers=one).status_code for one in ({}, alice)]

    with Server(tmp_path) as server:
        alice = key(server.db, "alice")
        refused = keys(server.db, "off")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "alice" in refused.stderr
        assert "every request is refused" in keys(server.db, "revoke", "alice").stdout
        soon(lambda: asked() == [401, 401])
        server.stop()
        server.start()
        assert asked() == asked("/api/tasks") == [401, 401]
        assert "securitySchemes" in server.http.get("/.well-known/agent-card.json").json()
        assert "every request is refused" in keys(server.db, "list").stdout
        assert server.http.get("/a2a/rest/tasks", headers=key(server.db, "bob")).status_code == 200
        keys(server.db, "revoke", "bob")
        assert keys(server.db, "off").returncode == 0
        soon(lambda: asked() == [200, 401])  # a key that is shown has to be one all the same
        assert "securitySchemes" not in server.http.get("/.well-known/agent-card.json").json()
        assert keys(server.db, "list").stdout == "no keys; `holdfast keys add NAME` makes one\n"


def test_the_first_key_is_known_from_its_first_request_on(tmp_path):
    with Server(tmp_path) as server, closing(Database(server.db)) as database:
        for name in ("ann", "bob", "cid"):
            made = {"X-API-Key": database.write(lambda db, name=name: stored.add(db, name, 0.0))}
            assert server.http.get("/a2a/rest/tasks").status_code == 401  # at once
            sent = {"message": planned(nap("n", 600)), "configuration": {"returnImmediately": True}}
            task = server.rpc("SendMessage", sent, **made)["task"]["id"]
            assert database.read(lambda db, id_=task: tasks.get(db, id_)).owner == name
            database.write(lambda db, name=name: stored.revoke(db, name))
            database.write(stored.off)
            soon(lambda: server.http.get("/a2a/rest/tasks").status_code == 200)


@pytest.mark.parametrize("first", [False, True], ids=["revoked", "first-key"])
def test_what_waits_ends_with_its_key(tmp_path, first):
    """By a key that is revoked, or, without one, by the first that is made."""
    with Server(tmp_path) as server:
        alice = {} if first else key(server.db, "alice")
        sent = {"message": planned(nap("n", 60)), "configuration": {"returnImmediately": True}}
        task = server.rpc("SendMessage", sent, **alice)["task"]["id"]
        seq = max(one["seq"] for one in server.events(task))
        blocking = {"message": planned(nap("m", 60))}
        stream = server.stream("SubscribeToTask", {"id": task}, **alice)
        with stream, ThreadPoolExecutor(4) as pool:
            stream.next()
            live = pool.submit(server.http.get, f"/api/tasks/{task}/live", headers=alice)
            calls = [
                pool.submit(server.post, "SendMessage", blocking, **alice),
                pool.submit(server.rest, "POST", "/message:send", blocking, **alice),
                pool.submit(server.http.get, f"/api/tasks/{task}/events?after={seq + 99}&wait=25", headers=alice),
            ]
            time.sleep(0.3)
            if first:
                bob = key(server.db, "bob")
            else:
                assert keys(server.db, "revoke", "alice").returncode == 0
            began = time.monotonic()
            stream.rest()  # to its end
            assert [one.result().status_code for one in calls] == [401] * 3
            assert live.result().status_code == 200  # a stream that had begun
            assert "UNAUTHENTICATED" in calls[0].result().text
            assert time.monotonic() - began < 1.5
        assert "Traceback" not in server.log()
        if first:
            assert server.http.get("/a2a/rest/tasks", headers=bob).status_code == 200


def soon(condition: Any, seconds: float = 2.0) -> None:
    """Waits until it is so; a key that was made or revoked is to be heeded within 2 s."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it is not so within {seconds:g} s"
        time.sleep(0.02)


def test_address_that_others_reach_needs_a_key_for_as_long_as_it_is_served(tmp_path):
    db = tmp_path / "holdfast.db"
    command = [sys.executable, "-m", "holdfast", "serve", "--host", "0.0.0.0", "--db", str(db)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: 0.0.0.0 can be reached from other machines")
    assert refused.stderr.count("\n") == 1
    alice = key(db, "alice")
    with Server(tmp_path, "--host", "0.0.0.0") as server:
        assert server.http.get("/a2a/rest/tasks", headers=alice).status_code == 200
        assert server.http.get("/a2a/rest/tasks").status_code == 401
        keys(db, "revoke", "alice")
        soon(lambda: server.http.get("/a2a/rest/tasks", headers=alice).status_code == 401)
        assert server.http.get("/a2a/rest/tasks").status_code == 401
        assert "securitySchemes" in server.http.get("/.well-known/agent-card.json").json()


def test_keys_by_the_command_line(tmp_path):
    db = tmp_path / "holdfast.db"
    assert keys(db, "list").returncode == 2
    made = keys(db, "add", "alice")
    assert re.fullmatch(r"hf_[\w-]{43}\n", made.stdout)
    assert "cannot be shown again" in made.stderr
    assert "from now on a server on this database asks for a key" in made.stderr
    assert "begun without one" not in made.stderr
    assert "from now on" not in keys(db, "add", "carol").stderr
    assert keys(db, "revoke", "carol").returncode == 0
    for bad in ("alice", "Alice", "", "a/b", "-x" * 50):
        again = keys(db, "add", "--", bad)
        assert (again.returncode, again.stdout) == (2, ""), bad
        assert again.stderr.count("\n") == 1
    assert keys(db, "list").stdout.startswith("alice  20")
    assert re.fullmatch(r'\{"name": "alice", "created_at": "[^"]+Z"\}\n', keys(db, "list", "--json").stdout)
    assert made.stdout.strip().encode() not in b"".join(one.read_bytes() for one in tmp_path.iterdir() if one.is_file())
    assert keys(db, "revoke", "bob").returncode == 2
    assert keys(db, "revoke", "alice", "--json").stdout == '{"name": "alice", "revoked": true}\n'
    assert "no keys" in keys(db, "list").stdout


def test_what_becomes_of_earlier_tasks_is_told_when_keys_come_and_go(tmp_path):
    db = tmp_path / "holdfast.db"

    def listed(**headers: str) -> list[Any]:
        return list(server.rest("GET", "/tasks", **headers).json()["tasks"])

    def begin(**headers: str) -> None:
        sent = {"message": planned(nap("n", 0)), "configuration": {"returnImmediately": True}}
        server.rpc("SendMessage", sent, **headers)

    with Server(tmp_path) as server:
        begin()
        made = keys(db, "add", "alice")
        assert "(1 task) goes on, but no key sees it" in made.stderr
        alice = {"Authorization": f"Bearer {made.stdout.strip()}"}
        soon(lambda: server.rest("GET", "/tasks").status_code == 401)
        assert listed(**alice) == []
        begin(**alice)
        begin(**alice)
    told = keys(db, "revoke", "alice")
    assert told.stderr == "2 tasks of alice stay and go on; a new key for alice sees them\n"
    alice = key(db, "alice")
    with Server(tmp_path) as server:
        assert len(listed(**alice)) == 2


def test_a_server_on_all_addresses_goes_by_the_names_of_this_machine_too(tmp_path):
    alice = key(tmp_path / "holdfast.db", "alice")
    with Server(tmp_path, "--host", "0.0.0.0") as server:
        for name, status in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 421)):
            answer = server.rest("GET", "/tasks", **alice, Host=f"{name}:{server.port}")
            assert answer.status_code == status, name
        assert f"at http://127.0.0.1:{server.port} and every other address" in server.log()
