"""Working on one task in the foreground: views, questions, and the exit code that the task's last state has.

``signals`` says what the person wants.  To hand over, the block of the open Holdfast is left, which stops the work at
its next step and keeps the task WORKING.  Whatever happened, the end is read from the file afterwards, so what is
printed last is what is on disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from holdfast.checkpoints.errors import HoldfastError, IllegalMove, LeaseHeld, LeaseLost, StoreError
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.cli import ending
from holdfast.cli.board import Board
from holdfast.cli.common import Target, close_stdout
from holdfast.cli.engine import Engine, Following
from holdfast.cli.exits import HANDED_OVER, STATES, report
from holdfast.cli.keyboard import Keyboard
from holdfast.cli.preflight import engine
from holdfast.cli.prompt import Prompt
from holdfast.cli.signals import PAUSES, Signals
from holdfast.cli.views import LiveView, View, views
from holdfast.graphs.task import Task

LATE_SECONDS = 0.5
WAITS = (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)
STOPPED = frozenset(state for state, code in STATES.items() if code != HANDED_OVER)
Begin = Callable[[Engine], Awaitable[Task]]


@dataclass(slots=True)
class Stage:
    """What one foreground run shows, and what it has come to."""

    to: Target
    json_to: TextIO | None
    types: Sequence[str] = ()
    out: str | None = None
    began: float = field(default_factory=time.time)
    board: Board | None = None
    shown: list[View] = field(default_factory=list)
    error: Exception | None = None
    away: str = ""  # what to say while the server is

    def open(self, task: Task, *, after: int) -> Board:
        """Says who works on what, and brings up the views."""
        people = sys.stderr if self.json_to else sys.stdout
        does = "pauses" if self.to.can_pause else "hands over"
        who = f"server: {self.to.server}" if self.to.server else f"engine: {engine()}"
        print(f"{who}; task {task.id}", file=people)
        print(f"Ctrl-C {does}; carry on with: {self.to.resume(task.id, self.types)}", file=people, flush=True)
        self.board = Board(task)
        self.shown = views(self.board, self.json_to, after=after)
        return self.board

    @property
    def live(self) -> LiveView | None:
        """The view in a terminal, if there is one."""
        return next((view for view in self.shown if isinstance(view, LiveView)), None)

    def tick(self, foot: str = "") -> None:
        """Lets each view draw."""
        for view in self.shown:
            view.tick(self.away or foot)

    def hear(self, news: dict[str, Any]) -> None:
        """Takes in what is no event of the history: progress, a model's words, and whether the server is there."""
        if self.board and news["type"] == "progress" and news["task"] == self.board.id:
            self.board.progress(news["subtask"], news["data"]["done"], news["data"]["total"])
        elif self.board and news["type"] == "token" and news["task"] == self.board.id:
            self.board.token(news["subtask"], news["data"]["text"])
        elif news["type"] == "server.lost":
            self._say(f"the server does not answer; looking for it for {news['data']['seconds']:g} s")
        elif news["type"] == "server.back":
            self._say("")

    def _say(self, away: str) -> None:
        self.away = away
        if self.live is None:
            print(away or "the server is back", file=sys.stderr, flush=True)


def work(
    to: Target,
    begin: Begin,
    *,
    types: Sequence[str] = (),
    told: int = 0,
    ask: bool = True,
    out: str | None = None,
) -> int:
    """Begins with ``begin`` and works to an end or a stop; returns the exit code.

    ``told`` is the last event of earlier runs; without ``ask`` no question is asked in the terminal; ``out`` is where
    a server's files are brought to.
    """
    stage = Stage(to, _private_stdout() if to.json else None, types, out)
    try:
        asyncio.run(_work(stage, begin, told, ask))
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


async def _work(stage: Stage, begin: Begin, told: int, ask: bool) -> None:
    signals = Signals(can_pause=stage.to.can_pause)
    async with _engine(stage.to) as opened:
        hf: Engine = opened
        try:
            task = await begin(hf)
        except LeaseHeld as held:
            if not held.by_server:
                raise
            hf = Following(opened, held.task)
            task = await hf.get(held.task)
        board = stage.open(task, after=told)
        hf.listen(stage.hear)
        keyboard = Keyboard(signals)
        try:
            await _Watch(hf, stage, board, signals, keyboard, ask=ask).attend()
        except Exception as error:
            stage.error = error
        finally:
            keyboard.close()
    # Here the work has ended or was handed over; the views show what came last when they are closed.


def _engine(to: Target) -> AbstractAsyncContextManager[Engine]:
    if to.server:
        from holdfast.cli.remote_run import Runner

        return Runner(to.server)
    from holdfast.graphs.holdfast import Holdfast

    return Holdfast.open(to.path, pause_resume=to.can_pause)


