"""What the tests of traps share: the whole plan on a table that is written for the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fakes_market import run_analyses, write


@pytest.fixture
def analysed(tmp_path: Path) -> Callable[..., Any]:
    """Runs the plan, or the subtasks ``only``, on a table; ``answers`` are those to its questions."""

    async def run(
        header: str, rows: Sequence[Sequence[object]], only: Sequence[str] = (), **answers: str
    ) -> dict[str, dict[str, Any]]:
        text = header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        path = write(tmp_path / "data.csv", text)
        return await run_analyses(tmp_path, [path], answers=answers, only=only)

    return run
