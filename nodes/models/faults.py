"""What each fault of an attempt leads to: another attempt, a pause of the task, or the subtask's failure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from holdfast.nodes.models.types import Kind


class Treatment(Enum):
    """RETRY within the call's time, then as PAUSE; PAUSE the task (stop ``system``); FAIL the step."""

    RETRY = auto()
    PAUSE = auto()
    FAIL = auto()


TREATMENT: Mapping[Kind, Treatment] = {
    Kind.RATE_LIMITED: Treatment.RETRY,
    Kind.SERVER_ERROR: Treatment.RETRY,
    Kind.UNREACHABLE: Treatment.RETRY,
    Kind.TIMED_OUT: Treatment.RETRY,
    Kind.CUT_OFF: Treatment.RETRY,
    Kind.MALFORMED: Treatment.RETRY,
    Kind.EMPTY: Treatment.RETRY,
    Kind.ADAPTED: Treatment.RETRY,  # without what the server cannot do
    Kind.TOO_LARGE: Treatment.PAUSE,  # such an answer is dear, and the next one would be as large
    Kind.TRUNCATED: Treatment.FAIL,  # the caller may ask for less
    Kind.CONTEXT_FULL: Treatment.FAIL,
    Kind.DECLINED: Treatment.FAIL,
    Kind.UNAUTHORIZED: Treatment.PAUSE,
    Kind.NO_SUCH_MODEL: Treatment.PAUSE,
    Kind.MISDIRECTED: Treatment.PAUSE,
    Kind.BAD_REQUEST: Treatment.FAIL,
    Kind.OVER_BUDGET: Treatment.FAIL,
}
