"""Where a series changed its level (at most three dates, no cause) and which single values stand out.

x = seasonally adjusted ln y.  The step at t is d(t) = median of the next w values − median of the last w − drift, with
w = 12 months, 8 quarters or 5 years, and the drift that the Theil–Sen slope (Theil 1950, Sen 1968) gives between the
middles of the two windows.  A step counts if |d| > 4 robust sd (1.4826 × MAD) and the level changed by 10 % or more;
both limits are our own.  The sd is that of d at least w periods away, so that a series that wanders needs a larger
step; where fewer than 2w such values exist it is that of the changes from one period to the next.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from holdfast.nodes.market import formulas
from holdfast.nodes.market.series import Series

WINDOW = {1: 5, 4: 8, 12: 12}
MOST = 3
LEAST_SD, LEAST_CHANGE = 4.0, 10.0
LIKE_BEST = 0.9  # of the largest step: places among which the one that fits best is taken
OUTLIER = 3.5
ROBUST = 1.4826  # makes the MAD of normal values their standard deviation
_MOST_VALUES = 400  # between which slopes are taken; of longer series every k-th value


@dataclass(frozen=True, slots=True)
class Break:
    """A change of level that begins with the period at ``at``: the raw medians before and from then on."""

    at: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """Of the raw level, in percent."""
        return (self.after / self.before - 1) * 100


@dataclass(frozen=True, slots=True)
class Outlier:
    """A value far from trend and season, with its modified z-score (Iglewicz & Hoaglin 1993)."""

    at: int
    score: float


def theil_sen(values: Sequence[float]) -> float:
    """The median slope between all pairs of values, per step."""
    step = -(-len(values) // _MOST_VALUES)
    thinned = list(values[::step])
    slopes = [(b - a) / (j - i) / step for (i, a), (j, b) in itertools.combinations(enumerate(thinned), 2)]
    return median(slopes) if slopes else 0.0


def robust_sd(values: Sequence[float]) -> float:
    """1.4826 × the median absolute deviation from the median."""
    centre = median(values)
    return ROBUST * median(abs(value - centre) for value in values)


def steps(x: Sequence[float], w: int, least_after: int) -> dict[int, float]:
    """d(t) for each t with w values before it and at least ``least_after`` from it on."""
    slope = theil_sen(x)
    return {
        t: median(x[t : t + w]) - median(x[t - w : t]) - slope * (w + min(w, len(x) - t)) / 2
        for t in range(w, len(x) - least_after + 1)
    }


def can_be_seen(series: Series) -> bool:
    """Whether the series has room for two windows, and logarithms."""
    w = WINDOW.get(series.per_year)
    return w is not None and len(series.values) >= 2 * w and min(series.values) > 0


def find_breaks(series: Series) -> list[Break]:
    """The largest steps first found, given in order of time; none with values ≤ 0 or without room for two windows."""
    if not can_be_seen(series):
        return []
    w = WINDOW[series.per_year]
    season = formulas.season(series.values, series.parts, series.per_year)
    shift = {part: math.log(index / 100) for part, index in season.index.items()} if season else {}
    x = [math.log(v) - shift.get(part, 0.0) for v, part in zip(series.values, series.parts, strict=True)]
    # without its season a part of a year cannot be compared with a whole one
    least_after = math.ceil(w / 2) if season or series.per_year == 1 else w
    places: dict[int, float] = {}
    while len(places) < MOST and (step_at := _next_break(x, places, w, least_after)):
        at, step = step_at
        places[at] = step
        x = [*x[:at], *(value - step for value in x[at:])]
    found = [Break(at, median(series.values[at - w : at]), median(series.values[at : at + w])) for at in sorted(places)]
    return [one for one in found if one.change * places[one.at] > 0 and _large(one.change)]


def _large(change: float) -> bool:
    return abs(change) >= LEAST_CHANGE


def _next_break(x: Sequence[float], known: Iterable[int], w: int, least_after: int) -> tuple[int, float] | None:
    """The largest step away from the known ones (which x no longer has), if it counts, where two levels fit best."""
    found = steps(x, w, least_after)
    left = [t for t in found if all(abs(t - k) >= w for k in known)]
    if not left:
        return None
    top = max(left, key=lambda t: abs(found[t]))
    size = abs(found[top])
    away = [d for t, d in found.items() if abs(t - top) >= w]
    usual = robust_sd(away if len(away) >= 2 * w else [b - a for a, b in itertools.pairwise(x)])
    if size <= LEAST_SD * usual or not _large(math.expm1(found[top]) * 100):
        return None
    alike = [t for t in left if abs(t - top) < w and abs(found[t]) >= LIKE_BEST * size and found[t] * found[top] > 0]
    start = max(top - w, 0)
    best = min(alike, key=lambda t: (_misfit(x[start : top + w], t - start), t))
    return best, found[best]


def _misfit(x: Sequence[float], at: int) -> float:
    """Sum of absolute deviations from two levels, before and from ``at`` on."""
    return sum(abs(value - median(part)) for part in (x[:at], x[at:]) if part for value in part)


def in_last_year(found: Sequence[Break], series: Series) -> Break | None:
    """A break in the last year; of yearly values, where none can be seen that late, in the last three."""
    late = max(series.per_year, math.ceil(WINDOW[series.per_year] / 2))
    return next((b for b in found if b.at >= len(series.values) - late), None)


def outliers(season: formulas.Season) -> list[Outlier]:
    """0.6745·(R − median)/MAD of the rest R, above 3.5 either way; none if the MAD is zero."""
    rest = [value for _, value in season.rest]
    centre = median(rest)
    spread = median(abs(value - centre) for value in rest)
    if spread <= 1e-9:  # rounding only: R is a logarithm, or a part of the mean
        return []
    scored = [Outlier(at, 0.6745 * (value - centre) / spread) for at, value in season.rest]
    return [found for found in scored if abs(found.score) > OUTLIER]
