"""Requests that are valid, nearly valid and nonsense, made from the protocol's own descriptions.

``HOLDFAST_EXAMPLES`` is how many (1,000 unless told); ``make fuzz`` tries 20,000.  A failure prints the request.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from holdfast.a2a.routes import METHODS
from tests.acceptance.serving import Server, nap, planned

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES") or 1000)
SLOWEST = 20.0  # seconds for one answer; 2 on a machine that does nothing else
DEPTH = 4
INSIDE = re.compile(r'Traceback|File "|\.py\b|site-packages|/work/|/tmp/|/root/|holdfast\.db')
TASKS: list[str] = ["00000000-0000-4000-8000-000000000000"]  # known ids are added once there are any
ODD = (
    "",
    " ",
    "\x00",
    "\ud800",
    "é\u202e",
    "%00",
    "../..",
    "a/b",
    "a:b",
    "x" * 5000,
    "-1",
    "null",
    "{}",
    "'; --",
    "🙂",
)
NUMBERS = (0, 1, -1, 2**31, -(2**63), 2**64, 1e308, 0.5, float("nan"), float("inf"), True)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(ODD),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["id", "text", "data", "@type", ""]), st.integers(), max_size=2),
)
WORDS = st.one_of(st.sampled_from(ODD), st.text(max_size=12))
PLANS = st.sampled_from(
    [
        {"plan": {"subtasks": [{"id": "n", "type": "sleep", "params": {"seconds": 0}}]}},
        {"plan": {"subtasks": [{"id": "n", "type": "sleep", "params": {"seconds": "soon"}}]}},
        {"plan": {"subtasks": [{"id": "n", "type": "none"}, {"id": "n"}, 3]}},
        {"plan": {"subtasks": {"a": []}}, "options": {"workers": -1}},
        {"options": {"data": ["/etc/passwd"], "yes": "perhaps", "workers": 1e308}},
        {"answers": {"q": float("nan")}},
        {"plan": []},
    ]
)


def seldom(usual: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One time in forty the other."""
    return st.integers(0, 39).flatmap(lambda number: otherwise if number == 39 else usual)


