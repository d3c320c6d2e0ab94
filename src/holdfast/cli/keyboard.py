"""The terminal's keyboard, read on the event loop: single keys while a task runs, whole lines while a question is open.

The terminal's own mode is put back whenever keys are not watched.  A process in the background neither reads nor sets
anything, because the system would stop it for that; it looks again when it is continued.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
from contextlib import suppress

from holdfast.cli.signals import Signals

_LFLAG, _CC = 3, 6


class Keyboard:
    """Reads ``stdin`` if a person sits there; without one, ``there`` is False and nothing happens."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._typed = b""
        self._ended = False
        self._wanted: str | None = None  # 'keys' or 'lines'
        self._loop = asyncio.get_running_loop()
        self._fd = _terminal()
        self._before = termios.tcgetattr(self._fd) if self._fd is not None and self.there else None
        if self._before:
            self._loop.add_signal_handler(signal.SIGCONT, self._again)

    @property
    def there(self) -> bool:
        """Whether a person can type to this process now."""
        try:
            return self._fd is not None and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def keys(self) -> None:
        """From now on each key goes to the signals as it is pressed."""
        self._watch("keys")

    def lines(self) -> None:
        """From now on whole lines are collected, as the terminal edits them; what was typed before is dropped."""
        self._typed, self._ended = b"", False
        self._watch("lines")

    def line(self) -> str | None:
        """The next line without its end; None if there is none yet.  Raises EOFError if the person closed the input."""
        if b"\n" in self._typed:
            line, _, self._typed = self._typed.partition(b"\n")
            return line.decode(errors="replace").rstrip("\r")
        if self._ended:
            raise EOFError
        return None

    def close(self) -> None:
        """Puts the terminal back as it was."""
        if self._before and self._fd is not None:
            self._loop.remove_signal_handler(signal.SIGCONT)
            self._loop.remove_reader(self._fd)
            self._set(self._before)
        self._wanted = self._before = None

    def _watch(self, wanted: str) -> None:
        self._wanted = wanted
        self._again()

    def _again(self) -> None:
        """Sets the mode that is wanted, and reads."""
        if self._fd is None or self._before is None or self._wanted is None or not self.there:
            return
        mode = [*self._before[:_CC], list(self._before[_CC])]
        if self._wanted == "keys":
            mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
            mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        self._set(mode)
        self._loop.add_reader(self._fd, self._read)

    def _set(self, mode: list[object]) -> None:
        if self._fd is not None and self.there:
            with suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSAFLUSH, mode)  # type: ignore[arg-type]

    def _read(self) -> None:
        assert self._fd is not None
        if not self.there:
            self._loop.remove_reader(self._fd)
            return
        try:
            typed = os.read(self._fd, 4096)
        except OSError:
            typed = b""
        if not typed:  # Ctrl-D on an empty line, or the terminal has gone
            self._ended = True
            self._loop.remove_reader(self._fd)
        elif self._wanted == "keys":
            for key in typed.decode(errors="replace"):
                self._signals.press(key)
        else:
            self._typed += typed
        self._signals.arrived()


def _terminal() -> int | None:
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    except (OSError, ValueError, AttributeError):
        return None
