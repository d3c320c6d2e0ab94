"""Words that fit what is measured: people are not sold, places in a file are not all there are, small falls are small.

The figures are worked out by hand beside the test, never taken from a report.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fakes_market import facts, run_analyses, text_of, write

Results = dict[str, dict[str, Any]]
MONTHS = [f"{2015 + i // 12}-{i % 12 + 1:02d}-01" for i in range(60)]
SEASON = [round(40 * math.cos(2 * math.pi * i / 12)) for i in range(12)]


async def analysed(tmp_path: Path, header: str, rows: Iterable[tuple[object, ...]]) -> Results:
    text = header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    return await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)])


async def test_people_who_are_served_are_neither_sold_nor_stocked(tmp_path: Path) -> None:
    wards = {"Emergency": 300, "Surgery": 120}
    rows = [(month, ward, v + SEASON[i % 12]) for i, month in enumerate(MONTHS) for ward, v in wards.items()]
    found = await analysed(tmp_path, "month,ward,admissions", rows)
    advice, summary = text_of(found, "recommendations"), text_of(found, "executive_summary")
    assert "Planner: time staff for January and leave for July" in advice
    assert "get what serves them next (places, staff, hours)" in advice
    assert "Time staff by it." in summary
    for text in (advice, summary):
        assert not any(word in text for word in ("Seller", "Supplier", "stock", "revenue", "who buys", "promotions"))


@pytest.mark.parametrize(("column", "told"), [("city", True), ("make", False)])
async def test_a_sum_over_places_is_that_of_the_places_in_the_file(tmp_path: Path, column: str, told: bool) -> None:
    rows = [(2010 + y, name, v + 10 * y) for y in range(10) for name, v in {"A": 600, "B": 300, "C": 100}.items()]
    found = await analysed(tmp_path, f"year,{column},units", rows)
    assert facts(found)["market_overview.total_last"].value == 1000 + 3 * 90
    overview, summary = text_of(found, "market_overview"), text_of(found, "executive_summary")
    assert ("came to 1,270 in 2019, added over the 3 cities in the file." in overview) == told
    assert ("Counted are the 3 cities in the file, no others." in summary) == told
    assert ("cities that are not in the file" in summary) == told


async def test_small_falls_are_not_told_as_a_danger(tmp_path: Path) -> None:
    rents = {"A": 900, "B": 700}
    rows = [
        (f"{2010 + q // 4}Q{q % 4 + 1}", c, v + 5 * q - 18 * (q == 9 and c == "A"))
        for q in range(40)
        for c, v in rents.items()
    ]
    found = await analysed(tmp_path, "quarter,city,rent_eur", rows)
    assert found["profile_data"]["profile"]["roles"]["measure"]["kind"] == "intensive"
    assert found["profile_data"]["profile"]["questions"] == []
    # A: 940 in the eighth quarter after the first, then 900 + 45 − 18 = 927
    assert facts(found)["trends_analysis.fall/A"].value == pytest.approx(100 * (927 / 940 - 1))
    assert "The deepest fall from an earlier peak was small: 1.4\u00a0% (A)." in text_of(found, "executive_summary")


async def test_movements_of_a_recurring_revenue_are_added_to_it_and_never_over_time(tmp_path: Path) -> None:
    moves = {"base": 1000, "new": 100, "churn": -40}
    rows = [
        (month, plan, move, v * k) for month in MONTHS for plan, k in (("S", 1), ("T", 3)) for move, v in moves.items()
    ]
    found = await analysed(tmp_path, "month,plan,movement,mrr_usd", rows)
    assert found["profile_data"]["profile"]["roles"]["measure"]["kind"] == "stock"
    assert facts(found)["market_overview.total_last"].value == 4 * 1060
    assert facts(found)["data_quality.negative_share"].value == pytest.approx(100 * 40 / 1100)
    advice = text_of(found, "recommendations")
    assert "neither what came nor what went" not in advice
    assert "get the number of customers per plan next" in advice
    assert "Supplier" not in advice


async def test_a_panel_by_weeks_tells_the_same_change_of_the_whole_as_the_overview(tmp_path: Path) -> None:
    mondays = [dt.date(2018, 1, 1) + dt.timedelta(7 * i) for i in range(52 * 4 + 1)]
    amounts = [(day, ward, 70 + 9 * ((day - mondays[0]).days // 14 % 5)) for day in mondays for ward in "ABCDEFGH"]
    rows = [row for row in amounts if row[1] not in "GH" or row[0] >= dt.date(2021, 1, 4)]
    found = await analysed(tmp_path, "week_start,ward,admissions", rows)
    stated = {name: fact.value for name, fact in facts(found).items()}
    assert (stated["data_quality.panel_last_before"], stated["data_quality.panel_last_now"]) == (6, 8)
    for which, change in (("last", "change_last"), ("first", "change_first_last")):
        assert stated[f"data_quality.panel_{which}_whole"] == pytest.approx(abs(stated[f"market_overview.{change}"]))
