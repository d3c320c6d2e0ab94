"""What may be said of prices, rates and other levels: change, drawdown, volatility per entity — never a sum.

The three analyses call one function each.  Changes are in percent where a ratio means something (values above zero, no
temperature, no percentage); else they are differences.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.nodes.data import names
from holdfast.nodes.market import figures, formulas, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.report.document import Fact, Span

MOST = 15
MOST_LINES = 8
PER_YEAR = {"year": 1, "quarter": 4, "month": 12}
_NO_RATIO = {
    "temp",
    "temperature",
    "celsius",
    "fahrenheit",
    "degrees",
    "pct",
    "percent",
    "percentage",
    "share",
    "rate",
    "ratio",
    "%",
    "change",
    "growth",
    "index",
    "score",
    "inflation",
}

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
        text = words.number(change if plus else abs(change), 2 if abs(change) < 10 else 1, plus=plus)
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

    def late(self) -> list[Level]:
        """Those that begin after the first period."""
        first = min((level.periods[0] for level in self.shown), default="")
        return [level for level in self.shown if level.periods[0] > first]


def write_overview(found: Findings) -> dict[str, Any]:
    """What is measured, why it is not summed, where each stands now; returns the names at the two ends."""
    levels = Levels(found)
    found.say(
        f"{{name}} is a level, not an amount: such values (prices, rates, scores) cannot be summed over {levels.many}"
        " or over time. So this report gives no market size, no market share and no HHI; it compares changes.",
        name=levels.name,
    )
    row = found.rows("span")[0]
    start, end = levels.when(found.profile.first), levels.when(found.profile.last)
    rows, n = found.count("rows_used", row["rows"], "span"), found.count("entities", row["entities"], "span")
    found.paragraph(
        [
            say(
                f"The figures rest on {{rows}} rows for {{n}} {levels.one if row['entities'] == 1 else levels.many},"
                f" {start} to {end}.",
                rows=rows,
                n=n,
            ),
            *_late(levels),
        ]
    )
    _partial(levels)
    found.rows("levels")
    _level_table(levels)
    _rebased_chart(levels)
    return _ends(levels)


def _ends(levels: Levels) -> dict[str, Any]:
    """Who had the highest and the lowest value of all, and when."""
    if not levels.shown:
        return {}
    high, low = (
        max(levels.shown, key=lambda level: max(level.values)),
        min(levels.shown, key=lambda level: min(level.values)),
    )
    when = [
        levels.when(level.periods[level.values.index(pick(level.values))], brief=True)
        for level, pick in ((high, max), (low, min))
    ]
    return {"highest": high.name, "highest_when": when[0], "lowest": low.name, "lowest_when": when[1]}


def _late(levels: Levels) -> list[list[Span]]:
    return [
        (
            say(
                f"{{who}} begins only in {levels.when(level.periods[0])}; comparisons are also made from there, the"
                " latest common start.",
                who=level.name,
            )
            if level.periods[0] == levels.start
            else say(f"{{who}} begins only in {levels.when(level.periods[0])}.", who=level.name)
        )
        for level in levels.late()[:3]
    ]


def _partial(levels: Levels) -> None:
    part = levels.profile.partial_last
    if part and levels.grain != "year":
        held = words.months_of(part.first, part.last, levels.grain)
        levels.found.say(f"{part.year} is incomplete: the file holds {held}. No yearly figure is given for it.")


def _level_table(levels: Levels) -> None:
    rows = []
    for level in sorted(levels.shown, key=lambda level: (-level.values[-1], level.name)):
        high, low = max(level.values), min(level.values)
        at_high, at_low = (levels.when(level.periods[level.values.index(value)], brief=True) for value in (high, low))
        rows.append(
            [
                level.name,
                levels.when(level.periods[0], brief=True),
                levels.value(f"first/{level.name}", level.values[0]).text,
                levels.value(f"last/{level.name}", level.values[-1]).text,
                f"{levels.value(f'high/{level.name}', high).text} ({at_high})",
                f"{levels.value(f'low/{level.name}', low).text} ({at_low})",
            ]
        )
    last = levels.when(max(level.periods[-1] for level in levels.shown), brief=True)
    columns = [levels.one.capitalize(), "Begins", "First", f"Last, {last}", "Highest (when)", "Lowest (when)"]
    levels.found.table(f"{levels.name} per {levels.one}", columns, rows, "levels", text_columns=2)


def _rebased_chart(levels: Levels) -> None:
    if not levels.ratio:
        return
    ordered = levels.ordered([level.since(levels.start) for level in levels.shown])
    ordered = [pair for pair in ordered if len(pair[0].values) >= 3]
    if not ordered:
        return
    lines = ordered if len(ordered) <= MOST_LINES else [*ordered[: MOST_LINES // 2], *ordered[-MOST_LINES // 2 :]]
    tone = {lines[0][0].name: 1, **({lines[-1][0].name: -1} if len(lines) > 1 else {})}
    values: list[dict[str, Any]] = [
        {"period": day, "name": level.name, "index": value / level.values[0] * 100, "tone": tone.get(level.name, 0)}
        for level, _ in lines
        for day, value in zip(level.periods, level.values, strict=True)
    ]
    every = [row["index"] for row in values]
    logarithmic = max(every) / min(every) > 10
    spec = figures.rebased(values, _line_ends(lines, every, logarithmic, tone), logarithmic)
    best, change = lines[0]
    start, end = levels.when(levels.start, brief=True), levels.when(best.periods[-1], brief=True)
    title = (
        f"{best.name} {'rose' if change >= 0 else 'fell'} {'the most' if change >= 0 else 'the least'} since {start}"
    )
    title += f", {lines[-1][0].name} {'the least' if lines[-1][1] >= 0 else 'fell'}" if len(lines) > 1 else ""
    levels.found.rows("since", start=levels.start)
    subtitle = f"{levels.name}, {start} = 100, to {end}." + (
        " Logarithmic axis: equal steps are equal percentages." if logarithmic else " The axis does not start at zero."
    )
    cells = [[level.name, "100", words.number(level.values[-1] / level.values[0] * 100)] for level, _ in lines]
    alt = f"Line chart of {len(lines)} {levels.many}: {title}; {best.name} went from 100 to {cells[0][2]}."
    levels.found.figure("rebased", title, subtitle, alt, spec, [levels.one.capitalize(), start, end], cells, "since")


def _line_ends(
    lines: list[tuple[Level, float]], every: list[float], logarithmic: bool, tone: dict[str, int]
) -> list[dict[str, Any]]:
    """Labels at the right ends, moved apart so that none covers another."""

    def scale(index: float) -> float:
        return math.log2(index) if logarithmic else index

    def back(place: float) -> float:
        return math.pow(2, place) if logarithmic else place

    ends = [scale(level.values[-1] / level.values[0] * 100) for level, _ in lines]
    least = (scale(max(every)) - scale(min(every))) * 0.055
    places = figures.spread(ends, least)
    return [
        {
            "period": level.periods[-1],
            "place": back(place),
            "label": f"{level.name} {words.number(level.values[-1] / level.values[0] * 100)}",
            "tone": tone.get(level.name, 0),
        }
        for (level, _), place in zip(lines, places, strict=True)
    ]


def write_comparison(found: Findings) -> dict[str, Any]:
    """Who changed how much: over each one's own history and from the latest common start; returns the names it speaks of."""
    levels = Levels(found)
    ordered = levels.ordered(levels.shown)
    if not ordered:
        found.say("There are too few periods to compare changes.")
        return {}
    found.say(
        "Compared are changes of {name}: levels have no market share and no concentration (HHI), since they cannot be"
        " summed.",
        name=levels.name,
    )
    found.rows("levels")
    picked = ordered[:3] + [pair for pair in ordered[3:] if pair[1] < 0][-2:]
    found.paragraph([_changed(levels, level, change, i == 0) for i, (level, change) in enumerate(picked)])
    common = _common(levels)
    _change_table(levels, ordered)
    _change_chart(levels, ordered)
    return _spoken_of(levels, ordered, common)


