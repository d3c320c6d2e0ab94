"""Which columns tell the time, how they write it and what the periods are: years, quarters or months.

Values decide; a name only breaks ties, and admits a lone column of years or months.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.engine import Engine, literal
from holdfast.nodes.data.models import Grain, Time
from holdfast.nodes.data.questions import Inquiry

_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a date: ``pattern`` recognises a cell, ``sql`` reads it from the text ``{x}``."""

    name: str
    pattern: re.Pattern[str]
    sql: str


def _strptime(*formats: str) -> str:
    return f"CAST(try_strptime({{x}}, [{', '.join(literal(f) for f in formats)}]) AS DATE)"


def _form(name: str, pattern: str, sql: str) -> Form:
    return Form(name, re.compile(pattern, re.IGNORECASE), sql)


_QUARTER = (
    "make_date(CAST(regexp_extract({x}, '\\d{{4}}') AS INT), 3 * CAST(regexp_extract({x}, '[Qq]\\s?(\\d)', 1) AS INT) -"
    " 2, 1)"
)
_ISO_WEEK = (  # a day of the week in which 4 January lies, and as many weeks on
    "CAST(make_date(CAST({x}[1:4] AS INT), 1, 4) + INTERVAL 1 DAY * (7 * (CAST(WEEK AS INT) - 1)) AS DATE)"
)
_YEAR_MONTH = _form(
    "months such as 200001",
    r"^(1[5-9]|20)\d{2}(0[1-9]|1[0-2])$",
    "TRY_CAST({x}[1:4] || '-' || {x}[5:6] || '-01' AS DATE)",
)
_YEAR_WEEK = _form(
    "weeks such as 200007", r"^(1[5-9]|20)\d{2}(0[1-9]|[1-4]\d|5[0-3])$", _ISO_WEEK.replace("WEEK", "{x}[5:6]")
)
_YEAR_MONTH_DAY = _form(
    "dates such as 20000131", r"^(1[5-9]|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])$", _strptime("%Y%m%d")
)
_MONTH_YEAR = _form(
    "months such as 01/2000",
    r"^(0?[1-9]|1[0-2])[/.-](1[5-9]|20)\d{2}$",
    "make_date(CAST(regexp_extract({x}, '\\d{{4}}$') AS INT), CAST(regexp_extract({x}, '^\\d+') AS INT), 1)",
)
_DIGITS = (_YEAR_MONTH, _YEAR_WEEK, _YEAR_MONTH_DAY)
FORMS = [
    _form("ISO dates", r"^\d{4}-\d{1,2}-\d{1,2}([T ].*)?$", "TRY_CAST(regexp_extract({x}, '^\\d+-\\d+-\\d+') AS DATE)"),
    _form(
        "dates such as 2000/01/31",
        r"^\d{4}/\d{1,2}/\d{1,2}( .*)?$",
        "TRY_CAST(replace(regexp_extract({x}, '^\\d+/\\d+/\\d+'), '/', '-') AS DATE)",
    ),
    _form(
        "dates such as Jan 1 2000",
        rf"^{_MONTH} \d{{1,2}},? \d{{4}}$",
        _strptime("%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y"),
    ),
    _form(
        "dates such as 1 Jan 2000",
        rf"^\d{{1,2}}[ -]{_MONTH}[ -]\d{{4}}$",
        _strptime("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%B-%Y"),
    ),
    _form(
        "months such as Jan 2000",
        rf"^{_MONTH}[ ,/-]*\d{{4}}$",
        _strptime("%b %Y", "%B %Y", "%b-%Y", "%B-%Y", "%b/%Y", "%B/%Y", "%b, %Y", "%B, %Y"),
    ),
    _form("months such as 2000 Jan", rf"^\d{{4}}[ /-]{_MONTH}$", _strptime("%Y %b", "%Y %B", "%Y-%b", "%Y-%B")),
    _form("months such as Jan-00", rf"^{_MONTH}[ -]\d{{2}}$", _strptime("%b-%y", "%b %y", "%B-%y", "%B %y")),
    _MONTH_YEAR,
    _form("quarters", r"^\d{4}[ -]?Q\s?[1-4]$|^Q\s?[1-4][ -/]?\d{4}$", _QUARTER),
    _form(
        "months such as 2000M01",
        r"^\d{4}M(0?[1-9]|1[0-2])$",
        "make_date(CAST({x}[1:4] AS INT), CAST({x}[6:] AS INT), 1)",
    ),
    _form(
        "months such as 2000-01",
        r"^\d{4}[-/](0?[1-9]|1[0-2])$",
        "TRY_CAST(regexp_replace({x}, '[-/]', '-') || '-01' AS DATE)",
    ),
    _YEAR_MONTH,
    _YEAR_WEEK,
    _YEAR_MONTH_DAY,
    _form(
        "weeks such as 2000W07", r"^\d{4}-?W\d{1,2}$", _ISO_WEEK.replace("WEEK", "regexp_extract({x}, '[Ww](\\d+)', 1)")
    ),
    _form("day.month.year", r"^\d{1,2}\.\d{1,2}\.\d{4}$", _strptime("%d.%m.%Y")),
]
_SLASHED = re.compile(r"^\d{1,2}([/-])\d{1,2}\1(\d{4}|\d{2})([ T].*)?$")
_YEAR = re.compile(r"^(1[5-9]\d{2}|20\d{2}|2100)(\.0)?$")
MOST_WEEKS = 104  # beyond that weekly figures are shown by month
_MONTH_WORDS = {
    "month", "mon", "mnd", "mois", "monat", "mes", "mese", "maand", "måned", "månad", "kuukausi", "miesiąc", "mês",
}  # fmt: skip
_EPOCH = re.compile(r"^\d{9,10}$|^\d{12,13}$")


