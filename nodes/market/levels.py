"""What may be said of prices, rates and other levels: change, drawdown, volatility per entity — never a sum.

What the three analyses of levels share; ``level_overview``, ``level_changes`` and ``level_swings`` write them.  Changes
are in percent where a ratio means something (values above zero, no temperature, no percentage); else differences.
Where the season is strong, first and last value are means of 12 months: else a change would only tell the season.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from holdfast.nodes.data import names
from holdfast.nodes.market import formulas, words
from holdfast.nodes.market.findings import Findings
from holdfast.nodes.market.series import Series, consecutive, number_of, part_of
from holdfast.nodes.report.document import Fact

MOST = 15
MOST_LINES = 8
PER_YEAR = {"year": 1, "quarter": 4, "month": 12, "week": 52}
_NO_RATIO_UNITS = {"%", "°c", "°f", "c", "f", "°", "points", "pp"}
MOST_GAPS = 0.1  # of the periods; with more of them missing no season is computed
_NO_RATIO = {
    "temp", "temperature", "celsius", "fahrenheit", "degrees", "pct", "percent", "percentage", "share", "rate", "ratio",
    "%", "change", "growth", "index", "score", "inflation", "rating", "grade", "satisfaction", "margin", "occupancy",
    "utilisation", "utilization", "humidity", "ph", "nps", "turnout", "unemployment", "tmin", "tmax", "tavg",
}  # fmt: skip

# the entities with a value in the last period: of many those with the highest, long histories first
_COMPARED = (
    "SELECT entity FROM (SELECT entity, arg_max(value, period) AS value, 2 * count(*) >= max(count(*)) OVER () AS long,"
    " count(*) > 1 AND max(period) = max(max(period)) OVER () AS now FROM cells WHERE entity IS NOT NULL GROUP BY"
    f" entity) QUALIFY now = bool_or(now) OVER () ORDER BY long DESC, value DESC, entity LIMIT {MOST}"
)

QUERIES = {
    "levels": (
        "SELECT entity, count(*) AS n, min(period) AS first, max(period) AS last, arg_min(value, period) AS"
        " first_value, arg_max(value, period) AS last_value, max(value) AS high, arg_max(period, value) AS high_at,"
        " min(value) AS low, arg_min(period, value) AS low_at FROM cells WHERE entity IS NOT NULL GROUP BY entity ORDER"
        " BY entity"
    ),
    "since": (
        "SELECT entity, arg_min(value, period) AS first_value, arg_max(value, period) AS last_value FROM cells "
        "WHERE entity IS NOT NULL AND period >= DATE '{start}' GROUP BY entity ORDER BY entity"
    ),
    "series": f"SELECT entity, period, value FROM cells WHERE entity IN ({_COMPARED}) ORDER BY entity, period",
    "means": (
        f"SELECT entity, period, avg(value) OVER w AS mean FROM cells WHERE entity IN ({_COMPARED}) WINDOW w AS"
        " (PARTITION BY entity ORDER BY period ROWS BETWEEN {before} PRECEDING AND CURRENT ROW) QUALIFY count(*) OVER w"
        " = {before} + 1 ORDER BY entity, period"
    ),
    "span": (
        "SELECT sum(n)::BIGINT AS rows, count(DISTINCT period) AS periods, count(DISTINCT entity) AS entities FROM"
        " cells"
    ),
}


@dataclass(frozen=True, slots=True)
class Level:
    """One entity's course."""

    name: str
    periods: list[str]
    values: list[float]

    @property
    def years(self) -> float:
        """Time between first and last observation."""
        first, last = (dt.date.fromisoformat(day) for day in (self.periods[0], self.periods[-1]))
        return ((last.year - first.year) * 12 + last.month - first.month) / 12

    def since(self, start: str) -> Level:
        """The part from ``start`` on."""
        at = next((i for i, day in enumerate(self.periods) if day >= start), len(self.periods))
        return Level(self.name, self.periods[at:], self.values[at:])


