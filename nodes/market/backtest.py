"""Which forecast would have served in the past: a rolling origin, errors per horizon, bands from those errors.

From each origin only the values before it are known.  wMAPE = Σ|error| / Σ|actual|; MASE (Hyndman & Koehler 2006) is
the mean of |error| over the mean absolute change of the values known at that origin on the same part a year before.
The 80 % band are the 10 % and 90 % quantiles of past errors, per horizon; a sum gets the errors of sums.  Where both
lie on one side of no error the method was biased: then the forecast is shifted by the median error, our own convention.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.nodes.market.forecast_methods import METHODS, Method
from holdfast.nodes.report.document import Level

MOST_AHEAD = {1: 2, 4: 4, 12: 12}  # periods ahead, by periods in a year
MIN_ORIGINS = 8
# the latest ones: what lies further back says little of today, and time grows with the product; our own convention
MOST_ORIGINS, MOST_VALUES = 120, 480
NEAR_BEST = 1.05  # of the best wMAPE; the simplest within it is taken
LOW, HIGH = 0.1, 0.9
MIN_PAST = 5  # errors known before a band is tested; our own convention
MOST_DOUBTED = 60.0  # percent below which a band makes a finding one of low confidence; our own convention
LEAST_COVERAGE = 70.0  # percent of past values inside the band, below which the band is doubted; our own convention
_USUAL_START = {1: 5, 4: 12, 12: 36}  # values before the first origin
_LEAST_START = {1: 2, 4: 4, 12: 12}


@dataclass(frozen=True, slots=True)
class Design:
    """How far ahead, and how many values the first origin knows; ``origins`` follow one period apart."""

    ahead: int
    start: int
    origins: int


def design(n: int, per_year: int) -> Design | None:
    """The longest horizon (≤ 12 months or 2 years, ≤ ¼ of the history) that leaves eight origins; None if none does.

    Of more than 120 possible origins the latest are taken.
    None for weeks too: they are kept as weeks only where there are less than two years of them.
    """
    if per_year not in MOST_AHEAD:
        return None
    for ahead in range(min(MOST_AHEAD[per_year], n // 4), 0, -1):
        start = max(min(_USUAL_START[per_year], n - ahead - MIN_ORIGINS + 1), _LEAST_START[per_year])
        start = max(start, n - ahead - MOST_ORIGINS + 1)
        if (origins := n - ahead - start + 1) >= MIN_ORIGINS:
            return Design(ahead, start, origins)
    return None


def fitting(n: int, per_year: int) -> int:
    """How many origins a back-test of one period ahead would have."""
    return max(n - _LEAST_START[per_year], 0) if per_year in _LEAST_START else 0


@dataclass(frozen=True, slots=True)
class Trial:
    """One method's record: forecasts and actual values per origin, and the two measures of its errors."""

    method: Method
    forecasts: list[list[float]]
    actuals: list[list[float]]
    wmape: float  # percent
    mase: float | None
    differences: bool = False  # errors are differences although ratios could be formed: of temperatures, percentages


def wmape(forecasts: Sequence[Sequence[float]], actuals: Sequence[Sequence[float]]) -> float | None:
    """Σ|error| / Σ|actual| in percent; None if every actual value is zero."""
    error = sum(abs(a - f) for fs, xs in zip(forecasts, actuals, strict=True) for f, a in zip(fs, xs, strict=True))
    size = sum(abs(a) for xs in actuals for a in xs)
    return 100 * error / size if size else None


def scale(history: Sequence[float], per_year: int) -> float:
    """Mean absolute change on the same part a year before (for yearly values: on the year before)."""
    lag = per_year if len(history) > per_year else 1
    changes = [abs(history[i] - history[i - lag]) for i in range(lag, len(history))]
    return sum(changes) / len(changes) if changes else 0.0


def mase(values: Sequence[float], forecasts: Sequence[Sequence[float]], start: int, per_year: int) -> float | None:
    """Mean scaled absolute error over origins whose scale is not zero; None if there is none."""
    scaled: list[float] = []
    for i, row in enumerate(forecasts):
        known = values[: start + i]
        if (unit := scale(known, per_year)) > 0:
            scaled += [abs(values[start + i + k] - value) / unit for k, value in enumerate(row)]
    return sum(scaled) / len(scaled) if scaled else None


def trials(values: Sequence[float], per_year: int, plan: Design) -> list[Trial]:
    """Every method that can be used from the first origin on, in order of simplicity."""
    found = []
    actuals = [list(values[plan.start + i : plan.start + i + plan.ahead]) for i in range(plan.origins)]
    for method in METHODS:
        if plan.start < method.years * per_year or (method.seasonal and per_year == 1):
            continue
        rows = [method.forecast(values[: plan.start + i], per_year, plan.ahead) for i in range(plan.origins)]
        error = wmape(rows, actuals)
        if error is not None and math.isfinite(error):
            found.append(Trial(method, rows, actuals, error, mase(values, rows, plan.start, per_year)))
    return found


