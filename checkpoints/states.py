"""The lifecycles of a task and of a subtask, each one literal table.  No other module decides what is legal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

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


_S, _E = TaskState, TaskEvent
TASK_MOVES: Mapping[TaskState, Mapping[TaskEvent, TaskState]] = {
    _S.SUBMITTED: {
        _E.START: _S.WORKING,
        _E.PAUSE: _S.PAUSED,
        _E.FAIL: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.REJECT: _S.REJECTED,
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
    },
    _S.PAUSED: {_E.PAUSE: _S.PAUSED, _E.RESUME: _S.WORKING, _E.CANCEL: _S.CANCELED},
    _S.INPUT_REQUIRED: {_E.ANSWER: _S.WORKING, _E.CANCEL: _S.CANCELED},
    _S.AUTH_REQUIRED: {_E.ANSWER: _S.WORKING, _E.CANCEL: _S.CANCELED},
    _S.COMPLETED: {},
    _S.FAILED: {},
    _S.CANCELED: {},
    _S.REJECTED: {},
}
TERMINAL = frozenset(state for state, moves in TASK_MOVES.items() if not moves)


class SubtaskState(StrEnum):
    """Where a subtask stands; ``ready`` is a waiting one whose dependencies have completed."""

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
    """The state after ``event``; raises IllegalMove, changing nothing, if the table has no such move."""
    try:
        return TASK_MOVES[state][event]
    except KeyError:
        raise IllegalMove(f"task {task}", state.value, event.value) from None
