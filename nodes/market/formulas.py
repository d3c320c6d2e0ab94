"""The formulas of the report: pure, each with its source and its edges.  ``None`` means: no figure, leave it out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, stdev, variance

MIN_CYCLES = 3
STRONG, MODERATE = 0.64, 0.3
LEAST_SWING = 10.0  # points of the index from its lowest to its highest, from which stock is timed; our own convention
MODERATE_HHI, HIGH_HHI = 1000.0, 1800.0


def change_percent(new: float, old: float) -> float | None:
    """Growth of ``new`` on ``old`` in percent; none from a base that is zero or negative."""
    return (new / old - 1) * 100 if old > 0 else None


def cagr(first: float, last: float, years: float, periods: int) -> float | None:
    """Compound annual growth rate in percent: (last / first)^(1 / years) − 1.

    None if ``first`` ≤ 0, ``last`` < 0, no time passed or fewer than three periods were seen.
    """
    if first <= 0 or last < 0 or years <= 0 or periods < 3:
        return None
    return (math.pow(last / first, 1 / years) - 1) * 100


def shares(parts: Mapping[str, float], total: float) -> dict[str, float]:
    """Each part in percent of ``total``, which may hold more than the parts (rows that name nobody)."""
    return {name: value / total * 100 for name, value in parts.items()} if total > 0 else {}


def hhi(shares_in_percent: Sequence[float]) -> float | None:
    """Herfindahl–Hirschman index, Σ s² with shares in percent: 0 to 10,000.  None without shares or below zero."""
    if not shares_in_percent or min(shares_in_percent) < 0:
        return None
    return sum(share * share for share in shares_in_percent)


def concentration(index: float) -> str:
    """Words of the US Merger Guidelines 2023 (above 1,800) and the Department of Justice (from 1,000)."""
    return (
        "highly concentrated"
        if index > HIGH_HHI
        else "moderately concentrated"
        if index >= MODERATE_HHI
        else "unconcentrated"
    )


@dataclass(frozen=True, slots=True)
class UnitsSplit:
    """How a change in amount splits into the market's part and the share's part; the two add up to it."""

    market: float
    share: float


def split_change(first: float, last: float, first_total: float, last_total: float) -> UnitsSplit | None:
    """Δq = s₀·ΔM + Δs·M₁, with M the market and s the share as a fraction."""
    if first_total <= 0 or last_total <= 0:
        return None
    share_first, share_last = first / first_total, last / last_total
    return UnitsSplit(share_first * (last_total - first_total), (share_last - share_first) * last_total)


@dataclass(frozen=True, slots=True)
class Season:
    """Index per part of the year (100 = trend), strength F in 0..1, and each single deviation as an index.

    ``additive``: with values of zero or below, deviations are differences; an index is then 100 plus the deviation in
    percent of the mean of all values, or the deviation itself in the unit of the values.
    """

    index: dict[int, float]
    strength: float
    cycles: int  # full years of values
    single: list[tuple[int, int, float]]  # (position in the series, part of the year, index)
    rest: list[tuple[int, float]]  # (position, what trend and season leave over)
    additive: bool = False


def season(values: Sequence[float], parts: Sequence[int], per_year: int, *, units: bool = False) -> Season | None:
    """Classical decomposition with medians; ``parts`` numbers each value within its year.

    D = ln y − ln T with T the centred 2×12 mean (2×4 for quarters); S = median of D per part, centred; index = 100·e^S;
    strength F = max(0, 1 − var(R) / var(S + R)), R = D − S (form of Wang, Smith & Hyndman 2006, who use STL).
    Additive, D = y − T, if a value is zero or below.  None with fewer than three full cycles or a mean ≤ 0.
    With ``units``, for levels that no ratio fits (temperatures), D and the index are differences in the measure's unit.
    """
    if per_year < 4 or len(values) < MIN_CYCLES * per_year:
        return None
    mean, additive = (1.0, True) if units else (sum(values) / len(values), min(values) <= 0)
    if mean <= 0:
        return None
    half = per_year // 2
    deviations: list[tuple[int, int, float]] = []
    for i in range(half, len(values) - half):
        window = values[i - half : i + half + 1]
        trend = (sum(window) - 0.5 * (window[0] + window[-1])) / per_year
        deviations.append((i, parts[i], (values[i] - trend) / mean if additive else math.log(values[i] / trend)))
    found = sorted({part for _, part, _ in deviations})
    if len(found) != per_year:
        return None
    medians = {part: median(d for _, p, d in deviations if p == part) for part in found}
    centre = sum(medians.values()) / per_year
    seasonal = {part: value - centre for part, value in medians.items()}
    rest = [(i, d - seasonal[part]) for i, part, d in deviations]
    spread = variance([d for _, _, d in deviations])
    strength = max(0.0, 1 - variance([r for _, r in rest]) / spread) if spread > 0 else 0.0

    def as_index(deviation: float) -> float:
        if units:
            return deviation
        return 100 * (1 + deviation) if additive else 100 * math.exp(deviation)

    index = {part: as_index(value) for part, value in seasonal.items()}
    single = [(i, part, as_index(d)) for i, part, d in deviations]
    return Season(index, strength, len(values) // per_year, single, rest, additive)


def strength_word(strength: float) -> str:
    """Strong from 0.64 (the threshold of ``nsdiffs``), moderate from 0.3, else weak (the latter two are our own)."""
    return "strong" if strength >= STRONG else "moderate" if strength >= MODERATE else "weak"


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a running maximum, in percent (≤ 0), with the positions of peak and trough."""

    percent: float
    peak: int
    trough: int


def drawdown(values: Sequence[float]) -> Drawdown | None:
    """Maximum drawdown; none for fewer than two values or values ≤ 0."""
    if len(values) < 2 or min(values) <= 0:
        return None
    best, peak = Drawdown(0.0, 0, 0), 0
    for i, value in enumerate(values):
        if value > values[peak]:
            peak = i
        if (fall := (value / values[peak] - 1) * 100) < best.percent:
            best = Drawdown(fall, peak, i)
    return best


def volatility(values: Sequence[float], per_year: int) -> float | None:
    """Standard deviation of simple changes × √(periods per year), in percent; none below 12 changes or at ≤ 0."""
    if len(values) < 13 or min(values) <= 0:
        return None
    return stdev(b / a - 1 for a, b in itertools.pairwise(values)) * math.sqrt(per_year) * 100
