"""The trends of levels: falls from a peak, volatility, distance from the highest value."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import figures, formulas, level_pictures, level_single, level_tests, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.levels import PER_YEAR, Level, Levels
from holdfast.nodes.report.document import Span

MOST_NAMED = 3  # of those that never fell


def write_trends(found: Findings) -> dict[str, Any]:
    """How deep each fell from a peak and how much it swung; returns the names it speaks of, and tests."""
    levels = Levels(found)
    if not levels.ratio:
        found.say(
            "Falls and swings in percent are not given: a ratio of two such values says nothing. What follows is in the"
            " unit of the values."
        )
        _rest(levels)
        return {"levels": {}}
    falls = [
        (level, fall)
        for level in levels.shown
        if (fall := formulas.drawdown(level.values)) and fall.percent <= -words.LEAST_PERCENT
    ]
    falls.sort(key=lambda pair: (pair[1].percent, pair[0].name))
    if not falls:
        found.say("No value fell below an earlier one.")
        _rest(levels)
        return {"levels": {}}
    deepest = [level.name for level, fall in falls if words.percent(fall.percent) == words.percent(falls[0][1].percent)]
    found.paragraph(
        [_fell(levels, *pair, place=i if len(deepest) == 1 < len(falls) else -1) for i, pair in enumerate(falls[:2])]
        + _rose_throughout(levels, [level.name for level, _ in falls])
    )
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
    _rest(levels)
    swung = list(swings)
    named = {"deepest": falls[0][0].name, "deepest_tied": deepest}
    if swung and words.percent(swings[swung[0]]) != words.percent(swings[swung[-1]]):
        named |= {"most_swing": swung[0], "least_swing": swung[-1]}
    return {"levels": named, "tests": level_tests.of_swings(levels)}


def _rest(levels: Levels) -> None:
    """What is told of every kind of level: how far values spread, distance from the highest, season."""
    if levels.single:
        level_single.few(levels)
        level_single.below(levels)
    if levels.single or not levels.ratio:
        level_pictures.spread(levels)
    level_pictures.distance(levels)
    level_pictures.season(levels)


def _fell(levels: Levels, level: Level, fall: formulas.Drawdown, *, place: int) -> list[Span]:
    """``place`` is 0 for the deepest, 1 for the second; −1 where several fell as deep."""
    fact = levels.found.percent(f"fall/{level.name}", fall.percent, "series", "without its sign", bare=True)
    peak, trough = levels.when(level.periods[fall.peak]), levels.when(level.periods[fall.trough])
    return say(
        f"{{name}} fell{('', ' the deepest', ' second deepest')[place + 1]} from an earlier peak: by {{fall}},"
        f" {peak} to {trough}.",
        name=level.name,
        fall=fact,
    )


def _rose_throughout(levels: Levels, fell: list[str]) -> list[list[Span]]:
    """Who has no fall to tell of."""
    still = [level for level in levels.shown if level.name not in fell]
    if not still:
        return []
    who = [level.name for level in still]
    named = words.listed(who) if len(who) <= MOST_NAMED else f"{words.spelled(len(who)).capitalize()} {levels.many}"
    little = any((fall := formulas.drawdown(level.values)) and fall.percent for level in still)
    or_little = ", or by so little that it is written as nothing" if little else ""
    return [say(f"{{who}} never fell from an earlier peak{or_little}.", who=named)]


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
        {
            "name": level.name,
            "value": fall.percent,
            "label": words.percent(fall.percent),
            "tone": levels.tone(level.name),
        }
        for level, fall in falls
    ]
    some = "those that fell" if len(falls) < len(levels.shown) else ""
    least = f"{falls[-1][0].name} the least deep{some and f' of {some}'}"
    title = f"{falls[0][0].name} fell the deepest from a peak, {least}"
    if values[0]["label"] == values[1]["label"]:
        title = f"Several of {words.spelled(len(values))} fell as deep from a peak: {values[0]['label']}"
    alt = f"Bar chart of {len(values)} deepest falls: {title}; {values[0]['label']} and {values[-1]['label']}."
    levels.figure(
        "drawdown",
        title,
        f"Deepest fall of {levels.name} from an earlier highest value, %.",
        alt,
        figures.diverging(values),
        [levels.one.capitalize(), "Deepest fall"],
        [[str(v["name"]), str(v["label"])] for v in values],
        "series",
        which=some,
        drawn=len(values),
    )


def _swing_chart(levels: Levels, swings: dict[str, float]) -> None:
    if len(swings) < 2:
        return
    values: list[dict[str, Any]] = [
        {"name": name, "value": swing, "label": words.percent(swing), "tone": levels.tone(name), "rest": False}
        for name, swing in swings.items()
    ]
    title = f"{values[0]['name']} swung the most, {values[-1]['name']} the least"
    if values[0]["label"] == values[1]["label"]:
        title = f"Changes per {levels.grain} swung by up to {values[0]['label']} a year"
    subtitle = f"Volatility of {levels.name}: standard deviation of the changes per {levels.grain}" + (
        f" × √{PER_YEAR[levels.grain]}, %." if levels.grain != "year" else ", %."
    )
    alt = f"Bar chart of {len(values)} volatilities: {title}; {values[0]['label']} and {values[-1]['label']} a year."
    levels.figure(
        "volatility",
        title,
        subtitle,
        alt,
        figures.ranking(values),
        [levels.one.capitalize(), "Volatility"],
        [[str(v["name"]), str(v["label"])] for v in values],
        "series",
    )
