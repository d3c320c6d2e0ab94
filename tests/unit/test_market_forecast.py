"""Methods, back-test and band of the forecast, against figures worked out by hand or by another route."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.nodes.market import backtest
from holdfast.nodes.market import forecast_methods as methods
from holdfast.nodes.market.backtest import Band, Coverage, Design, Trial
from holdfast.nodes.market.series import Series, consecutive, day_of, number_of

QUARTERS = [10.0, 20.0, 30.0, 40.0, 12.0, 24.0, 36.0, 48.0]  # the second year is a fifth above the first
POSITIVE = st.lists(st.floats(1, 1e6), min_size=24, max_size=60)


def trial(forecasts: Sequence[Sequence[float]], actuals: Sequence[Sequence[float]]) -> Trial:
    return Trial(methods.METHODS[0], [list(row) for row in forecasts], [list(row) for row in actuals], 0.0, None)


# --- methods --------------------------------------------------------------------------------------------------------


def test_the_last_value_and_the_part_of_the_year_before_are_repeated() -> None:
    assert methods.naive(QUARTERS, 4, 3) == [48, 48, 48]
    assert methods.seasonal_naive(QUARTERS, 4, 6) == [12, 24, 36, 48, 12, 24]


def test_drift_goes_on_by_the_mean_change() -> None:
    assert methods.drift([10.0, 11.0, 16.0], 1, 2) == [19, 22]  # (16 − 10) / 2 = 3 a period


def test_half_of_the_yearly_growth_goes_on_and_a_quarter_in_the_second_year() -> None:
    # 120 on 100 is +20 %, so +10 % in the first year ahead and +5 % in the second
    assert methods.seasonal_growth(QUARTERS, 4, 5) == pytest.approx([13.2, 26.4, 39.6, 52.8, 12 * 1.1 * 1.05])
    assert methods.seasonal_growth([0.0, 0.0, 0.0, 0.0, *QUARTERS[:4]], 4, 1) == [10]  # no growth from zero


def test_the_mean_of_three_seasons_stands_at_the_present_level() -> None:
    years = [[1.0, 3.0], [1.0, 1.0], [30.0, 10.0]]  # over their means: 0.5 1.5, 1 1, 1.5 0.5; the last mean is 20
    assert methods.seasonal_mean([value for year in years for value in year], 2, 2) == pytest.approx([20, 20])


def test_smoothing_is_the_level_of_the_weight_that_erred_least() -> None:
    level, weight = methods.smoothed([10.0, 20.0, 20.0, 20.0])
    # the error of the first step is 100 whatever the weight is; then the largest weight is nearest to 20
    assert weight == 0.9
    assert level == pytest.approx(20 - 10 * 0.1**3)
    assert methods.smoothing([5.0] * 6, 1, 2) == [5, 5]


def test_a_season_is_taken_out_and_put_back() -> None:
    pattern = [0.5, 1.5, 1.0, 1.0]
    assert methods.smoothing_adjusted([100 * pattern[i % 4] for i in range(14)], 4, 4) == pytest.approx(
        [100, 100, 50, 150]
    )


def test_with_zeros_the_season_is_added_instead() -> None:
    pattern = [0.0, 20.0, 5.0, 15.0]  # mean 10: −10, +10, −5, +5
    terms = methods.seasonal_terms(pattern * 4, 4)
    assert terms is not None
    assert terms.additive
    assert terms.values == pytest.approx([-10, 10, -5, 5])
    assert methods.smoothing_adjusted(pattern * 4, 4, 5) == pytest.approx([0, 20, 5, 15, 0])


def test_yearly_values_have_no_season_to_take_out() -> None:
    assert methods.seasonal_terms([1.0, 2.0, 3.0], 1) is None
    assert methods.smoothing_adjusted([3.0, 3.0], 1, 1) == [3]


@given(POSITIVE, st.floats(0.01, 100))
def test_forecasts_do_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    for method in methods.METHODS:
        if len(values) >= 12 * method.years:
            plain = method.forecast(values, 12, 12)
            scaled = method.forecast([value * unit for value in values], 12, 12)
            assert len(plain) == 12
            assert scaled == pytest.approx([value * unit for value in plain], rel=1e-6)


@given(st.floats(-1e6, 1e6), st.integers(36, 48))
def test_a_constant_series_goes_on_as_it_is(value: float, count: int) -> None:
    for method in methods.METHODS:
        assert method.forecast([value] * count, 12, 4) == pytest.approx([value] * 4, abs=1e-6)


# --- the back-test --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "per_year", "expected"),
    [
        (121, 12, Design(12, 36, 74)),  # 121 − 12 − 36 + 1
        (500, 12, Design(12, 369, 120)),  # the latest 120 starts; the last one is 369 + 119 = 488 = 500 − 12
        (24, 12, Design(5, 12, 8)),  # a year known, 24 − 5 − 12 + 1 = 8 starts; 6 ahead would leave 7
        (17, 1, Design(2, 5, 11)),
        (10, 1, Design(1, 2, 8)),
        (9, 1, None),
        (3, 12, None),
        (104, 52, None),
    ],
)
def test_the_horizon_leaves_eight_starts(n: int, per_year: int, expected: Design | None) -> None:
    assert backtest.design(n, per_year) == expected


@given(st.integers(0, 400), st.sampled_from([1, 4, 12]))
def test_every_design_keeps_its_bounds(n: int, per_year: int) -> None:
    plan = backtest.design(n, per_year)
    if plan is not None:
        assert 8 <= plan.origins <= 120
        assert 1 <= plan.ahead <= min({1: 2, 4: 4, 12: 12}[per_year], n / 4)
        assert plan.start + plan.origins - 1 + plan.ahead == n


def test_wmape_is_the_sum_of_errors_over_the_sum_of_values() -> None:
    assert backtest.wmape([[10, 10], [30, 20]], [[8, 14], [30, 28]]) == pytest.approx(100 * (2 + 4 + 0 + 8) / 80)
    assert backtest.wmape([[1.0]], [[0.0]]) is None


def test_mase_takes_the_usual_change_on_the_year_before_as_one() -> None:
    values = [10.0, 20.0, 30.0, 40.0, 12.0, 24.0, 36.0, 48.0, 20.0, 24.0]
    # known at the start are eight values: changes 2, 4, 6, 8, mean 5; errors 20 − 12 = 8 and 24 − 24 = 0
    assert backtest.mase(values, [[12.0, 24.0]], 8, 4) == pytest.approx((8 / 5 + 0) / 2)
    assert backtest.mase([5.0] * 6, [[5.0]], 4, 1) is None


def test_the_simplest_within_five_percent_of_the_best_is_chosen() -> None:
    records = [
        Trial(method, [], [], error, None)
        for method, error in zip(methods.METHODS, [11.0, 10.6, 10.5, 12.0, 10.0, 10.2, 10.1], strict=True)
    ]
    assert backtest.chosen(records) is records[2]  # 10.5 is the first within 10 × 1.05
    assert backtest.chosen([]) is None


def test_only_what_came_before_is_known_at_each_start() -> None:
    values = [float(i) for i in range(48)]
    plan = backtest.design(len(values), 12)
    assert plan is not None
    naive = backtest.trials(values, 12, plan)[0]
    assert [row[0] for row in naive.forecasts] == [plan.start + i - 1 for i in range(plan.origins)]
    assert naive.actuals[0][0] == plan.start


def test_quantiles_lie_between_the_sorted_values() -> None:
    assert backtest.quantile([4, 1, 3, 2], 0.1) == pytest.approx(1.3)
    assert backtest.quantile([4, 1, 3, 2], 0.9) == pytest.approx(3.7)
    assert backtest.quantile([7], 0.9) == 7


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=10, method="inclusive")
    assert backtest.quantile(values, 0.1) == pytest.approx(expected[0], rel=1e-9, abs=1e-6)
    assert backtest.quantile(values, 0.9) == pytest.approx(expected[-1], rel=1e-9, abs=1e-6)


def test_the_band_is_the_value_times_the_quantiles_of_past_ratios() -> None:
    ratios = [0.8, 0.9, 1.0, 1.1, 1.2]  # 10 % at 0.84, 90 % at 1.16
    assert backtest.band(200, ratios, True) == Band(200, pytest.approx(168), pytest.approx(232))
    assert backtest.band(200, [-10, 0, 20], False) == Band(200, pytest.approx(192), pytest.approx(216))
    assert backtest.one_sided([1.1, 1.2], True)
    assert not backtest.one_sided([0.9, 1.2], True)
    # values that were always 10 to 20 % above: the forecast goes to their median, the band is not widened to 200
    biased = backtest.band(200, [1.1, 1.15, 1.2], True, shift=True)
    assert biased == Band(pytest.approx(230), pytest.approx(222), pytest.approx(238), 200)


def test_differences_take_the_place_of_ratios_where_a_value_is_zero_or_below() -> None:
    assert backtest.relative(trial([[1.0]], [[2.0]]))
    assert not backtest.relative(trial([[1.0]], [[0.0]]))
    assert not backtest.relative(trial([[-1.0]], [[2.0]]))


def test_a_sum_has_the_errors_of_sums() -> None:
    values = [10.0, 30.0] * 10
    past = trial([[10.0, 10.0]] * 3, [[5.0, 15.0], [15.0, 5.0], [5.0, 15.0]])  # single months err, their sums never do
    assert backtest.band_of_sum(past, values, 1) == Band(60, 60, 60)
    assert backtest.bands(past, values, 1)[0] == Band(30, pytest.approx(15), pytest.approx(39))


def test_coverage_counts_past_values_in_the_band_known_before_them() -> None:
    ratios = [0.9, 1.1, 0.9, 1.1, 0.9, 1.0, 3.0]
    past = trial([[100.0]] * 7, [[100 * ratio] for ratio in ratios])
    # the sixth (1.0) is inside 0.9 to 1.1, the seventh (3.0) is not; before them fewer than five errors are known
    assert backtest.coverage(past) == Coverage(1, 2)


@given(POSITIVE)
def test_each_forecast_lies_in_its_band_and_errors_are_finite(values: list[float]) -> None:
    outcome = backtest.run(values, 12)
    assert outcome is not None
    assert math.isfinite(outcome.best.wmape)
    assert outcome.best.wmape <= 1.05 * min(record.wmape for record in outcome.records)
    for band in backtest.bands(outcome.best, values, 12):
        assert band.low <= band.value <= band.high


def test_the_wmape_of_a_season_is_that_of_a_plain_loop() -> None:
    values = [100 + i + 20 * math.sin(i * math.pi / 6) + (7 * i) % 11 for i in range(60)]
    errors = sizes = 0.0
    for start in range(36, 60 - 12 + 1):
        for i in range(start, start + 12):
            errors += abs(values[i] - values[i - 12 if i - 12 < start else i - 24])
            sizes += abs(values[i])
    outcome = backtest.run(values, 12)
    assert outcome is not None
    record = next(record for record in outcome.records if record.method.key == "seasonal_naive")
    assert record.wmape == pytest.approx(100 * errors / sizes)


# --- the series -----------------------------------------------------------------------------------------------------


def test_gaps_are_filled_along_a_line_and_counted() -> None:
    series = consecutive([("2020-01-01", 10.0), ("2020-04-01", 40.0), ("2020-05-01", 41.0)], "month")
    assert series == Series(
        "month", ["2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01", "2020-05-01"], [10, 20, 30, 40, 41], 2
    )
    assert consecutive([], "month") is None


def test_the_periods_that_follow_are_named_by_their_first_day() -> None:
    assert Series("month", ["2019-11-01"], [1]).after(3) == ["2019-12-01", "2020-01-01", "2020-02-01"]
    assert Series("quarter", ["2019-10-01"], [1]).after(2) == ["2020-01-01", "2020-04-01"]
    assert Series("week", ["2020-12-28"], [1]).after(1) == ["2021-01-04"]
    assert Series("quarter", ["2019-10-01", "2020-01-01"], [1, 2]).parts == [4, 1]


@given(st.integers(1500, 2300), st.integers(1, 12), st.sampled_from(["year", "quarter", "month"]))
def test_days_and_numbers_of_periods_are_two_names_of_one_thing(year: int, month: int, grain: str) -> None:
    step = {"year": 12, "quarter": 3, "month": 1}[grain]
    day = f"{year:04d}-{(month - 1) // step * step + 1:02d}-01"
    assert day_of(number_of(day, grain), grain) == day  # type: ignore[arg-type]