@cache
def objects(kind: Descriptor, depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON of a message, each field of which may be missing or wrong."""
    match kind.full_name:
        case "google.protobuf.Timestamp":
            return st.sampled_from(["2026-01-31T12:00:00Z", "9999-12-31T23:59:59.999999999Z", "0000-00-00", "now"])
        case "google.protobuf.Struct" | "google.protobuf.Value":
            pause = {"urn:holdfast:a2a:pause-resume:v1": {"mode": "now", "until": "never"}}
            return st.one_of(PLANS, st.just(pause), st.dictionaries(WORDS, JUNK, max_size=2))
    if depth > DEPTH:
        return st.just({})
    made = {one.json_name: seldom(values(one, depth), JUNK) for one in kind.fields}
    return st.fixed_dictionaries({}, optional={**made, "unknownField": JUNK})


def values(one: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if one.message_type and one.message_type.GetOptions().map_entry:
        return st.dictionaries(WORDS, JUNK, max_size=2)
    single = scalars(one) if one.message_type is None else objects(one.message_type, depth + 1)
    return st.lists(single, max_size=3) if one.is_repeated else single


def scalars(one: FieldDescriptor) -> st.SearchStrategy[Any]:
    if one.enum_type:
        return st.sampled_from([*one.enum_type.values_by_name, 0, 99, -1, "NONE"])
    if one.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(st.binary(max_size=20).map(lambda raw: base64.b64encode(raw).decode()), WORDS)
    if one.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if one.type == FieldDescriptor.TYPE_STRING:
        ids = st.integers(0, 9).map(lambda number: TASKS[number % len(TASKS)])
        return ids if one.name in ("id", "task_id") else st.one_of(WORDS, ids)
    return st.sampled_from([0, 1, 5, 100, 101, -1, 2**31 - 1, 2**31, 1.5])


@dataclass(frozen=True)
class Case:
    """One request."""

    verb: str
    path: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


HEADERS = st.fixed_dictionaries(
    {"A2A-Version": seldom(st.just("1.0"), st.sampled_from(["", "0.3", "1", "9.9", "x", "1.0,0.3"]))},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/plain", "application/a2a+json", "multipart/x"]),
        "A2A-Extensions": st.sampled_from(["urn:holdfast:a2a:pause-resume:v1", "a,b", ",,", "é"]),
        "Accept": st.sampled_from(["text/event-stream", "*/*", "image/png"]),
        "If-None-Match": st.just('"x"'),
    },
)


def written(value: Any) -> bytes:
    return json.dumps(quick(value)).encode()


def quick(params: Any) -> Any:
    """A message is not waited for."""
    if isinstance(params, dict):
        inner = params.get("params", params)
        if isinstance(inner, dict) and "message" in inner:
            config = inner.get("configuration")
            inner["configuration"] = (
                {**config, "returnImmediately": True} if isinstance(config, dict) else {"returnImmediately": True}
            )
    return params


@st.composite
def by_rpc(draw: st.DrawFn) -> Case:
    method = draw(st.sampled_from(sorted(METHODS)))
    params = draw(seldom(objects(METHODS[method].DESCRIPTOR), JUNK))
    body = {
        "jsonrpc": draw(seldom(st.just("2.0"), JUNK)),
        "id": draw(seldom(st.integers(), JUNK)),
        "method": draw(seldom(st.just(method), JUNK)),
        "params": params,
    }
    for name in draw(seldom(st.just(()), st.lists(st.sampled_from(sorted(body)), max_size=2))):
        body.pop(name, None)
    whole = draw(seldom(st.just(body), st.just([body, body])))
    return Case("POST", "/a2a", written(whole), draw(HEADERS))


REST: list[tuple[str, str, Any]] = [
    ("POST", "/message:send", pb.SendMessageRequest),
    ("POST", "/message:stream", pb.SendMessageRequest),
    ("GET", "/tasks", pb.ListTasksRequest),
    ("GET", "/tasks/{}", pb.GetTaskRequest),
    ("POST", "/tasks/{}:cancel", pb.CancelTaskRequest),
    ("POST", "/tasks/{}:pause", pb.CancelTaskRequest),
    ("POST", "/tasks/{}:resume", pb.CancelTaskRequest),
    ("GET", "/tasks/{}:subscribe", pb.SubscribeToTaskRequest),
    ("POST", "/tasks/{}:subscribe", pb.SubscribeToTaskRequest),
    ("POST", "/tasks/{}/pushNotificationConfigs", pb.TaskPushNotificationConfig),
    ("GET", "/tasks/{}/pushNotificationConfigs", pb.ListTaskPushNotificationConfigsRequest),
    ("GET", "/tasks/{}/pushNotificationConfigs/c", pb.GetTaskPushNotificationConfigRequest),
    ("DELETE", "/tasks/{}/pushNotificationConfigs/c", pb.DeleteTaskPushNotificationConfigRequest),
    ("GET", "/extendedAgentCard", pb.GetExtendedAgentCardRequest),
]


@st.composite
def by_rest(draw: st.DrawFn) -> Case:
    verb, path, kind = draw(st.sampled_from(REST))
    id_ = draw(seldom(st.integers(0, 9).map(lambda number: TASKS[number % len(TASKS)]), WORDS))
    tenant = draw(seldom(st.just(""), st.just("/tenant")))
    path = f"{tenant}/a2a/rest{path.format(quote(id_, safe='', errors='replace'))}"
    params = draw(seldom(objects(kind.DESCRIPTOR), JUNK))
    verb = draw(seldom(st.just(verb), st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])))
    if verb == "GET" and isinstance(params, dict):
        said = "&".join(f"{name}={quote(str(one), errors='replace')}" for name, one in params.items())
        return Case(verb, f"{path}?{said}", b"", draw(HEADERS))
    return Case(verb, path, written(params), draw(HEADERS))


@st.composite
def by_nobody(draw: st.DrawFn) -> Case:
    """Bytes that are no request, or one that was cut or spoilt on its way."""
    case = draw(st.one_of(by_rpc(), by_rest()))
    raw = bytearray(case.content)
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)):
        if raw:
            raw[at % len(raw)] = byte
    content = draw(st.one_of(st.just(bytes(raw)), st.just(bytes(raw[: len(raw) // 2])), st.binary(max_size=60)))
    return Case(draw(st.sampled_from(["POST", "PUT"])), case.path, content, case.headers)


CASES = st.one_of(by_rpc(), by_rpc(), by_rest(), by_rest(), by_nobody())


def answer_to(http: httpx.Client, case: Case) -> tuple[int, str]:
    """(status, body), of a stream its first event."""
    headers = {name: value.encode() for name, value in case.headers.items()}
    with http.stream(case.verb, case.path, content=case.content or None, headers=headers) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, next((line for line in answer.iter_lines() if line.startswith("data")), "")
        return answer.status_code, answer.read().decode()


def complaint(status: int, body: str, seconds: float) -> str | None:
    """What is wrong with an answer, if anything is."""
    if status >= 500 or '"code":-32603' in body.replace(" ", ""):
        return "the fault is said to be inside"
    if found := INSIDE.search(body):
        return f"it tells of the inside: {found[0]}"
    return f"it took {seconds:.1f} s" if seconds > SLOWEST else None


@pytest.mark.parametrize(
    ("status", "body"), [(500, ""), (200, '{"error": {"code": -32603}}'), (400, 'File "x"'), (404, "/tmp/a/x.db")]
)
def test_what_is_complained_of(status, body):
    assert complaint(status, body, 0.1)
    assert complaint(200, "{}", SLOWEST + 1)
    assert complaint(400, '{"error": {"code": -32602}}', 0.1) is None


def test_nothing_that_is_sent_breaks_the_server(tmp_path, seed_of_test):
    slowest, met = [0.0], Counter[str]()
    with Server(tmp_path) as server:
        TASKS.extend(server.run(nap("n", seconds)) for seconds in (0, 600, 600))
        server.rpc("PauseTask", {"id": TASKS[-1]})

        @seed(seed_of_test)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(CASES)
        def send(case: Case) -> None:
            began = time.monotonic()
            status, body = answer_to(server.http, case)
            seconds = time.monotonic() - began
            slowest[0] = max(slowest[0], seconds)
            met[f"{status}{' error' if 'error' in body else ''}"] += 1
            assert complaint(status, body, seconds) is None, (status, body)

        send()
        assert server.http.get("/readyz").status_code == 200
        answer = server.rpc("SendMessage", {"message": planned(nap("n", 0))})
        assert answer["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        told = server.log()
        assert "Traceback" not in told, told[told.index("Traceback") - 2000 :][:4000]
        assert server.stop() < SLOWEST
        assert server.process
        assert server.process.returncode == 0
    print(f"{EXAMPLES:,} requests, the slowest answer took {slowest[0]:.2f} s; {dict(met)}")


@pytest.fixture
def seed_of_test(seed):
    """The seed, for ``HOLDFAST_SEED=… make fuzz``."""
    return seed


def test_half_a_character_is_refused(tmp_path):
    json = {"Content-Type": "application/json"}
    with Server(tmp_path) as server:
        for body in (rb'{"jsonrpc": "2.0", "id": "\ud800", "method": "GetTask"}', rb'{"id": 1, "method": "\udc00"}'):
            answer = server.http.post("/a2a", content=body, headers=json)
            assert answer.status_code == 400
            assert "half a character" in answer.text
        whole = rb'{"jsonrpc": "2.0", "id": "\ud83d\ude00", "method": "GetTask", "params": {"id": "x"}}'
        assert server.http.post("/a2a", content=whole, headers=json).status_code == 200
