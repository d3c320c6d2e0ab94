"""Charts of a single level: its course, its years, its changes, and how far below an earlier high it stood."""

from __future__ import annotations

import itertools
import math
from typing import Any

from holdfast.nodes.market import backtest, figures, level_figures, words
from holdfast.nodes.market.levels import PER_YEAR, Levels
from holdfast.nodes.market.series import number_of

MOST_YEARS = 14
MOST_BARS = 24  # changes that are drawn one by one; of more their distribution is
MOST_BINS = 12
LEAST = {"month": 36, "quarter": 12, "year": 10, "week": 156}  # periods from which all charts can be drawn


def course(levels: Levels) -> None:
    """One line: the values thin, their mean of 12 months thick."""
    level, n = levels.shown[0], PER_YEAR[levels.grain]
    series = levels.series(level)
    if series is None or len(level.values) < 3:
        return
    values: list[dict[str, Any]] = [
        {"period": day, "value": value} for day, value in zip(level.periods, level.values, strict=True)
    ]
    if n > 1 and not series.missing and len(level.values) > 2 * n:
        for i in range(n - 1, len(values)):
            values[i]["mean"] = sum(level.values[i - n + 1 : i + 1]) / n
    high, low = (pick(range(len(level.values)), key=lambda i: level.values[i]) for pick in (max, min))
    start, end = (levels.when(level.periods[i], brief=True) for i in (0, -1))
    title = (
        f"{levels.name} was highest {levels.first_at(level, level.values[high])} and lowest"
        f" {levels.first_at(level, level.values[low])}"
        if level.values[high] > level.values[low]
        else f"{levels.name} did not change"
    )
    thick = f" (thin) and mean of {n} {levels.grain}s (thick)" if any("mean" in row for row in values) else ""
    subtitle = f"{levels.name} per {levels.grain}{thick}, {levels.stated_unit}, {start} to {end}. Axis not from zero."
    cells = [[levels.when(level.periods[i], brief=True), levels.text(level.values[i])] for i in (0, high, low, -1)]
    alt = f"Line chart of {len(values)} {levels.grain}s, {start} to {end}: {title}; {cells[1][1]} and {cells[2][1]}."
    spec = figures.course(values, f"{n}-{levels.grain} mean", False)
    levels.figure("courses", title, subtitle, alt, spec, [levels.grain.capitalize(), "Value"], cells, "series")


def by_year(levels: Levels) -> tuple[list[tuple[str, list[float]]], str]:
    """The values of each of the last complete years, and ``of the last 14 complete years`` where there are more."""
    level, found = levels.shown[0], dict[str, list[float]]()
    for day, value in zip(level.periods, level.values, strict=True):
        found.setdefault(day[:4], []).append(value)
    whole = {year: values for year, values in found.items() if len(values) == PER_YEAR[levels.grain]}
    shown = list(whole.items())[-MOST_YEARS:]
    return shown, f"of the last {len(shown)} complete years" if len(shown) < len(whole) else ""


def years(levels: Levels) -> None:
    """Each year's mean against the mean of all of them."""
    groups, last = by_year(levels)
    means = [(year, sum(values) / len(values)) for year, values in groups]
    if len(means) < 3:
        return
    centre = sum(value for _, value in means) / len(means)
    values: list[dict[str, Any]] = [
        {"name": year, "value": mean - centre, "label": levels.difference(mean - centre, plus=True), "tone": 0}
        for year, mean in means
    ]
    texts = [row["label"] for row in values]
    high = max(values, key=lambda row: row["value"])
    low = min(values, key=lambda row: row["value"])
    high["tone"], low["tone"] = (1, -1) if texts.count(high["label"]) == texts.count(low["label"]) == 1 else (0, 0)
    of = last or f"of {words.spelled(len(values))} years"
    title = f"{high['name']} was the highest {of}, {low['name']} the lowest"
    if not high["tone"]:
        years = f"The {last.removeprefix('of the ')}" if last else f"{words.spelled(len(values)).capitalize()} years"
        title = f"{years} lie {low['label']} to {high['label']} off their mean"
    which = f"each {last}, {groups[0][0]} to {groups[-1][0]}," if last else "each complete year"
    subtitle = (
        f"Mean of {levels.name} in {which} less the mean of these years, {levels.text(centre)}; {levels.stated_unit}."
    )
    alt = f"Bar chart of {len(values)} years: {title}; {high['label']} and {low['label']}."
    cells = [[str(row["name"]), str(row["label"])] for row in values]
    levels.figure("years", title, subtitle, alt, figures.diverging(values), ["Year", "Difference"], cells, "series")


def moves(levels: Levels) -> None:
    """The changes from one period to the next: one by one, or of many how they are distributed."""
    level = levels.shown[0]
    pairs = [
        (day, before, value)
        for (earlier, before), (day, value) in itertools.pairwise(zip(level.periods, level.values, strict=True))
        if number_of(day, levels.grain) - number_of(earlier, levels.grain) == 1
    ]
    changes = [(day, (value / before - 1) * 100 if levels.ratio else value - before) for day, before, value in pairs]
    if len(changes) < 2 or not any(change for _, change in changes):
        return
    if len(changes) <= MOST_BARS:
        _one_by_one(levels, changes)
    else:
        _distribution(levels, changes)


