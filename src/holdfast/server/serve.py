"""Runs the server until a signal: opens the database, listens, and hands its tasks over at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn

from holdfast.a2a.handler import Desk, Handler
from holdfast.checkpoints import keys
from holdfast.checkpoints.errors import BadInput
from holdfast.graphs.holdfast import Holdfast
from holdfast.server.app import echo_if, make_guarded
from holdfast.server.guard import Guard
from holdfast.server.keyring import Keyring
from holdfast.server.protocol import ImpatientProtocol
from holdfast.server.settings import Settings, is_everywhere, is_loopback, require_safe

log = logging.getLogger("holdfast.server")
BACKLOG = 1024
GRACE_SECONDS = 2
FILES = 1 << 16  # as many as are ever asked for


class _Server(uvicorn.Server):
    """uvicorn without handlers of its own for signals, which it would raise anew once it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield


async def serve(
    path: Path,
    settings: Settings,
    handler: Callable[[Desk], Handler] = Handler,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves one database until ``stop`` is set, by default at SIGTERM, SIGHUP or Ctrl-C, and hands its tasks over.

    Raises BadInput if the address is taken or unsafe.
    """
    stop = stop or stopped_by_signal()
    settings = replace(settings, limits=settings.limits.fitted(open_files()))
    with listen(settings) as listening:
        async with Holdfast.open(path, serves=settings.tasks) as hf:
            keyed = await hf.database.aread(keys.asked)
            require_safe(settings, keyed=keyed)
            desk = Desk(hf, settings.data, settings.base, settings.grpc_port, keyed)
            answers = handler(desk)
            keyring = Keyring(hf.database, partial(setattr, desk, "keyed"), anonymous=is_loopback(settings.host))
            guard = make_guarded(desk, settings, keyring, answers)
            config = uvicorn.Config(
                guard,
                http=cast("type[asyncio.Protocol]", partial(ImpatientProtocol, settings.limits, Counter[str]())),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # any client can write them
                timeout_graceful_shutdown=GRACE_SECONDS,
                lifespan="off",
            )
            server = _Server(config)
            settle_down()
            async with keyring.following(), _grpc(answers, settings, guard):
                _announce(opening(path, settings))
                ending = asyncio.create_task(_end(stop, guard, server), name="holdfast-end")
                try:
                    await server.serve(sockets=[listening])
                finally:
                    ending.cancel()
                    runs = hf.runs
        _announce(closing(runs))


def opening(path: Path, settings: Settings) -> str:
    """What is said once requests are answered."""
    where = f" and every other address of this machine (port {settings.port})" if is_everywhere(settings.host) else ""
    return f"Holdfast serves {path} at {settings.base}{where}; Ctrl-C hands its tasks over"


def closing(runs: int) -> str:
    """What is said at the end, when so many tasks were at work."""
    if not runs:
        return "Holdfast has ended; no task was at work"
    many = "1 task was" if runs == 1 else f"{runs:,} tasks were"
    return f"Holdfast has ended; {many} at work and handed over, to go on when it is started again"


async def _end(stop: asyncio.Event, guard: Guard, server: uvicorn.Server) -> None:
    await stop.wait()
    guard.close()
    server.should_exit = True


def stopped_by_signal() -> asyncio.Event:
    """An event that SIGINT, SIGTERM and, unless it is ignored, SIGHUP set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, stop.set)
    return stop


def open_files() -> int:
    """How many files this process may have open, once it has asked for as many as it can get."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        soft = wanted
    return FILES if soft == resource.RLIM_INFINITY else soft


def settle_down() -> None:
    """Takes what was loaded so far out of garbage collection, which would look at all of it while requests wait.

    Measured with 100 tasks at work: full collections of up to 0.46 s before, hardly any after.
    """
    gc.collect()
    gc.freeze()


def _announce(sentence: str) -> None:
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201  for the person who has started it
    else:
        log.info(sentence)


def _grpc(handler: Handler, settings: Settings, guard: Guard) -> AbstractAsyncContextManager[None]:
    """gRPC beside HTTP, if it is wanted."""
    if settings.grpc_port is None:
        return nullcontext()
    from holdfast.server.grpc import serving  # noqa: PLC0415  loads gRPC

    return serving(handler, settings, guard.gate, echo_if(handler.desk), guard.told)


def listen(settings: Settings) -> socket.socket:
    """A socket that listens; raises BadInput if the port is taken or the address is none of this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio's TCP_NODELAY wants it named
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)  # from here on clients may come, and wait
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"cannot listen on {settings.host} port {settings.port}: {reason}; choose another") from None
    return listening