def _spoken_of(levels: Levels, ordered: list[tuple[Level, float]], common: list[tuple[Level, float]]) -> dict[str, Any]:
    """Names and dates for the summary; ``holds``: the best stays the best of those as long as it when the start moves."""
    best, fell = ordered[0], ordered[-1]
    moved = levels.ordered([level.since(levels.start) for level, _ in ordered])
    names_of = {
        "best": best[0].name,
        "best_rose": best[1] >= 0,
        "best_from": levels.when(best[0].periods[0]),
        "until": levels.when(best[0].periods[-1]),
        "start": levels.when(levels.start),
        "holds": bool(moved) and moved[0][0].name == best[0].name,
    }
    if fell[1] < 0:
        names_of |= {"fell": fell[0].name, "fell_from": levels.when(fell[0].periods[0])}
    if common:
        names_of |= {"common_best": common[0][0].name, "common_worst": common[-1][0].name}
    latest = [level.name for level in levels.late() if level.periods[0] == levels.start]
    return names_of | ({"late": latest[0]} if latest else {})


def _changed(levels: Levels, level: Level, change: float, most: bool) -> list[Span]:
    verb = "rose" if change >= 0 else "fell"
    start, end = levels.when(level.periods[0]), levels.when(level.periods[-1])
    template = (
        f"{{name}} {verb}{' the most' if most and change >= 0 else ''}: by {{change}} from {start} to {end} ({{first}}"
        " to {last})"
    )
    facts: dict[str, Fact | str] = {
        "name": level.name,
        "change": levels.change_fact(f"change/{level.name}", change, "levels"),
        "first": levels.value(f"first/{level.name}", level.values[0]),
        "last": levels.value(f"last/{level.name}", level.values[-1]),
    }
    if (rate := levels.yearly(level)) is not None and level.years >= 2:
        template += ", {rate} a year"
        facts["rate"] = levels.found.percent(f"yearly/{level.name}", rate, "levels", "annualised", plus=True)
    return say(template + ".", **facts)


