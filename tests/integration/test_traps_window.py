"""The traps of the window: months that are missing here and there, months that never come, one year in five.

The figures are counted by hand beside the test, never taken from a report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.fakes_market import text_of

Analysed = Callable[..., Any]


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


async def test_a_year_in_five_is_compared_with_five_years_before(analysed: Analysed) -> None:
    years = range(1970, 2020, 5)
    rows = [(y, n, round(1000 * 1.02 ** (y - 1970) * share)) for y in years for n, share in (("A", 2), ("B", 1))]
    found = await analysed("year,make,units", rows)
    text = "".join(text_of(found, name) for name in ("market_overview", "trends_analysis", "executive_summary"))
    # 1.02⁵ = 1.104: 10.4 % on five years before, and 2.0 % a year, from single years and from means of three
    assert "10.4 % more than five years before" in text.replace("\u00a0", " ")
    assert "the yearly change was +2.0 %" in text.replace("\u00a0", " ")
    assert "five-year step" in text
    assert "the year before" not in text
    assert ["Period", "1970 to 2015\n10 years, five years apart"] in map(list, found["profile_data"]["about"])
    assert "the file holds one year in five" in text_of(found, "forecast")


async def test_an_incomplete_year_with_gaps_is_said_to_have_some(analysed: Analysed) -> None:
    gone = {(2014, 3), (2014, 9), (2014, 10)}
    rows = [
        (f"{y}-{m:02d}-01", n, 100 + (y - 2010))
        for y in range(2010, 2015)
        for m in range(1, 13)
        for n in "AB"
        if (y, m) not in gone
    ]
    found = await analysed("date,make,units", rows, only=["market_overview"])
    text = text_of(found, "market_overview").replace("\u00a0", " ")
    assert "it holds January to December with gaps, 9 of 12 months" in text
    # 9 × 208 = 1,872 on 9 × 206 = 1,854: 1.0 % more
    assert "the nine months of 2014 came to 1,872, 1.0 % more than the nine months of 2013" in text


async def test_the_part_of_a_year_of_a_stock_is_a_mean(analysed: Analysed) -> None:
    rows = [
        (f"{y}-{m:02d}-01", n, 1000 + 10 * (y - 2020))
        for y in range(2020, 2025)
        for m in range(1, 13)
        for n in "AB"
        if (y, m) <= (2024, 3)
    ]
    found = await analysed("month,plan,subscribers", rows)
    # 2 × 1,040 at the end of each of three months, against 2 × 1,030
    assert "January to March 2024 averaged 2,080" in text_of(found, "market_overview")
    assert "January to March 2024 averaged 2,080" in text_of(found, "executive_summary")
