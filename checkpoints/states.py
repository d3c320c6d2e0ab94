"""The lifecycles of a task and of a subtask, each one literal table.  No other module decides what is legal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from holdfast.checkpoints.errors import IllegalMove


class TaskState(StrEnum):
    """Where a task stands; upper case wherever it is a value."""

    SUBMITTED = "SUBMITTED"
    WORKING = "WORKING"
    PAUSED = "PAUSED"
    INPUT_REQUIRED = "INPUT_REQUIRED"
    AUTH_REQUIRED = "AUTH_REQUIRED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"


class TaskEvent(StrEnum):
    """What may happen to a task; the words complete the sentence "it cannot …"."""

    START = "start"
    PAUSE = "be paused"
    RESUME = "be resumed"
    ASK = "ask"
    ANSWER = "be answered"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "be canceled"
    REJECT = "be rejected"
    ROLL_BACK = "be rolled back"


_S, _E = TaskState, TaskEvent
TASK_MOVES: Mapping[TaskState, Mapping[TaskEvent, TaskState]] = {
    _S.SUBMITTED: {
        _E.START: _S.WORKING,
        _E.PAUSE: _S.PAUSED,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.REJECT: _S.REJECTED,
        _E.ROLL_BACK: _S.WORKING,
    },
    _S.WORKING: {
        _E.START: _S.WORKING,
        _E.PAUSE: _S.PAUSED,
        _E.RESUME: _S.WORKING,
        _E.ASK: _S.INPUT_REQUIRED,
        _E.COMPLETE: _S.COMPLETED,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.REJECT: _S.REJECTED,
        _E.ROLL_BACK: _S.WORKING,
    },
    _S.PAUSED: {
        _E.PAUSE: _S.PAUSED,
        _E.RESUME: _S.WORKING,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.ROLL_BACK: _S.WORKING,
    },
    _S.INPUT_REQUIRED: {
        _E.ANSWER: _S.WORKING,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.ROLL_BACK: _S.WORKING,
    },
    _S.AUTH_REQUIRED: {
        _E.ANSWER: _S.WORKING,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.ROLL_BACK: _S.WORKING,
    },
    _S.COMPLETED: {},
    _S.FAILED: {},
    _S.CANCELED: {},
    _S.REJECTED: {},
}
TERMINAL = frozenset(state for state, moves in TASK_MOVES.items() if not moves)


class SubtaskState(StrEnum):
    """Where a subtask stands; ``ready`` is shown for a waiting one whose dependencies have completed."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    HELD = "held"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    ROLLED_BACK = "rolled_back"


class SubtaskEvent(StrEnum):
    """What may happen to a subtask; the words complete the sentence "it cannot …"."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    SEND_BACK = "be sent back"
    ASK = "ask"
    ANSWER = "be answered"
    HOLD = "be held"
    RELEASE = "be released"
    SKIP = "be skipped"
    RETRY = "be retried"
    CANCEL = "be canceled"
    ROLL_BACK = "be rolled back"


_T, _D = SubtaskState, SubtaskEvent
SUBTASK_MOVES: Mapping[SubtaskState, Mapping[SubtaskEvent, SubtaskState]] = {
    _T.WAITING: {
        _D.START: _T.RUNNING,
        _D.HOLD: _T.HELD,
        _D.SKIP: _T.SKIPPED,
        _D.CANCEL: _T.CANCELED,
    },
    _T.RUNNING: {
        _D.START: _T.RUNNING,  # again, after a crash
        _D.COMPLETE: _T.COMPLETED,
        _D.FAIL: _T.FAILED,
        _D.SEND_BACK: _T.WAITING,
        _D.ASK: _T.INPUT_REQUIRED,
        _D.HOLD: _T.RUNNING,  # held once its step has ended
        _D.RELEASE: _T.RUNNING,
        _D.CANCEL: _T.CANCELED,
    },
    _T.HELD: {
        _D.HOLD: _T.HELD,
        _D.RELEASE: _T.WAITING,
        _D.SKIP: _T.SKIPPED,
        _D.CANCEL: _T.CANCELED,
    },
    _T.INPUT_REQUIRED: {
        _D.ANSWER: _T.WAITING,
        _D.FAIL: _T.FAILED,  # its deadline passed and there is no default
        _D.HOLD: _T.INPUT_REQUIRED,
        _D.RELEASE: _T.INPUT_REQUIRED,
        _D.SKIP: _T.SKIPPED,
        _D.CANCEL: _T.CANCELED,
    },
    _T.COMPLETED: {_D.ROLL_BACK: _T.ROLLED_BACK},
    _T.FAILED: {_D.RETRY: _T.WAITING, _D.SKIP: _T.SKIPPED},
    _T.SKIPPED: {_D.RETRY: _T.WAITING},
    _T.CANCELED: {},
    _T.ROLLED_BACK: {},
}
SETTLED = frozenset(
    {
        SubtaskState.COMPLETED,
        SubtaskState.FAILED,
        SubtaskState.SKIPPED,
        SubtaskState.CANCELED,
        SubtaskState.ROLLED_BACK,
    }
)


def advance(task: str, state: TaskState, event: TaskEvent) -> TaskState:
    """The task's state after ``event``; raises IllegalMove, changing nothing, if the table has no such move."""
    try:
        return TASK_MOVES[state][event]
    except KeyError:
        raise IllegalMove(f"task {task}", state.value, event.value) from None


def advance_subtask(subtask: str, state: SubtaskState, event: SubtaskEvent) -> SubtaskState:
    """The subtask's state after ``event``; raises IllegalMove, changing nothing, if the table has no such move."""
    try:
        return SUBTASK_MOVES[state][event]
    except KeyError:
        raise IllegalMove(f"subtask {subtask!r}", state.value, event.value) from None


def diagram() -> str:
    """Both tables as Mermaid state diagrams, for docs/lifecycles.md."""
    return "\n\n".join(
        f"## {title}\n\n```mermaid\n{_mermaid(moves, first)}\n```"
        for title, moves, first in (("A task", TASK_MOVES, "SUBMITTED"), ("A subtask", SUBTASK_MOVES, "waiting"))
    )


def _mermaid(moves: Mapping[Any, Mapping[Any, Any]], first: str) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for state, events in moves.items():
        lines += [f"    {state.value} --> {after.value}: {event.value}" for event, after in events.items()]
        lines += [f"    {state.value} --> [*]"] * (not events)
    return "\n".join(lines)
