"""A minute's share of calls: no minute has more of them, or of their tokens, than it may, and nobody is passed by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkpoints.pace import MINUTE, moment

ASKS = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 500)), min_size=1, max_size=40)


def taken(asks: list[tuple[float, int]], requests: int | None, most: int | None) -> list[tuple[float, int]]:
    """The moments of calls, each asked for so many seconds after the one before; oldest first."""
    now, rows = 1000.0, list[tuple[float, int]]()
    for later, tokens in asks:
        now += later
        rows.append((moment(rows[::-1], tokens, requests, most, now), tokens))
        assert rows[-1][0] >= now
    return rows


@given(ASKS, st.integers(1, 10))
def test_no_minute_has_more_calls_than_it_may(asks, requests):
    rows = taken(asks, requests, None)
    for at, _ in rows:
        assert sum(at <= other < at + MINUTE for other, _ in rows) <= requests


@given(ASKS, st.integers(100, 2000))
def test_no_minute_has_more_tokens_than_it_may_unless_one_call_has(asks, most):
    rows = taken(asks, None, most)
    for at, _ in rows:
        within = [used for other, used in rows if at <= other < at + MINUTE and used]
        assert sum(within) <= most or (len(within) == 1 and within[0] > most)


@given(ASKS, st.integers(1, 10), st.integers(100, 2000))
def test_calls_go_in_the_order_in_which_they_asked(asks, requests, most):
    times = [at for at, _ in taken(asks, requests, most)]
    assert times == sorted(times)


def test_without_a_limit_in_the_way_a_call_goes_at_once():
    assert moment([], 10, 1, 10, 5.0) == 5.0
    assert moment([(4.0, 1)], 10, None, None, 5.0) == 5.0
    assert moment([(4.0, 1)], 10, 2, 100, 5.0) == 5.0


def test_a_call_waits_until_the_oldest_that_is_in_its_way_is_a_minute_old():
    assert moment([(40.0, 1), (10.0, 1)], 1, 2, None, 50.0) == 10.0 + MINUTE
    assert moment([(40.0, 60), (10.0, 60)], 50, None, 120, 50.0) == 10.0 + MINUTE
