"""What the server does not let through: hosts and origins, large, deep and slow requests, too many of them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress

import h11
import httpx
import pytest
from google.protobuf.json_format import ParseDict

from holdfast.a2a import routes
from holdfast.server.body import deeper_than
from holdfast.server.gate import MANY, Buckets
from holdfast.server.protocol import CHUNKS, PIECE_BYTES, SPARE, Frugal, peer_of
from tests.acceptance.limited import Limited, limited, read_all
from tests.acceptance.serving import message, nap, planned, text

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
INSIDE = ("Traceback", "/work", ".py", "site-packages", "/tmp", "/root")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with limited(
        tmp_path_factory.mktemp("limits"),
        hosts=("agent.example",),
        body_bytes=10_000,
        header_seconds=0.4,
        body_seconds=0.4,
        send_seconds=0.4,
        streams=2,
        rate=1e6,
        burst=10**6,
    ) as here:
        yield here


def sentence(answer: httpx.Response) -> str:
    """The one sentence of a refusal, whatever its binding."""
    assert answer.headers["content-type"] == "application/json"
    assert not any(word in answer.text for word in INSIDE), answer.text
    said = answer.json()["error"]
    return said if isinstance(said, str) else said["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:99", "[::1]", "[::1]:1", "agent.example:80"])
def test_own_names_are_served(server, host):
    assert server.http.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:80"])
def test_other_names_are_refused_before_anything_else(server, host):
    for path in ("/healthz", "/.well-known/agent-card.json", "/a2a/rest/tasks", "/metrics"):
        answer = server.http.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "--allow-host" in sentence(answer)


@pytest.mark.parametrize("host", ["", "a b", "user@localhost", "[::1", "localhost:port", "localhost/x"])
def test_what_is_no_host_is_refused(server, host):
    answer = server.http.get("/healthz", headers={"Host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://localhost:1", "http://[", "file://"])
def test_pages_of_other_origins_are_refused(server, origin):
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
    answer = server.http.post("/a2a", json=body, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "origin" in sentence(answer)
    assert server.http.options("/a2a", headers={"Origin": origin}).status_code == 403


def test_several_origins_are_refused(server):
    own, other = (("Origin", f"http://{one}") for one in (f"127.0.0.1:{server.port}", "evil.example"))
    for lines in ([own, other], [other, own], [own, own]):
        assert server.http.get("/a2a/rest/tasks", headers=lines).status_code == 403


def test_its_own_page_may_ask(server):
    assert server.http.get("/a2a/rest/tasks", headers={"Origin": f"http://127.0.0.1:{server.port}"}).status_code == 200


@pytest.mark.parametrize("path", ["/a2a", "/a2a/rest/message:send", "/healthz"])
def test_two_lengths_are_refused_and_nothing_behind_them_is_answered(server, path):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect() as bare:
        bare.sendall(head.encode() + b"0\r\n\r\n" + GET)
        answer = read_all(bare)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_body_declared_too_large_is_not_read(server):
    with server.connect() as bare:
        bare.sendall(b"POST /a2a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10001\r\n\r\n")
        answer = read_all(bare)  # nothing of the body was sent, and yet there is an answer, and an end
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == -32600


def test_client_that_waits_to_send_is_told_so_before(server):
    with server.connect() as bare:
        bare.sendall(b"POST /a2a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
        assert read_all(bare).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", ["99999999999999999999999999", "10001"])
def test_declared_length_of_any_size(server, length):
    with server.connect() as bare:
        bare.sendall(f"POST /a2a/rest/message:send HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert read_all(bare).startswith((b"HTTP/1.1 4",))


def test_body_that_grows_too_large_is_not_read_on(server):
    with server.connect() as bare:
        bare.sendall(b"POST /a2a/rest/message:send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):  # the last one is too much; the body never ends
            bare.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        answer = read_all(bare)
    assert answer.startswith(b"HTTP/1.1 413 ")
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["error"]["details"][0]["reason"] == "TOO_LARGE"


CHUNKED = b"POST /a2a/rest/message:send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_body_that_comes_as_crumbs_is_not_read_on(server):
    with server.connect() as bare:
        bare.sendall(CHUNKED + b"1\r\n \r\n" * 2 * CHUNKS)  # the body never ends
        answer = read_all(bare)
    assert answer.startswith(b"HTTP/1.1 400 ")
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["error"]["details"][0]["reason"] == "TOO_SMALL_CHUNKS"


def test_crumbs_of_any_number_cost_what_a_few_do():
    connection, events = Frugal(1 << 30), 0
    connection.receive_data(CHUNKED)
    for _ in range(100):
        connection.receive_data(b"1\r\n \r\n" * (PIECE_BYTES // 6))
        while connection.next_event() is not h11.NEED_DATA:
            events += 1
    assert connection.is_crumbs
    assert events < 2 * CHUNKS


def test_what_comes_around_a_body_is_limited():
    connection = Frugal(100_000)
    connection.receive_data(CHUNKED)
    for _ in range(20):
        connection.receive_data(b"1;" + b"x" * 8000 + b"\r\n \r\n")
        while connection.next_event() is not h11.NEED_DATA:
            pass
    assert connection.is_crumbs


@pytest.mark.parametrize("size", [1, 150])
def test_body_in_chunks_of_an_ordinary_client_is_served(server, size):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}).encode()
    body = body.ljust(900 if size == 1 else 10_000)
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    assert "result" in server.http.post("/a2a", content=chunks).json()


def test_large_body_from_an_ordinary_client_gets_its_answer(server):
    for _ in range(20):
        answer = server.http.post("/a2a", content=b" " * 3_000_000)
        assert answer.status_code == 413
        assert sentence(answer) == "a request may have at most 10,000 bytes"


def test_largest_body_is_served(server):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}).encode()
    answer = server.http.post("/a2a", content=body + b" " * (10_000 - len(body)))
    assert "result" in answer.json()


def test_bodies_under_way_are_limited_together(tmp_path):
    limits = {"body_bytes": 10_000, "owner_bodies_bytes": 12_000, "bodies_bytes": 20_000, "body_seconds": 60}
    begun = b"POST /a2a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + b" " * 8000
    with limited(tmp_path, **limits) as server, server.client(ANOTHER) as other, server.client("127.0.0.3") as third:
        with server.connect() as one, server.connect(address=ANOTHER) as two:
            one.sendall(begun)
            two.sendall(begun)
            soon(lambda: server.http.post("/a2a", content=b" " * 8000).status_code == 429)
            soon(lambda: third.post("/a2a", content=b" " * 8000).status_code == 503)
            refused = third.post("/a2a", content=b" " * 8000)
            assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")
            assert other.post("/a2a", content=b" " * 3000).status_code == 200
        soon(lambda: server.http.post("/a2a", content=b" " * 8000).status_code == 200)
        assert [third.post("/a2a", content=b" " * 8000).status_code for _ in range(5)] == [200] * 5


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth // 2) + b"[" * (depth - depth // 2) + b"]" * (depth - depth // 2) + b"}" * (depth // 2)


@pytest.mark.parametrize("path", ["/a2a", "/a2a/rest/message:send"])
def test_depth_65_is_refused_and_64_is_not(server, path):
    answer = server.http.post(path, content=nested(65))
    assert answer.status_code == 400
    assert sentence(answer) == "the body is nested more than 64 levels deep"
    assert "nested" not in server.http.post(path, content=nested(64)).text
    assert server.http.post(path, content=b"[" * 9_999).status_code == 400


@pytest.mark.parametrize(
    "content", ["[[[".encode("utf-16"), "[".encode("utf-32"), b"[\x00[\x00", b"\xff\xfe", b"\xc3("]
)
def test_what_is_not_utf8_is_refused(server, content):
    for path in ("/a2a", "/a2a/rest/message:send"):
        answer = server.http.post(path, content=content)
        assert answer.status_code == 400
        assert "UTF-8" in sentence(answer)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1E+400", "9" * 5000])
def test_numbers_that_are_not_finite_are_refused(server, number):
    request = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"metadata": {"x": ["HERE"]}}}
    body = json.dumps(request).replace('"HERE"', number)
    for path in ("/a2a", "/a2a/rest/tasks/x:pause"):
        answer = server.http.post(path, content=body)
        assert answer.status_code == 400
        assert "finite" in sentence(answer)
    assert server.http.post("/a2a", content=body.replace(number, f'"{number}", 1e300, {"9" * 300}')).status_code == 200


def test_what_is_no_json_is_told_so_by_the_binding(server):
    answer = server.http.post("/a2a", content='{"jsonrpc"')
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32700)
    assert server.http.post("/a2a/rest/message:send", content='{"jsonrpc"').status_code == 400


def test_brackets_in_texts_are_no_depth():
    assert not deeper_than(json.dumps({"a": "[" * 1000, 'b"[\\': ["]" * 99]}).encode(), 2)
    assert deeper_than(json.dumps({"a": "[" * 1000, 'b"[\\': [[]]}).encode() + b"[" * 3, 2)
    assert deeper_than(b'"\\"' + b"[" * 1000 + b'" ' + nested(65), 64)


@pytest.mark.parametrize("part", [b"[", b'"', b"[]", b'"[', b"\\", b'["\\', b"[]{}" * 3])
def test_depth_of_two_megabytes_is_found_in_little_time(part):
    began = time.process_time()
    deeper_than(part * ((2 << 20) // len(part)), 64)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_head_that_does_not_end_in_time(server, sent):
    with server.connect() as bare:
        bare.sendall(sent)
        began = time.monotonic()
        read_all(bare)
        assert 0.2 < time.monotonic() - began < 5


def test_head_that_dribbles_in(server):
    with server.connect() as bare:
        began = time.monotonic()
        try:
            for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1000:
                bare.sendall(bytes([byte]))
                bare.settimeout(0.02)
                try:
                    assert bare.recv(1000) == b""
                    break
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
        assert 0.2 < time.monotonic() - began < 5


def test_second_head_of_a_connection_has_to_end_in_time_too(server):
    with server.connect() as bare:
        bare.sendall(GET)
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += bare.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        bare.sendall(b"GET /hea")
        began = time.monotonic()
        assert read_all(bare) == b""
        assert 0.2 < time.monotonic() - began < 4  # it would be let be for 5 s if nothing had come


def test_half_open_client_does_not_stay(server):
    with server.connect() as bare:
        bare.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert read_all(bare) == b""
        assert time.monotonic() - began < 5


def test_head_of_any_length_is_not_kept(server):
    with server.connect() as bare:
        with suppress(ConnectionError):
            bare.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000)
        assert read_all(bare)[:12] in (b"HTTP/1.1 400", b"")


def test_body_that_does_not_come_in_time(server):
    with server.connect() as bare:
        bare.sendall(b"POST /a2a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        answer = read_all(bare)
        assert 0.2 < time.monotonic() - began < 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()


def test_request_of_many_seconds_is_not_cut_off(server):
    """The clocks are for heads, bodies and readers, not for work."""
    began = time.monotonic()
    done = server.rpc("SendMessage", {"message": planned(nap("n", 1.2))}).json()
    assert done["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert time.monotonic() - began > 1.2


def ask_without_reading(bare: socket.socket, request: bytes, until: float) -> None:
    bare.settimeout(0.5)
    while time.monotonic() < until:
        with suppress(TimeoutError):
            bare.sendall(request * 100)


def test_reader_that_stops_reading_is_cut_off(server):
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect(receive_bytes=4096) as bare:
        began = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # no orderly end: what was unread is dropped
            ask_without_reading(bare, request, began + 20)
        assert time.monotonic() - began < 20
    assert server.http.get("/healthz").status_code == 200


def test_streams_of_one_owner_are_limited(server):
    task = server.rpc("SendMessage", {"message": planned(nap("n", 60)), "configuration": {"returnImmediately": True}})
    id_ = task.json()["result"]["task"]["id"]
    url, body = "/a2a", {"jsonrpc": "2.0", "id": 7, "method": "SubscribeToTask", "params": {"id": id_}}
    with server.http.stream("POST", url, json=body) as one, server.http.stream("POST", url, json=body) as two:
        assert [one.status_code, two.status_code] == [200, 200]
        told = two.iter_lines()
        assert next(told).startswith("data:")
        third = server.rpc("SubscribeToTask", {"id": id_})
        assert third.status_code == 429
        assert third.headers["retry-after"] == "1"
        assert third.json()["id"] == 7
        assert "2 streams" in sentence(third)
        assert server.http.get(f"/a2a/rest/tasks/{id_}:subscribe").status_code == 429
        started = server.rpc("SendStreamingMessage", {"message": message(text("never begun"))})
        assert started.status_code == 429
        assert server.rpc("GetTask", {"id": id_}).status_code == 200
        assert "holdfast_open_streams 2.0" in server.http.get("/metrics").text
    until = time.monotonic() + 10
    while "holdfast_open_streams 0.0" not in server.http.get("/metrics").text:
        assert time.monotonic() < until
    assert all(
        one["id"] == id_ or "never" not in str(one) for one in server.http.get("/a2a/rest/tasks").json()["tasks"]
    )
    with server.http.stream("POST", url, json=body) as again:
        assert again.status_code == 200
    server.rpc("CancelTask", {"id": id_})


ANOTHER = "127.0.0.2"  # a second peer on this machine


def request(path: str, body: dict | None = None) -> bytes:
    """The bytes of a request."""
    content = json.dumps(body).encode() if body else b""
    head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\nA2A-Version: 1.0\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def waits(server: Limited, how: str) -> bytes:
    """A request that is answered when a task has ended, in a minute."""
    message = {"message": planned(nap("n", 60))}
    if how == "rest":
        return request("/a2a/rest/message:send", message)
    if how == "rpc":
        return request("/a2a", {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message})
    sent = server.rpc("SendMessage", message | {"configuration": {"returnImmediately": True}}).json()
    return request(f"/api/tasks/{sent['result']['task']['id']}/events?after=99&{how}=20")


@pytest.mark.parametrize("how", ["rpc", "rest", "wait", "%77ait"])
@pytest.mark.parametrize("after", [b"", GET], ids=["", "pipelined"])
def test_calls_that_wait_are_limited_and_end_with_their_clients(tmp_path, how, after):
    with limited(tmp_path, streams=2) as server:
        begin = [waits(server, how) for _ in range(2)]
        blocking = {"message": planned(nap("m", 0))}
        with server.connect() as one, server.connect() as two:
            one.sendall(begin[0])
            two.sendall(begin[1])
            soon(lambda: "holdfast_open_streams 2.0" in server.http.get("/metrics").text)
            one.sendall(after)
            two.sendall(after)
            assert server.rpc("SendMessage", blocking).status_code == 429
            assert server.http.get("/a2a/rest/tasks").status_code == 200  # what does not wait is served
        soon(lambda: server.rpc("SendMessage", blocking).status_code == 200)
        tasks = server.http.get("/a2a/rest/tasks").json()["tasks"]
        begun = [one for one in tasks if one["status"]["state"] == "TASK_STATE_WORKING"]
        assert len(begun) == 2  # a client that goes away takes nothing back
        for one in begun:
            server.rpc("CancelTask", {"id": one["id"]})


def soon(condition) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_connections_of_one_peer_are_limited(tmp_path):
    with limited(tmp_path, per_peer=4, header_seconds=60) as server, ExitStack() as opened:
        server.http.close()
        for _ in range(4):
            opened.enter_context(server.connect())
        for path in ("/a2a", "/a2a/rest/tasks", "/.well-known/agent-card.json"):
            with server.connect() as fifth:
                fifth.sendall(request(path, {"jsonrpc": "2.0"} if path == "/a2a" else None))
                head, _, body = read_all(fifth).lower().partition(b"\r\n\r\n")  # to its end: it is closed
            assert head.startswith(b"http/1.1 503 ")
            assert b"retry-after: 1" in head
            assert b"content-type: application/json" in head
            assert "too many connections" in str(json.loads(body)["error"])
        with server.connect() as fifth:
            fifth.sendall(GET)
            assert read_all(fifth).startswith(b"HTTP/1.1 200 ")  # who looks after the server is not turned away
        with server.client(ANOTHER) as other:
            assert other.get("/a2a/rest/tasks").status_code == 200
        for _ in range(SPARE):
            opened.enter_context(server.connect())
        with server.connect() as cut, suppress(ConnectionError):
            cut.sendall(GET)
            assert read_all(cut) == b""
        opened.close()
        with server.client() as again:
            soon(lambda: again.get("/a2a/rest/tasks").status_code == 200)


def test_connections_of_all_peers_are_limited(tmp_path):
    with limited(tmp_path, connections=3, header_seconds=60) as server, server.client(ANOTHER) as other:
        server.http.close()
        with server.connect(), server.connect(), server.connect():
            assert other.get("/a2a/rest/tasks").status_code == 503
            assert other.get("/healthz").status_code == 200
        soon(lambda: other.get("/a2a/rest/tasks").status_code == 200)


def test_head_has_to_come_sooner_when_nearly_all_connections_are_taken(tmp_path):
    with limited(tmp_path, per_peer=4, header_seconds=60) as server:
        server.http.close()
        with server.connect(), server.connect(), server.connect(), server.connect() as last:
            began = time.monotonic()
            assert read_all(last) == b""
            assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whose_connection_it_is(address, peer):
    assert peer_of((address, 1)) == peer


def test_one_peers_flood_does_not_use_up_what_others_may_ask(tmp_path):
    with limited(tmp_path, rate=1, burst=5) as server, server.client(ANOTHER) as other:
        assert [server.http.get("/.well-known/agent-card.json").status_code for _ in range(7)][-1] == 429
        assert other.get("/.well-known/agent-card.json").status_code == 200


def test_rate_is_limited_and_says_when_to_come_again(tmp_path):
    with limited(tmp_path, rate=5, burst=5) as server:
        answers = [server.http.get("/a2a/rest/tasks") for _ in range(8)]
        refused = [one for one in answers if one.status_code == 429]
        assert refused
        assert [one.status_code for one in answers][:4] == [200] * 4
        assert "5 a second" in sentence(refused[0])
        assert refused[0].json()["error"]["status"] == "RESOURCE_EXHAUSTED"
        assert server.http.get("/healthz").status_code == 200  # who looks after the server is not turned away
        time.sleep(int(refused[0].headers["retry-after"]))
        assert server.http.get("/a2a/rest/tasks").status_code == 200


def test_buckets_are_each_owners_own():
    now = [0.0]
    buckets = Buckets(2, 4, lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] += 1000
    assert [buckets.take("a") > 0 for _ in range(5)] == [False] * 4 + [True]


def test_who_has_a_token_may_take_more_and_waits_for_them():
    now = [0.0]
    buckets = Buckets(2, 4, lambda: now[0])
    assert [buckets.take("a", 10), buckets.take("a"), buckets.take("b")] == [0, 3.5, 0]
    now[0] += 3.5
    assert [buckets.take("a"), buckets.take("a") > 0] == [0, True]


@pytest.mark.parametrize("content", [b"[" + b"1," * 10_000 + b"1]", b'"' + b"x" * 1_000_000 + b'"'])
def test_large_bodies_cost_more_than_small_ones(tmp_path, content):
    with limited(tmp_path, rate=1, burst=10) as server:
        assert server.http.post("/a2a", content=content).status_code == 200
        assert server.http.get("/a2a/rest/tasks").status_code == 429


@pytest.mark.parametrize("binding", ["rpc", "rest"])
def test_large_message_to_no_task_is_refused_before_it_is_converted(tmp_path, binding, monkeypatch):
    converted = []
    monkeypatch.setattr(routes, "ParseDict", lambda *_, **__: converted.append(1) or ParseDict(*_, **__))
    sent = {"message": message({"data": [1] * 20_000}, taskId="nope")}
    with limited(tmp_path) as server:
        if binding == "rpc":
            assert server.rpc("SendMessage", sent).json()["error"]["code"] == -32001
        else:
            assert server.http.post("/a2a/rest/message:send", json=sent).status_code == 404
        assert not converted


def test_owners_that_ask_no_more_are_forgotten():
    now = [0.0]
    buckets = Buckets(2, 4, lambda: now[0])
    for number in range(2 * MANY):
        buckets.take(f"{number}")
        now[0] += 1
    assert len(buckets._left) <= MANY + 1


def test_headers_of_proxies_are_not_believed(server):
    card = server.http.get("/.well-known/agent-card.json", headers={"X-Forwarded-Proto": "https"}).json()
    assert {one["url"].partition(":")[0] for one in card["supportedInterfaces"]} == {"http"}


def test_every_answer_has_the_headers_that_browsers_heed(server):
    for answer in (
        server.http.get("/healthz"),
        server.http.get("/nothing/here"),
        server.rpc("ListTasks", {}),
        server.http.get("/healthz", headers={"Host": "evil.example"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert server.rpc("ListTasks", {}).headers["cache-control"] == "no-store"
    assert "public" in server.http.get("/.well-known/agent-card.json").headers["cache-control"]


def test_json_ends_with_its_line(server):
    answers = [
        server.http.get("/healthz"),
        server.http.get("/.well-known/agent-card.json"),
        server.http.get("/nothing"),
        server.http.get("/a2a/rest/tasks"),
        server.http.get("/a2a/rest/tasks/nope"),
        server.http.get("/api/tasks"),
        server.http.get("/healthz", headers={"Host": "evil.example"}),
        server.rpc("ListTasks", {}),
        server.rpc("GetTask", {}),
    ]
    for answer in answers:
        assert answer.text.endswith("}\n")
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert server.http.head("/healthz").headers["content-length"] == answers[0].headers["content-length"]


def test_version_that_is_missing_is_asked_for(server):
    for version in ("", "0.3", "2.0"):
        for answer in (
            server.rpc("ListTasks", {}, A2A_Version=version),
            server.http.get("/a2a/rest/tasks", headers={"A2A-Version": version}),
        ):
            error = answer.json()["error"]
            assert "send the header `A2A-Version: 1.0`" in error["message"]
            assert (version or "no version") in error["message"]


def test_requested_extension_is_echoed(server):
    uri = "urn:holdfast:a2a:pause-resume:v1"
    assert server.rpc("ListTasks", {}, A2A_Extensions=f"urn:other, {uri}").headers["a2a-extensions"] == uri
    assert server.http.get("/a2a/rest/tasks", headers={"A2A-Extensions": uri}).headers["a2a-extensions"] == uri
    lines = [("A2A-Extensions", "urn:other"), ("A2A-Extensions", uri)]
    assert server.http.get("/a2a/rest/tasks", headers=lines).headers["a2a-extensions"] == uri
    assert "a2a-extensions" not in server.rpc("ListTasks", {}, A2A_Extensions="urn:other").headers
    assert "a2a-extensions" not in server.rpc("ListTasks", {}).headers