def chosen(records: Sequence[Trial]) -> Trial | None:
    """The simplest whose wMAPE is within 5 % of the best."""
    best = min((trial.wmape for trial in records), default=None)
    return None if best is None else next(trial for trial in records if trial.wmape <= NEAR_BEST * best)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A series with its back-test: ``best`` is the chosen one of ``records``."""

    values: list[float]
    per_year: int
    plan: Design
    records: list[Trial]
    best: Trial


def run(values: Sequence[float], per_year: int) -> Outcome | None:
    """The whole back-test; None if the history leaves room for fewer than eight past tests."""
    plan = design(len(values), per_year)
    records = trials(values, per_year, plan) if plan else []
    best = chosen(records)
    return Outcome(list(values), per_year, plan, records, best) if plan and best else None


def quantile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the sorted values (type 7 of Hyndman & Fan 1996)."""
    return _between(sorted(values), share)


def _between(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@dataclass(frozen=True, slots=True)
class Band:
    """A value ahead with the range in which 80 % of past errors would put it."""

    value: float  # shifted by the median of past errors where the method was biased
    low: float
    high: float
    unshifted: float | None = None  # what the method itself gave, if it was shifted


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many past values lay within the band that was known before them."""

    inside: int
    tested: int

    @property
    def share(self) -> float:
        """In percent; 0 if none could be tested."""
        return 100 * self.inside / self.tested if self.tested else 0.0

    @property
    def doubt(self) -> str:
        """What speaks against the band; empty if it held enough."""
        if not self.tested:
            return "the band could not be tested"
        return "the band held too few past values" if self.share < LEAST_COVERAGE else ""

    @property
    def most(self) -> Level:
        """The confidence that a finding with this band can have."""
        return "low" if self.tested and self.share < MOST_DOUBTED else "high"


def relative(trial: Trial) -> bool:
    """Errors are ratios if every value and forecast is above zero, else differences."""
    return not trial.differences and all(
        value > 0 for rows in (trial.forecasts, trial.actuals) for row in rows for value in row
    )


def _errors(forecasts: Sequence[float], actuals: Sequence[float], ratio: bool) -> list[float]:
    return [a / f if ratio else a - f for f, a in zip(forecasts, actuals, strict=True)]


def _limits(ordered: Sequence[float]) -> tuple[float, float]:
    return _between(ordered, LOW), _between(ordered, HIGH)


def one_sided(errors: Sequence[float], ratio: bool) -> bool:
    """Whether eight of ten past errors and more had one sign, so that the band would not hold the forecast."""
    low, high = _limits(sorted(errors))
    return not low <= (1.0 if ratio else 0.0) <= high


def band(value: float, errors: Sequence[float], ratio: bool, *, shift: bool = False) -> Band:
    """The value with its errors' quantiles applied; with ``shift`` it goes to where their median puts it."""
    ordered = sorted(errors)

    def off(error: float) -> float:
        return value * error if ratio else value + error

    low, high = map(off, _limits(ordered))
    return Band(off(_between(ordered, 0.5)), low, high, value) if shift else Band(value, low, high)


def _by_horizon(trial: Trial, ratio: bool) -> list[list[float]]:
    return [
        _errors([f[k] for f in trial.forecasts], [a[k] for a in trial.actuals], ratio)
        for k in range(len(trial.actuals[0]))
    ]


def _of_sums(trial: Trial, ratio: bool) -> list[float]:
    return _errors([sum(row) for row in trial.forecasts], [sum(row) for row in trial.actuals], ratio)


def biased(trial: Trial, ratio: bool) -> bool:
    """Whether the errors of sums or of any horizon lay on one side; then all are shifted, to stay one course."""
    return any(one_sided(errors, ratio) for errors in (_of_sums(trial, ratio), *_by_horizon(trial, ratio)))


def bands(trial: Trial, values: Sequence[float], per_year: int, *, forecast: bool = True) -> list[Band]:
    """The forecast from the last value on, each period with the errors of its own horizon.

    Without ``forecast`` the value is where something stands now, and is never shifted.
    """
    ratio = relative(trial) and min(values) > 0
    ahead = trial.method.forecast(values, per_year, len(trial.actuals[0]))
    shift = forecast and biased(trial, ratio)
    return [
        band(value, errors, ratio, shift=shift) for value, errors in zip(ahead, _by_horizon(trial, ratio), strict=True)
    ]


def band_of_sum(trial: Trial, values: Sequence[float], per_year: int) -> Band:
    """The sum over the horizon with the errors of past sums, which are smaller than those of single periods."""
    ratio = relative(trial) and min(values) > 0
    ahead = trial.method.forecast(values, per_year, len(trial.actuals[0]))
    return band(sum(ahead), _of_sums(trial, ratio), ratio, shift=biased(trial, ratio))


def coverage(trial: Trial) -> Coverage:
    """Each past value against the band from the errors that were known when its forecast was made."""
    ratio, inside, tested = relative(trial), 0, 0
    for k, errors in enumerate(_by_horizon(trial, ratio)):
        past: list[float] = []  # sorted
        for i, error in enumerate(errors):
            if i > k:  # the value for horizon k + 1 is known k + 1 periods after its origin
                bisect.insort(past, errors[i - k - 1])
            if len(past) >= MIN_PAST:
                low, high = _limits(past)
                tested += 1
                inside += low <= error <= high
    return Coverage(inside, tested)
