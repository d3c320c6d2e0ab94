"""Fetching: public addresses only, resolved once and pinned, each redirect checked, within limits; real servers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from holdfast.nodes.agent import fetch
from holdfast.nodes.agent.fetch import fetched
from holdfast.nodes.agent.files import Files
from holdfast.nodes.agent.reach import Reach, is_public, resolved
from holdfast.nodes.agent.tools import Desk, ToolRefused

PRIVATE = [
    "0.0.0.0", "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:0:0:0:0:80ff:fffe", "nonsense", "",
    "192.0.0.8", "192.0.0.192", "192.88.99.1", "fec0::1", "3fff::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_or_carries_a_private_one_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://0.0.0.0:{port}/", "http://0:{port}/",
        "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/", "http://127.1:{port}/",
        "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
        "http://[::]:{port}/", "http://127.0.0.1.:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://localhost.:{port}/",
        "http://user:secret@127.0.0.1:{port}/", "http://8.8.8.8@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@example.org/", "http://169.254.169.254/latest/meta-data/",
        "http://metadata.invalid/", "file:///etc/passwd", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/",
        "data:text/plain,hello", "http:///path", "//127.0.0.1:{port}/", "127.0.0.1:{port}", "http://[::1", "", "http://",
        "http://exa mple.org/", "unix:///run/x", "http://127.0.0.1:{port}/\r\nHost: example.org",
    ],
)  # fmt: skip
async def test_no_address_of_this_machine_is_reached_however_it_is_written(url):
    with site(lambda path: ok("private")) as (port, asked), pytest.raises(ToolRefused):
        await fetched(url.replace("{port}", str(port)), Reach(None))
    assert not asked


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/private", "http://169.254.169.254/latest/meta-data/", "http://localhost:{port}/private",
        "http://2130706433:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://inside.test:{port}/private",
        "file:///etc/passwd", "//127.0.0.1:{port}/private",
    ],
)  # fmt: skip
async def test_no_redirect_leads_to_a_private_address(target):
    with site(lambda path: ok("private")) as (inside, reached):
        where = target.replace("{port}", str(inside))
        with site(lambda path: (302, {"Location": where}, b"")) as (port, asked), pytest.raises(ToolRefused):
            await fetched(f"http://outside.test:{port}/", pretending("outside.test"))
        assert [path for path, _ in asked] == ["/"]
    assert not reached


async def test_a_name_that_means_another_address_a_moment_later_changes_nothing():
    """The first answer of the resolver is public and the next ones are not: there must be no next one."""
    answers = iter([["203.0.113.7"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with site(lambda path: ok("private")) as (port, reached):
        reach = Reach(None, resolve, lambda address: address == "203.0.113.7")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fetch, "SECONDS", 0.3)  # nobody answers at that address
            with pytest.raises(ToolRefused):
                await fetched(f"http://rebinding.test:{port}/", reach)
    assert asked == ["rebinding.test"]
    assert not reached


async def test_the_connection_goes_to_the_address_and_the_request_is_in_the_hosts_name():
    with site(lambda path: ok("fine")) as (port, asked):
        page = await fetched(f"http://outside.test:{port}/a?b=c#d", pretending("outside.test"))
    assert page.text == "fine"
    ((path, headers),) = asked
    assert path == "/a?b=c"
    assert headers["host"] == f"outside.test:{port}"
    assert not {"cookie", "authorization", "proxy-authorization"} & set(headers)


async def test_over_tls_the_host_is_named_and_an_unknown_certificate_is_not_taken():
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda connection, name, _: named.append(name)

    def shake(server: socket.socket) -> None:
        connection, _ = server.accept()
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with secured, suppress(OSError):
            secured.do_handshake()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=shake, args=(server,))
        thread.start()
        with pytest.raises(ToolRefused, match=r"outside\.test cannot be reached"):
            await fetched(f"https://outside.test:{server.getsockname()[1]}/", pretending("outside.test"))
        thread.join()
    assert named == ["outside.test"]


async def test_one_private_address_among_public_ones_is_enough_to_refuse():
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    refused = pytest.raises(ToolRefused, match="not an address of the public Internet")
    with site(lambda path: ok("private")) as (port, asked), refused:
        await fetched(f"http://mixed.test:{port}/", Reach(None, resolve))
    assert not asked


async def test_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine outside.test login somebody password planted-secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with site(lambda path: ok("proxied")) as (proxy, through), site(lambda path: ok("direct")) as (port, asked):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        page = await fetched(f"http://outside.test:{port}/", pretending("outside.test"))
    assert page.text == "direct"
    assert not through
    assert "authorization" not in asked[0][1]


async def test_redirects_are_followed_a_few_times():
    def hop(path: str):
        number = int(path.strip("/") or 0)
        return ok(f"after {number}") if number == last else (302, {"Location": f"/{number + 1}"}, b"")

    with site(hop) as (port, _):
        last = fetch.REDIRECTS
        assert (await fetched(f"http://a.test:{port}/", pretending("a.test"))).text == f"after {last}"
        last += 1
        with pytest.raises(ToolRefused, match="redirected more than 5 times"):
            await fetched(f"http://a.test:{port}/", pretending("a.test"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"Content-Type": "text/plain"}, b"x" * (fetch.LARGEST + 1)), "larger than 2 MB"),
        ((200, {"Content-Type": "application/octet-stream"}, b"x"), "not text but application/octet-stream"),
        ((200, {"Content-Type": "image/png"}, b"x"), "not text but image/png"),
        ((200, {}, b"x"), "not text but of no stated kind"),
        ((200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"x"), "compressed"),
        ((404, {"Content-Type": "text/plain"}, b"x"), "answered 404"),
        ((500, {"Content-Type": "text/plain"}, b"x"), "answered 500"),
        ((302, {}, b""), "answered 302"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_sentence(answer, told):
    with site(lambda path: answer) as (port, _), pytest.raises(ToolRefused, match=told):
        await fetched(f"http://a.test:{port}/", pretending("a.test"))


async def test_a_page_that_comes_too_slowly_is_given_up(monkeypatch):
    monkeypatch.setattr(fetch, "SECONDS", 0.2)
    release = threading.Event()

    def slow(path: str):
        release.wait(10)
        return ok("late")

    with site(slow) as (port, _):
        with pytest.raises(ToolRefused, match=r"did not come within 0\.2 s"):
            await fetched(f"http://a.test:{port}/", pretending("a.test"))
        release.set()


async def test_a_page_in_html_is_given_as_its_text():
    body = (
        "<html><head><title>T</title><style>x</style></head><body><h1>Füße</h1><script>no()</script><p>a <b>b</b></p>"
    )
    with site(lambda path: (200, {"Content-Type": "text/html; charset=latin-1"}, body.encode("latin-1"))) as (port, _):
        page = await fetched(f"http://a.test:{port}/", pretending("a.test"))
    assert page.text == "T\nFüße\na b"


@pytest.mark.parametrize(
    ("setting", "allowed", "refused"),
    [
        (None, [], ["example.org"]),
        ("off", [], ["example.org"]),
        (False, [], ["example.org"]),
        ("on", ["example.org", "a.b"], []),
        (True, ["example.org"], []),
        ("example.org, *.example.com", ["example.org", "EXAMPLE.org.", "a.b.example.com"],
         ["a.example.org", "example.com", "notexample.com", "example.org.evil.test"]),
        (["example.org"], ["example.org"], ["x"]),
        ([], [], ["example.org"]),
    ],
)  # fmt: skip
def test_the_setting_says_which_hosts(setting, allowed, refused):
    reach = Reach.of(setting)
    assert all(map(reach.allows, allowed))
    assert not any(map(reach.allows, refused))


async def test_it_is_off_unless_a_person_allows_it():
    async def ask(prompt, schema, default):
        raise AssertionError

    with pytest.raises(ToolRefused, match="a person allows it with HOLDFAST_FETCH"):
        await fetch.fetch(fetch.Address(url="http://example.org/"), Desk(Files(), Reach(), ask))


async def test_a_host_that_is_not_listed_is_not_even_resolved():
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(ToolRefused, match=r"evil\.test is not among the hosts"):
        await fetched("http://evil.test/", Reach(("example.org",), resolve))


Answer = tuple[int, dict[str, str], bytes]


def ok(text: str) -> Answer:
    return 200, {"Content-Type": "text/plain"}, text.encode()


def pretending(name: str) -> Reach:
    """A reach in which that one name stands for this machine, and nothing else of it may be reached."""
    ours: set[str] = set()

    async def resolve(host: str, port: int) -> list[str]:
        (ours.add if host == name else ours.discard)("127.0.0.1")
        return await resolved("127.0.0.1" if host == name else host, port)

    return Reach(None, resolve, lambda address: address in ours)


@contextmanager
def site(answer: Callable[[str], Answer]):
    """A server on this machine; (port, what it was asked)."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            status, headers, body = answer(self.path)
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()
