"""Charts of levels that no ratio fits, and of all levels where they stand: courses, ranks, spread, distance, season."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from holdfast.nodes.market import backtest, figures, formulas, level_figures, words
from holdfast.nodes.market.level_single import by_year
from holdfast.nodes.market.levels import PER_YEAR, Level, Levels
from holdfast.nodes.market.series import consecutive, part_of
from holdfast.nodes.report.document import Fact

MOST_PANELS = 12
LEAST_VALUES = 5  # below which a spread says no more than the values themselves


def courses(levels: Levels) -> None:
    """How each went: lines in one chart for up to four, else a panel each on one scale."""
    shown = [level for level in map(levels.course, levels.shown) if len(level.values) >= 3]
    if len(shown) < 2:
        return
    shown = sorted(shown, key=lambda level: (-level.values[-1], level.name))[:MOST_PANELS]
    values = [
        {"period": day, "name": level.name, "value": value, "tone": levels.tone(level.name)}
        for level in shown
        for day, value in zip(level.periods, level.values, strict=True)
    ]
    end = levels.when(shown[0].periods[-1], brief=True)
    start = levels.when(min(level.periods[0] for level in shown), brief=True)
    cut = len(shown) < len(levels.shown)
    top = _at_top([(level.name, level.values[-1]) for level in shown], levels, lowest=not cut)
    title = f"{top} {levels.in_span(shown[0].periods[-1])}"
    means = f", mean of {PER_YEAR[levels.grain]} {levels.grain}s" if levels.seasonal else f" per {levels.grain}"
    few = len(shown) <= 4
    subtitle = f"{levels.name}{means}, {levels.stated_unit}, {start} to {end}. "
    subtitle += "The axis does not start at zero." if few else "Same scale in every panel, the others in grey."
    cells = [[level.name, levels.text(level.values[0]), levels.text(level.values[-1])] for level in shown]
    alt = f"Line chart of {len(shown)} {levels.many}, {start} to {end}: {title}; {cells[0][0]} at {cells[0][2]}"
    alt += f", {cells[-1][0]} at {cells[-1][2]}."
    if few:
        spec = level_figures.lines(values, _ends(levels, shown))
    else:
        spec = level_figures.panels(values, [level.name for level in shown], [levels.text(v.values[-1]) for v in shown])
    columns = [levels.one.capitalize(), "First value", "Last value"]
    which = "the highest of those compared" if cut else ""
    query = levels.query("series")
    levels.figure("courses", title, subtitle, alt, spec, columns, cells, query, which=which, drawn=len(shown))


def _ends(levels: Levels, shown: Sequence[Level]) -> list[dict[str, Any]]:
    every = [value for level in shown for value in level.values]
    places = figures.spread([level.values[-1] for level in shown], (max(every) - min(every)) * 0.065)
    return [
        {
            "period": level.periods[-1],
            "place": place,
            "label": f"{level.name} {levels.text(level.values[-1])}",
            "tone": levels.tone(level.name),
        }
        for level, place in zip(shown, places, strict=True)
    ]


def _at_top(pairs: Sequence[tuple[str, float]], levels: Levels, *, lowest: bool) -> str:
    """``East had the highest value, West the lowest``; ties are told."""
    ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    tops = [name for name, value in ordered if levels.text(value) == levels.text(ordered[0][1])]
    lows = [name for name, value in ordered if levels.text(value) == levels.text(ordered[-1][1])]
    if len(tops) == len(ordered):
        return f"All {words.spelled(len(ordered))} {levels.many} stood at the same value"
    top = words.listed(tops) if len(tops) <= 3 else f"{words.spelled(len(tops)).capitalize()} {levels.many}"
    if not lowest:
        return f"{top} stood highest"
    low = words.listed(lows) if len(lows) <= 3 else f"{words.spelled(len(lows))} {levels.many}"
    return f"{top} stood highest, {low} lowest"


def ranks(levels: Levels) -> None:
    """The last values, sorted."""
    now = [(level.name, course.values[-1]) for level in levels.shown if (course := levels.course(level)).values]
    if len(now) < 2:
        return
    now.sort(key=lambda pair: (-pair[1], pair[0]))
    values: list[dict[str, Any]] = [
        {"name": name, "value": value, "label": levels.text(value), "tone": levels.tone(name), "rest": False}
        for name, value in now
    ]
    day = levels.shown[0].periods[-1]
    end = levels.span(day, brief=True)
    top, low = values[0], values[-1]
    gap = top["value"] - low["value"]
    written = levels.difference(gap)
    levels.found.fact("range", gap, "number", written, levels.query("levels"), "highest less lowest of these values")
    apart = (
        f"{written} between the highest and the lowest {levels.in_span(day)}"
        if top["label"] != low["label"]
        else f"All {words.spelled(len(now))} {levels.many} stood at {top['label']} {levels.in_span(day)}"
    )
    apart = apart[:1].upper() + apart[1:]
    what = "mean of the last 12 months" if levels.seasonal else f"value in {end}"
    subtitle = f"{levels.name}, {what}, {levels.stated_unit}, highest first."
    alt = f"Bar chart of {len(values)} levels: {apart}; {top['name']} {top['label']}, {low['name']} {low['label']}."
    spec = figures.ranking(values) if min(value for _, value in now) >= 0 else figures.diverging(values)
    cells = [[str(row["name"]), str(row["label"])] for row in values]
    levels.figure("ranks", apart, subtitle, alt, spec, [levels.one.capitalize(), end], cells, levels.query("levels"))


def spread(levels: Levels) -> None:
    """Where the middle eight of ten values lie: of each, or of a single one in each year."""
    single = levels.single
    groups, last = by_year(levels) if single else ([(level.name, level.values) for level in levels.shown], "")
    groups = [(name, values) for name, values in groups if len(values) >= LEAST_VALUES]
    if len(groups) < 2:
        return
    rows: list[dict[str, Any]] = []
    for name, values in groups:
        low, high = backtest.quantile(values, 0.1), backtest.quantile(values, 0.9)
        rows.append(
            {
                "name": name,
                "low": low,
                "high": high,
                "middle": median(values),
                "low_label": levels.text(low),
                "high_label": levels.text(high),
                "tone": 0 if single else levels.tone(name),
            }
        )
    if not single:
        rows.sort(key=lambda row: (-row["middle"], row["name"]))
    widths = [(levels.difference(row["high"] - row["low"]), row["high"] - row["low"], row["name"]) for row in rows]
    widest = max(widths, key=lambda one: one[1])
    alike = [name for text, _, name in widths if text == widest[0]]
    title = (
        f"{words.listed(alike)} varied the most{last and f' {last}'}: eight of ten values within {widest[0]}"
        if len(alike) <= 3 and len(alike) < len(rows)
        else f"Eight of ten values {last and f'of each {last} '}lie within {widest[0]} or less"
    )
    subtitle = (
        f"{levels.name}, {levels.stated_unit}: bar = from the lowest to the highest tenth of the values, tick = median."
    )
    if last:
        subtitle += f" Drawn are these {len(rows)}, {rows[0]['name']} to {rows[-1]['name']}."
    first = rows[0]
    alt = f"Chart of {len(rows)} ranges: {title}; {first['name']} from {first['low_label']} to {first['high_label']}."
    cells = [[row["name"], row["low_label"], levels.text(row["middle"]), row["high_label"]] for row in rows]
    columns = ["Year" if single else levels.one.capitalize(), f"10{words.NBSP}%", "Median", f"90{words.NBSP}%"]
    levels.figure("spread", title, subtitle, alt, level_figures.ranges(rows), columns, cells, "series")


def distance(levels: Levels) -> None:
    """How far each stands below the highest value it has had."""
    gaps: list[tuple[str, float, str]] = []
    for level in levels.shown:
        values = levels.course(level).values
        if values:
            gap = (values[-1] / max(values) - 1) * 100 if levels.ratio else values[-1] - max(values)
            gaps.append((level.name, gap, words.percent(gap) if levels.ratio else levels.difference(gap, plus=True)))
    gaps.sort(key=lambda one: (-one[1], one[0]))
    if len(gaps) < 2 or gaps[-1][1] == 0:
        return
    values_of: list[dict[str, Any]] = [
        {"name": name, "value": gap, "label": text, "tone": levels.tone(name)} for name, gap, text in gaps
    ]
    day = levels.shown[0].periods[-1]
    end = levels.span(day, brief=True)
    title = _distance_title(
        levels,
        [name for name, gap, _ in gaps if gap == 0],
        [name for name, _, text in gaps if text == gaps[-1][2]],
        levels.in_span(day),
    )
    alt = f"Bar chart of {len(gaps)} distances: {title}; {gaps[0][2]} and {gaps[-1][2]}."
    measured = "%" if levels.ratio else levels.stated_unit
    such = "such mean" if levels.seasonal else "value"
    subtitle = f"{levels.name}, {end}, against each one’s highest {such} in the file, {measured}."
    columns = [levels.one.capitalize(), "Below the highest"]
    cells = [[name, text] for name, _, text in gaps]
    levels.figure(
        "distance", title, subtitle, alt, figures.diverging(values_of), columns, cells, levels.query("series")
    )


def _distance_title(levels: Levels, at_peak: list[str], furthest: list[str], when: str) -> str:
    """Who stands furthest below, and who at the highest value where these are few."""
    own, their = ("its" if len(names) == 1 else "their" for names in (at_peak, furthest))
    far = words.listed(furthest) if len(furthest) <= 3 else f"{words.spelled(len(furthest))} {levels.many}"
    if at_peak and len(at_peak) <= 3:
        return f"{words.listed(at_peak)} stood at {own} own highest value {when}, {far} furthest below"
    return f"{far[:1].upper()}{far[1:]} stood furthest below {their} highest value"


def season(levels: Levels) -> dict[str, Any]:
    """What is said of the season, and its chart where it is not weak; returns the tests' ground."""
    found = levels.found
    if levels.grain == "year":
        found.say("The file has yearly figures: a season cannot be seen in them.")
        return {}
    typical = _typical(levels)
    one = levels.season_of(typical) if typical else None
    if one is None or typical is None:
        found.say(
            f"A season is not given: that takes at least three full cycles of {levels.grain}s with at most a tenth of"
            " them missing."
        )
        return {}
    base = 100.0 if levels.ratio else 0.0
    best, worst = (pick(one.index, key=lambda part: one.index[part]) for pick in (max, min))
    if one.index[best] - one.index[worst] <= 1e-9:
        found.say(f"The {levels.grain}s of a year do not differ: there is no season.")
        return {}
    strength = found.fact(
        "strength", one.strength, "number", words.number(one.strength, 2), "series", "seasonal strength F"
    )
    word = formulas.strength_word(one.strength)
    facts: dict[str, Fact | str] = {"strength": strength}
    ends = {}
    for key, part in (("above", best), ("below", worst)):
        off = one.index[part] - base
        ends[key] = words.percent(off, plus=True) if levels.ratio else levels.difference(off, plus=True)
        facts[key] = found.fact(f"season_{key}", off, "number", ends[key], "series", "seasonal index less the trend")
    of = f"the median {levels.one}" if len(levels.shown) > 1 else levels.name
    found.say(
        f"The season of {of} is {word} (strength {{strength}} on a scale from 0 to 1): {_part(levels, best)} stands"
        f" {{above}} off the trend, {_part(levels, worst)} {{below}}.",
        **facts,
    )
    if word != "weak":
        _season_chart(levels, one, typical, (best, worst), ends)
    return {"word": word}