def _common(levels: Levels) -> list[tuple[Level, float]]:
    ordered = levels.ordered([level.since(levels.start) for level in levels.shown])
    levels.found.rows("since", start=levels.start)
    parts: list[str] = []
    facts: dict[str, Fact | str] = {}
    for i, (level, change) in enumerate(ordered[:6]):
        facts |= {f"n{i}": level.name, f"c{i}": levels.change_fact(f"common/{level.name}", change, "since", plus=True)}
        parts.append(f"{{n{i}}} {{c{i}}}")
    for level, change in (ordered[0], ordered[-1]):
        levels.change_fact(f"common/{level.name}", change, "since", plus=True)
    if levels.late():
        levels.found.say(f"From the latest common start, {levels.when(levels.start)}: {words.listed(parts)}.", **facts)
    return ordered


def _change_table(levels: Levels, ordered: list[tuple[Level, float]]) -> None:
    late = bool(levels.late())
    columns = [levels.one.capitalize(), "From", "Change", "A year"] + [
        f"Change since {levels.when(levels.start, brief=True)}",
        "A year since then",
    ] * late
    rows = []
    for level, change in ordered:
        line = [
            level.name,
            levels.when(level.periods[0], brief=True),
            levels.change_fact(f"signed/{level.name}", change, "levels", plus=True).text,
            _yearly_text(levels, level, "signed_yearly", "levels"),
        ]
        if late:
            part = level.since(levels.start)
            common = levels.change(part)
            line += [
                (
                    "n/a"
                    if common is None
                    else levels.change_fact(f"common/{level.name}", common, "since", plus=True).text
                ),
                _yearly_text(levels, part, "common_yearly", "since"),
            ]
        rows.append(line)
    levels.found.table(f"Change of {levels.name}, first to last value", columns, rows, "levels", text_columns=2)


def _yearly_text(levels: Levels, level: Level, key: str, query: str) -> str:
    rate = levels.yearly(level)
    return (
        "n/a"
        if rate is None
        else levels.found.percent(f"{key}/{level.name}", rate, query, "annualised", plus=True).text
    )


def _change_chart(levels: Levels, ordered: list[tuple[Level, float]]) -> None:
    common = levels.ordered([level.since(levels.start) for level, _ in ordered])
    if len(common) < 2:
        return
    values: list[dict[str, Any]] = [
        {
            "name": level.name,
            "value": change,
            "label": levels.change_fact(f"common/{level.name}", change, "since", plus=True).text,
        }
        for level, change in common
    ]
    best, worst = common[0], common[-1]
    rises = sum(change > 0 for _, change in common)
    start, end = levels.when(levels.start, brief=True), levels.when(best[0].periods[-1], brief=True)
    title = (
        f"{words.spelled(rises).capitalize()} of {words.spelled(len(common))} {levels.many} rose from {start} to {end}"
        if rises < len(common)
        else f"All {words.spelled(len(common))} {levels.many} rose from {start} to {end}, {best[0].name} the most"
    )
    subtitle = (
        f"Change of {levels.name}, {'%' if levels.ratio else levels.unit or 'unit not stated'}, from the latest common"
        " start."
    )
    alt = (
        f"Bar chart of {len(values)} changes: {title}; {best[0].name} {values[0]['label']}, {worst[0].name}"
        f" {values[-1]['label']}."
    )
    levels.found.figure(
        "change",
        title,
        subtitle,
        alt,
        figures.diverging(values),
        [levels.one.capitalize(), "Change"],
        [[v["name"], v["label"]] for v in values],
        "since",
    )


