"""The formulas, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from holdfast.nodes.data.models import Partial
from holdfast.nodes.market import formulas, words


def test_cagr_is_the_root_of_the_ratio() -> None:
    assert formulas.cagr(100, 121, 2, 3) == pytest.approx(10)
    assert formulas.cagr(129_195, 154_603, 9, 10) == pytest.approx(2.0149, abs=1e-4)


@pytest.mark.parametrize(
    ("first", "last", "years", "periods"), [(0, 5, 2, 3), (-1, 5, 2, 3), (5, -1, 2, 3), (5, 6, 1, 2)]
)
def test_cagr_is_none_where_it_would_mislead(first: float, last: float, years: float, periods: int) -> None:
    assert formulas.cagr(first, last, years, periods) is None


def test_growth_from_zero_or_below_is_none() -> None:
    assert formulas.change_percent(5, 0) is None
    assert formulas.change_percent(5, -2) is None
    assert formulas.change_percent(3, 4) == -25


def test_hhi_is_the_sum_of_squared_shares_with_the_agencies_words() -> None:
    assert formulas.hhi([50, 30, 20]) == 2500 + 900 + 400
    assert formulas.hhi([]) is None
    assert formulas.hhi([110, -10]) is None
    words_at = {999.9: "unconcentrated", 1000: "moderately", 1800: "moderately", 1800.1: "highly"}
    for index, word in words_at.items():
        assert formulas.concentration(index).startswith(word)


def test_the_split_of_a_change_adds_up() -> None:
    split = formulas.split_change(first=40, last=90, first_total=100, last_total=150)
    assert split is not None
    assert split.market == pytest.approx(0.4 * 50)
    assert split.share == pytest.approx(0.2 * 150)
    assert split.market + split.share == pytest.approx(90 - 40)


def test_a_pure_season_is_found_whole_and_strong() -> None:
    pattern = [0.8, 1.2, 1.0, 1.0]
    season = formulas.season([100 * pattern[i % 4] for i in range(20)], [i % 4 + 1 for i in range(20)], 4)
    assert season is not None
    mean = math.exp(sum(map(math.log, pattern)) / 4)
    assert [season.index[part] for part in (1, 2, 3, 4)] == pytest.approx([100 * p / mean for p in pattern], rel=1e-9)
    assert season.strength == pytest.approx(1)
    assert season.cycles == 5
    assert not season.additive


def test_no_season_without_three_full_cycles_or_a_mean_above_zero() -> None:
    assert formulas.season([1.0] * 11, [i % 4 + 1 for i in range(11)], 4) is None
    assert formulas.season([1.0] * 12, [i % 4 + 1 for i in range(12)], 4) is not None
    assert formulas.season([1.0, -1.0] * 10, [i % 4 + 1 for i in range(20)], 4) is None


def test_with_zeros_the_season_is_a_difference_in_percent_of_the_mean() -> None:
    pattern = [0.0, 30.0, 10.0, 20.0]  # mean 15: differences −15, 15, −5, 5
    season = formulas.season(pattern * 5, [i % 4 + 1 for i in range(20)], 4)
    assert season is not None
    assert season.additive
    assert [season.index[part] for part in (1, 2, 3, 4)] == pytest.approx([0, 200, 100 - 100 / 3, 100 + 100 / 3])
    assert season.strength == pytest.approx(1)


def test_what_is_left_over_is_the_deviation_less_its_median() -> None:
    values = [100.0] * 20
    values[10] = 150.0  # third part of the third year; the mean around it is 112.5, beside it 106.25 or 112.5
    season = formulas.season(values, [i % 4 + 1 for i in range(20)], 4)
    assert season is not None
    rest = dict(season.rest)
    centre = sum(math.log(season.index[part] / 100) for part in (1, 2, 3, 4))
    assert centre == pytest.approx(0, abs=1e-12)
    assert rest[10] == pytest.approx(math.log(150 / 112.5) - math.log(season.index[3] / 100))
    assert max(rest, key=lambda at: rest[at]) == 10


def test_drawdown_is_the_deepest_fall_from_an_earlier_peak() -> None:
    fall = formulas.drawdown([10, 8, 20, 15, 5, 30, 24])
    assert fall == formulas.Drawdown(-75.0, 2, 4)
    assert formulas.drawdown([1, 2, 3]) == formulas.Drawdown(0.0, 0, 0)
    assert formulas.drawdown([1, 0]) is None


def test_volatility_is_the_deviation_of_changes_over_a_year() -> None:
    values = [100.0]
    for i in range(12):
        values.append(values[-1] * (1.1 if i % 2 else 0.9))
    assert formulas.volatility(values, 12) == pytest.approx(math.sqrt(12 * 0.01 / 11) * math.sqrt(12) * 100)
    assert formulas.volatility(values[:12], 12) is None


def test_numbers_are_written_one_way() -> None:
    assert words.exact(1_347_250, whole=True) == "1,347,250"
    assert words.amount(1_347_250, whole=True) == "1.35\u00a0million"
    assert words.percent(-7.64) == "\u22127.6\u00a0%"
    assert words.percent(2.04, plus=True) == "+2.0\u00a0%"
    assert words.percent(-0.04, plus=True) == "0.0\u00a0%"
    assert words.percent(1192.9, plus=True) == "×12.9"
    assert words.points(-4.72) == "\u22124.7"
    assert words.exact(28.8, whole=False) == "28.80"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.period("2017-01-01", "month") == "January 2017"
    assert words.period("2017-04-01", "quarter") == "Q2 2017"
    part = Partial(year=2017, periods=1, usual=12, first="2017-01-01", last="2017-01-01")
    assert words.held(part, "month") == "January only"
    assert words.held_of(part, "month", 2016) == "January 2016"
    two = part.model_copy(update={"periods": 2, "last": "2017-04-01"})
    assert (words.held(two, "month"), words.held(two, "quarter")) == ("January to April with gaps", "Q1 to Q2 only")
