"""The traps of charts: titles and texts speak of what is drawn, and say what is left out.

The figures are worked out by hand, never taken from a report.
"""

from __future__ import annotations

import itertools
import operator
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.nodes.data.models import Profile
from holdfast.nodes.market.figures import ACCENT
from holdfast.nodes.report.charts import draw
from holdfast.nodes.report.document import Figure
from tests.unit.fakes_market import run_analyses, sections, text_of, write

Results = dict[str, dict[str, Any]]
Analysed = Callable[..., Any]


def figures(results: Results) -> dict[str, Figure]:
    return {b.name: b for part in sections(results) for b in part.blocks if b.type == "figure"}


def drawn_years(figure: Figure) -> list[str]:
    return [row[0] for row in figure.data.rows]


async def test_a_title_on_the_last_years_of_a_price_names_none_that_is_not_drawn(analysed: Analysed) -> None:
    # 2001 has the highest mean and the widest spread of twenty years, but only 2007 to 2020 are drawn
    def price(year: int, month: int) -> float:
        swing = {2001: 40, 2012: 9}.get(year, 3)
        return 100 + {2001: 50, 2009: 20, 2015: -20}.get(year, 0) + swing * (month % 2)

    rows = [(f"{year}-{month:02d}-01", price(year, month)) for year in range(2001, 2021) for month in range(1, 13)]
    drawn = figures(await analysed("date,price", rows))
    years, spread = drawn["years"], drawn["spread"]
    assert drawn_years(years) == drawn_years(spread) == [str(year) for year in range(2007, 2021)]
    assert years.title == "2009 was the highest of the last 14 complete years, 2015 the lowest"
    assert "the last 14 complete years, 2007 to 2020," in years.subtitle
    assert spread.title.startswith("2012 varied the most of the last 14 complete years: ")
    assert "2007 to 2020" in spread.subtitle


