"""The traps of weeks that are shown by month: a week in two months, the end of the file, weeks that one name lacks.

The figures are days times what is had a day, counted beside the test, never taken from a report.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.nodes.data.models import Profile
from holdfast.nodes.data.profile import opened
from holdfast.nodes.market import confidence
from tests.unit.fakes_market import facts, run_analyses, section, text_of, write

Results = dict[str, dict[str, Any]]
Row = tuple[object, ...]
Analysed = Callable[..., Awaitable[Results]]


@pytest.fixture
def analysed(tmp_path: Path) -> Analysed:
    """Runs the plan on a table of weeks."""

    async def run(rows: Sequence[Row], only: Sequence[str] = (), who: str = "branch") -> Results:
        text = f"week_start,{who},visits\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        return await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)], only=only)

    return run


def mondays(last: dt.date) -> list[dt.date]:
    """From 2 January 2023, a Monday, on."""
    first = dt.date(2023, 1, 2)
    return [first + dt.timedelta(7 * i) for i in range((last - first).days // 7 + 1)]


async def test_a_last_week_gives_the_last_month_no_day_of_the_next(analysed: Analysed) -> None:
    # 100 a day each: the last week begins on Monday 29 September 2025, so five of its days are in October
    weeks = mondays(dt.date(2025, 9, 29))
    found = await analysed([(day, name, 700) for day in weeks for name in "AB"], ["market_overview"])
    stated = facts(found)
    end = dt.date(2025, 10, 1)
    assert stated["market_overview.total_all"].value == pytest.approx(200 * (end - weeks[0]).days)
    young = stated["market_overview.like_for_like_total"].value
    assert young == pytest.approx(200 * (end - dt.date(2025, 1, 1)).days)
    assert stated["data_quality.overhang"].value == pytest.approx(2 * 5 * 100)
    quality = text_of(found, "data_quality")
    assert "Days after September 2025 in weeks that begin in it | 2 rows, 1,000 of their “visits” | left out" in quality
    overview = text_of(found, "market_overview")
    assert f"The {2 * len(weeks)} rows in use together hold" in overview
    assert "The last week counts only with its days up to the end of that month." in overview


async def test_a_last_week_in_two_years_gives_the_first_of_them_no_day_too_many(analysed: Analysed) -> None:
    weeks = mondays(dt.date(2025, 12, 29))  # which ends on 4 January 2026
    found = await analysed([(day, name, 700) for day in weeks for name in "AB"], ["market_overview"])
    assert facts(found)["market_overview.exact_2025-01-01"].value == pytest.approx(200 * 365)
    assert facts(found)["data_quality.overhang"].value == pytest.approx(2 * 4 * 100)


async def test_weeks_that_end_with_a_month_leave_no_day_out(analysed: Analysed) -> None:
    weeks = mondays(dt.date(2025, 8, 25))  # which ends on Sunday 31 August
    found = await analysed([(day, name, 700) for day in weeks for name in "AB"], ["market_overview"])
    assert "data_quality.overhang" not in facts(found)
    assert facts(found)["market_overview.total_all"].value == pytest.approx(1400 * len(weeks))
    assert f"All {2 * len(weeks)} rows together hold" in text_of(found, "market_overview")


async def test_weeks_that_one_branch_lacks_are_told_and_keep_it_out_of_growth_like_for_like(analysed: Analysed) -> None:
    # A and B have 70 a week in 2023 and 77 from Monday 1 January 2024 on, O has 700 throughout but lacks four weeks
    # of September 2024, N comes in 2024: like for like over A and B it is +10 %, with O it would be below zero
    gone = [dt.date(2024, 9, day) for day in (2, 9, 16, 23)]
    rows: list[Row] = []
    for week in mondays(dt.date(2025, 3, 31)):
        rows += [(week, name, 70 if week.year == 2023 else 77) for name in "AB"]
        rows += [(week, "O", 700)] * (week not in gone) + [(week, "N", 100)] * (week.year > 2023)
    found = await analysed(rows)
    quality = text_of(found, "data_quality")
    assert (
        "No rows for single branches between others of theirs | 4 weeks: O in W36 2024, W37 2024, W38 2024" in quality
    )
    assert "Changing panel: 3 branches in 2023, 4 in 2024 | 2 branches in every week of both" in quality
    # 2023 lacks its first day, a Sunday, and a leap day makes 2024 longer: 366 days of 22 against 364 of 20
    change = facts(found)["data_quality.panel_last_change"].value
    assert change == pytest.approx(100 * (366 * 22 / (364 * 20) - 1))
    assert confidence.tests_in(list(found.values()))["rows"].complete is False
    whole = await analysed([*rows, *[(week, "O", 700) for week in gone]])
    assert "No rows for single" not in text_of(whole, "data_quality")
    assert facts(whole)["data_quality.panel_last_steady"].value == 3


async def test_every_query_on_weeks_can_be_run_whatever_the_columns_are_called(
    analysed: Analysed, tmp_path: Path
) -> None:
    weeks = mondays(dt.date(2025, 9, 29))
    rows = [(week, n, 70) for week in weeks for n in "ABC" if (n, week.month) != ("A", 9) or week.year < 2025]
    found = await analysed(rows, ["market_overview"], "cells")
    profile = Profile.model_validate(found["profile_data"]["profile"])
    queries = [query for name in ("data_quality", "market_overview") for query in section(found, name).queries]
    assert {"data_quality.holes", "data_quality.overhang"} <= {query.id for query in queries}
    with opened(tmp_path / "store" / profile.data) as engine:
        for query in queries:
            engine.rows(query.sql)
