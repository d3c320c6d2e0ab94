"""The traps of levels (temperatures, percentages, prices): seasons, ties, charts, bands.

The figures are worked out by hand or by plain arithmetic beside the test, never taken from a report.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.nodes.market import confidence
from holdfast.nodes.report import html
from holdfast.nodes.report.charts import draw
from holdfast.nodes.report.document import Figure
from tests.unit.fakes_market import facts, sections, text_of

COURSE = [-2, -1, 3, 8, 13, 17, 19, 18, 14, 8, 3, -1]  # °C per month; their mean is 8.25
Results = dict[str, dict[str, Any]]
Analysed = Callable[..., Any]


def monthly(count: int, value: Callable[[int], float], name: str) -> list[tuple[object, ...]]:
    return [(f"{2010 + i // 12}-{i % 12 + 1:02d}-01", name, round(value(i), 1)) for i in range(count)]


def temperatures(months: int = 103) -> list[tuple[object, ...]]:
    """From January 2010 to July 2018; each year is warmer than the last by 0.1 °C, in East by 0.2."""
    rows = monthly(months, lambda i: COURSE[i % 12] + 0.1 * (i // 12), "West")
    return rows + monthly(months, lambda i: COURSE[i % 12] + 2 + 0.2 * (i // 12), "East")


def value(results: Results, fact: str) -> float:
    return float(facts(results)[fact].value or 0)


def figures(results: Results) -> dict[str, Figure]:
    return {b.name: b for part in sections(results) for b in part.blocks if b.type == "figure"}


async def test_a_strong_season_is_not_told_as_a_change(analysed: Analysed) -> None:
    found = await analysed("date,region,temperature_c", temperatures())
    # January 2010 to July 2018 would be +21.8; the first 12 months have a mean of 8.25, the last of 8.25 + 0.7 to
    # July with five months (August to December) of 0.7 and seven of 0.8
    west = 0.7 * 5 / 12 + 0.8 * 7 / 12
    assert value(found, "competitor_analysis.change/West") == pytest.approx(west, abs=1e-9)
    assert value(found, "competitor_analysis.change/East") == pytest.approx(2 * west, abs=1e-9)
    text = text_of(found, "competitor_analysis")
    assert "Compared are means of 12 months" in text
    assert "between the mean of the 12 months to December 2010 and that of the 12 to July 2018" in text
    assert "fell" not in text_of(found, "executive_summary")
    assert value(found, "market_overview.first/West") == pytest.approx(8.25)


async def test_the_query_of_a_mean_returns_it(analysed: Analysed) -> None:
    found = await analysed("date,region,temperature_c", temperatures(), only=["competitor_analysis"])
    query = facts(found)["competitor_analysis.first/West"].query
    sql = next(q.sql for part in sections(found) for q in part.queries if q.id == query)
    assert "ROWS BETWEEN 11 PRECEDING AND CURRENT ROW" in sql


async def test_ends_in_other_months_without_a_strong_season_are_said(analysed: Analysed) -> None:
    rows = [row for name in "AB" for row in monthly(54, lambda i: 100 + 3 * ((i * 7) % 11) + i, name)]
    found = await analysed("date,symbol,price", rows, only=["competitor_analysis"])
    assert "First and last value are of different months; the season is weak" in text_of(found, "competitor_analysis")
    short = [row for name in "AB" for row in monthly(20, lambda i: 100 + i, name)]
    found = await analysed("date,symbol,price", short, only=["competitor_analysis"])
    assert "part of a change may be the season" in text_of(found, "competitor_analysis")


async def test_a_season_of_temperatures_is_told_in_their_unit(analysed: Analysed) -> None:
    found = await analysed("date,region,temperature_c", temperatures(108), only=["trends_analysis"])
    # the trend adds 0.15 °C a year to the median of the two; July is 10.75 above the mean of 8.25
    assert value(found, "trends_analysis.season_above") == pytest.approx(10.75, abs=0.1)
    assert value(found, "trends_analysis.season_below") == pytest.approx(-10.25, abs=0.1)
    assert "The season of the median region is strong" in text_of(found, "trends_analysis")


@pytest.mark.parametrize("measure", ["temperature_c", "occupancy_pct", "score"])
async def test_percentages_temperatures_and_scores_get_five_charts_and_more(analysed: Analysed, measure: str) -> None:
    found = await analysed(f"date,region,{measure}", temperatures())
    drawn = figures(found)
    assert {"courses", "ranks", "change", "spread", "distance", "season", "bands"} >= set(drawn)
    assert 5 <= len(drawn) <= 8
    for figure in drawn.values():
        assert "nan" not in figure.alt
        assert "rebased" not in figure.name
    assert draw(drawn["courses"]).png
    assert draw(drawn["spread"]).png


async def test_rates_of_many_over_years_get_a_panel_each(analysed: Analysed) -> None:
    rows = [(2010 + y, f"R{j}", round(5 + j * 0.7 + ((y * 3 + j) % 5) * 0.2, 1)) for y in range(9) for j in range(7)]
    found = await analysed("year,region,unemployment_rate", rows)
    drawn = figures(found)
    assert {"courses", "ranks", "change", "spread", "distance"} <= set(drawn)
    assert "facet" in drawn["courses"].spec
    assert draw(drawn["courses"]).png
    # in 2018 the highest is R5 with 5 + 3.5 + 4 × 0.2 = 9.3, the lowest R1 with 5 + 0.7 = 5.7
    assert value(found, "market_overview.range") == pytest.approx(3.6)
    assert drawn["change"].subtitle.startswith("Change of “unemployment_rate”, points")


async def test_one_course_of_percentages_is_compared_with_itself(analysed: Analysed) -> None:
    rows = [(day, v) for day, _, v in monthly(90, lambda i: 60 + COURSE[i % 12] + i // 12, "x")]
    found = await analysed("date,humidity_pct", rows)
    assert {"courses", "years", "spread", "season"} <= set(figures(found))
    # seven complete years of 68.25 + 0 to 6: their mean is 71.25
    assert figures(found)["years"].data.rows[0] == ["2010", "−3\u00a0points"]
    assert figures(found)["years"].data.rows[-1] == ["2016", "+3\u00a0points"]


async def test_levels_that_rose_alike_have_no_first(analysed: Analysed) -> None:
    rows = [(2010 + y, name, 50 + 10 * j + 2 * y) for y in range(9) for j, name in enumerate(("East", "West", "North"))]
    found = await analysed("year,region,occupancy_pct", rows)
    text = "\n".join(text_of(found, part.id) for part in sections(found) if part.id != "method")
    assert "All three rose alike, by 16\u00a0points from 2010 to 2018" in text
    assert "All three regions rose from 2010 to 2018, all alike" in text
    for claim in ("the most", "the least", "widest", "varied the most"):
        assert claim not in text, claim


async def test_a_part_of_those_alike_is_named_together(analysed: Analysed) -> None:
    rows = [(2010 + y, n, 50 + (2 if n != "C" else 1) * y) for y in range(9) for n in "ABC"]
    found = await analysed("year,region,occupancy_pct", rows)
    assert "All three regions rose from 2010 to 2018, A and B the most" in text_of(found, "competitor_analysis")
    assert "Two rose the most, alike, by 16\u00a0points" in text_of(found, "executive_summary")


async def test_a_steady_season_of_one_percent_is_no_reason_to_time_stock(analysed: Analysed) -> None:
    small = [10_000 + 50 * (i % 12 == 11) - 60 * (i % 12 == 0) + 10 * i for i in range(72)]
    rows = [(f"{2010 + i // 12}-{i % 12 + 1:02d}-01", v) for i, v in enumerate(small)]
    found = await analysed("date,sales", rows)
    assert value(found, "trends_analysis.strength") > 0.64
    assert value(found, "trends_analysis.season_swing") == pytest.approx(1.1, abs=0.1)
    assert "Supplier: do not time stock by the season" in text_of(found, "recommendations")
    assert "time stock for" not in text_of(found, "recommendations")
    assert "Time stocks" not in text_of(found, "executive_summary")


def test_a_band_that_held_few_values_makes_the_confidence_low() -> None:
    sound = {"finding": "Outlook", "complete": True, "cycles": 9, "holds": True}
    assert confidence.Grounds(**sound).level == "high"
    assert confidence.Grounds(**sound, doubt="held too few").level == "medium"
    assert confidence.Grounds(**sound, doubt="held too few", most="low").level == "low"
    assert confidence.Grounds(**sound, most="medium").level == "medium"


async def test_a_band_with_the_last_value_at_its_end_says_so(analysed: Analysed) -> None:
    rows = [(2010 + y, name, 50 + 10 * j + 2 * y) for y in range(12) for j, name in enumerate("AB")]
    found = await analysed("year,region,occupancy_pct", rows, only=["forecast"])
    text = text_of(found, "forecast")
    # two years ahead, four points and never another change; the last value is 72
    assert (value(found, "forecast.low/A"), value(found, "forecast.high/A")) == (76, 76)
    assert "widest" not in text


async def test_bands_of_percentages_are_differences_with_the_decimals_of_the_file(analysed: Analysed) -> None:
    rows = [row for name, base in (("A", 5), ("B", 50)) for row in monthly(60, lambda i, b=base: b + i % 2, name)]
    found = await analysed("date,region,occupancy_pct", rows, only=["forecast"])
    assert found["forecast"]["forecast"]["wide"] is False  # twelve months on, each stands where it stood
    assert "No band has a width" in text_of(found, "forecast")


async def test_a_forecast_at_the_end_of_its_band_says_so(analysed: Analysed) -> None:
    rows = [(2000 + y, 1000 + 50 * (y % 4 == 3) + 40 * y) for y in range(20)]
    found = await analysed("year,units", rows, only=["forecast"])
    low, mid, high = (value(found, f"forecast.{key}") for key in ("low", "value", "high"))
    assert low <= mid <= high


async def test_a_method_that_was_always_too_low_is_shifted(analysed: Analysed) -> None:
    # grows by 8 % a year: half of the last growth, or the last value, was too low each time
    rows = [(2000 + y, round(1_000_000 * 1.08**y)) for y in range(20)]
    found = await analysed("year,units", rows, only=["forecast"])
    # 1.08 × 1,000,000 × 1.08^19 = 4,660,957: the median of past errors comes near
    assert value(found, "forecast.value") == pytest.approx(4_660_957, rel=0.02)
    assert value(found, "forecast.low") <= value(found, "forecast.value") <= value(found, "forecast.high")
    text = text_of(found, "forecast")
    assert "lay below the actual values nearly always" in text
    assert "shifted by the median of its past errors†" in text
    assert text.index("% more than in 2019") < text.index("The method itself gives")  # "that" is the forecast
    assert value(found, "forecast.unshifted") < value(found, "forecast.low")


async def test_enough_digits_tell_the_band_from_the_forecast(analysed: Analysed) -> None:
    rows = [(2000 + y, 149_354 + (0, 40, -30, 20, -10)[y % 5]) for y in range(25)]
    found = await analysed("year,units", rows, only=["forecast"])
    texts = [facts(found)[f"forecast.{key}"].text for key in ("low", "value", "high")]
    # three digits would make each 149,000, below every value of the file
    assert len(set(texts)) == 3
    assert all(text.startswith("149,3") for text in texts)


async def test_advice_is_no_surer_than_the_part_of_the_year_it_tells_of(analysed: Analysed) -> None:
    rows = [
        (f"{2010 + i // 12}-{i % 12 + 1:02d}-01", name, 500 + 10 * j + (i * 7) % 11 + i)
        for i in range(98)
        for j, name in enumerate("ABC")
    ]
    found = await analysed("date,make,units", rows)
    advice = next(
        item
        for part in sections(found)
        if part.id == "recommendations"
        for block in part.blocks
        if block.type == "bullets"
        for item in block.items
        if "leave 2018 out" in "".join(span.text for span in item.spans)
    )
    assert advice.confidence == confidence.tests_in(list(found.values()))["young_year"].level == "low"


async def test_a_watch_date_is_never_of_high_confidence(analysed: Analysed) -> None:
    rows = [(2011 + i, n, v) for i in range(7) for n, v in (("A", 600 - 20 * i), ("B", 300 + 20 * i), ("C", 100))]
    found = await analysed("year,make,units", rows)
    assert "watch A and B, which may change places by 2019" in text_of(found, "recommendations")
    assert confidence.tests_in(list(found.values()))["crossing"].level == "medium"


def many_prices() -> list[tuple[object, ...]]:
    """S00 to S39, the later the higher; S39 ended, S38 is young."""
    rows = []
    for k in range(40):
        months = range(48) if k != 38 else range(40, 48)
        rows += [
            (f"{2010 + i // 12}-{i % 12 + 1:02d}-01", f"S{k:02d}", (k + 1) * (47 + i + (i * (k + 2)) % 5))
            for i in months
        ]
    return [row for row in rows if row[1] != "S39" or str(row[0]) < "2013-06-01"]


async def test_of_many_levels_the_highest_are_compared_and_said_to_be(analysed: Analysed) -> None:
    found = await analysed("date,symbol,price", many_prices())
    named = {fact.removeprefix("market_overview.last/") for fact in facts(found) if "market_overview.last/" in fact}
    assert named == {f"S{k:02d}" for k in range(23, 38)}
    told = "Compared are 15 of them: those with a history up to December 2013 with the highest last values, first those"
    assert told in text_of(found, "market_overview")
    assert "of 15 of 40" in text_of(found, "competitor_analysis")
    assert text_of(found, "executive_summary").count("Of the 15 symbols compared, ") >= 2
    drawn = [figure for figure in figures(found).values() if figure.name != "season"]
    assert len(drawn) >= 5
    assert all(" of 40 symbols" in figure.subtitle for figure in drawn), [figure.subtitle for figure in drawn]


async def test_of_many_lines_those_with_the_highest_last_values_are_drawn(analysed: Analysed) -> None:
    rows = [
        (f"{2010 + i // 12}-{i % 12 + 1:02d}-01", f"N{k:02d}", 20 + k + (i * (k + 3)) % 7)
        for k in range(14)
        for i in range(36)
    ]
    found = await analysed("date,region,temperature_c", rows, only=["market_overview"])
    course = figures(found)["courses"]
    assert {row["name"] for row in course.spec["data"]["values"]} == set(
        sorted((row[1] for row in rows[35::36]), key=lambda name: -next(r[2] for r in rows[35::36] if r[1] == name))[
            :12
        ]
    )
    assert "Shown are 12 of 14 regions, the highest of those compared." in course.subtitle
    assert "lowest" not in course.title


async def test_where_all_are_compared_nothing_is_said_of_a_choice(analysed: Analysed) -> None:
    found = await analysed("date,region,temperature_c", temperatures())
    assert not any("Shown are" in figure.subtitle for figure in figures(found).values())
    assert "Compared are 2" not in text_of(found, "market_overview")


async def test_a_month_that_a_level_lacks_makes_what_is_said_of_it_less_sure(analysed: Analysed) -> None:
    rows = [row for k, name in enumerate("ABC") for row in monthly(60, lambda i, k=k: 50 + 9 * k + i + i % 5, name)]
    whole = confidence.tests_in(list((await analysed("date,symbol,price", rows)).values()))
    less = await analysed("date,symbol,price", [row for row in rows if row[:2] != ("2012-05-01", "B")])
    found = confidence.tests_in(list(less.values()))
    for finding in ("level_change", "level_common", "level_fall", "level_swing", "outlook", "rows"):
        assert whole[finding].complete, finding
        assert not found[finding].complete, finding


async def test_who_rose_has_no_colour_of_falls_and_who_rose_alike_none_at_all(analysed: Analysed) -> None:
    def tones(found: Results, chart: str) -> dict[str, int]:
        return {row["name"]: row["tone"] for row in figures(found)[chart].spec["data"]["values"]}

    rows = [row for k, name in enumerate("ABC") for row in monthly(36, lambda i, k=k: 50 + (k + 1) * i, name)]
    assert tones(await analysed("date,symbol,price", rows), "change") == {"A": 0, "B": 0, "C": 1}
    rows = [row for k, name in enumerate("ABC") for row in monthly(36, lambda i, k=k: 500 - (k + 1) * i, name)]
    assert tones(await analysed("date,symbol,price", rows), "change") == {"A": 0, "B": 0, "C": -1}
    rows = [row for k, name in enumerate("ABC") for row in monthly(36, lambda i, k=k: 50 + min(k, 1) * i, name)]
    assert tones(await analysed("date,symbol,price", rows), "change") == {"A": 0, "B": 0, "C": 0}


async def test_a_title_has_no_decimals_that_the_data_have_not(analysed: Analysed) -> None:
    rows = [
        (
            f"{2010 + i // 12}-{i % 12 + 1:02d}-01",
            name,
            200_000 + 40_000 * k + 1001 * i + 3000 * COURSE[i % 12] + (k and i == 60),
        )
        for k, name in enumerate("AB")
        for i in range(61)
    ]
    found = await analysed("date,city,house_price_eur", rows, only=["market_overview"])
    assert "mean of the last 12 months" in figures(found)["ranks"].subtitle  # one twelfth above 40,000
    assert figures(found)["ranks"].title.startswith("40,000\u00a0EUR between the highest and the lowest")


async def test_the_name_of_a_mean_stands_beyond_the_lines(analysed: Analysed) -> None:
    rows = [row[::2] for row in monthly(40, lambda i: 50 + i % 7, "one")]
    spec = figures(await analysed("date,oil_price_usd", rows, only=["market_overview"]))["courses"].spec
    label = spec["layer"][-1]
    assert label["data"]["values"][0]["period"] == spec["data"]["values"][-1]["period"]
    assert (label["mark"]["align"], label["data"]["values"][0]["text"]) == ("left", "12-month mean")


def prices_of_one(count: int) -> list[tuple[object, ...]]:
    """100, 104, 102, 106, 110, 96 and so on: each half year ends low."""
    return [row[::2] for row in monthly(count, lambda i: 100 + (0, 4, 2, 6, 10, -4)[i % 6] + i / 6, "one")]


async def test_three_years_of_one_price_give_five_to_eight_charts_of_different_questions(analysed: Analysed) -> None:
    found = await analysed("date,oil_price_usd", prices_of_one(36))
    drawn = figures(found)
    assert {"courses", "years", "moves", "below", "spread", "band"} <= set(drawn)
    assert len(drawn) <= 8
    assert len({figure.title for figure in drawn.values()}) == len(drawn)
    assert "few charts" not in text_of(found, "trends_analysis")
    for figure in drawn.values():
        assert draw(figure).png


async def test_the_changes_of_one_price_are_counted_in_steps(analysed: Analysed) -> None:
    rows = [float(str(row[1])) for row in prices_of_one(36)]
    changes = sorted((b / a - 1) * 100 for a, b in itertools.pairwise(rows))
    moves = figures(await analysed("date,oil_price_usd", prices_of_one(36), only=["competitor_analysis"]))["moves"]
    bins = moves.spec["data"]["values"]
    assert sum(row["count"] for row in bins) == 35
    for row in bins:
        assert row["count"] == sum(row["low"] <= change < row["high"] for change in changes)
    low, high = (sum(changes[at : at + 2]) / 2 for at in (8, 25))  # a quarter of 34 steps from either end
    assert moves.title == f"Half of all changes lie between −{-low:.1f}\u00a0% and +{high:.1f}\u00a0%"


async def test_a_fall_of_one_price_is_against_the_highest_before(analysed: Analysed) -> None:
    rows = [(2010 + i, price) for i, price in enumerate([100, 120, 90, 130, 117, 140])]
    found = await analysed("year,oil_price_usd", rows)
    below = figures(found)["below"]
    assert [round(row["value"], 6) for row in below.spec["layer"][0]["data"]["values"]] == [0, 0, -25, 0, -10, 0]
    assert below.title == "In 2012 “oil_price_usd” stood 25.0\u00a0% below an earlier high"
    assert "in 2015 at a high" in below.subtitle
    assert (
        figures(found)["moves"].title == "The highest change was +44.4\u00a0% in 2013, the lowest −25.0\u00a0% in 2012"
    )
    assert "So short a file (6 years) gives few charts" in text_of(found, "trends_analysis")


async def test_what_never_fell_has_no_chart_of_falls(analysed: Analysed) -> None:
    found = await analysed("year,oil_price_usd", [(2010 + i, 100 + i) for i in range(12)])
    assert "below" not in figures(found)


async def test_a_change_across_a_missing_period_is_none_of_one_period(analysed: Analysed) -> None:
    rows = [row for row in prices_of_one(60) if row[0] != "2011-05-01"]
    moves = figures(await analysed("date,oil_price_usd", rows, only=["competitor_analysis"]))["moves"]
    assert sum(row["count"] for row in moves.spec["data"]["values"]) == 57


async def test_the_band_of_one_price_ends_where_the_text_says(analysed: Analysed) -> None:
    found = await analysed("date,oil_price_usd", prices_of_one(48), only=["forecast"])
    band = figures(found)["band"]
    last = band.spec["layer"][0]["data"]["values"][-1]
    assert last["low"] == pytest.approx(value(found, "forecast.low/oil_price_usd"))
    assert last["high"] == pytest.approx(value(found, "forecast.high/oil_price_usd"))
    assert band.title.endswith(" in Dec 2014")


async def test_a_rise_to_many_times_the_start_is_a_rise(analysed: Analysed) -> None:
    rows = [row for name, by in (("A", 40), ("B", 1)) for row in monthly(36, lambda i, by=by: 50 + by * i, name)]
    change = figures(await analysed("date,symbol,price", rows, only=["competitor_analysis"]))["change"]
    assert change.data.rows == [["A", "×29.0"], ["B", "+70.0\u00a0%"]]
    assert change.title == "All two symbols rose from Jan 2010 to Dec 2012, A the most"
    assert {row["name"]: row["tone"] for row in change.spec["data"]["values"]} == {"A": 1, "B": 0}


async def test_the_fall_of_a_single_price_is_told_once_in_the_summary(analysed: Analysed) -> None:
    found = await analysed("year,oil_price_usd", [(2010 + i, 100 - 3 * i) for i in range(12)])
    summary = next(part for part in sections(found) if part.id == "executive_summary")
    (bullets,) = [block for block in summary.blocks if block.type == "bullets"]
    told = ["".join(span.text for span in item.spans) for item in bullets.items]
    assert len(told) == 5
    assert sum("33.0\u00a0% from 2010 to 2021" in text for text in told) == 1, told


@pytest.mark.parametrize(
    "header", ["date,oil_price_usd", "date,symbol,price", "date,city,temperature_c", "date,make,units"]
)
async def test_every_colour_of_a_chart_has_its_counterpart_in_the_dark(analysed: Analysed, header: str) -> None:
    rows = [row for k in range(16) for row in monthly(48, lambda i, k=k: 50 + 9 * k + (i % 12) * (k + 1) + i, f"N{k}")]
    rows = [row[::2] for row in rows[:48]] if header.count(",") == 1 else rows
    for figure in figures(await analysed(header, rows)).values():
        drawn = draw(figure).page.decode()
        colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn)) - {"none", "transparent"}
        assert colours <= set(html._DARK), (figure.name, colours - set(html._DARK))
