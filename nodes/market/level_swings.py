"""The trends of levels: falls from a peak, volatility, distance from the highest value."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import figures, formulas, level_tests, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.levels import PER_YEAR, Level, Levels
from holdfast.nodes.report.document import Span


def write_trends(found: Findings) -> dict[str, Any]:
    """How deep each fell from a peak and how much it swung; returns the names it speaks of, and tests."""
    levels = Levels(found)
    if not levels.ratio:
        found.say(
            "Falls from a peak and volatility are not given: they need values above zero that can be divided by one"
            " another."
        )
        return {"levels": {}}
    falls = [(level, fall) for level in levels.shown if (fall := formulas.drawdown(level.values)) and fall.percent < 0]
    falls.sort(key=lambda pair: (pair[1].percent, pair[0].name))
    if not falls:
        found.say("No value fell below an earlier one.")
        return {"levels": {}}
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
    found.say("A season is not computed for levels.")
    swung = list(swings)
    named = {"deepest": falls[0][0].name, **({"most_swing": swung[0], "least_swing": swung[-1]} if swung else {})}
    return {"levels": named, "tests": level_tests.of_swings(levels)}


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
        {
            "name": level.name,
            "value": fall.percent,
            "label": words.percent(fall.percent),
            "tone": levels.tone(level.name),
        }
        for level, fall in falls
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
        {"name": name, "value": swing, "label": words.percent(swing), "tone": levels.tone(name), "rest": False}
        for name, swing in swings.items()
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
    values = [
        {"name": name, "value": gap, "label": words.percent(gap), "tone": levels.tone(name)} for name, gap in gaps
    ]
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
