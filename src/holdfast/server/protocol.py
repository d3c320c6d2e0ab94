"""HTTP/1.1 for clients that cannot be trusted to be quick: uvicorn's protocol with the clocks that it lacks.

A connection is closed that has not sent a whole request's head in time, or that leaves unread what was sent to it.
It is read in small pieces, between which other connections have their turn; a request that comes as crumbs is marked
for the guard, and not taken apart any further.
One peer may have so many connections, and all peers together; the few that come beyond that are marked for the guard,
which answers them with a refusal, and further ones are cut off.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from holdfast.server.settings import Limits

PROGRESS_BYTES = 64 * 1024  # that a slow reader has to take in each period
CROWDED = "holdfast_crowded"  # in the state of a scope whose connection is one too many
CRUMBS = "holdfast_crumbs"  # in that of a request whose body comes in chunks that are far too small, or with far more
PIECE_BYTES = 8 * 1024  # that are read at once
HEAD_BYTES = 32 * 1024  # of a request
CHUNKS = 1000  # of a body, whatever their size; more have to have
CHUNK_BYTES = 128  # each, on average
WIRE_BYTES = 256 * 1024  # that may come beyond the largest body: its head and framing, and what is pipelined
SPARE = 16  # connections beyond a limit that are told so, or ask whether the server lives
NEARLY = 0.75  # of a limit; from there on a head has to come sooner
HURRIED_SECONDS = 1.0
PIPELINED_BYTES = 64 * 1024  # of a next request that are read while one is under way, so that its end is noticed
LINGER_SECONDS = 1.0  # for which a client may go on sending what is no longer wanted, before it is cut off


class Frugal(h11.Connection):
    """Takes requests apart, until one comes as crumbs: each costs as much as a large chunk.

    ``most`` are the bytes that may come on the wire for one request.
    """

    def __init__(self, most: int) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self._most, self._wire, self._body, self._chunks = most, 0, 0, 0

    @property
    def is_crumbs(self) -> bool:
        """Whether this request is taken apart no further."""
        return self._wire > self._most or self._chunks > CHUNKS + self._body // CHUNK_BYTES

    def receive_data(self, data: bytes) -> None:
        """Takes in what came."""
        self._wire += len(data)
        super().receive_data(data)

    def next_event(self) -> Any:
        """The next event, as h11 has it."""
        if self.is_crumbs:
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._wire = self._body = self._chunks = 0
        elif isinstance(event, h11.Data):
            self._body += len(event.data)
            self._chunks += event.chunk_start
        return event


class ImpatientProtocol(H11Protocol, asyncio.BufferedProtocol):
    """One connection; ``partial(ImpatientProtocol, limits, peers)`` is what uvicorn makes them with.

    ``peers`` counts the connections of each peer.
    """

    def __init__(self, limits: Limits, peers: Counter[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits, self._peers, self._peer = limits, peers, ""
        self.conn = self._frugal = Frugal(limits.body_bytes + WIRE_BYTES)
        self._piece = bytearray()
        self._head: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first head, if there is room; every byte that stays unsent is to be noticed."""
        super().connection_made(cast("asyncio.Transport", _Lingering(self, transport)))
        self._peer = peer_of(self.client)
        self._peers[self._peer] += 1
        if self._is_over(SPARE):
            transport.abort()
            return
        if self._is_over():
            self.app_state = {**self.app_state, CROWDED: True}
        transport.set_write_buffer_limits(high=0)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._peers[self._peer] -= 1
        if not self._peers[self._peer]:
            del self._peers[self._peer]
        self._forget()
        if self._reader:
            self._reader.cancel()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next piece is read to."""
        self._piece = bytearray(PIECE_BYTES)
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        """A piece of so many bytes was read."""
        piece, self._piece = self._piece, bytearray()
        self.data_received(bytes(memoryview(piece)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Takes in what came; a head that has begun has to end in time."""
        if self.transport.is_closing() or self._frugal.is_crumbs:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
            if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) <= PIPELINED_BYTES:
                self.flow.resume_reading()
        elif self._head is None:
            self._await_head()

    def handle_events(self) -> None:
        """Passes on what has been taken apart; the guard is told, who waits for more of the body, that none comes."""
        super().handle_events()
        if self._frugal.is_crumbs and self.cycle is not None:
            self.cycle.scope["state"][CRUMBS] = True
            self.cycle.message_event.set()

    def pause_writing(self) -> None:
        """Something stays unsent: the client has to go on reading."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """All has been sent."""
        super().resume_writing()
        if self._reader:
            self._reader.cancel()
            self._reader = None

    @property
    def is_sent_more(self) -> bool:
        """Whether the client is still sending a request that has been answered."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _await_head(self) -> None:
        seconds = self._limits.header_seconds
        if self._is_over(share=NEARLY):
            seconds = min(seconds, HURRIED_SECONDS)
        self._head = self.loop.call_later(seconds, self.transport.close)

    def _is_over(self, spare: int = 0, share: float = 1.0) -> bool:
        """Whether this peer, or all together, have more than that share of their connections and ``spare`` more."""
        limits = self._limits
        return (
            self._peers[self._peer] > limits.per_peer * share + spare
            or self._peers.total() > limits.connections * share + spare
        )

    def _forget(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None

    def _await_reader(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._reader = self.loop.call_later(self._limits.send_seconds, self._require_progress, unsent)

    def _require_progress(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > before - PROGRESS_BYTES:
            self.transport.abort()
        else:
            self._await_reader()


def peer_of(client: tuple[str, int] | None) -> str:
    """Whose connection it is: an address, of IPv6 the network that one customer has."""
    if client is None:
        return ""
    address = ipaddress.ip_address(client[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))


class _Lingering:
    """A transport whose ``close`` lets the client read the answer to what it has not sent to its end.

    To close at once would reset the connection, and the answer may be lost with it.
    """

    def __init__(self, protocol: ImpatientProtocol, transport: asyncio.Transport) -> None:
        self._protocol, self._transport, self._lingers = protocol, transport, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        if self._lingers or not self._protocol.is_sent_more or self._transport.is_closing():
            self._transport.close()
            return
        self._lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._protocol.loop.call_later(LINGER_SECONDS, self._transport.close)
