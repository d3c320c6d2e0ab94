"""The lifecycle tables, and the diagrams that are drawn from them."""

import os
from pathlib import Path

import pytest

from holdfast.checkpoints.errors import IllegalMove
from holdfast.checkpoints.states import (
    SETTLED,
    SUBTASK_MOVES,
    TASK_MOVES,
    TERMINAL,
    SubtaskEvent,
    SubtaskState,
    TaskEvent,
    TaskState,
    advance,
    advance_subtask,
    diagram,
)

PAGE = Path(__file__).parents[2] / "docs" / "lifecycles.md"
HEAD = (
    "# Lifecycles\n\nDrawn from the tables in `checkpoints/states.py` by a test; `HOLDFAST_DRAW=1 pytest` redraws.\n\n"
)


def test_every_state_has_a_row_and_every_other_move_is_illegal():
    assert set(TASK_MOVES) == set(TaskState)
    for state in TaskState:
        for event in TaskEvent:
            if event in TASK_MOVES[state]:
                assert advance("t", state, event) == TASK_MOVES[state][event]
            else:
                with pytest.raises(IllegalMove, match=f"t is {state.value}: it cannot {event.value}"):
                    advance("t", state, event)


def test_every_subtask_state_that_is_stored_has_a_row():
    assert set(SUBTASK_MOVES) == set(SubtaskState) - {SubtaskState.READY}
    with pytest.raises(IllegalMove):
        advance_subtask("s", SubtaskState.COMPLETED, SubtaskEvent.RETRY)


def test_what_has_ended_stays_ended():
    assert {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED} == TERMINAL
    live = set(SubtaskState) - SETTLED
    for state in (SubtaskState.COMPLETED, SubtaskState.CANCELED, SubtaskState.ROLLED_BACK):
        assert not live & set(SUBTASK_MOVES[state].values())


@pytest.mark.parametrize(
    ("state", "pause", "resume"),
    [
        ("SUBMITTED", "PAUSED", None),
        ("WORKING", "PAUSED", "WORKING"),
        ("PAUSED", "PAUSED", "WORKING"),
        ("INPUT_REQUIRED", None, None),
        ("AUTH_REQUIRED", None, None),
        ("COMPLETED", None, None),
        ("FAILED", None, None),
        ("CANCELED", None, None),
        ("REJECTED", None, None),
    ],
)
def test_pause_and_resume_answer_as_the_specification_says(state, pause, resume):
    moves = TASK_MOVES[TaskState(state)]
    assert moves.get(TaskEvent.PAUSE) == pause
    assert moves.get(TaskEvent.RESUME) == resume


def test_every_state_can_be_reached():
    for moves, first in ((TASK_MOVES, TaskState.SUBMITTED), (SUBTASK_MOVES, SubtaskState.WAITING)):
        reached = {first}
        while more := {after for state in reached for after in moves[state].values()} - reached:
            reached |= more
        assert set(moves) - reached <= {TaskState.AUTH_REQUIRED}  # for types that need a credential, later


def test_the_diagram_in_the_documentation_is_the_table():
    if os.environ.get("HOLDFAST_DRAW"):
        PAGE.write_text(HEAD + diagram() + "\n")
    assert PAGE.read_text() == HEAD + diagram() + "\n"
