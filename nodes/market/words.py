"""How numbers, dates and lists are written: one place, so that one number reads the same everywhere."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from holdfast.nodes.data.models import Grain, Partial

NBSP = "\u00a0"
MINUS = "\u2212"
LEAST_PERCENT = 0.05  # less is written 0.0
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _signed(text: str, value: float, plus: bool) -> str:
    bare = text.lstrip("-")
    if not any(digit in bare for digit in "123456789"):
        return bare
    return (MINUS if value < 0 else "+" if plus else "") + bare


def number(value: float, decimals: int = 0, *, plus: bool = False) -> str:
    """With thousands separators and exactly so many decimals."""
    return _signed(f"{value:,.{decimals}f}", value, plus)


def exact(value: float, whole: bool, places: int = 2) -> str:
    """A measured amount as exactly as it is worth writing: whole numbers whole, others with ``places`` as in the file.

    From 10,000 on decimals say nothing; a mean of whole numbers has one.
    """
    if (whole and float(value).is_integer()) or abs(value) >= 10_000:
        return number(value)
    return number(value, 1 if whole else places)


def amount(value: float, whole: bool, places: int = 2) -> str:
    """A measured amount in a sentence: millions and more are rounded to three digits."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            return f"{_signed(f'{value / size:,.2f}', value, False)}{NBSP}{name}"
    return exact(value, whole, places)


def in_unit(text: str, unit: str) -> str:
    """A written amount and its unit; ``1.35 million`` of ``thousand USD`` are ``1.35 billion USD``."""
    scales = ("thousand", "million", "billion", "trillion")
    head, _, tail = text.rpartition(NBSP)
    own, _, of = unit.partition(" ")
    if tail in scales and own in scales:
        steps = scales.index(tail) + scales.index(own) + 1
        if steps < len(scales):
            return f"{head}{NBSP}{scales[steps]}{NBSP}{of}".rstrip(NBSP)
    return f"{text}{NBSP}{unit}" if unit else text


def rounded(value: float, digits: int = 3, most_places: int = 12) -> str:
    """An estimate, with so many significant digits (``157,000``, ``1.35 million``, ``0.523``), decimals as allowed."""
    if value == 0 or not math.isfinite(value):
        return "0"
    places = min(digits - 1 - math.floor(math.log10(abs(value))), most_places)
    value = round(value, places)
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            return f"{number(value / size, max(places + round(math.log10(size)), 0))}{NBSP}{name}"
    return number(value, max(places, 0))


def percent(value: float, *, plus: bool = False) -> str:
    """One decimal and a no-break space; changes above 999 % as a multiple."""
    if value > 999:
        return f"×{number(value / 100 + 1, 1)}" if plus else f"{number(value)}{NBSP}%"
    return f"{number(value, 1, plus=plus)}{NBSP}%"


def points(value: float, *, plus: bool = False) -> str:
    """Percentage points, one decimal, without the word."""
    return number(value, 1, plus=plus)


def counted(n: int, one: str, many: str = "") -> str:
    """``3 months``, ``1 month``."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"


def spelled(n: int) -> str:
    """Small counts in words."""
    return _SMALL[n] if 0 <= n < len(_SMALL) else number(n)


def before(frame: Grain, step: int) -> str:
    """The frame that one is compared with: ``the year before``, or ``ten years before`` where they are ten apart."""
    return f"the {frame} before" if step == 1 else f"{spelled(step)} {frame}s before"


def stride(frame: Grain, step: int) -> str:
    """What lies between two frames: a ``year``, or a ``ten-year step``."""
    return frame if step == 1 else f"{spelled(step)}-{frame} step"


def listed(items: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def period(day: dt.date | str, grain: Grain, *, brief: bool = False) -> str:
    """``2016``, ``Q1 2016``, ``January 2016`` or ``Jan 2016``."""
    day = dt.date.fromisoformat(day) if isinstance(day, str) else day
    if grain == "year":
        return str(day.year)
    if grain == "quarter":
        return f"Q{(day.month + 2) // 3} {day.year}"
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"W{week} {year}" if brief else f"Week {week} of {year}"
    month = MONTHS[day.month - 1]
    return f"{month[:3] if brief else month} {day.year}"


def held(part: Partial, grain: Grain) -> str:
    """The part of a year that is there: ``January only``, ``Q1 to Q2 only``, ``January to June with gaps``."""
    ends = [dt.date.fromisoformat(day) for day in (part.first, part.last)]
    names = [f"Q{(day.month + 2) // 3}" if grain == "quarter" else MONTHS[day.month - 1] for day in ends]
    if _has_gaps(part, grain):
        return f"{names[0]} to {names[1]} with gaps"
    return f"{names[0]} only" if names[0] == names[1] else f"{names[0]} to {names[1]} only"


def held_of(part: Partial, grain: Grain, year: int) -> str:
    """The same part of any year: ``January to March 2017``, or ``the ten months of 2017``."""
    if _has_gaps(part, grain):
        return f"the {spelled(part.periods)} {grain}s of {year}"
    return f"{held(part, grain).removesuffix(' only')} {year}"


def _has_gaps(part: Partial, grain: Grain) -> bool:
    months = dt.date.fromisoformat(part.last).month - dt.date.fromisoformat(part.first).month
    return part.periods <= months // {"month": 1, "quarter": 3}.get(grain, 12)


def pace(yearly: float) -> str:
    """The one table of words for a yearly change in percent; our own convention."""
    size = abs(yearly)
    return (
        "was flat"
        if size < 1
        else ("rose" if yearly > 0 else "fell") + (" slowly" if size < 3 else " clearly" if size < 10 else " steeply")
    )


def more(change: float) -> str:
    """``more`` or ``less``, to follow an unsigned percentage."""
    return "more" if change >= 0 else "less"


def than(change: float, other: str) -> str:
    """``{change} more than …`` or ``as much as … (a change of {change})``; the unsigned percentage goes in."""
    if abs(change) < LEAST_PERCENT:
        return f"as much as {other} (a change of {{change}})"
    return f"{{change}} {more(change)} than {other}"


def more_by(change: float) -> str:
    """``{change} more``, ``{change} less`` or ``the same (a change of {change})``."""
    return "the same (a change of {change})" if abs(change) < LEAST_PERCENT else f"{{change}} {more(change)}"


FEW_STEPS = 3  # fewer are not told as "every one"


def ups_and_downs(ups: int, downs: int, steps: int, frame: str) -> tuple[str, tuple[str, ...]]:
    """What a series did from each period to the next, with the places ``rises``, ``falls`` and ``steps`` it needs."""
    each = f"{frame}s, each against the one before"
    if not ups and not downs:
        return f"was the same in {{steps}} {each}", ("steps",)
    if steps in (ups, downs) and steps < FEW_STEPS:
        return f"{'rose' if ups else 'fell'} in each of {{steps}} {each}", ("steps",)
    if steps in (ups, downs):
        return f"{'rose' if ups else 'fell'} in every one of {{steps}} {each}", ("steps",)
    if not ups:
        return f"fell in {{falls}} of {{steps}} {each}, and never rose", ("falls", "steps")
    return f"rose in {{rises}} of {{steps}} {each}", ("rises", "steps")


def moved(change: float) -> str:
    """``rose by``, ``fell by`` or, where the written number is zero, ``changed by``."""
    return "changed by" if abs(change) < LEAST_PERCENT else "rose by" if change > 0 else "fell by"


def quoted(name: str) -> str:
    """A name from the file, set apart and on one line."""
    return f"“{' '.join(name.split())}”"
