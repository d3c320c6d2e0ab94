"""Ports for the servers that tests start, below those that the system gives to outgoing connections."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, EACH = 20_000, 1_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_tried = itertools.count(os.getpid() * 7)


def free_port() -> int:
    """A port that nobody listens on now; workers side by side never get the same one."""
    for number in itertools.islice(_tried, EACH):
        port = FIRST + _worker * EACH + number % EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port is free from {FIRST + _worker * EACH} on")
