"""The ways in which a run in the foreground is told: JSON Lines, plain lines, or a live view in a terminal."""

from __future__ import annotations

import json
import sys
import time
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import SETTLED, SubtaskState, TaskState
from holdfast.cli.board import Board
from holdfast.cli.forecast import Forecast
from holdfast.cli.frame import frame
from holdfast.cli.text import clean, count, duration, symbol, words

FRAME_SECONDS = 0.25
QUESTIONS = ("question.asked", "question.answered")


class View(Protocol):
    """One way of telling; ``event`` is called after the board has taken it in."""

    def event(self, event: Event) -> None: ...
    def tick(self, foot: str) -> None: ...
    def close(self) -> None: ...


class JsonLines:
    """Every event, one per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        """Prints the event."""
        self._stream.write(json.dumps(event.to_json(), ensure_ascii=False) + "\n")

    def tick(self, foot: str) -> None:
        """Hands on what was written."""
        self._stream.flush()

    def close(self) -> None:
        """As ``tick``."""
        self._stream.flush()


class PlainLines:
    """One line for each start and each end, for logs and pipes."""

    def __init__(self, board: Board, stream: TextIO, *, after: int) -> None:
        self._board, self._stream, self._after = board, stream, after
        self._began = time.time()

    def event(self, event: Event) -> None:
        """Prints what is worth telling, unless it was told by an earlier run."""
        told = self._task(event) if event.type.startswith("task.") else self._subtask(event)
        if told and event.seq > self._after:
            since = duration(max(event.at.timestamp() - self._began, 0.0))
            self._stream.write(f"{since:>8}  {told}\n")

    def tick(self, foot: str) -> None:
        """Hands on what was written."""
        self._stream.flush()

    def close(self) -> None:
        """As ``tick``."""
        self._stream.flush()

    def _task(self, event: Event) -> str | None:
        state = event.type.partition(".")[2].upper()
        if state not in TaskState.__members__ or state == TaskState.SUBMITTED:
            return None
        return f"{symbol(state)} {words(state)}{_reason(event)}"

    def _subtask(self, event: Event) -> str | None:
        state = event.type.partition(".")[2]
        if event.type.startswith("plan."):
            return _plan(event)
        if event.type in QUESTIONS:
            return _question(event)
        if not event.type.startswith("subtask.") or event.subtask is None or event.subtask.startswith("@"):
            return None
        if state == SubtaskState.RUNNING:
            return f"{symbol(state)} {clean(event.subtask)} started"
        if state in SETTLED or event.data:
            one = self._board.entries.get(event.subtask)
            taken = f" in {duration(one.seconds)}" if one and one.seconds is not None else ""
            verb = "tries again" if state == SubtaskState.WAITING else words(state)
            return f"{symbol(state)} {clean(event.subtask)} {verb}{taken}{_reason(event)}"
        return None


class LiveView:
    """The plan as it goes, redrawn a few times a second."""

    def __init__(self, board: Board, stream: TextIO) -> None:
        self.stream = stream
        self._board, self._forecast = board, Forecast(board)
        self._console = console(stream)
        self._began = time.time()
        self.go_on()

    def go_on(self) -> None:
        """Draws below what stands there."""
        self._next, self._foot = 0.0, ""
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def halt(self, *, erase: bool = False) -> None:
        """Draws no more until ``go_on``; the last frame stays unless it is erased."""
        self._live.transient = erase
        self.close()

    def event(self, event: Event) -> None:
        """Nothing: the next frame shows it."""

    def tick(self, foot: str) -> None:
        """Draws the next frame when its time has come, or at once when there is something else to say."""
        if not self._live.is_started:
            return
        if time.monotonic() >= self._next or foot != self._foot:
            self._draw(foot)
            self._next = time.monotonic() + FRAME_SECONDS

    def close(self) -> None:
        """Leaves the last frame standing."""
        if self._live.is_started:
            self._draw("")
            self._live.stop()

    def _draw(self, foot: str) -> None:
        self._foot = foot
        now, (width, height) = time.time(), self._console.size
        left = self._forecast.remaining(now)
        picture = frame(self._board, width, height, now, now - self._began, left, foot)
        self._live.update(picture, refresh=True)


def console(stream: TextIO) -> Console:
    """A console that prints text as it is given; NO_COLOR and the width of the terminal are respected."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def can_live(stream: TextIO) -> bool:
    """Whether a live view can be drawn there."""
    return stream.isatty() and not console(stream).is_dumb_terminal


def views(board: Board, json_to: TextIO | None, *, after: int) -> list[View]:
    """The views for this process's streams; ``json_to`` is where JSON goes, ``after`` what an earlier run has told."""
    if json_to is not None:
        shown: list[View] = [JsonLines(json_to)]
        return [*shown, LiveView(board, sys.stderr)] if can_live(sys.stderr) and not json_to.isatty() else shown
    for stream in (sys.stdout, sys.stderr):
        if can_live(stream):
            return [LiveView(board, stream)]
    return [PlainLines(board, sys.stderr, after=after)]


def _plan(event: Event) -> str | None:
    """What became of the plan; None where that is not worth a line."""
    if event.type == "plan.made":
        return f"○ planned{_planner(event)}: {count(event.data.get('subtasks', 0), 'subtask')}"
    why = event.data.get("why")
    return f"○ plan {event.type.partition('.')[2]}: {clean(str(why))}" if why else None


def _planner(event: Event) -> str:
    """Who made a plan, where a model was asked."""
    model, why = clean(str(event.data.get("model", ""))), clean(str(event.data.get("why", "")))
    return f" by the built-in rules, because {why}" if why else f" by {model}" if model else ""


def _question(event: Event) -> str:
    sign, question = symbol("input_required"), clean(str(event.data.get("question")))
    if event.type == "question.asked":
        return f"{sign} {question}: {clean(str(event.data.get('prompt')))}"
    by = event.data.get("by")
    return f"{sign} {question} answered" + (f" by {clean(str(by))}" if by and by != "person" else "")


def _reason(event: Event) -> str:
    reason = event.data.get("error") or event.data.get("reason")
    return f": {clean(str(reason))}" if reason else ""
