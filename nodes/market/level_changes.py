"""The comparison of levels: who changed how much, over each one's own history and from the common start."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import figures, level_tests, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.levels import Level, Levels
from holdfast.nodes.report.document import Fact, Span


def write_comparison(found: Findings) -> dict[str, Any]:
    """Who changed how much: from each start and from the common one; returns the names it speaks of, and tests."""
    levels = Levels(found)
    ordered = levels.ordered(levels.shown)
    if not ordered:
        found.say("There are too few periods to compare changes.")
        return {"levels": {}}
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
    return {"levels": _spoken_of(levels, ordered, common), "tests": level_tests.of_changes(levels)}


def _spoken_of(levels: Levels, ordered: list[tuple[Level, float]], common: list[tuple[Level, float]]) -> dict[str, Any]:
    """Names and dates for the summary."""
    best, fell = ordered[0], ordered[-1]
    names_of = {
        "best": best[0].name,
        "best_rose": best[1] >= 0,
        "best_from": levels.when(best[0].periods[0]),
        "until": levels.when(best[0].periods[-1]),
        "start": levels.when(levels.start),
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
        f"{{name}} {verb}{' the most:' if most and change >= 0 else ''} by {{change}} from {start} to {end} ({{first}}"
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
            "tone": levels.tone(level.name),
        }
        for level, change in common
    ]
    best, worst = common[0], common[-1]
    rises = sum(change > 0 for _, change in common)
    start, end = levels.when(levels.start, brief=True), levels.when(best[0].periods[-1], brief=True)
    some = words.spelled(rises).capitalize() if rises else "None"
    title = (
        f"{some} of {words.spelled(len(common))} {levels.many} rose from {start} to {end}"
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
