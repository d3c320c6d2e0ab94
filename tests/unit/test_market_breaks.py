"""Changes of level, outliers, crossing trends and tested confidence, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import breaks, confidence, formulas
from holdfast.nodes.market.confidence import Grounds
from holdfast.nodes.market.crossings import Trend, trend, years_until
from holdfast.nodes.market.series import Series, day_of, number_of

SEASON = [0.9, 1.1, 1.2, 1.0, 0.95, 0.85, 1.0, 1.05, 1.0, 0.95, 1.0, 1.0]
NOISE = [0.01, -0.01, 0.02, 0.0, -0.02, 0.01, -0.01]  # seven of them, so that no year repeats another


def months(levels: list[float], start: str = "2010-01-01") -> Series:
    first = number_of(start, "month")
    values = [level * SEASON[i % 12] * (1 + NOISE[i % 7]) for i, level in enumerate(levels)]
    return Series("month", [day_of(first + i, "month") for i in range(len(values))], values)


# --- changes of level -----------------------------------------------------------------------------------------------


def test_a_step_is_found_where_it_is_with_the_raw_medians_of_both_sides() -> None:
    series = months([100.0] * 40 + [150.0] * 40)
    (found,) = breaks.find_breaks(series)
    assert series.days[found.at] == "2013-05-01"
    assert found.before == pytest.approx(sorted(series.values[28:40])[5] / 2 + sorted(series.values[28:40])[6] / 2)
    assert found.change == pytest.approx((found.after / found.before - 1) * 100)
    assert found.change == pytest.approx(50, abs=5)


def test_a_trend_a_season_and_a_single_high_month_are_no_change_of_level() -> None:
    assert breaks.find_breaks(months([100 * 1.01**i for i in range(96)])) == []
    assert breaks.find_breaks(months([100.0] * 96)) == []
    assert breaks.find_breaks(months([100.0] * 50 + [300.0] + [100.0] * 45)) == []


def test_a_change_of_less_than_ten_percent_is_none() -> None:
    assert breaks.find_breaks(months([100.0] * 40 + [107.0] * 40)) == []


def test_at_most_three_are_told_in_order_of_time() -> None:
    levels = [level for level in (100.0, 160.0, 90.0, 170.0, 80.0) for _ in range(30)]
    found = breaks.find_breaks(months(levels))
    assert len(found) == 3
    assert [one.at for one in found] == sorted(one.at for one in found)


def test_short_series_and_values_of_zero_have_none() -> None:
    assert breaks.find_breaks(months([100.0] * 12 + [200.0] * 11)) == []
    assert breaks.find_breaks(months([0.0] * 40 + [100.0] * 40)) == []
    weeks = Series("week", ["2020-01-06"] * 104, [1.0] * 52 + [9.0] * 52)
    assert breaks.find_breaks(weeks) == []


def test_a_change_in_the_last_year_is_told_apart() -> None:
    late, early = months([100.0] * 60 + [60.0] * 9), months([100.0] * 40 + [60.0] * 29)
    assert (found := breaks.in_last_year(breaks.find_breaks(late), late)) is not None
    assert found.change < -30
    assert breaks.find_breaks(early)
    assert breaks.in_last_year(breaks.find_breaks(early), early) is None


def test_of_yearly_values_those_of_the_last_three_years_are_late() -> None:
    values = [100, 101, 99, 100, 102, 100, 101, 99, 100, 60, 61, 60]
    series = Series("year", [f"{2001 + i}-01-01" for i in range(12)], [float(value) for value in values])
    found = breaks.in_last_year(breaks.find_breaks(series), series)
    assert found is not None
    assert series.days[found.at] == "2010-01-01"
    assert found.change == pytest.approx(-40)  # medians of 2005 to 2009 and of the three years from 2010 on: 100, 60


def test_the_median_slope_is_that_of_most_pairs() -> None:
    assert breaks.theil_sen([1, 2, 3, 4, 100]) == pytest.approx(1)  # pairs: six of 1, and 96, 49, 97/3, 24.75
    assert breaks.theil_sen([5]) == 0


@settings(deadline=None)  # 900 values make 400,000 pairs, which takes its time on a busy machine
@given(st.floats(-10, 10), st.floats(-100, 100), st.integers(3, 900))
def test_the_median_slope_of_a_line_is_its_own(slope: float, start: float, count: int) -> None:
    assert breaks.theil_sen([start + slope * i for i in range(count)]) == pytest.approx(slope, abs=1e-6)


def test_the_robust_spread_does_not_see_a_single_far_value() -> None:
    assert breaks.robust_sd([1, 2, 3, 4, 1000]) == pytest.approx(1.4826)  # median 3, deviations 2 1 0 1 997


# --- outliers -------------------------------------------------------------------------------------------------------


def season_with(rest: list[float]) -> formulas.Season:
    return formulas.Season({}, 0.0, 3, [], list(enumerate(rest)))


def test_outliers_are_beyond_three_and_a_half_of_the_modified_score() -> None:
    rest = [-2.0, -1.0, 0.0, 1.0, 2.0, 6.0, -5.0]  # median 0, deviations 0 1 1 2 2 5 6, their median 2
    assert breaks.outliers(season_with(rest)) == []  # 0.6745 × 6 / 2 = 2.0
    found = breaks.outliers(season_with([*rest[:5], 12.0, -5.0]))
    assert [(one.at, one.score) for one in found] == [(5, pytest.approx(0.6745 * 12 / 2))]


def test_without_spread_there_are_no_outliers() -> None:
    assert breaks.outliers(season_with([0.0, 0.0, 0.0, 0.0, 9.0])) == []


# --- crossing trends ------------------------------------------------------------------------------------------------


def test_a_trend_is_the_median_line_read_at_its_end() -> None:
    found = trend([10, 12, 14, 16, 18])
    assert (found.now, found.slope) == (18, 2)
    assert trend([10, 12, 40, 16, 18]).now == pytest.approx(18)  # one far value does not move it


@pytest.mark.parametrize(
    ("upper", "lower", "ahead"),
    [
        (Trend(20, -1), Trend(15, 1), 3),  # 5 points at 2 a year: level after 2.5 years
        (Trend(20, -1), Trend(17, 1), 2),
        (Trend(20, -1), Trend(14, 1), None),  # exactly level after three years, above only in the fourth
        (Trend(20, 1), Trend(19, 1), None),
        (Trend(20, 0), Trend(19, -1), None),
        (Trend(20, -1), Trend(20, 1), None),
    ],
)
def test_trends_cross_in_the_first_year_in_which_the_lower_is_above(
    upper: Trend, lower: Trend, ahead: int | None
) -> None:
    assert years_until(upper, lower) == ahead


# --- confidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("complete", "cycles", "holds", "assumed", "doubt", "level"),
    [
        (True, 4, True, False, "", "high"),
        (False, 4, True, False, "", "medium"),
        (True, 3, True, False, "", "medium"),
        (True, 4, False, False, "", "medium"),
        (True, 4, None, False, "", "medium"),
        (True, 4, True, False, "a doubt", "medium"),
        (False, 3, True, False, "", "low"),
        (True, 3, False, False, "", "low"),
        (True, 4, True, True, "", "low"),
    ],
)
def test_the_level_follows_from_the_tests(
    complete: bool, cycles: int, holds: bool | None, assumed: bool, doubt: str, level: str
) -> None:
    grounds = Grounds(finding="x", complete=complete, cycles=cycles, holds=holds, assumed=assumed, doubt=doubt)
    assert grounds.level == level
    assert grounds.words[-1] == level
    assert len(grounds.words) == len(confidence.COLUMNS)


def test_advice_is_no_surer_than_the_least_sure_finding() -> None:
    assert confidence.least_sure(["high", "medium"]) == "medium"
    assert confidence.least_sure(["low", "high"]) == "low"
    assert confidence.least_sure([]) == "low"


def test_the_direction_is_the_same_or_flips_or_is_not_known() -> None:
    assert confidence.same_sign(2.0, 0.5) is True
    assert confidence.same_sign(2.0, -0.5) is False
    assert confidence.same_sign(None, 1.0) is None


def test_only_findings_about_entities_rest_on_who_is_compared() -> None:
    profile = Profile.model_construct(
        frame="month", frames=[f"20{10 + i // 12}-{i % 12 + 1:02d}-01" for i in range(50)], gaps=[]
    )
    profile.roles = type("Roles", (), {"assumed": ["entity"]})()
    assert confidence.cycles_in(profile) == 4
    assert Grounds.model_validate(confidence.judge(profile, "size", True)).level == "high"
    assert Grounds.model_validate(confidence.judge(profile, "shares", True, entity=True)).level == "low"
    profile.gaps = ["2011-01-01"]
    assert Grounds.model_validate(confidence.judge(profile, "size", True)).level == "medium"


def test_seasonal_logarithms_add_up_to_nothing() -> None:
    found = formulas.season(months([100.0] * 60).values, months([100.0] * 60).parts, 12)
    assert found is not None
    assert sum(math.log(index / 100) for index in found.index.values()) == pytest.approx(0, abs=1e-9)
