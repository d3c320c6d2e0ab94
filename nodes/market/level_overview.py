"""The market overview of levels: what is measured, where each stands, all lines from their common start."""

from __future__ import annotations

import math
from typing import Any

from holdfast.nodes.market import constant_parts, figures, level_pictures, level_single, level_tests, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.levels import MOST_LINES, Level, Levels
from holdfast.nodes.report.document import Span

MOST_NAMED = 3  # of those that begin late or end early


def write_overview(found: Findings, parts: constant_parts.Told | None = None) -> dict[str, Any]:
    """What is measured, why it is not summed, where each stands now; returns the names at the two ends, and tests."""
    levels = Levels(found)
    what = "is a level, not an amount: such values (prices, rates, scores) cannot be summed"
    if found.profile.roles.measure.guessed:
        what = "is taken for a level: nothing in the file says that it may be summed"
    found.say(
        f"{{name}} {what} over {levels.many} or over time. So this report gives no market size, no market share and no"
        " HHI; it compares changes.",
        name=levels.name,
    )
    row = found.rows("span")[0]
    start, end = levels.when(found.profile.first), levels.when(found.profile.last)
    rows, n = found.count("rows_used", row["rows"], "span"), found.count("entities", row["entities"], "span")
    periods = found.count("periods", row["periods"], "span")
    found.paragraph(
        [
            say(
                f"The figures rest on {{rows}} rows for {{n}} {levels.one if row['entities'] == 1 else levels.many},"
                f" {start} to {end}, {{periods}} {levels.grain}{'s' if row['periods'] != 1 else ''}.",
                rows=rows,
                periods=periods,
                n=n,
            ),
            *([constant_parts.sentence(found, parts)] if parts else []),
            *_compared(levels),
            *_late(levels),
        ]
    )
    _partial(levels)
    _level_table(levels)
    if levels.single:
        level_single.course(levels)
        level_single.years(levels)
    elif levels.ratio:
        _rebased_chart(levels)
    else:
        level_pictures.courses(levels)
    level_pictures.ranks(levels)
    return {"levels": _ends(levels), "tests": level_tests.of_overview(levels)}


def _ends(levels: Levels) -> dict[str, Any]:
    """Who had the highest and the lowest value of all, and when."""
    if not levels.shown:
        return {}
    high, low = (
        max(levels.shown, key=lambda level: max(level.values)),
        min(levels.shown, key=lambda level: min(level.values)),
    )
    when = [levels.first_at(level, pick(level.values)).removeprefix("in ") for level, pick in ((high, max), (low, min))]
    return {"highest": high.name, "highest_when": when[0], "lowest": low.name, "lowest_when": when[1]}


def _compared(levels: Levels) -> list[list[Span]]:
    """Who is compared, where not all are."""
    each, shown = levels.each, len(levels.shown)
    if shown == len(each):
        return []
    last = max(row["last"] for row in each)
    current = [row for row in each if row["last"] == last and row["n"] > 1] or each
    those = f"those with a history up to {levels.when(last)}" if len(current) < len(each) else "those"
    if shown < len(current):
        those += " with the highest last values"
        if any(2 * row["n"] < max(row["n"] for row in each) for row in current):
            those += ", first those with at least half of the longest history"
    n = levels.found.count("compared", shown, "series", f"{levels.many} that are compared")
    told = f"Compared are {{n}} of them: {those}."
    if shown == 1:
        told = f"Compared is {{n}} of them: {those.replace('those', 'the one', 1)}."
    ended = sorted((row for row in each if row["last"] < last), key=lambda row: (row["last"], row["entity"]))
    named = ended if len(ended) <= MOST_NAMED else []
    return [
        say(told, n=n),
        *(say(f"{{who}} ends in {levels.when(row['last'])} and is not compared.", who=row["entity"]) for row in named),
    ]


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
        for level in levels.late()[:MOST_NAMED]
    ]


def _partial(levels: Levels) -> None:
    part = levels.profile.partial_last
    if part and levels.grain != "year":
        held = words.held(part, levels.grain)
        levels.found.say(f"{part.year} is incomplete: the file holds {held}. No yearly figure is given for it.")


