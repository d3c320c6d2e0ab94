"""One row per period and entity: the small table ``cells`` from which every market figure is computed.

Also decides the window: which years (or shorter periods) are complete, which dates are out of range.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.engine import Engine, literal
from holdfast.nodes.data.models import Grain, Partial, Roles

USUAL = {"year": 1, "quarter": 4, "month": 12}
CORE_SHARE = 0.1  # of the largest rolling median of rows per year; our own convention
DOUBTFUL_ROWS = 0.5
MISSING_TAIL_DAYS = {"day": 3, "week": 7}


def cells_sql(roles: Roles, after: str = "", through: str = "") -> str:
    """The common table expression that stands before every stored query; ``after`` and ``through`` bound the dates."""
    entity = roles.entity
    how = "avg" if roles.measure.kind == "intensive" else "sum"
    name = entity.sql if entity else literal(roles.measure.column)
    kept = ["period IS NOT NULL", "isfinite(v)"]
    if entity and entity.totals:
        kept.append(f"(entity IS NULL OR entity NOT IN ({', '.join(literal(total) for total in entity.totals)}))")
    kept += [f"period >= DATE '{after}'"] * bool(after) + [f"period <= DATE '{through}'"] * bool(through)
    return (
        f"WITH cells AS (SELECT period, entity, {how}(v) AS value, count(*) AS n FROM "
        f"(SELECT {roles.time.sql} AS period, {name} AS entity, {roles.measure.sql} AS v FROM data) "
        f"WHERE {' AND '.join(kept)} GROUP BY period, entity)"
    )


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


@dataclass(frozen=True, slots=True)
class Year:
    """What one calendar year holds."""

    year: int
    rows: int
    value: float
    periods: list[dt.date]


def find_window(engine: Engine, roles: Roles, where: str) -> Window:
    """The window of the table ``data``; raises BadInput if no row has both a date and a number."""
    bounds, aside = _bounds(engine, roles)
    years = _years(engine, cells_sql(roles, *bounds))
    if not years:
        raise BadInput(
            f"{where} has no row with both a date in “{roles.time.columns[0]}” and a number in “{roles.measure.column}”"
        )
    core = _core(years)
    periods = sorted(period for year in years for period in year.periods)
    grain = roles.time.grain
    usual = _usual(core, grain)
    complete, first, last = _complete(core, usual, grain, roles.measure.kind == "intensive")
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


def _bounds(engine: Engine, roles: Roles) -> tuple[tuple[str, str], dict[str, int]]:
    """Dates more than one year past the dense range are of the wrong century; an unfinished last month is no month."""
    years = _years(engine, cells_sql(roles))
    if not years:
        return ("", ""), {}
    core = _core(years)
    through, aside = "", {}
    late = [year for year in years if year.year > core[-1].year + 1]
    if late:
        through = f"{core[-1].year + 1}-12-31"
        aside[f"dates in {late[0].year}" + (f" to {late[-1].year}" if len(late) > 1 else "")] = sum(
            year.rows for year in late
        )
    elif roles.time.finer and (cut := _unfinished_month(engine, roles)):
        through = (cut[0] - dt.timedelta(days=1)).isoformat()
        aside[f"{cut[0]:%B %Y}, which the file covers only to day {cut[1]}"] = cut[2]
    return ("", through), aside


def _unfinished_month(engine: Engine, roles: Roles) -> tuple[dt.date, int, int] | None:
    """First day, last day covered and rows of a last month that breaks off; dates here are finer than months."""
    date = roles.time.sql.removeprefix("CAST(date_trunc('month', ").removesuffix(") AS DATE)")
    row = engine.row(
        f"WITH dates AS (SELECT {date} AS d FROM data), days AS (SELECT DISTINCT d FROM dates WHERE d IS NOT NULL)"
        " SELECT max(d) AS last, (SELECT median(gap) FROM (SELECT d - lag(d) OVER (ORDER BY d) AS gap FROM days)) AS"
        " gap, (SELECT median(d) FROM (SELECT max(day(d)) AS d FROM days GROUP BY year(d), month(d))) AS usual_day,"
        " count_if(date_trunc('month', d) = (SELECT date_trunc('month', max(d)) FROM days)) AS rows FROM dates"
    )
    last, slack = row["last"], MISSING_TAIL_DAYS["week" if (row["gap"] or 1) > 3 else "day"]
    if not isinstance(last, dt.date) or last.day + slack > row["usual_day"]:
        return None
    return last.replace(day=1), last.day, row["rows"]


def _years(engine: Engine, cells: str) -> list[Year]:
    rows = engine.rows(
        f"{cells} SELECT year(period) AS year, sum(n)::BIGINT AS rows, sum(value) AS value, list(DISTINCT period ORDER"
        " BY period) AS periods FROM cells GROUP BY 1 ORDER BY 1"
    )
    return [Year(row["year"], row["rows"], row["value"], row["periods"]) for row in rows]


def _core(years: list[Year]) -> list[Year]:
    """The run of consecutive years, round the fullest, with at least 10 % of the largest rolling median of rows."""
    counts = [year.rows for year in years]
    rolling = [median(counts[max(i - 2, 0) : i + 3]) for i in range(len(counts))]
    least = CORE_SHARE * max(rolling)
    middle = rolling.index(max(rolling))
    low = high = middle
    while low > 0 and years[low - 1].year == years[low].year - 1 and years[low - 1].rows >= least:
        low -= 1
    while high < len(years) - 1 and years[high + 1].year == years[high].year + 1 and years[high + 1].rows >= least:
        high += 1
    # an incomplete year at either end belongs to the window though it is thin
    low -= low > 0 and years[low - 1].year == years[low].year - 1
    high += high < len(years) - 1 and years[high + 1].year == years[high].year + 1
    return years[low : high + 1]


def _usual(core: list[Year], grain: Grain) -> int:
    """Periods in a complete year: the commonest number inside, the calendar's at the most."""
    inner = core[1:-1]
    if not inner:
        return USUAL[grain]
    return (
        min(Counter(len(year.periods) for year in inner).most_common(1)[0][0], USUAL[grain]) if grain != "year" else 1
    )


