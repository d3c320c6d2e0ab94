"""Which addresses an agent may reach: none unless a person allows it, and then public ones only."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints.errors import BadInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WORDS = {"": (), "off": (), "false": (), "no": (), "0": (), "on": None, "true": None, "yes": None, "1": None}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NOT_PUBLIC: tuple[Network, ...] = (  # which the tables of some Python versions take for public
    *map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")),
    *map(ipaddress.IPv6Network, ("fec0::/10", "5f00::/16", "3fff::/20")),
)
_CARRIERS = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))  # of an IPv4 at their end


async def resolved(host: str, port: int) -> list[str]:
    """The addresses that the system knows for a host; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the public Internet, and carries no other one that is not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # with a zone, such as fe80::1%eth0
        return False
    return all(map(_is_public, _carried(ip)))


def _is_public(ip: Address) -> bool:
    inside = any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or inside)


def _carried(ip: Address) -> list[Address]:
    """The address, or the IPv4 addresses that an IPv6 one stands for."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    inside: list[Address] = [ip.sixtofour] if ip.sixtofour else list(ip.teredo or ())
    if any(ip in network for network in _CARRIERS):
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)] if int(ip) > 0xFFFF else [ip]
    return [ip, *inside]


@dataclass(frozen=True, slots=True)
class Reach:
    """``hosts`` that may be asked (``example.org``, ``*.example.org``); None is any, and none the default.

    ``resolve`` and ``public`` are the system's resolver and ``is_public``.
    """

    hosts: tuple[str, ...] | None = ()
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolved
    public: Callable[[str], bool] = is_public

    @classmethod
    def of(cls, setting: Any) -> Reach:
        """As the setting ``fetch`` says: on, off, or hosts; raises BadInput for anything else."""
        if isinstance(setting, str) and setting.strip().casefold() in _WORDS:
            return cls(_WORDS[setting.strip().casefold()])
        if setting is None or isinstance(setting, bool):
            return cls(None if setting else ())
        hosts = setting.split(",") if isinstance(setting, str) else setting
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise BadInput("the setting fetch is on, off, or a list of hosts such as example.org and *.example.org")
        return cls(tuple(host.strip().casefold() for host in hosts if host.strip()))

    def allows(self, host: str) -> bool:
        """Whether a host may be asked at all, by its name."""
        name = host.casefold().rstrip(".")
        return self.hosts is None or any(
            name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in self.hosts
        )

    @property
    def is_off(self) -> bool:
        """Whether nothing may be reached."""
        return self.hosts == ()
