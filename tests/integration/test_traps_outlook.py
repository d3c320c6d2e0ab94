"""The traps of looking ahead: each a small table made here, and what the report must say or refuse to say of it.

The figures are worked out by hand or by plain arithmetic beside the test, never taken from a report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from holdfast.nodes.market import confidence
from tests.unit.fakes_market import facts, section, sections, text_of

SEASON = [0.8, 0.85, 1.2, 1.0, 1.05, 1.1, 0.9, 0.95, 1.15, 1.05, 0.95, 1.0]
WOBBLE = [0, 3, -2, 1, -3, 2, -1]  # seven of them, so that no year repeats another
Results = dict[str, dict[str, Any]]
Analysed = Callable[..., Any]


def monthly(values: Sequence[float], start: int = 2010) -> list[tuple[object, ...]]:
    return [(f"{start + i // 12}-{i % 12 + 1:02d}-01", round(value)) for i, value in enumerate(values)]


def seasonal(count: int, level: float = 1000) -> list[float]:
    return [level * SEASON[i % 12] + WOBBLE[i % 7] for i in range(count)]


def yearly(count: int, last: int = 2020) -> list[tuple[object, ...]]:
    years = range(last - count + 1, last + 1)
    return [(y, name, 100 + 3 * i + WOBBLE[i % 7] + j) for i, y in enumerate(years) for j, name in enumerate("AB")]


def outlook(results: Results) -> str:
    return text_of(results, "forecast")


def value(results: Results, fact: str) -> float:
    return float(facts(results)[fact].value or 0)


def grounds(results: Results) -> dict[str, confidence.Grounds]:
    return confidence.tests_in(list(results.values()))


def advice(results: Results) -> str:
    return text_of(results, "recommendations")


# --- no forecast, and why -------------------------------------------------------------------------------------------


async def test_less_than_two_years_of_months_give_no_forecast(analysed: Analysed) -> None:
    found = await analysed("date,sales", monthly(seasonal(23)), only=["forecast"])
    assert outlook(found) == "No forecast is given: only 23 complete months are in the file, and 24 are needed."
    assert found["forecast"]["forecast"] == {"given": False}
    enough = await analysed("date,sales", monthly(seasonal(24)), only=["forecast"])
    assert enough["forecast"]["forecast"]["given"]


async def test_seven_years_give_no_forecast_and_twelve_do(analysed: Analysed) -> None:
    short = await analysed("year,make,units", yearly(7), only=["forecast"])
    assert "only 7 complete years are in the file, and 8 are needed" in outlook(short)
    long = await analysed("year,make,units", yearly(12), only=["forecast"])
    assert long["forecast"]["forecast"]["span"] == "2021"
    assert "is forecast at" in outlook(long)
    nine = await analysed("year,make,units", yearly(9), only=["forecast"])
    assert "9 complete years leave room for 7 past tests, and eight are needed" in outlook(nine)
    ten = await analysed("year,make,units", yearly(10), only=["forecast"])
    assert ten["forecast"]["forecast"]["given"]


async def test_twelve_weeks_give_no_forecast(analysed: Analysed) -> None:
    rows = [(f"2020W{week:02d}", 100 + week) for week in range(1, 13)]
    found = await analysed("week,sales", rows, only=["forecast"])
    assert "only 12 complete weeks are in the file, and 104 are needed" in outlook(found)


async def test_more_than_a_tenth_of_the_months_missing_gives_no_forecast(analysed: Analysed) -> None:
    rows = monthly(seasonal(96))
    two = [row for i, row in enumerate(rows) if i % 12 not in (4, 8)]
    found = await analysed("date,sales", two, only=["forecast"])
    assert "16 of 96 months are missing, more than a tenth" in outlook(found)
    one = [row for i, row in enumerate(rows) if i % 12 != 4]  # 8 of 96 are 8.3 %
    fewer = await analysed("date,sales", one, only=["forecast"])
    assert fewer["forecast"]["forecast"]["given"]
    assert not grounds(fewer)["outlook"].complete


async def test_a_change_of_level_in_the_last_year_gives_no_forecast(analysed: Analysed) -> None:
    values = seasonal(72) + [0.6 * value for value in seasonal(9)]
    found = await analysed("date,sales", monthly(values), only=["forecast", "trends_analysis"])
    assert re.search(r"from January 2016 on the level was [34]\d\.\d.% lower, too recently", outlook(found))
    before = sorted(values[60:72])[5:7]
    after = sorted(values[72:])[4]
    change = (after / (sum(before) / 2) - 1) * 100
    assert value(found, "forecast.break") == pytest.approx(change, abs=0.1)
    assert "The data name no cause." in text_of(found, "trends_analysis")


async def test_errors_above_thirty_percent_give_no_forecast(analysed: Analysed) -> None:
    # a number that doubles and halves without a pattern: the powers of 3 modulo 101
    values = [10.0 + 10 * pow(3, i, 101) for i in range(60)]
    found = await analysed("date,sales", monthly(values), only=["forecast"])
    assert "in past tests even the best method was off by" in outlook(found)
    assert "more than 30\u00a0%" in outlook(found)
    assert value(found, "forecast.wmape") > 30


async def test_nothing_but_zeros_gives_no_forecast(analysed: Analysed) -> None:
    found = await analysed("date,sales", monthly([0] * 48), only=["forecast"])
    assert outlook(found) == "No forecast is given: every value is zero."


# --- a forecast -----------------------------------------------------------------------------------------------------


async def test_a_season_goes_on_with_a_wmape_that_a_plain_loop_gives(analysed: Analysed) -> None:
    values = [round(value) for value in seasonal(96)]
    found = await analysed("date,sales", monthly(values))
    beside = found["forecast"]["forecast"]
    assert (beside["given"], beside["span"]) == (True, "the next 12 months")
    assert value(found, "forecast.value") == pytest.approx(12_000, rel=0.01)
    errors = sizes = 0.0
    for origin in range(36, 96 - 12 + 1):
        for i in range(origin, origin + 12):
            errors += abs(values[i] - values[i - 12])
            sizes += values[i]
    assert value(found, "forecast.wmape/seasonal_naive") == pytest.approx(100 * errors / sizes)
    assert value(found, "forecast.origins") == 96 - 12 - 36 + 1
    assert value(found, "forecast.low") <= value(found, "forecast.value") <= value(found, "forecast.high")
    assert "January 2018 to December 2018" in outlook(found)
    assert grounds(found)["outlook"].level == "high"
    summary = text_of(found, "executive_summary")
    assert "is forecast at" in summary
    assert "Supplier: time stock for March and promotions for January" in advice(found)
    assert "in three cases" not in advice(found)


async def test_the_forecast_begins_after_the_last_complete_month(analysed: Analysed) -> None:
    rows = monthly(seasonal(100))  # January 2010 to April 2018
    days = [(f"{day[:8]}{d:02d}", value) for day, value in rows for d in (1, 10, 20, 28)]
    found = await analysed("date,sales", [*days, ("2018-05-01", 3), ("2018-05-02", 4)], only=["forecast"])
    assert "May 2018 to April 2019" in outlook(found)


async def test_with_zeros_the_season_is_a_difference_and_goes_on(analysed: Analysed) -> None:
    pattern = [0, 0, 30, 20, 10, 10, 40, 50, 30, 20, 10, 20]  # mean 20
    found = await analysed("date,sales", monthly(pattern * 7))
    trends = text_of(found, "trends_analysis")
    assert "Some values are zero or below" in trends
    assert value(found, "trends_analysis.season/8") == pytest.approx(250)  # 50 is 30 above 20, 150 % of it
    assert value(found, "trends_analysis.season/1") == pytest.approx(0, abs=1e-9)
    assert value(found, "forecast.value") == 240
    assert value(found, "forecast.low") == value(found, "forecast.high") == 240


async def test_negative_amounts_are_forecast_without_ratios(analysed: Analysed) -> None:
    values = [-200 + 10 * WOBBLE[i % 7] for i in range(60)]
    found = await analysed("date,profit_usd", monthly(values), only=["forecast", "trends_analysis"])
    assert value(found, "forecast.low") <= value(found, "forecast.value") <= value(found, "forecast.high") < 0
    assert "nan" not in outlook(found)


async def test_a_constant_series_has_no_season_no_change_and_a_band_without_width(analysed: Analysed) -> None:
    found = await analysed("date,sales", monthly([70] * 60))
    assert "The months of a year do not differ: there is no season." in text_of(found, "trends_analysis")
    assert (value(found, "forecast.low"), value(found, "forecast.high")) == (840, 840)
    assert "That is as much as from January 2014 to December 2014" in outlook(found)
    assert "MASE" not in outlook(found).split("\n")[1]  # there is no usual change to divide by


async def test_half_a_year_of_the_present_counts_for_the_forecast(analysed: Analysed) -> None:
    found = await analysed("date,sales", monthly(seasonal(102)), only=["forecast"])
    assert "July 2018 to June 2019" in outlook(found)
    before = sum(round(value) for value in seasonal(102)[-12:])
    assert value(found, "forecast.before") == before


async def test_a_stock_is_forecast_for_one_month_and_never_summed(analysed: Analysed) -> None:
    rows = monthly([5000 + 4 * i + 10 * WOBBLE[i % 7] for i in range(72)])
    found = await analysed("date,population", rows, only=["forecast"])
    assert "is forecast at" in outlook(found)
    assert "for December 2016;" in outlook(found)
    assert 5000 < value(found, "forecast.value") < 6000


# --- levels ---------------------------------------------------------------------------------------------------------


async def test_prices_get_their_last_value_and_a_band_and_no_course(analysed: Analysed) -> None:
    flat = [100 * (1.1 if i % 2 else 1.0) for i in range(60)]
    wild = [100 + 20 * WOBBLE[i % 7] for i in range(60)]
    rows = [(day, name, v) for name, values in (("Calm", flat), ("Wild", wild)) for day, v in monthly(values)]
    found = await analysed("date,symbol,price", rows)
    assert found["forecast"]["forecast"]["widest"] == "Wild"
    text = outlook(found)
    assert "A level gets no forecast: the last value is the best known." in text
    assert "is forecast at" not in text
    # twelve months on, Calm stands where it stood: it repeats within two months
    assert value(found, "forecast.low/Calm") == pytest.approx(flat[-1])
    assert value(found, "forecast.high/Calm") == pytest.approx(flat[-1])
    summary = text_of(found, "executive_summary")
    assert "the band comes from past moves: it is no forecast" in summary.lower()


async def test_the_band_of_a_price_is_that_of_past_ratios(analysed: Analysed) -> None:
    prices = [100 + 3 * i + 7 * WOBBLE[i % 7] for i in range(60)]
    rows = [(day, name, v) for name in "AB" for day, v in monthly(prices)]
    found = await analysed("date,symbol,price", rows, only=["forecast"])
    ratios = sorted(prices[at + 11] / prices[at - 1] for at in range(36, 60 - 12 + 1))
    place = 0.9 * (len(ratios) - 1)
    high = ratios[math.floor(place)] + (place % 1) * (ratios[math.ceil(place)] - ratios[math.floor(place)])
    assert value(found, "forecast.high/A") == pytest.approx(prices[-1] * high)


async def test_a_short_price_file_has_no_band(analysed: Analysed) -> None:
    rows = [(day, "A", v) for day, v in monthly([100 + i for i in range(20)])]
    found = await analysed("date,symbol,price", rows)
    assert "No forecast and no band are given" in outlook(found)
    assert "band" not in text_of(found, "executive_summary")


# --- confidence and advice ------------------------------------------------------------------------------------------


async def test_a_measure_that_was_assumed_makes_every_finding_low(analysed: Analysed) -> None:
    rows = [(y, name, 1.5 * y + j, 7.25 * j + y) for y in range(2001, 2016) for j, name in enumerate("AB")]
    assumed = await analysed("year,make,alpha,beta", rows)
    assert "measure" in assumed["profile_data"]["profile"]["roles"]["assumed"]
    assert {one.level for one in grounds(assumed).values()} == {"low"}
    bullets = section(assumed, "executive_summary").blocks[0]
    assert {item.confidence for item in bullets.items} == {"low"}  # type: ignore[union-attr]


async def test_a_direction_that_flips_with_its_start_is_not_of_high_confidence(analysed: Analysed) -> None:
    amounts = [100, 150, 140, 145, 135, 130, 128, 126, 124, 122]  # up from 2011, down from 2012
    rows = [(2011 + i, name, amount) for i, amount in enumerate(amounts) for name in "AB"]
    found = await analysed("year,make,units", rows, only=["market_overview", "summary", "method", "recommendations"])
    assert grounds(found)["size"].holds is False
    assert grounds(found)["size"].level == "medium"
    assert "Size and growth | complete | 10 | flips | – | medium" in text_of(found, "method")


async def test_gaps_and_a_short_window_together_are_low(analysed: Analysed) -> None:
    rows = [row for i, row in enumerate(monthly(seasonal(36))) if i != 5]
    found = await analysed("date,sales", rows, only=["market_overview"])
    assert grounds(found)["rows"].level == "low"


async def test_two_trends_that_meet_have_a_watch_date(analysed: Analysed) -> None:
    # shares of A 60, 57, 54, 51, 48 % and of B 40, 43, 46, 49, 52 % from 2011 on; C stays small: A leads to 2019
    rows = []
    for i in range(10):
        a, b = 600 - 20 * i, 300 + 20 * i  # in 2020: 420 and 480 would have crossed; so stop in 2017
        if i < 7:
            rows += [(2011 + i, "A", a), (2011 + i, "B", b), (2011 + i, "C", 100)]
    found = await analysed("year,make,units", rows)
    # 2017: A 48 %, B 42 %, 6 points apart and 4 closer each year: 1.5 years, so above in 2019
    assert found["competitor_analysis"]["competition"]["crossing"]["when"] == 2019
    assert value(found, "competitor_analysis.slope/A") == pytest.approx(-2)
    assert "watch A and B, which may change places by 2019" in advice(found)


def meeting(young: dict[str, int], years: int) -> list[tuple[object, ...]]:
    """The shares above by month from 2011 on, and three months of the year after with these amounts."""
    rows: list[tuple[object, ...]] = []
    for i in range(years):
        parts = {"A": 600 - 20 * i, "B": 300 + 20 * i, "C": 100}
        rows += [(f"{2011 + i}-{m:02d}-01", n, v) for m in range(1, 13) for n, v in parts.items()]
    return rows + [(f"{2011 + years}-{m:02d}-01", n, v) for m in range(1, 4) for n, v in young.items()]


async def test_a_watch_date_is_not_within_the_file(analysed: Analysed) -> None:
    # to 2018: A 46 %, B 44 %, 2 points apart and 4 closer each year: above in 2019, of which the file has three months
    only = ["competitor_analysis", "recommendations"]
    whole = await analysed("date,make,units", meeting({}, 8), only=only)
    assert whole["competitor_analysis"]["competition"]["crossing"]["when"] == 2019
    found = await analysed("date,make,units", meeting({"A": 455, "B": 445, "C": 100}, 8), only=only)
    assert "crossing" not in found["competitor_analysis"]["competition"]
    assert "change places" not in advice(found)


async def test_a_crossing_already_shown_by_the_part_of_a_year_has_no_watch_date(analysed: Analysed) -> None:
    # to 2017: above in 2019; the file has three months of 2018
    only = ["competitor_analysis", "recommendations"]
    found = await analysed("date,make,units", meeting({"A": 460, "B": 440, "C": 100}, 7), only=only)
    assert found["competitor_analysis"]["competition"]["crossing"]["when"] == 2019
    found = await analysed("date,make,units", meeting({"A": 440, "B": 460, "C": 100}, 7), only=only)
    assert "crossing" not in found["competitor_analysis"]["competition"]


async def test_a_part_of_a_year_is_one_cycle_and_not_one_for_each_month(analysed: Analysed) -> None:
    rows = meeting({"A": 440, "B": 460, "C": 110}, 7)  # 1,010 a month, where the same months of 2017 had 1,000
    found = await analysed("date,make,units", rows, only=["market_overview", "method"])
    part = grounds(found)["young_year"]
    assert (part.cycles, part.holds, part.level) == (1, True, "low")
    assert "The part of 2018 | incomplete | 1 | holds" in text_of(found, "method")
    overview = text_of(found, "market_overview")
    assert "Over the same months, January to March 2018 came to 3,030, 1.0\u00a0% more" in overview
    assert "Like for like" not in overview


async def test_trends_that_part_have_no_watch_date(analysed: Analysed) -> None:
    rows = [(2011 + i, name, v) for i in range(8) for name, v in (("A", 600 + 20 * i), ("B", 400 - 20 * i))]
    found = await analysed("year,make,units", rows)
    assert "crossing" not in found["competitor_analysis"]["competition"]
    assert "change places" not in advice(found)


async def test_a_weak_season_is_no_reason_to_time_stock(analysed: Analysed) -> None:
    values = [1000 + 40 * WOBBLE[i % 7] + 60 * WOBBLE[(i // 5) % 7] for i in range(72)]
    found = await analysed("date,sales", monthly(values))
    assert value(found, "trends_analysis.strength") < 0.64
    assert "Supplier: do not time stock by the season" in advice(found)


async def test_large_errors_or_a_recent_change_of_level_ask_for_three_cases(analysed: Analysed) -> None:
    values = seasonal(60) + [0.6 * value for value in seasonal(30)]
    found = await analysed("date,sales", monthly(values))
    assert found["trends_analysis"]["breaks"]["dates"] == ["January 2015"]
    assert "plan the next 12 months in three cases" in advice(found)
    assert "The level changed in January 2015." in advice(found)


# --- evidence -------------------------------------------------------------------------------------------------------


async def test_each_number_of_the_outlook_is_a_fact_of_its_stored_query(analysed: Analysed) -> None:
    found = await analysed("date,sales", monthly(seasonal(96)))
    part = section(found, "forecast")
    assert {query.id for query in part.queries} == {"forecast.periods"}
    assert {fact.query for fact in part.facts} == {"forecast.periods"}
    for block in part.blocks:
        for span in getattr(block, "spans", []):
            assert span.fact or not re.search(r"\d{4,}", re.sub(r"\b(19|20)\d\d\b", "", span.text)), span.text


async def test_the_same_file_gives_the_same_outlook(analysed: Analysed) -> None:
    rows = monthly(seasonal(96))
    assert await analysed("date,sales", rows) == await analysed("date,sales", rows)
    assert len(sections(await analysed("date,sales", rows))) == 8