def _level_table(levels: Levels) -> None:
    rows = []
    for level in sorted(levels.shown, key=lambda level: (-level.values[-1], level.name)):
        high, low = max(level.values), min(level.values)
        at_high, at_low = (levels.when(level.periods[level.values.index(value)], brief=True) for value in (high, low))
        course = levels.course(level)
        ends = [
            levels.value(f"{key}/{level.name}", course.values[at], levels.query("levels")).text
            if course.values
            else "n/a"
            for key, at in (("first", 0), ("last", -1))
        ]
        rows.append(
            [
                level.name,
                levels.when(level.periods[0], brief=True),
                *ends,
                f"{levels.value(f'high/{level.name}', high).text} ({at_high})",
                f"{levels.value(f'low/{level.name}', low).text} ({at_low})",
            ]
        )
    last = levels.when(max(level.periods[-1] for level in levels.shown), brief=True)
    means = [f"Mean of the first 12 {levels.grain}s", f"Mean of the last 12, to {last}"]
    first_last = means if levels.seasonal else ["First", f"Last, {last}"]
    columns = [levels.one.capitalize(), "Begins", *first_last, "Highest (when)", "Lowest (when)"]
    levels.found.table(f"{levels.name} per {levels.one}", columns, rows, "levels", text_columns=2)


def _rebased_chart(levels: Levels) -> None:
    ordered = levels.ordered([level.since(levels.start) for level in levels.shown])
    ordered = [(levels.course(level), change) for level, change in ordered]
    ordered = [pair for pair in ordered if len(pair[0].values) >= 3]
    if not ordered:
        return
    lines = ordered if len(ordered) <= MOST_LINES else [*ordered[: MOST_LINES // 2], *ordered[-MOST_LINES // 2 :]]
    values: list[dict[str, Any]] = [
        {"period": day, "name": level.name, "index": value / level.values[0] * 100, "tone": levels.tone(level.name)}
        for level, _ in lines
        for day, value in zip(level.periods, level.values, strict=True)
    ]
    every = [row["index"] for row in values]
    logarithmic = max(every) / min(every) > 10
    spec = figures.rebased(values, _line_ends(levels, lines, every, logarithmic), logarithmic)
    best, change = lines[0]
    start, end = levels.span(best.periods[0], brief=True), levels.span(best.periods[-1], brief=True)
    tied = levels.leaders(lines)
    since = levels.when(levels.start, brief=True)
    title = (
        f"{best.name} {'rose' if change >= 0 else 'fell'} {'the most' if change >= 0 else 'the least'} since {since}"
    )
    title += f", {lines[-1][0].name} {'the least' if lines[-1][1] >= 0 else 'fell'}"
    if len(tied) == len(lines):
        title = f"All {words.spelled(len(lines))} {levels.many} changed alike since {since}"
    elif len(tied) > 1:
        title = (
            f"{words.spelled(len(tied)).capitalize()} {levels.many} changed alike since {since}, ahead of the others"
        )
    levels.found.rows("since", start=levels.start)
    subtitle = f"{levels.name}, {start} = 100, to {end}." + (
        " Logarithmic axis: equal steps are equal percentages." if logarithmic else " The axis does not start at zero."
    )
    cells = [[level.name, "100", words.number(level.values[-1] / level.values[0] * 100)] for level, _ in lines]
    alt = f"Line chart of {len(lines)} {levels.many}: {title}; {best.name} went from 100 to {cells[0][2]}."
    columns, query = [levels.one.capitalize(), start, end], levels.query("since")
    half = words.spelled(MOST_LINES // 2)
    which = f"the {half} largest and the {half} smallest changes of those compared" if len(lines) < len(ordered) else ""
    levels.figure("rebased", title, subtitle, alt, spec, columns, cells, query, which=which, drawn=len(lines))


def _line_ends(
    levels: Levels, lines: list[tuple[Level, float]], every: list[float], logarithmic: bool
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
            "tone": levels.tone(level.name),
        }
        for (level, _), place in zip(lines, places, strict=True)
    ]
