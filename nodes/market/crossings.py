"""Whose ranks have changed, and whose may next: two neighbours whose trends of share meet within a few years."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from holdfast.nodes.market import words
from holdfast.nodes.market.breaks import theil_sen
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.shares import Shares, Standing

SPAN, REACH = 5, 3  # years behind a trend, years ahead that are looked at; our own convention
LARGEST = 6  # ranks among which neighbours are compared; our own convention
CLEAR_LEAD = 0.5  # points ahead, for an overtaking to be named; our own convention


def write_overtaking(of: Shares) -> dict[str, Any]:
    """The frame from which one of today's largest has stayed above another that was ahead at the start."""
    large = of.standings[:LARGEST]
    crossings = []
    for i, upper in enumerate(large):
        for lower in large[i + 1 :]:
            clear = upper.share_last - lower.share_last >= CLEAR_LEAD
            if clear and upper.share_first < lower.share_first and (since := _ahead_since(of, upper.name, lower.name)):
                crossings.append((upper.move - lower.move, upper.name, lower.name, since))
    best = sorted(crossings, key=lambda c: (-c[0], c[1], c[2]))[:3]
    for _, upper_name, lower_name, since in best:
        of.found.fact(
            f"overtook/{upper_name}/{lower_name}",
            dt.date.fromisoformat(since).year,
            "year",
            of.name_of(since),
            "shares",
        )
    parts = [(f"{{a{i}}} overtook {{b{i}}} in {of.name_of(c[3])}", c) for i, c in enumerate(best)]
    if parts:
        facts = {key: value for i, (_, c) in enumerate(parts) for key, value in ((f"a{i}", c[1]), (f"b{i}", c[2]))}
        of.found.paragraph([say(f"{words.listed([text for text, _ in parts])} and stayed above since.", **facts)])
    return {
        "overtaking": [{"upper": upper, "lower": lower, "since": of.name_of(since)} for _, upper, lower, since in best]
    }


def _ahead_since(of: Shares, upper: str, lower: str) -> str | None:
    since = None
    for frame in of.frames:
        ahead = of.cells[frame].get(upper, (0, 0))[0] > of.cells[frame].get(lower, (0, 0))[0]
        since = (since or frame) if ahead else None
    return since


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
        if ahead is None or _known(of, upper, lower, _year(of, -1) + ahead):
            continue
        moved = years_until(*(trend(_shares(of, one, SPAN - 1)) for one in (upper, lower)))
        return {"crossing": _written(of, (upper, lower), lines, ahead) | {"holds": moved is not None}}
    return {}


def _known(of: Shares, upper: Standing, lower: Standing, year: int) -> bool:
    """Whether the file's own rows reach into that year, or show the two in their new order already."""
    return year <= int(of.profile.last[:4]) or of.young.get(lower.name, 0.0) > of.young.get(upper.name, 0.0)


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
