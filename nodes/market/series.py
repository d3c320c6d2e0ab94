"""One series of consecutive periods out of the rows of a query, for seasons, breaks and forecasts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.nodes.data.models import Grain, Profile

PER_YEAR: dict[Grain, int] = {"year": 1, "quarter": 4, "month": 12, "week": 52}


MOST_GAPS = 0.1  # of the periods, beyond which the months before the first complete year are not used


@dataclass(frozen=True, slots=True)
class Series:
    """Values of consecutive periods; ``missing`` counts those that had no row and were filled along a line."""

    grain: Grain
    days: list[str]  # first day of each period
    values: list[float]
    missing: int = 0

    @property
    def per_year(self) -> int:
        """Periods in a year."""
        return PER_YEAR[self.grain]

    @property
    def parts(self) -> list[int]:
        """The part of the year of each period, from 1 on."""
        return [part_of(day, self.grain) for day in self.days]

    def after(self, count: int) -> list[str]:
        """The periods that follow the last one."""
        return [day_of(number_of(self.days[-1], self.grain) + i + 1, self.grain) for i in range(count)]


def part_of(day: str, grain: Grain) -> int:
    """January → 1, Q1 → 1, or the ISO week's number."""
    if grain == "week":
        return dt.date.fromisoformat(day).isocalendar().week
    return (dt.date.fromisoformat(day).month - 1) * PER_YEAR[grain] // 12 + 1


def number_of(day: str, grain: Grain) -> int:
    """Periods counted from the calendar's beginning, so that neighbours differ by one."""
    date = dt.date.fromisoformat(day)
    if grain == "week":
        return (date.toordinal() - 1) // 7  # 1 January of year 1 was a Monday
    return (date.year * 12 + date.month - 1) * PER_YEAR[grain] // 12


def day_of(number: int, grain: Grain) -> str:
    """The first day of a period, from its number."""
    if grain == "week":
        return dt.date.fromordinal(number * 7 + 1).isoformat()
    months = number * 12 // PER_YEAR[grain]
    return dt.date(months // 12, months % 12 + 1, 1).isoformat()


def usable(profile: Profile, rows: Sequence[Mapping[str, Any]]) -> Series | None:
    """The rows (``period``, ``total``) from the first complete frame to the last complete period; None without any.

    A month missing here and there makes its year incomplete, not the months before it useless: the series begins with
    the first month if at most a tenth are missing from there on.
    """
    grain = profile.roles.time.grain
    frames = set(profile.frames)
    kept = [
        (str(row["period"]), float(row["total"]))
        for row in rows
        if row["total"] is not None and frames and row["period"] >= profile.frames[0]
    ]
    if grain == "year":
        kept = [(day, value) for day, value in kept if day in frames]
    elif frames and profile.gaps and len(profile.frames) > 1 and profile.frame == "year":
        every = [(str(row["period"]), float(row["total"])) for row in rows if row["total"] is not None]
        whole = consecutive(every, grain)
        if whole and whole.missing <= MOST_GAPS * len(whole.values):
            return whole
    return consecutive(kept, grain)


def consecutive(kept: Sequence[tuple[str, float]], grain: Grain) -> Series | None:
    """The pairs of period and value in order, gaps filled along a straight line between their neighbours."""
    if not kept:
        return None
    days, values, missing = [kept[0][0]], [kept[0][1]], 0
    for day, value in kept[1:]:
        here, before, start = number_of(day, grain), number_of(days[-1], grain), values[-1]
        for i in range(1, here - before):
            days.append(day_of(before + i, grain))
            values.append(start + (value - start) * i / (here - before))
            missing += 1
        days.append(day)
        values.append(value)
    return Series(grain, days, values, missing)
