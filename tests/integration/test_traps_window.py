"""The traps of the window: months that are missing here and there, and months that never come.

The figures are counted by hand beside the test, never taken from a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fakes_market import run_analyses, text_of, write

Analysed = Callable[..., Any]


@pytest.fixture
def analysed(tmp_path: Path) -> Analysed:
    """Runs the plan on a table."""

    async def run(header: str, rows: Sequence[Sequence[object]], only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        text = header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        return await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)], only=only)

    return run


async def test_a_month_missing_here_and_there_neither_shortens_years_nor_the_history(analysed: Analysed) -> None:
    gone = {(2011, 3), (2013, 5), (2014, 8), (2016, 2)}
    rows = [
        (f"{y}-{m:02d}-01", n, 100 + m)
        for y in range(2010, 2020)
        for m in range(1, 13)
        for n in "AB"
        if (y, m) not in gone
    ]
    found = await analysed("date,make,units", rows, only=["forecast"])
    profile = found["profile_data"]["profile"]
    assert (profile["per_frame"], profile["frames"][0]) == (12, "2017-01-01")  # the latest unbroken complete years
    assert "the next 12 months" in text_of(found, "forecast")  # from 2010 on, 4 of 120 months are missing


async def test_a_month_missing_every_year_does_not_make_years_of_eleven_complete(analysed: Analysed) -> None:
    # of the inner years 2011 to 2018 five lack a month, each another one: twelve stays the usual number
    gone = {(2011, 3), (2012, 4), (2013, 5), (2014, 8), (2015, 2)}
    rows = [
        (f"{y}-{m:02d}-01", n, 100) for y in range(2010, 2020) for m in range(1, 13) for n in "AB" if (y, m) not in gone
    ]
    found = await analysed("date,make,units", rows, only=["market_overview"])
    assert found["profile_data"]["profile"]["frames"][0] == "2016-01-01"
    # and where the same months never come, these are not usual
    rows = [(f"{y}-{m:02d}-01", n, 100) for y in range(2010, 2016) for m in range(3, 13) for n in "AB"]
    found = await analysed("date,make,units", rows, only=["market_overview"])
    assert found["profile_data"]["profile"]["per_frame"] == 10