@dataclass(frozen=True, slots=True)
class Found:
    """A way to read the time: the columns, in words, and SQL of a date; ``rank`` orders candidates, low is better."""

    columns: tuple[str, ...]
    form: str
    sql: str
    rank: int
    other: Found | None = None  # the same cells read in another way that the values allow as well


def find_time(engine: Engine, columns: list[Column], where: str, asked: Inquiry) -> Time:
    """The time role; raises BadInput if no column tells the time."""
    found = sorted(_candidates(engine, columns), key=lambda candidate: candidate.rank) or list(_digits(engine, columns))
    if not found:
        raise BadInput(
            f"{where} has no time column among {', '.join(column.name for column in columns[:20])}; "
            "add one with dates, months, quarters or years"
        )
    best = found[0]
    rivals = [other for other in found[1:] if other.rank < 20 and not set(other.columns) & set(best.columns)]
    if best.rank < 20 and rivals:
        asked.assume(f"the dates are those of “{best.columns[0]}”, not of “{rivals[0].columns[0]}”", "time")
    if best.other:
        best = _settled(best, best.other, columns, asked)
    grain, finer = _grain(engine, best)
    start = (
        best.sql
        if grain == "month" and not finer and best.form.startswith("months")
        else f"CAST(date_trunc('{grain}', {best.sql}) AS DATE)"
    )
    week = f"CAST(date_trunc('week', {best.sql}) AS DATE)" if grain == "month" and _weekly(engine, best) else ""
    day = best.sql if finer else ""
    return Time(columns=list(best.columns), form=best.form, sql=start, grain=grain, finer=finer, week=week, day=day)


def _weekly(engine: Engine, found: Found) -> bool:
    """Whether the dates are weeks: written so, or all on one day of the week."""
    days = f"SELECT DISTINCT dayofweek({found.sql}) AS d FROM data"
    return found.form.startswith("weeks") or engine.value(f"SELECT count(d) FROM ({days})") == 1


def _settled(best: Found, other: Found, columns: list[Column], asked: Inquiry) -> Found:
    """Which of two ways to read the dates is meant: asked, since no value tells."""
    name = best.columns[0]
    example = next(column.example for column in columns if column.name == name)
    chosen = asked.choose(
        "dates",
        f"How are the dates in “{name}” to be read, such as {example}? No value tells.",
        [best.form, other.form],
        f"“{name}” is read as {{}}: no value tells which",
    )
    return best if chosen == best.form else other


def _candidates(engine: Engine, columns: list[Column]) -> Iterator[Found]:
    for place, column in enumerate(columns):
        named = 0 if names.suggests(column.name, "time") else 9
        if form := _as_date(engine, column):
            found = Found((column.name,), form.name, form.sql.format(x=column.text), named + min(place, 8))
            yield replace(found, other=_months_or_weeks(engine, column, found)) if form is _YEAR_MONTH else found
        elif found_slashed := _as_slashed(engine, column, named + min(place, 8)):
            yield found_slashed
    years = [column for column in columns if _is_year(column)]
    for year in years:
        value = f"CAST({year.number} AS INT)"
        if month := next((column for column in columns if column is not year and _is_month(column)), None):
            yield Found((year.name, month.name), "year and month", f"make_date({value}, {_month_sql(month)}, 1)", 10)
        elif quarter := next((column for column in columns if column is not year and _is_quarter(column)), None):
            part = f"CAST(regexp_extract({quarter.text}, '[1-4]') AS INT)"
            yield Found((year.name, quarter.name), "year and quarter", f"make_date({value}, 3 * {part} - 2, 1)", 11)
        else:
            yield Found(
                (year.name,), "years", f"make_date({value}, 1, 1)", 20 if names.suggests(year.name, "time") else 30
            )


def _share(column: Column, pattern: re.Pattern[str]) -> float:
    return sum(bool(pattern.match(cell)) for cell in column.sample) / len(column.sample) if column.sample else 0.0


def _as_date(engine: Engine, column: Column, *, digits: bool = False) -> Form | None:
    """The form of its dates; mere digits need a name that says time, or ``digits``."""
    digits = digits or names.suggests(column.name, "time")
    for form in FORMS:
        if form is _MONTH_YEAR and column.numeric and not digits:
            continue  # 1.2008 may be a number
        if form in _DIGITS and (not digits or (form is _YEAR_MONTH and "week" in names.words(column.name))):
            continue
        if _share(column, form.pattern) >= 0.95 and _readable(engine, form.sql.format(x=column.text)):
            return form
    if digits and _share(column, _EPOCH) == 1:
        unit, scale = ("milliseconds", 1) if len(column.example) > 10 else ("seconds", 1000)
        return Form(f"{unit} since 1970", _EPOCH, f"CAST(epoch_ms({scale} * CAST({{x}} AS BIGINT)) AS DATE)")
    return None


