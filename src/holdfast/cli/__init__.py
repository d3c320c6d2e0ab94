"""The way into the command line: ``main`` loads the commands under its own eyes, so that Ctrl-C is met from the start.

``commands`` has them; ``cli`` and ``dispatch`` can be imported from here as well, and are loaded when they are.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's own would have to be loaded first
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from holdfast.cli.commands import cli, dispatch

__all__ = ["cli", "dispatch", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit code; Ctrl-C ends it with one line and 130."""
    try:
        sys.unraisablehook = _unraisable
        from holdfast.cli.commands import dispatch

        code = dispatch(arguments)
    except KeyboardInterrupt:
        code = interrupted()
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done but ending the process
    sys.exit(code)


def interrupted() -> int:
    """Says on stderr that Ctrl-C ended the command; returns the exit code, which is as shells have it."""
    after_the_keys = "\n" if sys.stderr.isatty() else ""  # a terminal has shown ^C
    print(f"{after_the_keys}interrupted", file=sys.stderr)
    return 130


def _unraisable(what: Any) -> None:
    """A Ctrl-C that came where nothing can be raised, such as a weak reference's callback, counts all the same."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        os._exit(interrupted())
    sys.__unraisablehook__(what)


def __getattr__(name: str) -> Any:
    if name not in ("cli", "dispatch"):
        raise AttributeError(f"module 'holdfast.cli' has no attribute {name!r}")
    from holdfast.cli import commands

    return getattr(commands, name)
