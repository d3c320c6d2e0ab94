"""What a server is told: where it listens, what clients may read, and its limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.checkpoints.errors import BadInput

MEGABYTE = 1 << 20
OWN_FILES = 192  # that a server has open for itself: database, artifacts, what its tasks read, connections too many
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, or all together, may ask of a server; every limit has an answer that says so."""

    body_bytes: int = 2 * MEGABYTE
    bodies_bytes: int = 128 * MEGABYTE  # of all requests under way
    owner_bodies_bytes: int = 64 * MEGABYTE  # of one owner's
    depth: int = 64  # of nested JSON
    values: int = 50_000  # in it
    header_seconds: float = 10.0  # until a request's head is there
    body_seconds: float = 30.0  # until its body is
    send_seconds: float = 30.0  # for which a client may leave what is sent to it unread
    connections: int = 1000  # over HTTP, and as many again over gRPC
    per_peer: int = 600  # connections from one address
    streams: int = 512  # and other calls that wait, open at once for one owner
    waiting: int = 750  # of them for all owners; the rest of the connections is for calls that do not wait
    rate: float = 500.0  # requests a second of one owner, in the long run
    burst: int = 1000  # of them at once

    def fitted(self, files: int) -> Limits:
        """These limits where the process may have only so many files open: fewer connections, all in proportion."""
        share = (files - OWN_FILES) / (2 * self.connections)
        if share >= 1:
            return self
        fewer = {name: max(1, int(getattr(self, name) * share)) for name in ("connections", "per_peer", "waiting")}
        return replace(self, **fewer)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how to serve; ``hosts`` are further names that requests may use for this server."""

    host: str = "127.0.0.1"
    port: int = 8420
    grpc_port: int | None = None
    data: Sequence[Path] = ()
    hosts: Sequence[str] = ()
    metrics_for: Sequence[str] = ()  # the owners whose keys open /metrics
    tasks: int = 128  # worked on at once
    limits: Limits = Limits()

    @property
    def base(self) -> str:
        """The server's URL, from this machine where it listens on all of its addresses."""
        host = self.host
        if is_everywhere(host):
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def names(self) -> frozenset[str]:
        """The host names by which requests may call this server, beside the address they come to."""
        own = LOOPBACK if is_loopback(self.host) or is_everywhere(self.host) else (self.host,)
        return frozenset(name.strip("[]").lower() for name in (*own, *self.hosts))


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether an address stands for all that this machine has, such as 0.0.0.0."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def require_safe(settings: Settings, *, keyed: bool) -> None:
    """Raises BadInput for an address that others can reach while nobody has to show a key."""
    if not keyed and not is_loopback(settings.host):
        raise BadInput(
            f"{settings.host} can be reached from other machines, and no key is asked for; "
            "make one with `holdfast keys add NAME`, or serve on 127.0.0.1"
        )
