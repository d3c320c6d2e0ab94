"""What becomes of a task that nobody works on inside the LangGraph API, by what its thread says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.server.langgraph_app import BROKEN_SECONDS, BUSY_SECONDS, Fate, fate

BEGAN = 1_700_000_000.0


def thread(status: str, after: float, **more: Any) -> dict[str, Any]:
    """A thread whose last run ended so many seconds after its task began to work."""
    at = datetime.fromtimestamp(BEGAN + after, UTC).isoformat()
    return {"status": status, "updated_at": at, "state_updated_at": at, **more}


@pytest.mark.parametrize(
    ("found", "what", "seconds"),
    [
        pytest.param(None, Fate.LAUNCH, 0.0, id="the API has forgotten the thread"),
        pytest.param(thread("busy", 1), Fate.LEAVE, BUSY_SECONDS, id="a run is queued or under way"),
        pytest.param(thread("error", 1), Fate.LAUNCH, BROKEN_SECONDS, id="the run broke off"),
        pytest.param(thread("interrupted", 1), Fate.PAUSE, 0.0, id="canceled with interrupt"),
        pytest.param(thread("idle", 1), Fate.PAUSE, 0.0, id="canceled with rollback"),
        pytest.param(thread("idle", -1), Fate.LAUNCH, 0.0, id="the run was lost in a crash"),
        pytest.param(thread("interrupted", -1), Fate.LAUNCH, 0.0, id="resumed after it was canceled"),
        pytest.param(
            thread("interrupted", 1, interrupts={"x": [{}]}), Fate.LAUNCH, 0.0, id="resumed while its run was ending"
        ),
    ],
)
def test_the_fate_of_a_task_without_a_runner(found: dict[str, Any] | None, what: Fate, seconds: float) -> None:
    assert fate(found, BEGAN, worked_here=found is not None) == (what, seconds)


def test_a_thread_that_was_deleted_stops_its_task() -> None:
    assert fate(None, BEGAN, worked_here=True) == (Fate.PAUSE, 0.0)


def test_a_change_of_metadata_is_no_end_of_a_run() -> None:
    later = datetime.fromtimestamp(BEGAN + 9, UTC).isoformat()
    assert fate({**thread("idle", -1), "updated_at": later}, BEGAN, worked_here=True)[0] == Fate.LAUNCH