def _digits(engine: Engine, columns: list[Column]) -> Iterator[Found]:
    """Mere digits that can be dates, for files in which no header speaks of time."""
    for place, column in enumerate(columns):
        if column.numeric and (form := _as_date(engine, column, digits=True)):
            yield Found((column.name,), form.name, form.sql.format(x=column.text), place)


def _months_or_weeks(engine: Engine, column: Column, months: Found) -> Found | None:
    """Digits such as 202007 in one year up to 12: months, or the first weeks."""
    years = engine.value(f"SELECT count(DISTINCT {column.text}[1:4]) FROM data")
    if years > 1 or "month" in names.words(column.name):
        return None
    return Found(months.columns, _YEAR_WEEK.name, _YEAR_WEEK.sql.format(x=column.text), months.rank)


def _as_slashed(engine: Engine, column: Column, rank: int) -> Found | None:
    """Day and month in either order; a part above 12 settles it, or one that is always 1; else both are possible."""
    if _share(column, _SLASHED) < 0.95:
        return None
    sign = "/" if "/" in column.example else "-"
    part = [f"TRY_CAST(split_part({column.text}, '{sign}', {n}) AS INT)" for n in (1, 2)]
    parts = engine.row(f"SELECT max({part[0]}) AS p1, max({part[1]}) AS p2 FROM data")
    year = "%Y" if re.search(r"\d{4}", column.example) else "%y"
    text = f"regexp_extract({column.text}, '^[0-9]+.[0-9]+.[0-9]+')"

    def read(name: str, *order: str) -> Found:
        date = sign.join([*order, year])
        return Found((column.name,), name, f"CAST(try_strptime({text}, {literal(date)}) AS DATE)", rank)

    month_first, day_first = read("month/day/year", "%m", "%d"), read("day/month/year", "%d", "%m")
    if parts["p1"] > 12 or (parts["p1"] == 1 and parts["p2"] > 1):
        return day_first
    if parts["p2"] > 12 or parts["p2"] == 1:
        return month_first
    return replace(month_first, other=day_first)


def _readable(engine: Engine, sql: str) -> bool:
    row = engine.row(f"SELECT count(*) AS n, count(d) AS ok FROM (SELECT {sql} AS d FROM data LIMIT 10000)")
    return bool(row["ok"] >= 0.5 * row["n"])


def _is_year(column: Column) -> bool:
    if not column.numeric or not column.whole or _share(column, _YEAR) < 0.99:
        return False
    return names.suggests(column.name, "time") or column.distinct <= 60


def _is_month(column: Column) -> bool:
    if column.numeric:
        if not column.whole or column.low < 1 or column.high > 12:
            return False
        if _MONTH_WORDS & set(names.words(column.name)):
            return True
        others = ("flow", "stock", "intensive", "id", "category", "company")
        every = column.low == 1 and column.high == 12 and len(set(column.sample)) == 12
        return every and not any(names.suggests(column.name, kind) for kind in others)
    return bool(column.sample) and _share(column, re.compile(rf"^{_MONTH}$", re.IGNORECASE)) >= 0.99


def _month_sql(column: Column) -> str:
    if column.numeric:
        return f"CAST({column.number} AS INT)"
    months = ", ".join(literal(month) for month in _MONTH_NAMES)
    return f"list_position([{months}], lower({column.text})[1:3])"


def _is_quarter(column: Column) -> bool:
    return "quarter" in names.words(column.name) and _share(column, re.compile(r"^Q?\s?[1-4]$", re.IGNORECASE)) >= 0.99


def _grain(engine: Engine, found: Found) -> tuple[Grain, bool]:
    """The period and whether dates are finer than it.

    Dates that are all in one month of the year are years; up to two years of dates on one day of the week are weeks.
    """
    row = engine.row(
        "SELECT list(DISTINCT month(d)) AS months, count(DISTINCT d) AS days, count(DISTINCT date_trunc('month', d))"
        " AS all_months, count(DISTINCT year(d)) AS years, count(DISTINCT dayofweek(d)) AS weekdays FROM (SELECT"
        f" {found.sql} AS d FROM data) WHERE d IS NOT NULL"
    )
    if (found.form.startswith("weeks") or row["weekdays"] == 1) and row["all_months"] < row["days"] <= MOST_WEEKS:
        return "week", False
    months, finer = set(row["months"] or []), row["days"] > row["all_months"]
    if found.form == "years" or (len(months) == 1 and row["years"] >= 3 and not finer):
        return "year", False
    if found.form in ("quarters", "year and quarter") or (
        not finer and len(months) == 4 and len({m % 3 for m in months}) == 1
    ):
        return "quarter", False
    return "month", finer


def month_end(day: dt.date) -> dt.date:
    """The last day of its month."""
    return (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