def _measured(levels: Levels) -> str:
    return "%" if levels.ratio else levels.unit or "unit not stated"


def _one_by_one(levels: Levels, changes: list[tuple[str, float]]) -> None:
    high, low = (pick(changes, key=lambda pair: pair[1]) for pick in (max, min))
    values: list[dict[str, Any]] = [
        {
            "when": levels.when(day, brief=True),
            "value": change,
            "label": levels.written(change).removesuffix(levels.unit).strip(),
            "change": "",
            "marked": day in (high[0], low[0]),
        }
        for day, change in changes
    ]
    ends = [
        f"{levels.move(f'move/{day}', change, 'series', 'on the period before').text} in {levels.when(day, brief=True)}"
        for day, change in (high, low)
    ]
    title = f"The highest change was {ends[0]}, the lowest {ends[1]}"
    subtitle = f"Change of {levels.name} on the {levels.grain} before, {_measured(levels)}."
    alt = f"Bar chart of {len(values)} changes: {title}."
    cells = [[str(row["when"]), levels.written(change)] for row, (_, change) in zip(values, changes, strict=True)]
    spec = figures.bars_over_time(values, len(values) <= MOST_YEARS)
    levels.figure("moves", title, subtitle, alt, spec, [levels.grain.capitalize(), "Change"], cells, "series")


def _distribution(levels: Levels, changes: list[tuple[str, float]]) -> None:
    every = [change for _, change in changes]
    low, high = (backtest.quantile(every, part) for part in (0.25, 0.75))
    note = "quartile of the changes from one period to the next"
    ends = [levels.move(f"quartile_{key}", value, "series", note).text for key, value in (("low", low), ("high", high))]
    title = f"Half of all changes lie between {ends[0]} and {ends[1]}"
    step = _step(max(every) - min(every))
    places = max(0, -math.floor(math.log10(step)))
    bins = [
        {
            "low": round(step * at, places),
            "high": round(step * (at + 1), places),
            "count": sum(math.floor(c / step) == at for c in every),
        }
        for at in range(math.floor(min(every) / step), math.floor(max(every) / step) + 1)
    ]
    subtitle = (
        f"Changes of {levels.name} on the {levels.grain} before, {_measured(levels)}: how many of"
        f" {words.number(len(every))} lie in each step of {words.number(step, places)}."
    )
    alt = f"Histogram of {len(every)} changes: {title}."
    cells = [
        [" to ".join(words.number(row[end], places, plus=True) for end in ("low", "high")), words.number(row["count"])]
        for row in bins
    ]
    spec = level_figures.histogram(bins, places)
    levels.figure("moves", title, subtitle, alt, spec, ["Change", f"{levels.grain.capitalize()}s"], cells, "series")


def _step(span: float) -> float:
    """The width of a bin, 1, 2 or 5 times a power of ten, so that there are at most ``MOST_BINS``."""
    power = 10.0 ** math.floor(math.log10(span / MOST_BINS))
    return next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= MOST_BINS - 1)


def below(levels: Levels) -> None:
    """How far it stood below the highest value before, in each period."""
    level, top = levels.shown[0], -math.inf
    gaps: list[float] = []
    for value in level.values:
        top = max(top, value)
        gaps.append((value / top - 1) * 100 if levels.ratio else value - top)
    deepest = min(range(len(gaps)), key=gaps.__getitem__)
    when, text = levels.when(level.periods[deepest], brief=True), levels.written(gaps[deepest])
    if len(gaps) < 3 or not levels.sign(gaps[deepest]):
        return
    levels.move("deepest", gaps[deepest], "series", "the deepest below the highest value before")
    title = f"In {when} {levels.name} stood {text.removeprefix(words.MINUS)} below an earlier high"
    now = f"{levels.written(gaps[-1]).removeprefix(words.MINUS)} below" if gaps[-1] else "at a high"
    now = f"; in {levels.when(level.periods[-1], brief=True)} {now}" * (deepest < len(gaps) - 1)
    subtitle = f"{levels.name} less its highest value until then, {_measured(levels)}{now}."
    values = [{"period": day, "value": gap} for day, gap in zip(level.periods, gaps, strict=True)]
    alt = f"Area chart of {len(values)} {levels.grain}s: {title}{now}."
    cells = [[levels.when(day, brief=True), levels.written(gap)] for day, gap in zip(level.periods, gaps, strict=True)]
    spec = level_figures.falls(values, {**values[deepest], "label": f"{when}: {text}", "left": deepest < len(gaps) / 2})
    levels.figure("below", title, subtitle, alt, spec, [levels.grain.capitalize(), "Below"], cells, "series")


def few(levels: Levels) -> None:
    """Says why there are fewer charts of a short history."""
    n, grain = len(levels.shown[0].values), levels.grain
    if n >= LEAST[grain]:
        return
    takes = "a band ten" if grain == "year" else "a season and a comparison of years three whole years"
    fact = levels.found.count("history", n, "series", f"{grain}s with a value")
    text = f"So short a file ({{n}} {grain}{'s' * (n != 1)}) gives few charts: a course takes three {grain}s, {takes}."
    levels.found.say(text, n=fact)