def write_trends(found: Findings) -> dict[str, Any]:
    """How deep each fell from a peak and how much it swung; returns the names it speaks of."""
    levels = Levels(found)
    if not levels.ratio:
        found.say(
            "Falls from a peak and volatility are not given: they need values above zero that can be divided by one"
            " another."
        )
        return {}
    falls = [(level, fall) for level in levels.shown if (fall := formulas.drawdown(level.values)) and fall.percent < 0]
    falls.sort(key=lambda pair: (pair[1].percent, pair[0].name))
    if not falls:
        found.say("No value fell below an earlier one.")
        return {}
    found.paragraph([_fell(levels, *pair, first=i == 0) for i, pair in enumerate(falls[:2])])
    swings = _swings(levels)
    rows = [
        [
            level.name,
            levels.found.percent(f"drawdown/{level.name}", fall.percent, "series", "maximum drawdown").text,
            levels.when(level.periods[fall.peak], brief=True),
            levels.when(level.periods[fall.trough], brief=True),
            (
                found.percent(f"volatility/{level.name}", swings[level.name], "series", "sd of changes × √periods").text
                if level.name in swings
                else "n/a"
            ),
        ]
        for level, fall in falls
    ]
    found.table(
        "Deepest fall from an earlier peak, and volatility a year",
        [levels.one.capitalize(), "Deepest fall", "Peak", "Trough", "Volatility"],
        rows,
        "series",
    )
    _fall_chart(levels, falls)
    _swing_chart(levels, swings)
    _distance_chart(levels)
    found.say("A season is not computed for levels, and no forecast is given: the last value is the best known.")
    swung = list(swings)
    return {"deepest": falls[0][0].name, **({"most_swing": swung[0], "least_swing": swung[-1]} if swung else {})}


def _fell(levels: Levels, level: Level, fall: formulas.Drawdown, *, first: bool) -> list[Span]:
    fact = levels.found.percent(f"fall/{level.name}", fall.percent, "series", "without its sign", bare=True)
    peak, trough = levels.when(level.periods[fall.peak]), levels.when(level.periods[fall.trough])
    return say(
        f"{{name}} fell {'the deepest' if first else 'second deepest'} from an earlier peak: by {{fall}}, {peak} to"
        f" {trough}.",
        name=level.name,
        fall=fact,
    )


def _swings(levels: Levels) -> dict[str, float]:
    found = {
        level.name: swing
        for level in levels.shown
        if (swing := formulas.volatility(level.values, PER_YEAR[levels.grain])) is not None
    }
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _fall_chart(levels: Levels, falls: list[tuple[Level, formulas.Drawdown]]) -> None:
    if len(falls) < 2:
        return
    values: list[dict[str, Any]] = [
        {"name": level.name, "value": fall.percent, "label": words.percent(fall.percent)} for level, fall in falls
    ]
    title = f"{falls[0][0].name} fell the deepest from a peak, {falls[-1][0].name} the least deep"
    alt = f"Bar chart of {len(values)} deepest falls: {title}; {values[0]['label']} and {values[-1]['label']}."
    levels.found.figure(
        "drawdown",
        title,
        f"Deepest fall of {levels.name} from an earlier highest value, %.",
        alt,
        figures.diverging(values),
        [levels.one.capitalize(), "Deepest fall"],
        [[str(v["name"]), str(v["label"])] for v in values],
        "series",
    )


def _swing_chart(levels: Levels, swings: dict[str, float]) -> None:
    if len(swings) < 2:
        return
    values: list[dict[str, Any]] = [
        {"name": name, "value": swing, "label": words.percent(swing), "marked": i == 0, "rest": False}
        for i, (name, swing) in enumerate(swings.items())
    ]
    title = f"{values[0]['name']} swung the most, {values[-1]['name']} the least"
    subtitle = (
        f"Volatility of {levels.name}: standard deviation of the changes per {levels.grain} ×"
        f" √{PER_YEAR[levels.grain]}, %."
    )
    alt = f"Bar chart of {len(values)} volatilities: {title}; {values[0]['label']} and {values[-1]['label']} a year."
    levels.found.figure(
        "volatility",
        title,
        subtitle,
        alt,
        figures.ranking(values),
        [levels.one.capitalize(), "Volatility"],
        [[str(v["name"]), str(v["label"])] for v in values],
        "series",
    )


def _distance_chart(levels: Levels) -> None:
    """How far each stands below the highest value it has had."""
    gaps = [(level.name, (level.values[-1] / max(level.values) - 1) * 100) for level in levels.shown]
    gaps.sort(key=lambda pair: (-pair[1], pair[0]))
    if len(gaps) < 2 or gaps[-1][1] == 0:
        return
    at_peak = [name for name, gap in gaps if gap == 0]
    values = [{"name": name, "value": gap, "label": words.percent(gap)} for name, gap in gaps]
    end = levels.when(levels.shown[0].periods[-1], brief=True)
    title = f"{gaps[-1][0]} stands furthest below its highest value"
    title = (
        f"{words.listed(at_peak[:3])} at the highest value in {end}, {gaps[-1][0]} furthest below"
        if at_peak and len(at_peak) <= 3
        else title
    )
    alt = f"Bar chart of {len(values)} distances: {title}; {values[0]['label']} and {values[-1]['label']}."
    subtitle = f"{levels.name} in {end} against each one’s highest value in the file, %."
    levels.found.figure(
        "distance",
        title,
        subtitle,
        alt,
        figures.diverging(values),
        [levels.one.capitalize(), "Below the highest"],
        [[str(v["name"]), str(v["label"])] for v in values],
        "series",
    )
