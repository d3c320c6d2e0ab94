"""Work on content that nobody vouches for, in a process of its own: it can be killed at once, and has limits.

A module is run as ``__main__`` with a JSON object on its standard input and gives one on its standard output.  It has
no environment variables, an empty folder to work in, so many seconds, and so much memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.scratch import scratch_folder

SECONDS = 30.0
MEMORY = 2 << 30  # bytes of address space, most of it only reserved
OUTPUT = 4 << 20


class Confined(BadInput):
    """The work was not done; the sentence says why."""


async def confined(module: str, request: Mapping[str, Any], seconds: float = SECONDS) -> dict[str, Any]:
    """What the module's ``main`` gives for the request; raises Confined for what it refuses or cannot do in time.

    A cancel kills the process and waits until it is gone.
    """
    async with scratch_folder() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", module,
            cwd=folder,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": str(folder), "TMPDIR": str(folder)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=OUTPUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                body = json.dumps({**request, "seconds": seconds}).encode()
                out, _ = await process.communicate(body)
        except TimeoutError:
            raise Confined(f"it took longer than {seconds:g} s; ask for less") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _told(out, process.returncode)


def _told(out: bytes, code: int | None) -> dict[str, Any]:
    try:
        told = json.loads(out)
    except ValueError:
        raise Confined(f"it needed more memory than it may have, or broke off (exit {code}); ask for less") from None
    if "error" in told:
        raise Confined(str(told["error"]))
    return dict(told)


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The other side: limits this process, does the work and writes what came of it."""
    request = json.loads(sys.stdin.buffer.read())
    _limit(int(request.pop("seconds")) + 1)
    try:
        told = work(request)
    except BadInput as why:
        told = {"error": str(why)}
    except MemoryError:
        told = {"error": "it needed more memory than it may have; ask for less"}
    except Exception as error:  # of a library, about content that nobody vouches for
        told = {"error": f"it cannot be read: {type(error).__name__}"}
    sys.stdout.buffer.write(json.dumps(told).encode())
    sys.stdout.flush()
    os._exit(0)  # nothing is left to close, and a library's threads are not waited for


def _limit(seconds: int) -> None:
    """Ends this process by itself if whoever started it is gone."""
    import resource  # noqa: PLC0415  only this side needs it
    import signal  # noqa: PLC0415

    signal.alarm(seconds)
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, MEMORY)):
        with suppress(ValueError, OSError):  # not every system has each of them
            resource.setrlimit(kind, (most, most))
