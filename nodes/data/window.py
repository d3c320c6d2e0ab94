"""Which periods are used: the dense range of years, complete ones in it, dates that are out of range.

Years are found first, since size and shares are compared by year where there are two complete ones.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.cells import cells_sql, splits_weeks
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.models import Grain, Partial, Roles
from holdfast.nodes.data.questions import Inquiry
from holdfast.nodes.data.times import month_end

USUAL = {"year": 1, "quarter": 4, "month": 12, "week": 52}
CORE_SHARE = 0.1  # of the largest rolling median of rows per year; our own convention
CORE_GAP = 5  # usual steps between two years of one range
DOUBTFUL_SHARE = 0.5  # of the rows or of the amount of the periods beside it
DOUBTFUL_FALL = 3.5  # robust standard deviations of the logarithms of past changes; our own convention
MISSING_TAIL_DAYS = {"day": 3, "week": 7}
SPLIT_HEAD_DAYS = 4  # days without a week at the start of a month of divided weeks; up to three may be missing
LEAST_MONTHS = 4  # below that no first month is left out
Why = Literal["periods", "rows", "value"]


@dataclass(slots=True)
class Window:
    """Which periods are used and which are complete."""

    frame: Grain  # the unit in which size and shares are compared
    frames: list[dt.date]  # complete ones, consecutive, as first days
    per_frame: int
    first: dt.date
    last: dt.date
    periods: int
    after: str = ""  # bounds that set rows aside
    through: str = ""
    aside: dict[str, int] = field(default_factory=dict)  # reason → rows
    partial_first: Partial | None = None
    partial_last: Partial | None = None
    gaps: list[str] = field(default_factory=list)

    @property
    def dates(self) -> tuple[str, str]:
        """First and last day of the months in use."""
        return self.first.isoformat(), month_end(self.last).isoformat()


@dataclass(frozen=True, slots=True)
class Year:
    """What one calendar year holds."""

    year: int
    rows: int
    value: float
    periods: list[dt.date]


def find_window(engine: Engine, roles: Roles, where: str, asked: Inquiry) -> Window:
    """The window of the table ``data``; raises BadInput if no row has both a date and a number."""
    bounds, aside = _bounds(engine, roles, asked)
    years = _years(engine, cells_sql(roles, *bounds))
    if not years:
        raise BadInput(
            f"{where} has no row with both a date in “{roles.time.columns[0]}” and a number in “{roles.measure.column}”"
        )
    periods = sorted(period for year in years for period in year.periods)
    grain = roles.time.grain
    usual = _usual(years, grain)
    complete, first, last = _complete(years, usual, roles, asked)
    if len(complete) < 2 and grain != "year" and (fewer := _commonest(years, usual)) < usual:
        # nearly every year lacks a month: years of the commonest number of months say more than single months
        usual = fewer
        complete, first, last = _complete(years, usual, roles, asked)
    window = Window(
        "year",
        [dt.date(year.year, 1, 1) for year in complete],
        usual,
        periods[0],
        periods[-1],
        len(periods),
        *bounds,
        aside,
        first,
        last,
        _gaps(periods, grain),
    )
    if len(complete) < 2 and grain != "year" and (len(periods) >= 2 or not complete):
        window.frame, window.frames, window.per_frame = grain, periods, 1
        window.partial_first = window.partial_last = None
    return window


def _bounds(engine: Engine, roles: Roles, asked: Inquiry) -> tuple[tuple[str, str], dict[str, int]]:
    """First and last date in use, each empty if it sets nothing aside, and what is set aside with its rows.

    Years before the dense range are too thin to compare.  Dates more than one year past it are of the wrong century.
    A last month that is not finished, or that looks so, is no month.
    """
    years = _years(engine, cells_sql(roles))
    if not years:
        return ("", ""), {}
    core = _core(years)
    after = through = ""
    aside: dict[str, int] = {}
    if early := [year for year in years if year.year < core[0].year]:
        after = f"{core[0].year}-01-01"
        aside[f"dates in {_span(early)}, too few to compare"] = sum(year.rows for year in early)
    elif roles.time.finer and (begun := _begun_month(engine, roles)):
        after = (month_end(begun[0]) + dt.timedelta(days=1)).isoformat()
        aside[f"{begun[0]:%B %Y}, which the file covers only from day {begun[1]}"] = begun[2]
    if late := [year for year in years if year.year > core[-1].year]:
        through = f"{core[-1].year}-12-31"
        aside[f"dates in {_span(late)}"] = sum(year.rows for year in late)
    elif roles.time.finer and (cut := _unfinished_month(engine, roles)):
        through = (cut[0] - dt.timedelta(days=1)).isoformat()
        aside[f"{cut[0]:%B %Y}, which the file covers only to day {cut[1]}"] = cut[2]
    elif roles.time.grain != "year" and (doubtful := _young(engine, roles, after, asked)):
        through = (doubtful[0] - dt.timedelta(days=1)).isoformat()
        aside[f"{doubtful[0]:%B %Y} or later, which looks incomplete"] = doubtful[1]
    return (after, through), aside


def _span(years: list[Year]) -> str:
    return f"{years[0].year}" + (f" to {years[-1].year}" if len(years) > 1 else "")


def _young(engine: Engine, roles: Roles, after: str, asked: Inquiry) -> tuple[dt.date, int] | None:
    """First day and rows of the last periods that look incomplete, unless somebody says that they are whole."""
    rows = engine.rows(
        f"{cells_sql(roles, after)} SELECT period, sum(n)::BIGINT AS n, sum(value) AS value FROM cells GROUP BY period"
        " ORDER BY period"
    )
    level = roles.measure.kind == "intensive"
    count = doubtful([row["n"] for row in rows], [] if level else [row["value"] for row in rows])[0]
    if not count or not _incomplete(asked, f"{rows[-count]['period']:%B %Y}"):
        return None
    return rows[-count]["period"], sum(row["n"] for row in rows[-count:])


def _incomplete(asked: Inquiry, name: str) -> bool:
    prompt = f"Is {name}, the last of the file, complete? It has far less than what came before."
    return asked.choose("last period", prompt, ["no", "yes"], f"to “is {name} complete?” the answer is {{}}") == "no"


def _unfinished_month(engine: Engine, roles: Roles) -> tuple[dt.date, int, int] | None:
    """First day, last day covered and rows of a last month that breaks off; dates here are finer than months."""
    row = engine.row(
        f"WITH dates AS (SELECT {roles.time.day} AS d FROM data), days AS (SELECT DISTINCT d FROM dates WHERE d IS NOT"
        " NULL) SELECT max(d) AS last, (SELECT median(gap) FROM (SELECT d - lag(d) OVER (ORDER BY d) AS gap FROM days))"
        " AS gap, (SELECT median(d) FROM (SELECT max(day(d)) AS d FROM days GROUP BY year(d), month(d))) AS usual_day,"
        " count_if(date_trunc('month', d) = (SELECT date_trunc('month', max(d)) FROM days)) AS rows FROM dates"
    )
    last, slack = row["last"], MISSING_TAIL_DAYS["week" if (row["gap"] or 1) > 3 else "day"]
    if not isinstance(last, dt.date) or last.day + slack > row["usual_day"]:
        return None
    covered = min(last + dt.timedelta(6), month_end(last)) if roles.time.week else last
    return last.replace(day=1), covered.day, row["rows"]


def _begun_month(engine: Engine, roles: Roles) -> tuple[dt.date, int, int] | None:
    """First day, first day covered and rows of a first month that the file does not hold from its beginning on.

    Weeks that are divided by their days leave the days before the first one without a number.
    """
    row = engine.row(
        f"WITH dates AS (SELECT {roles.time.day} AS d FROM data), days AS (SELECT DISTINCT d FROM dates WHERE d IS NOT"
        " NULL), months AS (SELECT min(d) AS d FROM days GROUP BY year(d), month(d)) SELECT min(d) AS first, (SELECT"
        " median(gap) FROM (SELECT d - lag(d) OVER (ORDER BY d) AS gap FROM days)) AS gap, (SELECT median(day(d)) FROM"
        " months) AS usual_day, (SELECT count(*) FROM months) AS months, count_if(date_trunc('month', d) = (SELECT"
        " date_trunc('month', min(d)) FROM days)) AS rows FROM dates"
    )
    first, split = row["first"], splits_weeks(roles)
    if not isinstance(first, dt.date) or row["months"] < LEAST_MONTHS:
        return None
    usual, slack = (
        (1, SPLIT_HEAD_DAYS)
        if split
        else (row["usual_day"], MISSING_TAIL_DAYS["week" if (row["gap"] or 1) > 3 else "day"])
    )
    return (first.replace(day=1), first.day, row["rows"]) if first.day >= usual + slack else None


def _years(engine: Engine, cells: str) -> list[Year]:
    rows = engine.rows(
        f"{cells} SELECT year(period) AS year, sum(n)::BIGINT AS rows, sum(value) AS value, list(DISTINCT period ORDER"
        " BY period) AS periods FROM cells GROUP BY 1 ORDER BY 1"
    )
    return [Year(row["year"], row["rows"], row["value"], row["periods"]) for row in rows]


def _core(years: list[Year]) -> list[Year]:
    """The run of years with most rows in which each has at least 10 % of the largest rolling median of rows.

    A run may have gaps of a few years.  The thin year right beside it belongs to it, since it may be incomplete.
    """
    counts, step = {year.year: year.rows for year in years}, _step(years)
    around = ([year.year + step * i for i in range(-2, 3)] for year in years)
    least = CORE_SHARE * max(median(counts[year] for year in five if year in counts) for five in around)
    runs: list[list[Year]] = []
    for year in years:
        if year.rows < least:
            continue
        if runs and year.year - runs[-1][-1].year <= CORE_GAP * step:
            runs[-1].append(year)
        else:
            runs.append([year])
    best = max(runs, key=lambda run: sum(year.rows for year in run), default=years)
    low, high = years.index(best[0]), years.index(best[-1])
    low -= low > 0 and years[low - 1].year >= years[low].year - step
    high += high < len(years) - 1 and years[high + 1].year <= years[high].year + step
    return years[low : high + 1]


def _step(years: list[Year]) -> int:
    """The usual distance of a year to the next; 10 for a census."""
    steps = Counter(b.year - a.year for a, b in itertools.pairwise(years))
    return min(steps, key=lambda step: (-steps[step], step), default=1)


def _usual(core: list[Year], grain: Grain) -> int:
    """Periods in a complete year: the calendar's, unless the same parts of the year are never or seldom there.

    A part counts if at least half of the inner years have it, so that a month missing here and there makes only its own
    year incomplete.
    """
    inner = core[1:-1]
    if not inner or grain == "year":
        return USUAL[grain]
    seen = Counter(part for year in inner for part in {_part(day, grain) for day in year.periods})
    return min(sum(2 * years >= len(inner) for years in seen.values()), USUAL[grain]) or USUAL[grain]


def _commonest(core: list[Year], usual: int) -> int:
    """The number of periods that most inner years have, ``usual`` at the most."""
    inner = Counter(len(year.periods) for year in core[1:-1])
    return min(max(inner, key=lambda periods: (inner[periods], periods)), usual) if inner else usual


def _part(day: dt.date, grain: Grain) -> int:
    """The part of the year: month, quarter or ISO week."""
    return day.isocalendar().week if grain == "week" else (day.month + 2) // 3 if grain == "quarter" else day.month


def _complete(
    core: list[Year], usual: int, roles: Roles, asked: Inquiry
) -> tuple[list[Year], Partial | None, Partial | None]:
    years, grain = list(core), roles.time.grain
    first = last = None
    if grain == "year":
        level = roles.measure.kind == "intensive"
        ends, why = _doubtful_years(years, level)
        if ends and _incomplete(asked, str(years[-ends].year)):
            last = _partial(years[-ends], usual, why)
            years = years[:-ends]
        starts, why = _doubtful_years(years[::-1], level)
        if starts:
            first = _partial(years[starts - 1], usual, why)
            years = years[starts:]
        return _unbroken(years, 1), first, last
    while years and len(years[-1].periods) < usual:
        last = _partial(years.pop(), usual, "periods")
    while years and len(years[0].periods) < usual:
        first = _partial(years.pop(0), usual, "periods")
    return _unbroken(years, usual), first, last


def _unbroken(years: list[Year], usual: int) -> list[Year]:
    """The latest run of complete years at their usual distance, if it has at least two; else the longest."""
    step = _step(years)
    runs: list[list[Year]] = [[]]
    for year in years:
        if len(year.periods) < usual:
            runs.append([])
        elif runs[-1] and year.year - runs[-1][-1].year != step:
            runs.append([year])
        else:
            runs[-1].append(year)
    return runs[-1] if len(runs[-1]) >= 2 else max(runs, key=len)


def _doubtful_years(years: list[Year], level: bool) -> tuple[int, Why]:
    return doubtful([year.rows for year in years], [] if level else [year.value for year in years])


def doubtful(rows: Sequence[int], values: Sequence[float]) -> tuple[int, Why]:
    """How many periods at the end look incomplete, and by what; no ``values`` for levels, which may fall.

    One does if it has fewer than half the rows of the median of the three before it; or less than half their amount
    and a fall, as a logarithm, beyond 3.5 robust standard deviations of the changes before (our own convention).
    """
    count = 0
    why: Why = "periods"
    for end in range(len(rows) - 1, 2, -1):
        if rows[end] < DOUBTFUL_SHARE * median(rows[end - 3 : end]):
            count, why = count + 1, "rows"
        elif values and _dives(values[: end + 1]):
            count, why = count + 1, "value"
        else:
            break
    return count, why


def _dives(values: Sequence[float]) -> bool:
    *before, last = values
    if last >= DOUBTFUL_SHARE * median(before[-3:]) or min(before) <= 0:
        return False
    if last <= 0:
        return True
    changes = [math.log(b / a) for a, b in itertools.pairwise(before)]
    middle = median(changes)
    spread = 1.4826 * median(abs(change - middle) for change in changes)
    return math.log(last / before[-1]) < -DOUBTFUL_FALL * spread


def _partial(year: Year, usual: int, why: Why) -> Partial:
    return Partial(
        year=year.year,
        periods=len(year.periods),
        usual=usual,
        first=year.periods[0].isoformat(),
        last=year.periods[-1].isoformat(),
        why=why,
    )


def _gaps(periods: list[dt.date], grain: Grain) -> list[str]:
    """Periods between the first and the last for which there is no row; years may be some years apart."""
    if grain == "week":
        known = set(periods)
        weeks = range((periods[-1] - periods[0]).days // 7)
        days = [periods[0] + dt.timedelta(7 * week) for week in weeks]
        return [day.isoformat() for day in days if day not in known]
    steps = [b.year - a.year for a, b in itertools.pairwise(periods)]
    months = {"year": 12 * max(min(steps, default=1), 1), "quarter": 3, "month": 1}[grain]
    numbers = {(period.year * 12 + period.month - 1) // months for period in periods}
    absent = sorted(set(range(min(numbers), max(numbers))) - numbers)
    return [dt.date(n * months // 12, n * months % 12 + 1, 1).isoformat() for n in absent]
