"""What the formulas have to hold for any figures: their definitions turned round, and what no unit or scale changes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.nodes.market import formulas

AMOUNTS = st.floats(0.01, 1e9)
PARTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), st.floats(0, 1e9), min_size=1, max_size=40)


@given(AMOUNTS, AMOUNTS, st.integers(2, 60))
def test_cagr_carries_the_first_amount_to_the_last(first: float, last: float, years: int) -> None:
    rate = formulas.cagr(first, last, years, years + 1)
    assert rate is not None
    assert first * (1 + rate / 100) ** years == pytest.approx(last, rel=1e-6)


@given(AMOUNTS, AMOUNTS, st.floats(0.001, 1000))
def test_no_unit_changes_a_change(old: float, new: float, scale: float) -> None:
    change, scaled = formulas.change_percent(new, old), formulas.change_percent(new * scale, old * scale)
    assert change is not None
    assert change == pytest.approx(scaled, rel=1e-6, abs=1e-6)
    assert old * (1 + change / 100) == pytest.approx(new, rel=1e-9, abs=1e-9 * old)


@given(PARTS)
def test_shares_add_up_and_their_concentration_is_that_of_equal_parts_at_least(parts: dict[str, float]) -> None:
    total = sum(parts.values())
    shares = formulas.shares(parts, total)
    if total <= 0:
        assert shares == {}
        return
    assert sum(shares.values()) == pytest.approx(100)
    index = formulas.hhi(list(shares.values()))
    assert index is not None
    assert 10_000 / len(parts) * (1 - 1e-9) <= index <= 10_000 * (1 + 1e-9)


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_the_parts_of_a_change_add_up_to_it(first: float, last: float, rest_first: float, rest_last: float) -> None:
    split = formulas.split_change(first, last, first + rest_first, last + rest_last)
    if first + rest_first == 0 or last + rest_last == 0:
        assert split is None
        return
    assert split is not None
    assert split.market + split.share == pytest.approx(
        last - first, abs=1e-6 * (1 + first + last + rest_first + rest_last)
    )


@given(st.lists(st.floats(0.5, 2), min_size=12, max_size=12), st.integers(3, 12), AMOUNTS)
def test_a_season_on_a_steady_level_is_found_whole(factors: list[float], years: int, level: float) -> None:
    values = [level * factors[i % 12] for i in range(12 * years)]
    found = formulas.season(values, [i % 12 + 1 for i in range(12 * years)], 12)
    assert found is not None
    assert math.prod(index / 100 for index in found.index.values()) == pytest.approx(1)  # centred
    assert found.index[1] / found.index[7] == pytest.approx(factors[0] / factors[6], rel=1e-6)
    if max(factors) / min(factors) > 1.01:
        assert found.strength == pytest.approx(1, abs=1e-6)


@given(st.lists(AMOUNTS, min_size=2, max_size=60))
def test_a_drawdown_is_the_deepest_fall_from_any_value_to_any_later_one(values: list[float]) -> None:
    deepest = max((1 - low / high for at, high in enumerate(values) for low in values[at:]), default=0.0)
    found = formulas.drawdown(values)
    assert (abs(found.percent) if found else 0.0) == pytest.approx(100 * deepest, abs=1e-6)


@given(st.lists(AMOUNTS, min_size=3, max_size=60), st.floats(0.01, 100))
def test_no_unit_changes_a_volatility(values: list[float], scale: float) -> None:
    one, other = (formulas.volatility(some, 12) for some in (values, [value * scale for value in values]))
    assert (one is None) == (other is None)
    assert one is None or one == pytest.approx(other, rel=1e-6, abs=1e-6)
