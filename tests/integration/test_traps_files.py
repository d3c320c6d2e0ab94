"""More traps of files, found in files that others wrote: units beside the amount, holes, ends, spellings.

The figures are worked out by hand or by plain arithmetic beside the test, never taken from a report.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from holdfast.nodes.data import names
from holdfast.nodes.market import confidence, words
from tests.integration.test_traps import PARTS, Read, monthly, read, yearly
from tests.unit.fakes_market import text_of

__all__ = ["read"]

# --- units --------------------------------------------------------------------------------------------------------


def in_currencies(factor: int = 11) -> list[tuple[object, ...]]:
    """Two rows in EUR and one in SEK for each year and seller, the latter of ``factor`` times the amount."""
    rows = yearly(PARTS, range(2015, 2020))
    parts = (("EUR", 1.0), ("EUR", 0.5), ("SEK", float(factor)))
    return [(y, n, money, value * part) for y, n, value in rows for money, part in parts]


async def test_two_currencies_are_never_added(read: Any) -> None:
    header = "year,seller,currency,amount"
    found: Read = await read(header, in_currencies(), only=())
    assert found.value("market_overview.total_last") == 1500  # 1.5 × 1,000 in EUR, and not 12,500
    assert (found.asked, found.profile.roles.measure.unit, found.roles["currency"]) == (["currency"], "EUR", "unit")
    about = dict(found.results["profile_data"]["about"])
    assert (about["Rows"], about["Measure"]) == ("30 of 45", "“amount”, in EUR")
    assert about["Left out"] == "15 rows in SEK, which cannot be added to EUR"
    assert "“currency” holds EUR and SEK | 15 of 45 rows are not in EUR | left out: never added" in found.quality
    method = text_of(found.results, "method")
    assert "assumed: the report is in EUR, one of 2 in “currency”" in method
    assert "named in the goal" not in method
    told = await read(header, in_currencies(), currency="SEK")
    assert (told.value("market_overview.total_last"), told.profile.roles.measure.unit) == (11_000, "SEK")
    named = await read(header, in_currencies(), goal="Market report on sellers in SEK")
    assert (named.value("market_overview.total_last"), named.asked) == (11_000, [])


async def test_one_currency_is_the_unit(read: Any) -> None:
    rows = [(y, n, "€", v) for y, n, v in yearly(PARTS)]
    found = await read("year,seller,currency,amount", rows)
    assert (found.asked, found.profile.roles.measure.unit, found.roles["currency"]) == ([], "EUR", "unit")
    pieces = await read("year,seller,currency,quantity", rows)
    assert (pieces.roles["currency"], pieces.profile.roles.measure.unit) == ("constant", "")


async def test_kilograms_and_litres_are_never_added(read: Any) -> None:
    rows = [(y, n, unit, v) for y, n, v in yearly(PARTS) for unit in ("kg", "litres")]
    found = await read("year,seller,uom,quantity", [*rows, (2019, "A", "kg", 5)])
    assert (found.value("market_overview.total_last"), found.profile.roles.measure.unit) == (1005, "kg")


async def test_exchange_rates_are_compared_by_currency(read: Any) -> None:
    rows = [
        (y, code, 1 + i / 10 + y % 7 / 50) for y in range(2010, 2020) for i, code in enumerate(("EUR", "SEK", "USD"))
    ]
    found = await read("year,currency,rate", rows, unit="per euro")
    assert found.profile.roles.entity.column == "currency"
    assert found.value("data_quality.rows_read") == 30


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("exports_musd", "million USD"), ("revenue_meur", "million EUR"), ("sales_mnok", "million NOK"),
        ("sales_kusd", "thousand USD"), ("sales_tusd", "thousand USD"), ("sales_usd_m", "million USD"),
        ("sales_eur_mn", "million EUR"), ("turnover_bn_usd", "billion USD"), ("exports_mn", "million"),
        ("Sales (mUSD)", "million USD"), ("Sales (€m)", "million EUR"), ("Sales (t)", "t"), ("distance_m", ""),
        ("sales_usd", "USD"), ("total", ""),
    ],
)  # fmt: skip
def test_units_of_thousands_and_millions_are_read(header: str, unit: str) -> None:
    assert names.unit_of(header) == unit


async def test_money_in_thousands_or_millions_needs_no_prices(read: Any) -> None:
    rows = [(y, n, v * 1000) for y, n, v in yearly(PARTS)]
    found = await read("year,country,exports_kusd", rows, only=())
    assert found.asked == []
    assert "prices or revenue" not in text_of(found.results, "recommendations")
    assert "came to 1.00\u00a0billion\u00a0USD in 2019" in text_of(found.results, "market_overview")  # 10⁶ × 10³
    assert words.in_unit("411.0", "million USD") == "411.0\u00a0million USD"


# --- periods ------------------------------------------------------------------------------------------------------


async def test_the_highest_month_may_lie_in_the_incomplete_year(read: Any) -> None:
    rows = [(f"{y}-{m:02d}", n, v) for y in (2017, 2018) for m in range(1, 13) for n, v in PARTS.items()]
    rows += [(f"2019-{m:02d}", n, v * (1.2 if m == 7 else 1)) for m in range(1, 9) for n, v in PARTS.items()]
    rows = [(month, n, v / 2 if month == "2017-02" else v) for month, n, v in rows]
    found = await read("month,make,units", rows, only=("trends_analysis",))
    told = text_of(found.results, "trends_analysis")
    assert "was July 2019 with 1,200, the lowest February 2017 with 500, of all 32 months from January 2017" in told


def grounds(found: Read) -> dict[str, confidence.Grounds]:
    return confidence.tests_in(list(found.results.values()))


async def test_holes_in_the_rows_of_one_name_are_no_zeros(read: Any) -> None:
    rows = monthly({"A": 600, "B": 300, "C": 100}, range(2012, 2019))
    rows = [(day, n, v + (100 if n == "B" and day > "2016" else 0)) for day, n, v in rows]
    few = [(f"201{y}-0{m}-01", "Tiny", 1) for y, m in ((2, 1), (3, 5), (8, 2))]  # 3 of 74 months: rarely any
    whole = await read("month,make,units", [*rows, *few])
    assert "Looked for and not found: rows without date, number or name, dates out of range, gaps" in whole.quality
    assert grounds(whole)["moves"].level == "high"
    found = await read("month,make,units", [row for row in [*rows, *few] if row[:2] != ("2015-06-01", "B")])
    assert "between others of theirs | 1 month: B in Jun 2015 | left empty, not taken for zero" in found.quality
    assert "| 71 months: 1 make | taken as none: they have little or rarely any" in found.quality
    assert "gaps between the months" not in found.quality
    assert [(hole.entity, hole.days, hole.life) for hole in found.profile.holes] == [("B", ["2015-06-01"], 84)]
    assert found.names["gainers"] == ["B"]
    assert (grounds(found)["moves"].complete, grounds(found)["moves"].level) == (False, "medium")
    assert grounds(found)["leader"].level == "high"  # A has all of its months
    for finding in ("size", "extremes", "rows"):  # the whole lacks what B had
        assert grounds(whole)[finding].complete, finding
        assert not grounds(found)[finding].complete, finding


async def test_a_year_that_one_name_lacks_is_not_drawn_as_zero(read: Any) -> None:
    rows = [row for row in yearly({**PARTS, "D": 50, "E": 40}) if row[:2] != (2014, "C")]
    found = await read("year,make,units", rows)
    figure = next(b for b in found.results["competitor_analysis"]["blocks"] if b.get("name") == "shares")
    assert next(row for row in figure["data"]["rows"] if row[0] == "2014")[3] == "–"
    values = figure["spec"]["data"]["values"]
    assert {row["value"] for row in values if (row["name"], row["when"]) == ("C", "2014")} == {None}


@pytest.mark.parametrize("form", ["{m:02d}/{y}", "{m}/{y}", "{m:02d}.{y}"])
async def test_month_and_year_are_months(read: Any, form: str) -> None:
    found = await read("period,make,units", monthly(PARTS, (2008, 2009), form))
    assert (found.profile.roles.time.grain, found.profile.first, found.profile.last, found.asked) == (
        "month",
        "2008-01-01",
        "2009-12-01",
        [],
    )


def daily(first: dt.date, last: dt.date, step: int = 1) -> list[tuple[object, ...]]:
    days = [first + dt.timedelta(i) for i in range(0, (last - first).days + 1, step)]
    return [(day, n, 7) for day in days for n in "AB"]


async def test_a_first_month_that_begins_late_is_no_month(read: Any) -> None:
    found = await read("date,make,units", daily(dt.date(2010, 1, 6), dt.date(2012, 12, 31)))
    assert "Rows with January 2010, which the file covers only from day 6 | 52 rows | set aside" in found.quality
    assert "2010 is incomplete: February to December only | 11 of 12 months" in found.quality
    assert found.profile.frames == ["2011-01-01", "2012-01-01"]
    whole = await read("date,make,units", daily(dt.date(2010, 1, 3), dt.date(2012, 12, 31)))
    assert len(whole.profile.frames) == 3


async def test_weeks_that_begin_or_end_within_a_month_leave_it_out(read: Any) -> None:
    rows = daily(dt.date(2020, 1, 6), dt.date(2024, 5, 13), 7)  # the last week ends on 19 May
    found = await read("week,make,units", rows)
    assert "January 2020, which the file covers only from day 6 | 8 rows" in found.quality
    assert "May 2024, which the file covers only to day 19 | 4 rows" in found.quality
    assert (found.profile.first, found.profile.last) == ("2020-02-01", "2024-04-01")
