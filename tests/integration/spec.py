"""What control has to do to a task, from the architecture and not from the code: pure functions on a snapshot."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from holdfast.checkpoints import questions, subtasks, tasks

MODES = ("drain", "step", "now")
ENDED = {"COMPLETED", "FAILED", "CANCELED", "REJECTED"}
SETTLED = {"completed", "failed", "skipped", "canceled", "rolled_back"}
HOLDABLE = {"waiting", "running", "held", "input_required"}


class Refused(Exception):
    """The call has to raise the error of this name and change nothing."""


@dataclass
class Sub:
    """A subtask."""

    needs: list[str]
    state: str
    stops: dict[str, str]  # who → mode
    attempts: int


@dataclass
class Quest:
    """A question."""

    subtask: str
    kind: str
    open: bool
    deadline: float | None
    default: Any  # None: none


@dataclass
class Snap:
    """A task, its subtasks in the order of the plan, and its questions in the order of asking."""

    state: str
    stops: dict[str, tuple[str, float | None]]  # who → mode, until
    rollback: str | None
    waits_at_once: bool
    subs: dict[str, Sub] = field(default_factory=dict)
    questions: dict[str, Quest] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def pending(self) -> list[str]:
        return [name for name, one in self.questions.items() if one.open]

    def startable(self) -> set[str]:
        return {
            name
            for name, sub in self.subs.items()
            if sub.state == "waiting"
            and not sub.stops
            and all(self.subs[need].state == "completed" for need in sub.needs)
        }

    def dead_end(self, name: str) -> bool:
        return any(self.subs[need].state in SETTLED - {"completed"} for need in self.subs[name].needs)


def take(db: sqlite3.Connection, task_id: str) -> Snap:
    """The snapshot of what is on disk."""
    row = tasks.get(db, task_id)
    snap = Snap(
        row.state.value,
        {who: (stop["mode"], stop.get("until")) for who, stop in row.stops.items()},
        row.rollback,
        row.options.get("on_question", "pause") == "pause",
    )
    for sub in subtasks.load(db, row.number):
        stops = {who: stop["mode"] for who, stop in sub.stops.items()}
        snap.subs[sub.id] = Sub(sub.spec.get("dependencies", []), sub.state.value, stops, sub.attempts)
    for one in questions.load(db, row.number):
        default = None if one.default is None else json.loads(one.default)
        snap.questions[one.id] = Quest(one.subtask, one.kind, not one.answered, one.deadline, default)
    return snap


def pause(s: Snap, mode: str, until: float | None) -> None:
    if s.state not in ("SUBMITTED", "WORKING", "PAUSED") or s.rollback:
        raise Refused("IllegalMove")
    s.state = "PAUSED"
    known = s.stops.get("person", (mode, None))[0]
    s.stops["person"] = (max(known, mode, key=MODES.index), until)  # a milder mode never replaces a stricter one


def resume(s: Snap) -> None:
    if s.state not in ("WORKING", "PAUSED"):  # a rollback that lost its runner is taken up by a resume
        raise Refused("IllegalMove")
    if s.state == "PAUSED":
        _go_on(s)


def _go_on(s: Snap) -> None:
    s.state, s.stops = "WORKING", {}
    if s.pending() and (s.waits_at_once or not _can_run(s)):
        s.state = "INPUT_REQUIRED"


def _can_run(s: Snap) -> bool:
    return bool(s.startable()) or any(sub.state == "running" and not sub.stops for sub in s.subs.values())


def _lift(s: Snap, *whose: str) -> None:
    for who in whose:
        s.stops.pop(who, None)
    if s.state == "PAUSED" and not s.stops:
        _go_on(s)


def hold(s: Snap, name: str, mode: str) -> None:
    if s.ended or s.subs[name].state not in HOLDABLE:
        raise Refused("IllegalMove")
    s.subs[name].stops["person"] = mode
    if s.subs[name].state == "waiting":
        s.subs[name].state = "held"


def release(s: Snap, name: str) -> None:
    if s.ended or "person" not in s.subs[name].stops or s.subs[name].state not in HOLDABLE:
        raise Refused("IllegalMove")
    _free(s.subs[name], "person")
    _settle(s)


def _free(sub: Sub, who: str) -> None:
    sub.stops.pop(who, None)
    if sub.state == "held" and not sub.stops:
        sub.state = "waiting"


def _wait_again(sub: Sub) -> None:
    sub.state = "held" if sub.stops else "waiting"


def _end_live(s: Snap) -> None:
    for sub in s.subs.values():
        if sub.state not in SETTLED:
            sub.state = "canceled"
    for one in s.questions.values():
        one.open = False


def cancel(s: Snap, rollback: bool) -> None:
    if s.ended:
        raise Refused("IllegalMove")
    if s.rollback:
        s.rollback = "cancel"
        return
    _end_live(s)
    s.state, s.stops, s.rollback = ("WORKING", {}, "cancel") if rollback else ("CANCELED", {}, None)


def answer(s: Snap, question: str, value: Any) -> None:
    if s.ended:
        raise Refused("IllegalMove")
    if question not in s.questions:
        raise Refused("UnknownQuestion")
    one = s.questions[question]
    if not one.open:
        raise Refused("AlreadyAnswered")
    if not _fits(one, value):
        raise Refused("InvalidAnswer")
    one.open = False
    sub = s.subs.get(one.subtask)
    if sub and sub.state == "input_required":
        _wait_again(sub)
    if one.kind == "failure" and sub:
        if value == "skip":
            _drop(s, one.subtask, "skipped")
        elif value == "retry":
            sub.attempts = 0
        else:
            _end_live(s)
            s.state = "FAILED"
    _settle(s)


def _fits(one: Quest, value: Any) -> bool:
    if one.kind == "failure":
        return value in ("retry", "skip", "fail")
    return value == "approve" if one.kind == "approval" else isinstance(value, int)


def _settle(s: Snap) -> None:
    """What the task's own state becomes once its questions or holds have changed."""
    if s.ended:
        return
    if not s.pending() or not (s.waits_at_once or not _can_run(s)):
        for sub in s.subs.values():
            _free(sub, "parent")
        if s.state == "INPUT_REQUIRED":
            s.state = "WORKING"
    only_held = not _can_run(s) and any(sub.state == "held" for sub in s.subs.values())
    if "holds" in s.stops and not only_held:
        _lift(s, "holds")


