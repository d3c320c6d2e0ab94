"""Working on one task in the foreground: signals, views, and the exit code that the task's last state has.

Ctrl-C pauses (``step``), again at once (``now``), a third time leaves.  SIGTERM and SIGHUP hand over: the block of the
open Holdfast is left, which stops the work at its next step and keeps the task WORKING.  Whatever happened, the end is
read from the file afterwards, so what is printed last is what is on disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from holdfast.checkpoints.errors import HoldfastError, IllegalMove, LeaseHeld, LeaseLost, StoreError
from holdfast.checkpoints.states import TaskState
from holdfast.cli import ending
from holdfast.cli.board import Board
from holdfast.cli.common import Target, close_stdout
from holdfast.cli.exits import HANDED_OVER, STATES, report
from holdfast.cli.preflight import engine
from holdfast.cli.store import Store
from holdfast.cli.views import View, views
from holdfast.graphs.holdfast import Holdfast
from holdfast.graphs.task import Task

POLL_SECONDS = 0.05
LATE_SECONDS = 0.5
PAUSES = ("step", "now")
STOPPED = frozenset(state for state, code in STATES.items() if code != HANDED_OVER)
Begin = Callable[[Holdfast], Awaitable[Task]]


class Signals:
    """How often Ctrl-C was pressed, and whether to hand over."""

    def __init__(self) -> None:
        self.interrupts, self.leave = 0, False
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                self._loop.add_signal_handler(number, self._hand_over)

    async def moment(self) -> None:
        """Waits a little, or until a signal comes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), POLL_SECONDS)
        self._arrived.clear()

    def _interrupt(self) -> None:
        self.interrupts += 1
        self.leave = self.interrupts > len(PAUSES)
        self._arrived.set()

    def _hand_over(self) -> None:
        self.leave = True
        self._arrived.set()


@dataclass(slots=True)
class Stage:
    """What one foreground run shows, and what it has come to."""

    to: Target
    json_to: TextIO | None
    types: Sequence[str] = ()
    began: float = field(default_factory=time.time)
    board: Board | None = None
    shown: list[View] = field(default_factory=list)
    error: Exception | None = None

    def open(self, task: Task, *, after: int) -> Board:
        """Says who works on what, and brings up the views."""
        again = self.to.command("resume", task.id[:8], *(word for one in self.types for word in ("--types", one)))
        people = sys.stderr if self.json_to else sys.stdout
        print(f"engine: {engine()}; task {task.id}", file=people)
        print(f"Ctrl-C pauses; carry on with: {again}", file=people, flush=True)
        self.board = Board(task)
        self.shown = views(self.board, self.json_to, after=after)
        return self.board

    def tick(self, foot: str = "") -> None:
        """Lets each view draw."""
        for view in self.shown:
            view.tick(foot)


def work(to: Target, begin: Begin, *, types: Sequence[str] = (), told: int = 0) -> int:
    """Begins with ``begin`` and works to an end or a stop; returns the exit code.  ``told``: events of earlier runs."""
    stage = Stage(to, _private_stdout() if to.json else None, types)
    try:
        asyncio.run(_work(stage, begin, told))
    except Exception as error:
        stage.error = error
    try:
        if stage.board is None:
            return report(stage.error or HoldfastError("nothing was started"))
        return _close(stage, stage.board)
    finally:
        if stage.json_to:
            with suppress(BrokenPipeError):
                stage.json_to.close()


async def _work(stage: Stage, begin: Begin, told: int) -> None:
    signals = Signals()
    async with Holdfast.open(stage.to.path) as hf:
        task = await begin(hf)
        board = stage.open(task, after=told)
        hf.listen(lambda news: _progress(board, news))
        try:
            await _attend(hf, stage, board, signals)
        except Exception as error:
            stage.error = error
    # Here the work has ended or was handed over; the views show what came last when they are closed.


async def _attend(hf: Holdfast, stage: Stage, board: Board, signals: Signals) -> None:
    """Watches until the work here has ended; raises what broke it off."""
    follower = asyncio.create_task(_follow(hf, stage, board))
    asked = 0
    try:
        while hf.working_on(board.id) and not signals.leave:
            if asked < min(signals.interrupts, len(PAUSES)):
                await _pause(hf, board.id, PAUSES[asked])
                asked += 1
            if follower.done():
                follower.result()
            stage.tick(_foot(board, asked))
            await signals.moment()
        if not signals.leave:
            with suppress(TimeoutError):
                await asyncio.wait_for(hf.wait(board.id, until=STOPPED), LATE_SECONDS)
    finally:
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)


async def _follow(hf: Holdfast, stage: Stage, board: Board) -> None:
    async for event in hf.events(board.id):
        if board.wants_plan(event):
            board.load(await hf.get(board.id))
        board.apply(event)
        for view in stage.shown:
            view.event(event)


async def _pause(hf: Holdfast, task: str, mode: str) -> None:
    with suppress(IllegalMove):  # it has just ended, or asks: then that is its state
        await hf.pause(task, mode=mode, reason="Ctrl-C")


def _progress(board: Board, news: dict[str, Any]) -> None:
    if news["type"] == "progress" and news["task"] == board.id:
        board.progress(news["subtask"], news["data"]["done"], news["data"]["total"])


def _foot(board: Board, asked: int) -> str:
    if asked == 0:
        return "Ctrl-C pauses" if board.state != TaskState.PAUSED else "pausing: what is under way ends"
    if asked == 1:
        return f"pausing: {len(board.running)} under way end their step; Ctrl-C stops them at once"
    return "pausing: stopping what is under way; Ctrl-C leaves it"


def _close(stage: Stage, board: Board) -> int:
    """Shows what happened last and how things stand; returns the exit code."""
    try:
        task: Task | None = _catch_up(stage, board)
    except BrokenPipeError as error:
        stage.error, task = error, _reread(stage, board)
    except StoreError as error:
        stage.error, task = stage.error or error, None
    for view in stage.shown if not isinstance(stage.error, BrokenPipeError) else []:
        view.close()
    if task and task.paused_by == "system" and not stage.error:
        stage.error = StoreError(task.pause_reason or "the task was paused for a fault of the system")
    code = STATES[task.state] if task else HANDED_OVER
    if isinstance(stage.error, BrokenPipeError):
        close_stdout()
        return code
    if stage.error and not isinstance(stage.error, asyncio.CancelledError):
        unexpected = report(stage.error)
        code = code if isinstance(stage.error, StoreError | LeaseLost | LeaseHeld) else unexpected
    if task:
        _say_end(stage, task)
    return code


def _catch_up(stage: Stage, board: Board) -> Task:
    store = Store(stage.to.path)
    try:
        task = store.get(board.id)
        for event in store.events(board.id, board.seq):
            if board.wants_plan(event):
                board.load(task)
            board.apply(event)
            for view in stage.shown:
                view.event(event)
        return store.get(board.id)
    finally:
        store.close()


def _reread(stage: Stage, board: Board) -> Task | None:
    store = Store(stage.to.path)
    try:
        return store.get(board.id)
    finally:
        store.close()


def _say_end(stage: Stage, task: Task) -> None:
    seconds = time.time() - stage.began
    if stage.json_to:
        stage.json_to.write(json.dumps(task.to_json(), ensure_ascii=False) + "\n")
        stage.json_to.flush()
    if not stage.json_to or (sys.stderr.isatty() and not stage.json_to.isatty()):
        ending.show(task, seconds, stage.to, sys.stderr if stage.json_to else sys.stdout, stage.types)


def _private_stdout() -> TextIO:
    """Stdout for JSON alone: whatever else this process or its children print there goes to stderr."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    return private
