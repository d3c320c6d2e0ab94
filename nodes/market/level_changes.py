"""The comparison of levels: who changed how much, over each one's own history and from the common start."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import figures, formulas, level_single, level_tests, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.levels import PER_YEAR, Level, Levels
from holdfast.nodes.report.document import Fact, Span


def write_comparison(found: Findings) -> dict[str, Any]:
    """Who changed how much: from each start and from the common one; returns the names it speaks of, and tests."""
    levels = Levels(found)
    ordered = levels.ordered(levels.shown)
    if not ordered:
        found.say("There are too few periods to compare changes.")
        return {"levels": {}}
    many: dict[str, Fact | str] = {}
    if len(levels.shown) < len(levels.each):
        many["n"] = found.count("compared", len(levels.shown), "series", f"{levels.many} that are compared")
        many["all"] = found.count("entities", len(levels.each), "levels", f"{levels.many} in the file")
    found.say(
        f"Compared are changes of {{name}}{f' of {{n}} of {{all}} {levels.many}' if many else ''}: levels have no"
        " market share and no concentration (HHI), since they cannot be summed.",
        name=levels.name,
        **many,
    )
    _compared(levels)
    leaders = levels.leaders(ordered)
    picked = ordered[:3] + [pair for pair in ordered[3:] if pair[1] < 0][-2:]
    found.paragraph(
        [
            _changed(levels, level, change, i == 0 and len(leaders) == 1 < len(ordered))
            for i, (level, change) in enumerate(picked)
        ]
    )
    common = _common(levels)
    _change_table(levels, ordered)
    _change_chart(levels, ordered)
    if levels.single:
        level_single.moves(levels)
    return {"levels": _spoken_of(levels, ordered, common), "tests": level_tests.of_changes(levels)}


def _compared(levels: Levels) -> None:
    """Which values a change compares, where the season could make one of its own."""
    grain, strength = levels.grain, levels.strength
    if not levels.seasonal and not levels.apart:
        return
    if strength is None:
        levels.found.say(
            f"First and last value are of different {grain}s, and the file is too short or has too many gaps to see a"
            " season: part of a change may be the season."
        )
        return
    fact = levels.found.fact(
        "season_strength", strength, "number", words.number(strength, 2), "series", "median of the seasonal strengths"
    )
    if levels.seasonal:
        n = PER_YEAR[grain]
        levels.found.say(
            f"The season is strong (median strength {{strength}}), so that a single {grain} would tell the season and"
            f" not the change. Compared are means of {n} {grain}s: the first {n} with the last {n}.",
            strength=fact,
        )
        return
    word = formulas.strength_word(strength)
    part = "decides little of a change" if word == "weak" else "may be a part of a change"
    levels.found.say(
        f"First and last value are of different {grain}s; the season is {word} (median strength {{strength}}) and"
        f" {part}.",
        strength=fact,
    )


def _between(levels: Levels, level: Level) -> str:
    periods = levels.course(level).periods
    return levels.between(periods[0], periods[-1])


def _spoken_of(levels: Levels, ordered: list[tuple[Level, float]], common: list[tuple[Level, float]]) -> dict[str, Any]:
    """Names and dates for the summary."""
    best, fell = ordered[0], ordered[-1]
    names_of = {
        "best": best[0].name,
        "best_rose": levels.sign(best[1]) > 0,
        "best_still": levels.sign(best[1]) == 0,
        "best_tied": levels.leaders(ordered),
        "of": len(ordered),
        "best_between": _between(levels, best[0]),
        "start": levels.when(levels.start),
    }
    if levels.sign(fell[1]) < 0 and len(ordered) > 1:
        names_of |= {"fell": fell[0].name, "fell_between": _between(levels, fell[0])}
    if common and not levels.alike(common[0][1], common[-1][1]):
        names_of |= {"common_best": common[0][0].name, "common_worst": common[-1][0].name}
    latest = [level.name for level in levels.late() if level.periods[0] == levels.start]
    return names_of | ({"late": latest[0]} if latest else {})


def _changed(levels: Levels, level: Level, change: float, most: bool) -> list[Span]:
    verb = "rose" if change >= 0 else "fell"
    course = levels.course(level)
    between, query = _between(levels, level), levels.query("levels")
    ends: dict[str, Fact | str] = {
        "first": levels.value(f"first/{level.name}", course.values[0], query),
        "last": levels.value(f"last/{level.name}", course.values[-1], query),
    }
    fact = levels.change_fact(f"change/{level.name}", change, "levels")
    if not levels.sign(change):
        return say(f"{{name}} changed by nothing {between} ({{first}} and {{last}}).", name=level.name, **ends)
    template = (
        f"{{name}} {verb}{' the most:' if most and change >= 0 else ''} by {{change}} {between} ({{first}} to {{last}})"
    )
    facts: dict[str, Fact | str] = {
        "name": level.name,
        "change": fact,
        **ends,
    }
    if (rate := levels.yearly(level)) is not None and level.years >= 2:
        template += ", {rate} a year"
        facts["rate"] = levels.found.percent(
            f"yearly/{level.name}", rate, levels.query("levels"), "annualised", plus=True
        )
    return say(template + ".", **facts)


def _common(levels: Levels) -> list[tuple[Level, float]]:
    ordered = levels.ordered([level.since(levels.start) for level in levels.shown])
    levels.found.rows("since", start=levels.start)
    parts: list[str] = []
    facts: dict[str, Fact | str] = {}
    for i, (level, change) in enumerate(ordered[:6]):
        facts |= {f"n{i}": level.name, f"c{i}": levels.change_fact(f"common/{level.name}", change, "since", plus=True)}
        parts.append(f"{{n{i}}} {{c{i}}}")
    for level, change in (*ordered[:1], *ordered[-1:]):
        levels.change_fact(f"common/{level.name}", change, "since", plus=True)
    if levels.late() and parts:
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
        else levels.found.percent(f"{key}/{level.name}", rate, levels.query(query), "annualised", plus=True).text
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
    days = levels.course(best[0]).periods
    start, end = (levels.span(day, brief=True) for day in (days[0], days[-1]))
    span = f", {end} on {start}" if levels.seasonal else ""
    title = f"{_how_many(levels, common)}{'' if span else f' from {start} to {end}'}{_who_most(levels, common)}{span}"
    subtitle = (
        f"Change of {levels.name}, {'%' if levels.ratio else levels.unit or 'unit not stated'}, from the latest common"
        f" start{', means of 12 months' if levels.seasonal else ''}."
    )
    alt = (
        f"Bar chart of {len(values)} changes: {title}; {best[0].name} {values[0]['label']}, {worst[0].name}"
        f" {values[-1]['label']}."
    )
    levels.figure(
        "change",
        title,
        subtitle,
        alt,
        figures.diverging(values),
        [levels.one.capitalize(), "Change"],
        [[v["name"], v["label"]] for v in values],
        "since",
    )


def _how_many(levels: Levels, common: list[tuple[Level, float]]) -> str:
    """How many rose: ``All three regions rose``."""
    signs = [levels.sign(change) for _, change in common]
    rises, falls = signs.count(1), signs.count(-1)
    many = f"{words.spelled(len(common))} {levels.many}"
    if rises == len(common):
        return f"All {many} rose"
    if falls == len(common):
        return f"All {many} fell"
    return f"{words.spelled(rises).capitalize() if rises else 'None'} of {many} rose"


def _who_most(levels: Levels, common: list[tuple[Level, float]]) -> str:
    """Who rose or fell the most, where all went one way; several may have, or all alike."""
    if levels.alike(common[0][1], common[-1][1]):
        return ", all alike"
    best = levels.leaders(common)
    if levels.sign(common[-1][1]) > 0:
        return f", {words.listed(best[:3])} the most" if len(best) <= 3 else ""
    worst = levels.leaders(common[::-1])
    if levels.sign(common[0][1]) < 0:
        return f", {words.listed(worst[:3])} the most" if len(worst) <= 3 else ""
    return ""
