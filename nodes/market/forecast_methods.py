"""Seven ways to carry a series forward, from the simplest on; pure functions of the past values.

Each takes the history (consecutive periods), the periods in a year and how many periods ahead, and gives that many
values.  Names and formulas follow Hyndman & Athanasopoulos, "Forecasting: principles and practice" (3rd ed., 2021,
sections 5.2 and 8.1); where a number is our own convention it is a constant here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

DAMPING = 0.5  # half of the last yearly growth goes on, a quarter in the second year; our own convention
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of exponential smoothing
SEASONS = 3  # years behind a mean season

Values = Sequence[float]


def naive(history: Values, per_year: int, ahead: int) -> list[float]:
    """The last value again."""
    return [history[-1]] * ahead


def drift(history: Values, per_year: int, ahead: int) -> list[float]:
    """The last value plus the mean change per period: y + h·(y_n − y_1)/(n − 1)."""
    step = (history[-1] - history[0]) / (len(history) - 1)
    return [history[-1] + step * (i + 1) for i in range(ahead)]


def seasonal_naive(history: Values, per_year: int, ahead: int) -> list[float]:
    """The same part of the latest year."""
    return [history[len(history) - per_year + i % per_year] for i in range(ahead)]


def seasonal_growth(history: Values, per_year: int, ahead: int) -> list[float]:
    """The same part of the latest year × its growth on the year before, damped: 1 + φ^k·(g − 1) for the k-th year."""
    last, before = sum(history[-per_year:]), sum(history[-2 * per_year : -per_year])
    growth = last / before - 1 if before > 0 else 0.0
    result, factor = [], 1.0
    for i, value in enumerate(seasonal_naive(history, per_year, ahead)):
        if i % per_year == 0:
            factor *= 1 + DAMPING ** (i // per_year + 1) * growth
        result.append(value * factor)
    return result


def seasonal_mean(history: Values, per_year: int, ahead: int) -> list[float]:
    """Mean of the last three seasons (each part over its year's mean) × the mean of the latest year."""
    years = [history[len(history) - per_year * (k + 1) : len(history) - per_year * k] for k in range(SEASONS)]
    means = [sum(year) / per_year for year in years]
    if min(means) <= 0:
        return seasonal_naive(history, per_year, ahead)
    profile = [sum(year[i] / mean for year, mean in zip(years, means, strict=True)) / SEASONS for i in range(per_year)]
    return [means[0] * profile[i % per_year] for i in range(ahead)]


def smoothed(history: Values) -> tuple[float, float]:
    """Simple exponential smoothing: its last level and the weight with the least squared one-step errors."""
    best: tuple[float, float, float] | None = None
    for weight in WEIGHTS:
        level, error = history[0], 0.0
        for value in history[1:]:
            error += (value - level) ** 2
            level += weight * (value - level)
        if best is None or error < best[0]:
            best = (error, level, weight)
    assert best is not None
    return best[1], best[2]


def smoothing(history: Values, per_year: int, ahead: int) -> list[float]:
    """The level of simple exponential smoothing (the same for every period ahead)."""
    return [smoothed(history)[0]] * ahead


@dataclass(frozen=True, slots=True)
class Terms:
    """What each position in the cycle does to the level: a factor, or with values of zero or below an addend."""

    values: list[float]
    additive: bool

    def taken_out(self, value: float, at: int) -> float:
        """The seasonally adjusted value; ``at`` counts from the first value of the history."""
        term = self.values[at % len(self.values)]
        return value - term if self.additive else value / term

    def put_back(self, level: float, at: int) -> float:
        """The reverse of ``taken_out``."""
        term = self.values[at % len(self.values)]
        return level + term if self.additive else level * term


def seasonal_terms(history: Values, per_year: int) -> Terms | None:
    """Mean deviation of each position in the cycle from the centred 2×m mean; position 0 is that of the first value.

    Classical decomposition: ratios scaled to a mean of one; differences centred on zero if a value is zero or below.
    None for yearly values or fewer than two years.
    """
    if per_year < 2 or len(history) < 2 * per_year:
        return None
    half, additive = per_year // 2, min(history) <= 0
    found: list[list[float]] = [[] for _ in range(per_year)]
    for i in range(half, len(history) - half):
        window = history[i - half : i + half + 1]
        trend = (sum(window) - 0.5 * (window[0] + window[-1])) / per_year
        found[i % per_year].append(history[i] - trend if additive else history[i] / trend)
    means = [sum(part) / len(part) for part in found if part]
    if len(means) < per_year:
        return None
    centre = sum(means) / per_year
    return Terms([mean - centre if additive else mean / centre for mean in means], additive)


def smoothing_adjusted(history: Values, per_year: int, ahead: int) -> list[float]:
    """Exponential smoothing of the seasonally adjusted values, with the season put back."""
    terms = seasonal_terms(history, per_year)
    if terms is None:
        return smoothing(history, per_year, ahead)
    level, _ = smoothed([terms.taken_out(value, i) for i, value in enumerate(history)])
    return [terms.put_back(level, len(history) + i) for i in range(ahead)]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to carry a series forward, its name in a sentence and what it needs."""

    key: str
    name: str
    forecast: Callable[[Values, int, int], list[float]]
    years: int = 0  # of history, at the least
    seasonal: bool = False  # says nothing of its own about yearly figures


METHODS = (  # from the simplest on: of those about equally good the first is taken
    Method("naive", "the last value", naive),
    Method("seasonal_naive", "the same part of the year before", seasonal_naive, 1, seasonal=True),
    Method("drift", "the last value plus the mean change", drift),
    Method("smoothing", "simple exponential smoothing", smoothing),
    Method("seasonal_growth", "the year before with half its growth", seasonal_growth, 2),
    Method("seasonal_mean", "the mean of three seasons at the present level", seasonal_mean, SEASONS, seasonal=True),
    Method("smoothing_adjusted", "exponential smoothing after taking the season out", smoothing_adjusted, 2, True),
)