class _Watch:
    """Watches the work of this process until it has ended, and passes on what the person wants."""

    def __init__(
        self, hf: Engine, stage: Stage, board: Board, signals: Signals, keyboard: Keyboard, *, ask: bool
    ) -> None:
        self._hf, self._stage, self._board = hf, stage, board
        self._signals, self._keyboard = signals, keyboard
        self._pauses = 0  # how many of those asked for were made
        live = stage.live if keyboard.there else None
        self._prompt = Prompt(stage.to, board, keyboard, signals, live.stream) if live and ask else None

    async def attend(self) -> None:
        """Returns when the work here has ended or is to be left; raises what broke it off."""
        follower = asyncio.create_task(_follow(self._hf, self._stage, self._board))
        if self._stage.live:
            self._keyboard.keys()
        try:
            while not self._signals.leave and await self._goes_on():
                if follower.done():
                    follower.result()
                self._stage.tick(self._foot())
                await self._signals.moment()
            if not self._signals.leave:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hf.wait(self._board.id, until=STOPPED), LATE_SECONDS)
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    async def _goes_on(self) -> bool:
        """Does what was asked for; whether there is still something to do here."""
        working = self._hf.working_on(self._board.id)
        if working and self._pauses < min(self._signals.pauses, len(PAUSES)):
            await self._pause(PAUSES[self._pauses])
            self._pauses += 1
        if self._prompt and not self._signals.pauses and (not working or self._prompt.waits()):
            return await self._ask(self._prompt) or working
        return working

    async def _ask(self, prompt: Prompt) -> bool:
        """Asks the next question, if there is one that a person can answer now."""
        task = await self._hf.get(self._board.id)
        question = prompt.next(task)
        if question is None or task.state not in (TaskState.WORKING, *WAITS):
            prompt.forget()
            return False
        await self._settle(task.state)
        live = self._stage.live
        if live:
            live.halt(erase=question.kind == "approval")
        await prompt.ask(self._hf, task, question, self._stage.tick)
        await self._carry_on()
        self._keyboard.keys()
        if live and not self._signals.leave:
            live.go_on()
        return True

    async def _carry_on(self) -> None:
        """Takes the task up again if it was answered from elsewhere and nobody works on it."""
        state = (await self._hf.get(self._board.id)).state
        if state == TaskState.WORKING and not (self._signals.leave or self._hf.working_on(self._board.id)):
            with suppress(LeaseHeld, IllegalMove):
                await self._hf.resume(self._board.id)

    async def _settle(self, state: TaskState) -> None:
        """Lets the siblings of a question that stops all of them come to rest, so that the last frame is true."""
        until = time.monotonic() + LATE_SECONDS
        while state in WAITS and self._hf.working_on(self._board.id) and time.monotonic() < until:
            self._stage.tick(self._foot())
            await self._signals.moment()

    async def _pause(self, mode: str) -> None:
        try:
            await self._hf.pause(self._board.id, mode=mode, reason=self._signals.reason)
        except IllegalMove:  # it has just ended, or asks: then that is its state; or it is undone, which nothing stops
            self._signals.can_pause = False

    def _foot(self) -> str:
        if not self._signals.can_pause:
            return "q or Ctrl-C hands over" if self._keyboard.there else "Ctrl-C hands over"
        if self._pauses == 0 and self._board.state != TaskState.PAUSED:
            return "p or Ctrl-C pauses   q hands over" if self._keyboard.there else "Ctrl-C pauses"
        if self._pauses == 0:
            return "pausing: what is under way ends"
        if self._pauses == 1:
            return f"pausing: {len(self._board.running)} under way end their step; Ctrl-C stops them at once"
        return "pausing: stopping what is under way; Ctrl-C leaves it"


async def _follow(hf: Engine, stage: Stage, board: Board) -> None:
    async for event in hf.events(board.id):
        if board.wants_plan(event):
            board.load(await hf.get(board.id))
        board.apply(event)
        for view in stage.shown:
            view.event(event)


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
    task = _brought(stage, task) if task else None
    code = STATES[task.state] if task else HANDED_OVER
    if isinstance(stage.error, BrokenPipeError):
        close_stdout()
        return code
    if stage.error and not isinstance(stage.error, asyncio.CancelledError):
        unexpected = report(stage.error)
        code = code if isinstance(stage.error, StoreError | LeaseLost | LeaseHeld) else unexpected
    if task:
        _say_end(stage, task)
    else:
        print(f"task {board.id} stays as it is there; carry on with: {stage.to.resume(board.id)}", file=sys.stderr)
    return code


def _catch_up(stage: Stage, board: Board) -> Task:
    with stage.to.reading() as store:
        task = store.get(board.id)
        for event in store.events(board.id, board.seq):
            if board.wants_plan(event):
                board.load(task)
            board.apply(event)
            for view in stage.shown:
                view.event(event)
        return store.get(board.id)


def _reread(stage: Stage, board: Board) -> Task | None:
    with stage.to.reading() as store:
        return store.get(board.id)


def _brought(stage: Stage, task: Task) -> Task:
    """The task with its files here, if a server has worked and they are wanted."""
    if not (stage.to.server and stage.out and task.state in TERMINAL):
        return task
    from holdfast.cli.remote_store import RemoteStore

    with stage.to.reading() as store:
        assert isinstance(store, RemoteStore)
        try:
            return store.fetched(task, Path(stage.out).expanduser())
        except HoldfastError as error:
            stage.error = stage.error or error
            return task


def _say_end(stage: Stage, task: Task) -> None:
    seconds = time.time() - stage.began
    if stage.json_to:
        stage.json_to.write(json.dumps(task.to_json(), ensure_ascii=False) + "\n")
        stage.json_to.flush()
    if not stage.json_to or (sys.stderr.isatty() and not stage.json_to.isatty()):
        ending.show(task, seconds, stage.to, sys.stderr if stage.json_to else sys.stdout, stage.types)
    else:
        if task.state in (TaskState.FAILED, TaskState.REJECTED) and task.error and not stage.error:
            report(HoldfastError(task.error))
        ending.ask(task, stage.to, sys.stderr)


def _private_stdout() -> TextIO:
    """Stdout for JSON alone: whatever else this process or its children print there goes to stderr."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    return private
