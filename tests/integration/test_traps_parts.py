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


async def monthly(tmp_path: Path, amount: Callable[[str, int], int]) -> Results:
    """Five years of months with four brands; no row where the amount is zero."""
    rows = [(i, name, v) for i in range(60) for name in "ABCD" if (v := amount(name, i))]
    text = "date,brand,units_sold\n" + "".join(f"{2010 + i // 12}-{i % 12 + 1:02d}-01,{n},{v}\n" for i, n, v in rows)
    return await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)])


async def test_who_was_last_seen_lately_is_a_finding_of_the_summary_if_it_was_large(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 0 if n == "B" and i > 50 else 100 + i % 5)
    told = "B was last seen in March 2014: none in the 9 months since."
    # 3 of its 12 months against 12 of each of three others: about 3 in 39 of 2014, a quarter of 2013
    assert facts(found)["competitor_analysis.share_before/B"].value == pytest.approx(25)
    summary = text_of(found, "executive_summary")
    assert told in summary
    assert "It had 25.0\u00a0% of 2013 and 7.7\u00a0% of 2014." in summary
    assert found["competitor_analysis"]["tests"]["unseen"]["holds"]


async def test_who_was_last_seen_and_was_small_is_told_in_the_text_alone(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: (0 if i > 50 else 2) if n == "B" else 100 + i % 5)
    told = "B was last seen in March 2014"
    assert told in text_of(found, "competitor_analysis")
    assert told not in text_of(found, "executive_summary")


async def test_who_led_level_with_another_at_the_start_is_said_to_be_level(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 100 + (n == "A") * (i // 12))
    said = text_of(found, "competitor_analysis")
    assert "In 2010 it was level with D (25.0\u00a0%)." in said
    assert "D was the largest" not in said


async def test_who_is_away_as_long_each_year_is_not_surely_gone(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 0 if n == "B" and (i % 12 > 6 or i > 50) else 100 + i % 5)
    assert not found["competitor_analysis"]["tests"]["unseen"]["holds"]


async def test_of_an_entrant_nothing_is_said_to_have_come_with_the_whole(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 0 if n == "D" and i < 12 else 100)
    assert facts(found)["competitor_analysis.added/D"].value == 1200
    assert not [name for name in facts(found) if "by_market/D" in name or "by_share/D" in name]
    advice = text_of(found, "recommendations")
    assert "It came in January 2011. Its amount rose by 1,200" in advice
    assert "what came with the whole and what from a larger share cannot be told apart" in advice
    assert "with the whole." not in advice


async def test_who_came_within_the_first_year_has_no_growth_from_it(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 0 if n == "D" and i < 9 else 100)
    stated = facts(found)
    assert stated["competitor_analysis.share_first/D"].value == pytest.approx(100 * 3 / 39)
    assert "competitor_analysis.cagr/D" not in stated
    assert "competitor_analysis.cagr/A" in stated
    assert "Came only within 2010, so that its share then is that of a part: D (7.7\u00a0%, first seen Oct 2010)." in (
        text_of(found, "competitor_analysis")
    )
    assert "D came only in October 2010." in text_of(found, "executive_summary")
    assert "what came with the whole and what from a larger share cannot be told" in text_of(found, "recommendations")


async def test_a_first_year_incomplete_is_compared_with_nothing(tmp_path: Path) -> None:
    found = await monthly(tmp_path, lambda n, i: 0 if i < 3 else 100)
    assert (
        "2010 is incomplete: April to December only | 9 of 12 months | left out of yearly figures | these begin in 2011"
        in (text_of(found, "data_quality"))
    )