async def test_a_price_of_fewer_years_speaks_of_no_last_ones(analysed: Analysed) -> None:
    rows = [(f"{2001 + i // 12}-{i % 12 + 1:02d}-01", 100 + i // 12 + i % 2) for i in range(60)]
    drawn = figures(await analysed("date,price", rows))
    assert drawn["years"].title == "2005 was the highest of five years, 2001 the lowest"
    assert "last" not in drawn["years"].subtitle + drawn["spread"].subtitle


async def test_a_title_and_text_on_the_last_of_many_totals_name_none_that_is_not_drawn(analysed: Analysed) -> None:
    # the highest of 80 years, 1941, and the first, 1940, come before the last 60
    rows = [(year, {1941: 900, 1970: 500, 1990: 50}.get(year, 100 + year - 1940)) for year in range(1940, 2020)]
    size = figures(await analysed("year,sales_units", rows))["size"]
    assert drawn_years(size) == [str(year) for year in range(1960, 2020)]
    assert size.title == "1970 was the highest of the last 60 complete years, 1990 the lowest"
    assert "Complete years only, the last 60 of 80." in size.subtitle
    assert size.alt.endswith("; 120\u00a0units in 1960, 179\u00a0units in 2019.")
    marked = {row["when"] for row in size.spec["data"]["values"] if row["marked"]}
    assert marked == {"1970", "1990"}


@pytest.mark.parametrize(("seed", "one_level"), [(3, False), (2, True)])
async def test_one_level_for_all_months_is_said_only_where_the_forecasts_drawn_are_one(
    analysed: Analysed, seed: int, one_level: bool
) -> None:
    # where the last value was too low nearly always, each month ahead is shifted by errors of its own
    walk, steps = random.Random(seed), (-15.0, -7.5, 0.0, 7.5, 15.0)
    values = itertools.accumulate([1000.0] + [walk.choice(steps) for _ in range(35)])
    rows = [(f"{2010 + i // 12}-{i % 12 + 1:02d}-01", round(value)) for i, value in enumerate(values)]
    found = await analysed("date,units", rows, only=["forecast"])
    text = text_of(found, "forecast")
    assert "The method is the last value:" in text
    assert (len({row[1] for row in figures(found)["forecast"].data.rows}) == 1) == one_level
    assert ("one level for all months ahead" in text) == one_level


async def test_of_levels_one_that_has_ended_is_named_and_the_other_speaks_for_itself(analysed: Analysed) -> None:
    rows = [(year, "Alpha", 10 + year - 2000) for year in range(2000, 2021)]
    rows += [(year, "Beta", 90 + year - 2000) for year in range(2000, 2020)]
    found = await analysed("year,source,price", rows)
    text = text_of(found, "market_overview")
    assert "Compared is 1 of them: the one with a history up to 2020. Beta ends in 2019 and is not compared." in text
    summary = text_of(found, "executive_summary")
    assert "Of the 1" not in summary
    assert "Alpha rose by 200.0\u00a0% from 2000 to 2020" in summary
    assert "Of Alpha the highest value was 30 (2020), the lowest 10 (2000)." in summary


async def test_the_highest_value_of_a_single_level_needs_no_name(analysed: Analysed) -> None:
    found = await analysed("year,price", [(2000 + i, 10 + (i * 7) % 12) for i in range(12)])
    assert "The highest value was 21 (2005), the lowest 10 (2000)." in text_of(found, "executive_summary")


async def test_what_stands_where_it_began_did_not_rise_and_what_came_again_is_told_as_first(analysed: Analysed) -> None:
    rows = [(2000 + i, value) for i, value in enumerate([10, 14, 12, 15, 15, 12, 13, 11, 12, 10])]
    found = await analysed("year,price", rows)
    summary = text_of(found, "executive_summary")
    assert "price changed by nothing from 2000 to 2009, 10 to 10." in summary
    assert "rose by" not in summary
    assert "The highest value was 15 (first in 2003), the lowest 10 (first in 2000)." in summary
    assert figures(found)["courses"].title == "“price” was highest first in 2003 and lowest first in 2000"


PRICES = [("2021-01", 1.09, 2.24, 5.94), ("2021-02", 1.09, 2.3, 6.1), ("2021-03", 1.19, 2.4, 6.6)]


async def test_bare_columns_of_a_file_that_is_named_after_prices_are_compared(tmp_path: Path) -> None:
    header, name = "month,milk 1 l,bread 500 g,coffee 500 g\n", "retail_prices.csv"
    text = header + "".join(",".join(map(str, row)) + "\n" for row in PRICES)
    found = await run_analyses(tmp_path, [write(tmp_path / name, text)])
    profile = Profile.model_validate(found["profile_data"]["profile"])
    assert profile.roles.fold == ["milk 1 l", "bread 500 g", "coffee 500 g"]
    assert profile.roles.measure.kind == "intensive"
    assert any("hold one measure side by side" in text for text in profile.roles.assumptions)
    # 6.6 / 5.94 − 1 = 11.1 %, more than 9.2 % of milk and 7.1 % of bread
    assert "coffee 500 g rose the most: by 11.1\u00a0%" in text_of(found, "executive_summary")


@pytest.mark.parametrize(("goal", "parts"), [("Market report on bread 500 g", 0), ("Market report on food", 3)])
async def test_a_column_that_the_goal_names_is_measured_alone(tmp_path: Path, goal: str, parts: int) -> None:
    header = "month,milk 1 l,bread 500 g,coffee 500 g\n"
    text = header + "".join(",".join(map(str, row)) + "\n" for row in PRICES)
    found = await run_analyses(tmp_path, [write(tmp_path / "retail_prices.csv", text)], goal, only=["market_overview"])
    profile = Profile.model_validate(found["profile_data"]["profile"])
    assert len(profile.roles.fold) == parts
    assert (profile.roles.measure.column == "bread 500 g") == (not parts)


@pytest.mark.parametrize("header", ["date,open,high,low", "date,sqft,rooms,price", "date,usd,eur,sek", "date,a,b"])
async def test_other_columns_of_such_a_file_are_no_parts(tmp_path: Path, header: str) -> None:
    rows = [row[: header.count(",") + 1] for row in PRICES]
    text = f"{header}\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    found = await run_analyses(tmp_path, [write(tmp_path / "prices.csv", text)], only=["market_overview"])
    assert Profile.model_validate(found["profile_data"]["profile"]).roles.fold == []


def rising(name: str, growth: float, *, dip: float = 0.0) -> list[tuple[object, ...]]:
    """Twenty years, with a fall of ``dip`` percent in every fifth."""
    changes = [1 + growth if i % 5 else 1 - dip / 100 for i in range(1, 20)]
    values = itertools.accumulate([100.0, *changes], operator.mul)
    return [(2000 + i, name, round(value, 3)) for i, value in enumerate(values)]


async def test_who_never_fell_and_whose_band_lies_above_the_last_value_is_said(analysed: Analysed) -> None:
    rows = rising("Alpha", 0.04, dip=40) + rising("Beta", 0.05, dip=10) + rising("Gamma", 0.05, dip=-3)
    found = await analysed("year,country,price", rows)
    drawn = figures(found)
    assert "Gamma never fell from an earlier peak." in text_of(found, "trends_analysis")
    assert drawn["drawdown"].title == "Alpha fell the deepest from a peak, Beta the least deep of those that fell"
    assert "Shown are 2 of 3 countries, those that fell." in drawn["drawdown"].subtitle
    text = text_of(found, "forecast")
    assert "The band of Gamma lies above the last value: the past changes were all rises, or nearly all." in text
    assert text.count("above the last value") == 1
    labels = {row["name"]: (row["left"], row["right"]) for row in drawn["bands"].spec["data"]["values"]}
    assert labels["Gamma"][0] == ""  # the line of zero would strike it
    assert labels["Gamma"][1].count("+") == 2
    assert all(labels["Alpha"])


async def test_who_fell_by_nothing_that_is_written_is_not_said_never_to_have_fallen(analysed: Analysed) -> None:
    rows = rising("Alpha", 0.04, dip=40) + [(2000 + i, "Beta", 10_000 + 100 * i - (i == 7) * 101) for i in range(20)]
    text = text_of(await analysed("year,country,price", rows), "trends_analysis")
    assert "Beta never fell from an earlier peak, or by so little that it is written as nothing." in text


async def test_who_sold_more_and_lost_share_is_not_orange_where_amounts_are_drawn(analysed: Analysed) -> None:
    # Beta gains 20 and loses most share, Gamma loses 10 and less share
    start, end = {"Alpha": 100, "Beta": 500, "Gamma": 100}, {"Alpha": 500, "Beta": 520, "Gamma": 90}
    rows = [(year, name, value) for year, of in ((2019, start), (2020, end)) for name, value in of.items()]
    drawn = figures(await analysed("year,brand,units", rows))
    tones = {row["name"]: row["tone"] for row in drawn["contributions"].spec["data"]["values"]}
    assert tones == {"Alpha": 1, "Beta": 0, "Gamma": 0}
    assert {row["name"]: row["tone"] for row in drawn["ranking"].spec["data"]["values"]}["Beta"] == -1


async def test_years_under_a_line_leave_room_between_them(analysed: Analysed) -> None:
    for years, step in ((8, 1), (23, 2)):
        rows = [(2000 + i, name, 100 + i * k) for i in range(years) for name, k in (("Alpha", 1), ("Beta", 2))]
        drawn = figures(await analysed("year,country,price", rows, only=["market_overview"]))
        x = drawn["rebased"].spec["layer"][0]["encoding"]["x"]
        assert x["axis"]["tickCount"] == {"interval": "year", "step": step}


async def test_corners_of_falls_do_not_stand_above_zero(analysed: Analysed) -> None:
    rows = [(2000 + i, 100 + 5 * i - 60 * (i % 3 == 1)) for i in range(20)]
    below = figures(await analysed("year,price", rows))["below"]
    (line,) = [path for path in re.findall(r"<path[^>]*>", draw(below).svg.decode()) if f'stroke="{ACCENT}"' in path]
    assert 'stroke-linejoin="round"' in line
