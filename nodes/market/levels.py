"""What may be said of prices, rates and other levels: change, drawdown, volatility per entity — never a sum.

What the three analyses of levels share; ``level_overview``, ``level_changes`` and ``level_swings`` write them.  Changes
are in percent where a ratio means something (values above zero, no temperature, no percentage); else differences.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.nodes.data import names
from holdfast.nodes.market import formulas, words
from holdfast.nodes.market.findings import Findings
from holdfast.nodes.report.document import Fact

MOST = 15
MOST_LINES = 8
PER_YEAR = {"year": 1, "quarter": 4, "month": 12, "week": 52}
_NO_RATIO = {
    "temp", "temperature", "celsius", "fahrenheit", "degrees", "pct", "percent", "percentage", "share", "rate", "ratio",
    "%", "change", "growth", "index", "score", "inflation",
}  # fmt: skip

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
    "series": "SELECT entity, period, value FROM cells WHERE entity IS NOT NULL ORDER BY entity, period",
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
        self.all = self._read()
        self.ratio = (
            bool(self.all)
            and min(min(level.values) for level in self.all) > 0
            and not _NO_RATIO & set(names.words(measure.column))
        )
        self.unit = (
            "points"
            if measure.unit == "%"
            or {"pct", "percent", "percentage", "rate", "share"} & set(names.words(measure.column))
            else measure.unit
        )
        last = max((level.periods[-1] for level in self.all), default="")
        current = [level for level in self.all if level.periods[-1] == last and len(level.values) > 1]
        self.shown = sorted(current or self.all, key=lambda level: (-len(level.values), level.name))[:MOST]
        self.start = max((level.periods[0] for level in self.shown), default="")

    def _read(self) -> list[Level]:
        courses: dict[str, Level] = {}
        for row in self.found.rows("series"):
            level = courses.setdefault(row["entity"], Level(row["entity"], [], []))
            level.periods.append(row["period"])
            level.values.append(row["value"])
        return list(courses.values())

    def when(self, day: str, *, brief: bool = False) -> str:
        """A period in words."""
        return words.period(day, self.grain, brief=brief)

    def value(self, key: str, value: float, query: str = "levels") -> Fact:
        """A level as it was measured."""
        return self.found.amount(key, value, query, exactly=True)

    def change(self, level: Level) -> float | None:
        """From the first to the last value."""
        if len(level.values) < 2:
            return None
        return (
            formulas.change_percent(level.values[-1], level.values[0])
            if self.ratio
            else level.values[-1] - level.values[0]
        )

    def change_fact(self, key: str, change: float, query: str, *, plus: bool = False) -> Fact:
        """A change as it is written: percent, points or the measure's own unit; without sign unless ``plus``."""
        if self.ratio:
            return self.found.percent(key, change, query, "last value on the first", plus=plus, bare=not plus)
        text = words.number(
            change if plus else abs(change), max(self.measure.places, 1) if abs(change) < 10 else 1, plus=plus
        )
        return self.found.fact(key, change, "number", f"{text} {self.unit}".strip(), query, "last value less the first")

    def yearly(self, level: Level) -> float | None:
        """Annualised change, in percent."""
        if not self.ratio or len(level.values) < 3:
            return None
        return formulas.cagr(level.values[0], level.values[-1], level.years, len(level.values))

    def ordered(self, levels: Sequence[Level]) -> list[tuple[Level, float]]:
        """Those whose change is known, largest first."""
        known = [(level, change) for level in levels if (change := self.change(level)) is not None]
        return sorted(known, key=lambda pair: (-pair[1], pair[0].name))

    def tone(self, name: str) -> int:
        """The colour of one in every chart: 1 for the highest change from the common start, −1 for the lowest."""
        ordered = self.ordered([level.since(self.start) for level in self.shown])
        if len(ordered) < 2:
            return int(bool(ordered) and name == ordered[0][0].name)
        return int(name == ordered[0][0].name) - int(name == ordered[-1][0].name)

    def late(self) -> list[Level]:
        """Those that begin after the first period."""
        first = min((level.periods[0] for level in self.shown), default="")
        return [level for level in self.shown if level.periods[0] > first]
