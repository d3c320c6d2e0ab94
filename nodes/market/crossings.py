"""Whose ranks may change next: two neighbours in the ranking whose trends of share meet within a few years."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from holdfast.nodes.market.breaks import theil_sen
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.shares import Shares, Standing

SPAN, REACH = 5, 3  # years behind a trend, years ahead that are looked at; our own convention
LARGEST = 6  # ranks among which neighbours are compared; our own convention


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the latest shares: its value in the last year and its slope in points a year."""

    now: float
    slope: float


def trend(values: Sequence[float]) -> Trend:
    """Theil–Sen line (slope: median of all pairs; height: median of what it leaves over), read at the last value."""
    slope = theil_sen(values)
    start = median(value - slope * i for i, value in enumerate(values))
    return Trend(start + slope * (len(values) - 1), slope)


def years_until(upper: Trend, lower: Trend) -> int | None:
    """Whole years until the line of the lower is above that of the upper; None beyond ``REACH`` or if they part."""
    gap, closing = upper.now - lower.now, lower.slope - upper.slope
    if gap <= 0 or closing <= 0:
        return None
    ahead = math.floor(gap / closing) + 1
    return ahead if ahead <= REACH else None


def write_crossing(of: Shares) -> dict[str, Any]:
    """A sentence on the highest rank that two trends would change, and beside it who and when; empty without one."""
    if of.grain != "year" or len(of.frames) < SPAN or of.profile.harm or _year(of, -1) - _year(of, -SPAN) >= SPAN:
        return {}
    large = of.standings[:LARGEST]
    for upper, lower in itertools.pairwise(large):
        lines = [trend(_shares(of, one, SPAN)) for one in (upper, lower)]
        ahead = years_until(*lines)
        if ahead is None:
            continue
        moved = years_until(*(trend(_shares(of, one, SPAN - 1)) for one in (upper, lower)))
        return {"crossing": _written(of, (upper, lower), lines, ahead) | {"holds": moved is not None}}
    return {}


def _year(of: Shares, at: int) -> int:
    return dt.date.fromisoformat(of.frames[at]).year


def _shares(of: Shares, one: Standing, count: int) -> list[float]:
    return [of.cells[frame].get(one.name, (0.0, 0.0))[1] for frame in of.frames[-count:]]


def _written(of: Shares, pair: tuple[Standing, Standing], lines: list[Trend], ahead: int) -> dict[str, Any]:
    upper, lower = pair
    year = _year(of, -1) + ahead
    facts = {
        place: of.found.points(
            f"slope/{one.name}", line.slope, "shares", f"Theil–Sen slope of the last {SPAN} shares, a year", plus=True
        )
        for place, one, line in zip(("up", "down"), pair, lines, strict=True)
    }
    when = of.found.fact("crossing", year, "year", str(year), "shares", "first year in which the lines have crossed")
    of.found.paragraph(
        [
            say(
                f"In the last {SPAN} years the share of {{upper}} moved by {{up}} points a year, that of {{lower}} by"
                " {down}; if both went on, {lower} would stand above {upper} in {when}.",
                upper=upper.name,
                lower=lower.name,
                when=when,
                **facts,
            )
        ]
    )
    return {"upper": upper.name, "lower": lower.name, "when": year}