def _part(levels: Levels, part: int, *, brief: bool = False) -> str:
    return f"Q{part}" if levels.grain == "quarter" else words.MONTHS[part - 1][: 3 if brief else None]


def _typical(levels: Levels) -> Level | None:
    """The median of all in each period from the common start on in which all have a value."""
    if len(levels.shown) == 1:
        return levels.shown[0]
    at: dict[str, list[float]] = {}
    for level in levels.shown:
        for day, value in zip(level.periods, level.values, strict=True):
            at.setdefault(day, []).append(value)
    days = sorted(day for day, values in at.items() if len(values) == len(levels.shown))
    return Level("median", days, [median(at[day]) for day in days]) if days else None


def _season_chart(
    levels: Levels, one: formulas.Season, typical: Level, ends: tuple[int, int], written: Mapping[str, str]
) -> None:
    base = 100.0 if levels.ratio else 0.0

    def label(value: float) -> str:
        return words.number(value) if levels.ratio else levels.difference(value, plus=True).split(words.NBSP)[0]

    medians: list[dict[str, Any]] = [
        {
            "part": _part(levels, p, brief=True),
            "index": one.index[p],
            "label": label(one.index[p]),
            "tone": (p == ends[0]) - (p == ends[1]),
        }
        for p in sorted(one.index)
    ]
    series = consecutive(list(zip(typical.periods, typical.values, strict=True)), levels.grain)
    days = series.days if series else typical.periods
    singles = [
        {"part": _part(levels, part_of(days[at], levels.grain), brief=True), "index": value, "year": days[at][:4]}
        for at, _, value in one.single
    ]
    best, worst = ends
    title = f"{_part(levels, best)} stands {written['above']} off the trend, {_part(levels, worst)} {written['below']}"
    of = f"Median of {len(levels.shown)} {levels.many}" if len(levels.shown) > 1 else levels.name
    scale = "index, 100 = trend" if levels.ratio else f"difference from the trend, {levels.stated_unit}"
    subtitle = (
        f"{of} per {levels.grain}: {scale}; bar = median, dot = one year. Strength {words.number(one.strength, 2)}."
    )
    if levels.ratio:
        subtitle += " Axis not from zero."
    cells = [[row["part"], row["label"]] for row in medians]
    alt = f"Chart of {len(medians)} parts of the year: {title}."
    spec = figures.seasonal(medians, singles, base)
    columns = [levels.grain.capitalize(), "Index" if levels.ratio else "Difference"]
    levels.figure("season", title, subtitle, alt, spec, columns, cells, "series")