class Levels:
    """The courses of the entities that are compared, and how a change between two values is written."""

    def __init__(self, found: Findings) -> None:
        self.found, self.profile = found, found.profile
        self.grain = self.profile.roles.time.grain
        measure, entity = self.profile.roles.measure, self.profile.roles.entity
        self.measure = measure
        self.one, self.many = (entity.noun, entity.plural) if entity else ("series", "series")
        self.name = words.quoted(measure.column)
        self.each = each = found.rows("levels")
        self.ratio = (
            bool(each)
            and min(row["low"] for row in each) > 0
            and not _NO_RATIO & set(names.words(measure.column))
            and measure.unit.casefold() not in _NO_RATIO_UNITS
        )
        self.unit = (
            "points"
            if measure.unit == "%"
            or {"pct", "percent", "percentage", "rate", "share"} & set(names.words(measure.column))
            else measure.unit
        )
        self.shown = self._read()
        self.start = max((level.periods[0] for level in self.shown), default="")
        self._means_read = False
        self._means: dict[tuple[str, str, int], Level] = {}
        self._tones: dict[str, int] = {}
        self.strength = self._strength()
        self.seasonal = self.strength is not None and self.strength >= formulas.STRONG

    def _read(self) -> list[Level]:
        """Those that are compared, highest last value first: of many the highest that have a long enough history."""
        courses: dict[str, Level] = {}
        for row in self.found.rows("series"):
            level = courses.setdefault(row["entity"], Level(row["entity"], [], []))
            level.periods.append(row["period"])
            level.values.append(row["value"])
        return sorted(courses.values(), key=lambda level: (-level.values[-1], level.name))

    def season_of(self, level: Level) -> formulas.Season | None:
        """The season of one course; None with fewer than three years or too many gaps."""
        series = self.series(level)
        if series is None or series.missing > MOST_GAPS * len(series.values):
            return None
        return formulas.season(series.values, series.parts, series.per_year, units=not self.ratio)

    def series(self, level: Level) -> Series | None:
        """The course with its gaps filled."""
        return consecutive(list(zip(level.periods, level.values, strict=True)), self.grain)

    def _strength(self) -> float | None:
        """The median of the seasonal strengths of those that are compared."""
        found = [season.strength for level in self.shown if (season := self.season_of(level))]
        return median(found) if found else None

    def course(self, level: Level) -> Level:
        """What is compared: the values, or with a strong season the means of 12 months, named by their last month."""
        if not self.seasonal:
            return level
        key = (level.name, level.periods[0] if level.periods else "", len(level.periods))
        if key not in self._means:
            self._means[key] = self._mean_course(level)
        return self._means[key]

    def _mean_course(self, level: Level) -> Level:
        n = PER_YEAR[self.grain]
        places = [number_of(day, self.grain) for day in level.periods]
        ends = [i for i in range(n - 1, len(places)) if places[i] - places[i - n + 1] == n - 1]
        return Level(
            level.name, [level.periods[i] for i in ends], [sum(level.values[i - n + 1 : i + 1]) / n for i in ends]
        )

    def figure(self, name: str, title: str, subtitle: str, *rest: Any, which: str = "", drawn: int = 0) -> None:
        """A chart whose subtitle says how many it draws, and ``which``, where these are not all there are."""
        drawn = drawn or len(self.shown)
        if drawn < len(self.each):
            are = "is" if drawn == 1 else "are"
            subtitle += f" Shown {are} {drawn} of {len(self.each)} {self.many}{which and f', {which}'}."
        self.found.figure(name, title, subtitle, *rest)

    def query(self, name: str) -> str:
        """The query that returns what is compared: ``name``, or that of the means."""
        if not self.seasonal:
            return name
        if not self._means_read:
            self.found.rows("means", before=PER_YEAR[self.grain] - 1)
            self._means_read = True
        return "means"

    def span(self, day: str, *, brief: bool = False) -> str:
        """What a value of a course stands for: a period, or the 12 months that end with it."""
        if not self.seasonal:
            return self.when(day, brief=brief)
        n = PER_YEAR[self.grain]
        return f"{'' if brief else 'the '}{n} {self.grain}s to {self.when(day, brief=brief)}"

    def in_span(self, day: str) -> str:
        """``in Aug 2018``, or the 12 months that end with it."""
        return f"in {'the ' * self.seasonal}{self.span(day, brief=True)}"

    def between(self, first: str, last: str) -> str:
        """``from March 2010 to May 2020``, or the two means of 12 months that are compared."""
        if not self.seasonal:
            return f"from {self.when(first)} to {self.when(last)}"
        n = PER_YEAR[self.grain]
        return (
            f"between the mean of the {n} {self.grain}s to {self.when(first)} and that of the {n} to {self.when(last)}"
        )

    @property
    def single(self) -> bool:
        """Whether there is one course only."""
        return len(self.shown) == 1

    @property
    def apart(self) -> bool:
        """Whether some first and last values are of different parts of the year."""
        if self.grain == "year":
            return False
        ends = [(level.periods[0], level.periods[-1]) for level in self.shown if level.periods]
        return any(part_of(first, self.grain) != part_of(last, self.grain) for first, last in ends)

    def when(self, day: str, *, brief: bool = False) -> str:
        """A period in words."""
        return words.period(day, self.grain, brief=brief)

    def first_at(self, level: Level, value: float) -> str:
        """``in Jul 2008``, or ``first in`` where the value came again."""
        again = "first " if level.values.count(value) > 1 else ""
        return f"{again}in {self.when(level.periods[level.values.index(value)], brief=True)}"

    @property
    def stated_unit(self) -> str:
        """The measure's unit for a subtitle."""
        return self.measure.unit or "unit not stated"

    def text(self, value: float) -> str:
        """A level as in the file, for labels."""
        return words.exact(value, self.measure.whole, self.measure.places)

    def value(self, key: str, value: float, query: str = "levels") -> Fact:
        """A level as it was measured."""
        return self.found.amount(key, value, query, exactly=True)

    def change(self, level: Level) -> float | None:
        """From the first to the last value; of means from the first year to the last, if these do not overlap."""
        values = self.course(level).values
        if len(values) < (PER_YEAR[self.grain] + 1 if self.seasonal else 2):
            return None
        return formulas.change_percent(values[-1], values[0]) if self.ratio else values[-1] - values[0]

    def change_fact(self, key: str, change: float, query: str, *, plus: bool = False) -> Fact:
        """A change from the first to the last value, as ``move`` writes it."""
        note = "last value on the first" if self.ratio else "last value less the first"
        note += f", means of {PER_YEAR[self.grain]} {self.grain}s" if self.seasonal else ""
        return self.move(key, change, self.query(query), note, plus=plus)

    def move(self, key: str, change: float, query: str, note: str, *, plus: bool = True) -> Fact:
        """A change as it is written: percent, points or the measure's own unit; without sign unless ``plus``."""
        if self.ratio:
            return self.found.percent(key, change, query, note, plus=plus, bare=not plus)
        return self.found.fact(key, change, "number", self.difference(change, plus=plus), query, note)

    def difference(self, value: float, *, plus: bool = False) -> str:
        """A difference of two values in the measure's unit, without sign unless ``plus``."""
        places = max(self.measure.places, 1)
        places = 0 if abs(value) >= 10_000 or (self.measure.whole and float(value).is_integer()) else places
        text = words.number(value if plus else abs(value), places, plus=plus)
        return f"{text}{words.NBSP}{self.unit}".strip()

    def written(self, change: float) -> str:
        """A change as it is written, with its sign: what decides whether two are alike."""
        return words.percent(change, plus=True) if self.ratio else self.difference(change, plus=True)

    def sign(self, change: float) -> int:
        """1 for a rise, −1 for a fall, 0 for what is written as no change."""
        moved = any(digit in self.written(change).removesuffix(self.unit) for digit in "123456789")
        return (change > 0) - (change < 0) if moved else 0

    def alike(self, one: float, other: float) -> bool:
        """Whether two changes are written the same, so that neither is larger."""
        return self.written(one) == self.written(other)

    def leaders(self, ordered: Sequence[tuple[Level, float]]) -> list[str]:
        """Those whose change is written like the first one's."""
        return [level.name for level, change in ordered if self.alike(change, ordered[0][1])]

    def yearly(self, level: Level) -> float | None:
        """Annualised change, in percent."""
        course = self.course(level)
        if not self.ratio or len(course.values) < 3:
            return None
        return formulas.cagr(course.values[0], course.values[-1], course.years, len(course.values))

    def ordered(self, levels: Sequence[Level]) -> list[tuple[Level, float]]:
        """Those whose change is known, largest first."""
        known = [(level, change) for level in levels if (change := self.change(level)) is not None]
        return sorted(known, key=lambda pair: (-pair[1], pair[0].name))

    def tone(self, name: str) -> int:
        """The colour of one in every chart: 1 for who alone rose the most from the common start, −1 for who fell so."""
        if name not in self._tones:
            self._tones[name] = self._tone(name)
        return self._tones[name]

    def _tone(self, name: str) -> int:
        ordered = self.ordered([level.since(self.start) for level in self.shown])
        if len(ordered) < 2:
            return int(bool(ordered) and name == ordered[0][0].name)
        rose, fell = self.leaders(ordered) == [name], self.leaders(ordered[::-1]) == [name]
        return int(rose and self.sign(ordered[0][1]) > 0) - int(fell and self.sign(ordered[-1][1]) < 0)

    def late(self) -> list[Level]:
        """Those that begin after the first period."""
        first = min((level.periods[0] for level in self.shown), default="")
        return [level for level in self.shown if level.periods[0] > first]
