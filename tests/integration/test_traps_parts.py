"""The traps of levels that are means over parts: cities of a province, of which some report and some do not.

The figures are worked out by hand beside the test, never taken from a report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fakes_market import facts, run_analyses, text_of, write

Results = dict[str, dict[str, Any]]
CITIES = {
    "A1": ("North", 900.0),
    "A2": ("North", 100.0),
    "A3": ("North", 200.0),
    "B1": ("South", 50.0),
    "B2": ("South", 70.0),
}


async def analysed(tmp_path: Path, value: Callable[[str, int], float | None]) -> Results:
    """Ten years of a level per city; ``value`` is None where the city does not report."""
    rows = [(2010 + y, city, CITIES[city][0], value(city, y)) for y in range(10) for city in CITIES]
    text = "year,city,province,level_index\n" + "".join(
        f"{year},{city},{province},{'' if v is None else round(v, 1)}\n" for year, city, province, v in rows
    )
    return await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)])


async def test_an_empty_cell_makes_no_fall(tmp_path: Path) -> None:
    found = await analysed(tmp_path, lambda c, y: None if (c, y) == ("A1", 5) else CITIES[c][1] + y)
    stated = facts(found)
    # North without A1: (100 + 200) / 2 = 150 in 2010 and 159 in 2019; with A1 2015 would have been 255 less
    assert stated["market_overview.first/North"].value == 150
    assert stated["market_overview.last/North"].value == 159
    assert stated["market_overview.low/North"].value == 150
    assert stated["data_quality.parts_kept"].value == 4
    assert stated["data_quality.parts_rows"].value == 9
    overview = text_of(found, "market_overview")
    assert "over the same cities in every year: 4 of 5; 1 without a value in some year is left out (A1)" in overview
    assert "Cities without a value in some years: A1" in text_of(found, "data_quality")
    assert found["competitor_analysis"]["tests"]["level_change"]["complete"]


async def test_parts_that_come_late_are_left_out_of_means(tmp_path: Path) -> None:
    found = await analysed(tmp_path, lambda c, y: None if c == "A1" and y < 4 else CITIES[c][1])
    assert facts(found)["market_overview.last/North"].value == 150
    assert "fell" not in text_of(found, "executive_summary")


async def test_means_over_whoever_reports_are_not_complete(tmp_path: Path) -> None:
    # of the three in North two lack a year, so that less than half would be left
    found = await analysed(tmp_path, lambda c, y: None if (c, y) in (("A1", 5), ("A2", 6)) else CITIES[c][1] + y)
    assert facts(found)["market_overview.first/North"].value == 400
    assert not found["competitor_analysis"]["tests"]["level_change"]["complete"]
    assert "a change may come from who reports" in text_of(found, "market_overview")


@pytest.mark.parametrize("year", [0, 9])
async def test_an_empty_cell_at_an_end_makes_no_change(tmp_path: Path, year: int) -> None:
    found = await analysed(tmp_path, lambda c, y: None if (c, y) == ("A1", year) else CITIES[c][1])
    ends = [facts(found)[f"market_overview.{key}/North"].value for key in ("first", "last")]
    assert ends == [150, 150]


async def test_who_was_last_seen_early_in_the_last_year_is_told(tmp_path: Path) -> None:
    # B sells until January 2014, so that it still has a share of the last year: 11 months without it follow
    rows = [
        (f"{2010 + i // 12}-{i % 12 + 1:02d}-01", name, 100 + i % 5)
        for i in range(60)
        for name in "ABC"
        if name != "B" or i <= 48
    ]
    text = "date,brand,units_sold\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    found = await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)], only=["competitor_analysis"])
    assert "B was last seen in January 2014: none in the 11 months since." in text_of(found, "competitor_analysis")


async def test_a_mean_over_parts_that_all_report_is_named_as_an_unweighted_mean(tmp_path: Path) -> None:
    found = await analysed(tmp_path, lambda c, y: CITIES[c][1] + y)
    assert facts(found)["market_overview.first/North"].value == 400  # (900 + 100 + 200) / 3
    assert facts(found)["data_quality.parts_of"].value == 5
    overview = text_of(found, "market_overview")
    assert "Each value is an unweighted mean over cities, the same in every year; there are 5 in all." in overview
    assert "Values are means over cities | 5 cities, the same in every year" in text_of(found, "data_quality")
    assert ["Measure", "“level_index”, unit not stated in the file\nunweighted mean over cities"] in (
        found["profile_data"]["about"]
    )
    assert found["competitor_analysis"]["tests"]["level_change"]["complete"]


async def test_a_level_with_one_value_for_each_name_and_period_is_no_mean(tmp_path: Path) -> None:
    rows = "".join(f"{2010 + y},{c},{v + y}\n" for y in range(10) for c, (_, v) in CITIES.items())
    found = await run_analyses(tmp_path, [write(tmp_path / "data.csv", "year,city,level_index\n" + rows)])
    assert "mean over" not in text_of(found, "market_overview")
    assert found["profile_data"]["parts"] == {}
