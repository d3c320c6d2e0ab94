"""A server in this process, on a thread of its own, whose limits are small enough to be met in a moment."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from holdfast.server.serve import serve
from holdfast.server.settings import Limits, Settings
from tests.acceptance.serving import SLOW
from tests.ports import free_port


class Limited:
    """Where the server is, and how to end it."""

    def __init__(self, port: int, path: Path, grpc_port: int | None = None) -> None:
        self.port, self.path, self.grpc_port = port, path, grpc_port
        self.http = self.client()

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """A client that comes from an address of this machine."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=SLOW,
            transport=httpx.HTTPTransport(local_address=address),
            headers={"A2A-Version": "1.0"},
        )

    def connect(self, receive_bytes: int | None = None, address: str = "127.0.0.1") -> socket.socket:
        """A bare connection from an address; with ``receive_bytes`` one that takes in little at a time."""
        bare = socket.socket()
        bare.bind((address, 0))
        if receive_bytes:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        bare.settimeout(SLOW)
        bare.connect(("127.0.0.1", self.port))
        return bare

    def rpc(self, method: str, params: dict[str, Any], **headers: str) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return self.http.post("/a2a", json=body, headers={name.replace("_", "-"): one for name, one in headers.items()})


@contextmanager
def limited(folder: Path, hosts: tuple[str, ...] = (), *, grpc: bool = False, **limits: Any) -> Iterator[Limited]:
    """Serves a new database in ``folder`` under these limits."""
    settings = Settings(port=free_port(), grpc_port=free_port() if grpc else None, hosts=hosts, limits=Limits(**limits))
    ends: list[Any] = []
    begun, failed = threading.Event(), list[BaseException]()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        begun.set()
        await serve(folder / "holdfast.db", settings, stop=stop)

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(SLOW)
    here = Limited(settings.port, folder / "holdfast.db", settings.grpc_port)
    try:
        while True:
            assert thread.is_alive(), failed
            try:
                here.http.get("/healthz", headers={"Host": "127.0.0.1"})
                break
            except httpx.TransportError:
                pass
        yield here
    finally:
        here.http.close()
        ends[0]()
        thread.join(SLOW)
    assert not failed
    assert not thread.is_alive()


def read_all(bare: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    try:
        while chunk := bare.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received
