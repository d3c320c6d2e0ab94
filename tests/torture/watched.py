"""A task whose runner is killed: what is on disk and what its bodies logged, and whether the two agree."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast.checkpoints import control, questions, schema, subtasks, tasks
from holdfast.checkpoints.errors import HoldfastError
from holdfast.checkpoints.states import TERMINAL, SubtaskState

FINISHED = (SubtaskState.COMPLETED, SubtaskState.ROLLED_BACK)


class Watched:
    """The one task of the database in a folder; a fault is an AssertionError unless a subclass only counts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.log = folder, folder / "h.db", folder / "log"
        self.log.touch()
        self.results: dict[str, bytes] = {}  # as they were seen on disk first
        self.steps: dict[tuple[str, str], bytes] = {}
        self.undone: set[str] = set()
        self.read = 0  # lines of the log that were looked at

    def fault(self, what: str, how: str) -> None:
        raise AssertionError(f"{what}: {how}")

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()]

    def transact(self, act: Callable[[sqlite3.Connection, str], Any]) -> Any:
        """A transaction of another process on the task, if there is one; what is refused is not done."""
        if not self.path.exists():
            return None
        with closing(schema.connect(self.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            found = tasks.newest(db)
            try:
                value = act(db, found[0].id) if found else None
            except HoldfastError:
                db.execute("ROLLBACK")
                return None
            db.execute("COMMIT")
            return value

    def answer(self, value: Callable[[str], Any]) -> None:
        """A person answers every open question, with what ``value`` gives for the subtask that asks."""

        def answer(db: sqlite3.Connection, task: str) -> None:
            for one in questions.pending(db, tasks.get(db, task).number):
                control.answer(db, task, one.id, value(one.subtask), time.time())

        self.transact(answer)

    def ended(self) -> bool:
        return self.transact(lambda db, task: tasks.get(db, task).state in TERMINAL) or False

    def shown(self) -> Any:
        return self.transact(
            lambda db, task: (
                tasks.get(db, task).state.value,
                [(row.id, row.state.value) for row in subtasks.load(db, tasks.get(db, task).number)],
            )
        )

    def look(self) -> None:
        """Compares what is on disk with what was there before, and with what the bodies did since."""
        lines = self.lines()
        for word, what, *_ in lines[self.read :]:
            name, _, step = what.partition("/")
            if (word == "start" and name in self.results) or (word == "undo" and name in self.undone):
                self.fault("re-run", f"{word} {name}, which was done and on disk")
            if word == "effect" and (name, step) in self.steps:
                self.fault("step repeated", f"{what} was on disk and ran again")
        self.read = len(lines)
        ended = {what for word, what, *_ in lines if word == "end"}
        results, steps, self.undone = self.transact(self.stored) or ({}, {}, set())
        for kept, now in ((self.results, results), (self.steps, steps)):
            for name, body in kept.items():
                if now.get(name) != body:
                    self.fault("lost", f"{name} was on disk and is {'other' if name in now else 'gone'} now")
        for name in results:
            if name not in ended:
                self.fault("falsely completed", f"{name} is completed and its body never ended")
        for word, what, *_ in lines:
            if word == "kept" and tuple(what.split("/")) not in steps:
                self.fault("lost", f"step {what} was acknowledged and is not on disk")
        self.results, self.steps = results, steps

    @staticmethod
    def stored(db: sqlite3.Connection, task: str) -> tuple[dict[str, bytes], dict[tuple[str, str], bytes], set[str]]:
        number = tasks.get(db, task).number
        rows = subtasks.load(db, number)
        steps = db.execute(
            "SELECT s.subtask, s.name, r.body FROM steps s JOIN results r ON r.number = s.result WHERE s.task = ?",
            (number,),
        )
        return (
            {row.id: subtasks.result(db, number, row.id) for row in rows if row.state in FINISHED},
            {(name, step.replace(" ", "_")): body for name, step, body in steps},
            {row.id for row in rows if row.state == SubtaskState.ROLLED_BACK},
        )

    def look_at_effects(self, expected: Iterable[str]) -> None:
        """A receiver that honours keys did each effect once: there was one key for it, and it was its own."""
        keys: dict[str, set[str]] = {}
        for word, what, *rest in self.lines():
            if word == "effect":
                keys.setdefault(what, set()).add(rest[0])
        expected = set(expected)
        if keys.keys() != expected:
            self.fault("lost", f"effects: {expected - keys.keys()} never happened, {keys.keys() - expected} should not")
        applied = Counter(key for of in keys.values() for key in of)
        if any(len(of) > 1 for of in keys.values()) or any(times > 1 for times in applied.values()):
            self.fault("effect doubled", f"{keys}")

    def look_at_order_of_undoing(self, needs: Mapping[str, Iterable[str]]) -> None:
        """What was made from something is undone before it."""
        places: dict[str, list[int]] = {}
        for place, (word, what, *_) in enumerate(self.lines()):
            if word == "effect" and "/@undo" in what:
                places.setdefault(what.partition("/")[0], []).append(place)
        for user, used in needs.items():
            for need in used:
                if user in places and need in places and max(places[user]) > min(places[need]):
                    self.fault("order", f"{need} was undone before {user}, which was made from it")


def fork(work: Callable[[], None], errors: Path) -> int:
    """Runs ``work`` in a child; only a process with one thread may do so."""
    threads = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Threads"))
    if threads.split()[1] != "1":
        raise SystemExit(f"this process has {threads.split()[1]} threads: a fork of it could hang")
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        err = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(err, 1)
        os.dup2(err, 2)
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
