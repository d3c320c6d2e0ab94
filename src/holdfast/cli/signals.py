"""What the person at the terminal, or the system, wants of a run in the foreground.

Ctrl-C pauses (``step``), again at once (``now``), a third time leaves; where pausing is switched off the first leaves.
While a question is asked, Ctrl-C leaves the question open instead.  SIGTERM and SIGHUP hand over.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

POLL_SECONDS = 0.05
PAUSES = ("step", "now")


class Signals:
    """How often a pause was asked for, whether to hand over, and whether a question was declined."""

    def __init__(self, *, can_pause: bool) -> None:
        self.pauses, self.leave = 0, False
        self.reason = "Ctrl-C"
        self.asking, self.declined = False, False
        self.can_pause = can_pause
        self._arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, self._hand_over)

    async def moment(self) -> None:
        """Waits a little, or until something comes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), POLL_SECONDS)
        self._arrived.clear()

    def arrived(self) -> None:
        """Ends the present moment."""
        self._arrived.set()

    def press(self, key: str) -> None:
        """A key: p pauses, q hands over."""
        if key == "p" and self.can_pause and self.pauses == 0:
            self.pauses, self.reason = 1, "key p"
        elif key == "q":
            self.leave = True
        self.arrived()

    def _interrupt(self) -> None:
        if self.asking:
            self.declined = True
        else:
            self.pauses += 1
            self.leave = self.leave or not self.can_pause or self.pauses > len(PAUSES)
        self.arrived()

    def _hand_over(self) -> None:
        self.leave = True
        self.arrived()
