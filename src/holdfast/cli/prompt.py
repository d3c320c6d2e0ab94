"""Asking a person in the terminal, in the place where the live view stood.

Nothing depends on an answer being given here: the question is on disk, and another process may answer it meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rich.text import Text

from holdfast.checkpoints.errors import AlreadyAnswered, BadInput, HoldfastError, InvalidAnswer
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL
from holdfast.cli import asking
from holdfast.cli.board import Board, entry
from holdfast.cli.common import Target
from holdfast.cli.engine import Engine
from holdfast.cli.forecast import ahead
from holdfast.cli.frame import WIDEST, tree
from holdfast.cli.keyboard import Keyboard
from holdfast.cli.signals import Signals
from holdfast.cli.text import clean, count, duration
from holdfast.cli.views import console
from holdfast.graphs.task import Task


class Prompt:
    """Conversations about one task's questions."""

    def __init__(self, to: Target, board: Board, keyboard: Keyboard, signals: Signals, stream: TextIO) -> None:
        self._to, self._board, self._keyboard, self._signals = to, board, keyboard, signals
        self._stream, self._out = stream, console(stream)
        self._declined: set[str] = set()

    def next(self, task: Task) -> Question | None:
        """The first open question that was not declined here."""
        if task.state in TERMINAL:
            return None
        return next((one for one in task.questions if one.id not in self._declined), None)

    def waits(self) -> bool:
        """Whether, as far as the board knows, there is something to ask."""
        return bool(self._board.asked.keys() - self._declined)

    def forget(self) -> None:
        """Takes what the board knows as declined: it was settled in another way."""
        self._declined |= self._board.asked.keys()

    async def ask(self, hf: Engine, task: Task, question: Question, tick: Callable[[], None]) -> None:
        """Asks until there is an answer, the person declines, or somebody else has settled it."""
        self._keyboard.lines()
        self._introduce(task, question)
        self._signals.asking, self._signals.declined = True, False
        try:
            while (text := await self._line(question, tick)) is not None:
                if await self._give(hf, task, question, text):
                    return
        finally:
            self._signals.asking = False
            self._out.print()

    def _introduce(self, task: Task, question: Question) -> None:
        out = self._out
        out.print()
        if question.kind == "approval":
            now, width = time.time(), min(out.width, WIDEST)
            entries = [entry(one) for one in task.plan.subtasks]
            out.print(Text(clean(task.goal), "bold"), soft_wrap=True)
            for line in tree(entries, width, now):
                out.print(line, soft_wrap=True)
            left = ahead(entries, self._board.workers, now)
            about = f", about {duration(left)}" if left else ""
            out.print(Text(f"{count(len(entries), 'subtask')}{about}", "dim"))
            out.print()
        who = "" if question.subtask.startswith("@") else f"{clean(question.subtask)} asks: "
        out.print(Text.assemble(("? ", "bold magenta"), who, (clean(question.prompt), "bold")), soft_wrap=True)
        form = "approve, reject REASON, or edit" if question.kind == "approval" else asking.hint(question)
        out.print(Text(f"  {form}; Ctrl-C leaves it open", "dim"), soft_wrap=True)

    async def _line(self, question: Question, tick: Callable[[], None]) -> str | None:
        """What was typed; None if the question was declined or is settled."""
        given = asking.default(question)
        self._stream.write("  > " if given is None else f"  [{clean(given)}] > ")
        self._stream.flush()
        while True:
            try:
                line = self._keyboard.line()
            except EOFError:
                self._signals.declined = True
                line = None
            if line is not None:
                return line
            if self._signals.declined or self._signals.leave:
                self._declined.add(question.id)
                self._say("left open")
                return None
            if self._board.has_told(question.id) and question.id not in self._board.asked:
                self._say("it was settled elsewhere")
                return None
            tick()
            await self._signals.moment()

    async def _give(self, hf: Engine, task: Task, question: Question, text: str) -> bool:
        """Hands an answer in; False if the person has to say something else."""
        try:
            if question.kind == "approval" and text.strip().lower() == "edit":
                await asyncio.to_thread(self._explain_edit, task, question)
                return False
            if not text.strip() and question.default is None and (question.schema or {}).get("type") != "string":
                self._say("an answer is needed")
                return False
            given = asking.read(text, question) if text.strip() else json.loads(question.default or '""')
            await hf.answer(task.id, question.id, given)
        except (InvalidAnswer, BadInput) as error:
            reason = error.reason if isinstance(error, InvalidAnswer) else str(error)
            self._out.print(Text(f"  ✗ {clean(reason)}", "red"), soft_wrap=True)
            return False
        except AlreadyAnswered as error:
            self._say(str(error))
        except HoldfastError as error:  # the task has ended, or another process works on it
            self._declined.add(question.id)
            self._say(str(error))
        return True

    def _explain_edit(self, task: Task, question: Question) -> None:
        """Writes the plan to a file, unless one is there, and says how to hand it in."""
        path = Path(f"plan-{task.id[:8]}.json")
        if not path.exists():
            with self._to.reading() as store:
                plan = json.dumps(store.plan(task.id), ensure_ascii=False, indent=2)
            try:
                path.write_text(plan + "\n", "utf-8")
            except OSError as error:
                raise BadInput(f"{path} cannot be written ({error.strerror or error})") from None
        command = self._to.command("answer", task.id[:8], "--question", question.id, f"@{path}")
        self._say(f"the plan is in {path}: change it in your editor, then answer @{path} here,")
        self._say(f"or leave this open and type: {command}")

    def _say(self, sentence: str) -> None:
        self._out.print(Text(f"  {clean(sentence)}", "dim"), soft_wrap=True)