def _drop(s: Snap, name: str, state: str) -> None:
    """A subtask that will give no result takes with it all that depends on it and has not run."""
    s.subs[name].state = state
    gone = {name}
    for other, sub in s.subs.items():
        if gone.intersection(sub.needs) and sub.state in ("waiting", "held", "input_required"):
            sub.state = "skipped"
            gone.add(other)
    for one in s.questions.values():
        one.open = one.open and one.subtask not in gone


def skip(s: Snap, name: str) -> None:
    if s.ended or s.rollback or s.subs[name].state not in ("waiting", "held", "input_required", "failed"):
        raise Refused("IllegalMove")
    _drop(s, name, "skipped")
    _settle(s)


def retry(s: Snap, name: str) -> None:
    if s.ended or s.rollback or s.subs[name].state not in ("failed", "skipped"):
        raise Refused("IllegalMove")
    back = {name}
    for other, sub in s.subs.items():
        if other == name or (sub.state == "skipped" and back.intersection(sub.needs)):
            back.add(other)
            _wait_again(sub)
            sub.attempts = 0
    _settle(s)


def tend(s: Snap, now: float) -> None:
    """What the clock brings: answers that are late, and pauses that are over."""
    for name, one in list(s.questions.items()):
        if s.ended or not one.open or one.deadline is None or one.deadline > now:
            continue
        if one.default is not None:
            answer(s, name, one.default)
        else:
            one.open = False
            _drop(s, one.subtask, "failed")
            _settle(s)
    if s.state == "PAUSED":
        over = [who for who, (_, until) in s.stops.items() if until and until <= now]
        if over:
            _lift(s, *over)