def _complete(
    core: list[Year], usual: int, grain: Grain, intensive: bool
) -> tuple[list[Year], Partial | None, Partial | None]:
    years = list(core)
    first = last = None
    doubtful = _thin if grain == "year" else (lambda years, at, _: len(years[at].periods) < usual)
    while years and doubtful(years, -1, intensive):
        last = _partial(years.pop(), usual, grain)
    while years and doubtful(years, 0, intensive):
        first = _partial(years.pop(0), usual, grain)
    return _unbroken(years, usual) if grain != "year" else years, first, last


def _unbroken(years: list[Year], usual: int) -> list[Year]:
    """The latest run of complete years, if a year inside is not complete and the run has at least two."""
    runs: list[list[Year]] = [[]]
    for year in years:
        if len(year.periods) < usual:
            runs.append([])
        else:
            runs[-1].append(year)
    return runs[-1] if len(runs[-1]) >= 2 else max(runs, key=len)


def _thin(years: list[Year], at: int, intensive: bool) -> bool:
    """Without finer dates a year at the end is doubtful if it has fewer than half the rows of the three beside it."""
    if len(years) < 4:
        return False
    beside = years[-4:-1] if at else years[1:4]
    few = years[at].rows < DOUBTFUL_ROWS * median(year.rows for year in beside)
    small = years[at].value < 0.1 * median(year.value for year in beside)
    return few or (small and not intensive)


def _partial(year: Year, usual: int, grain: Grain) -> Partial:
    return Partial(
        year=year.year,
        periods=len(year.periods),
        usual=usual,
        first=year.periods[0].isoformat(),
        last=year.periods[-1].isoformat(),
    )


def _gaps(periods: list[dt.date], grain: Grain) -> list[str]:
    """Periods between the first and the last for which there is no row."""
    months = {"year": 12, "quarter": 3, "month": 1}[grain]
    numbers = {(period.year * 12 + period.month - 1) // months for period in periods}
    absent = sorted(set(range(min(numbers), max(numbers))) - numbers)
    return [dt.date(n * months // 12, n * months % 12 + 1, 1).isoformat() for n in absent]
