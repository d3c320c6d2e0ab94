"""What may be said ahead of prices, rates and other levels: the last value, and how far values moved in the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.nodes.market import backtest, confidence, constant_parts, forecast_charts, words
from holdfast.nodes.market.backtest import Band, Coverage, Design, Trial
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.forecast_methods import METHODS
from holdfast.nodes.market.levels import Level, Levels
from holdfast.nodes.market.series import Series, consecutive
from holdfast.nodes.report.document import Fact, Span

MOST_GAPS = 0.1
MOST_NAMED = 3  # of bands on one side of the last value
LEAST = {"month": 24, "quarter": 8, "year": 8, "week": 104}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one level may have moved by the end of the horizon."""

    level: Level
    series: Series
    design: Design
    bands: list[Band]  # period by period
    trial: Trial

    @property
    def band(self) -> Band:
        """That of the last period ahead."""
        return self.bands[-1]

    @property
    def width(self) -> float:
        """Of the band, in percent of the last value."""
        return 100 * (self.band.high - self.band.low) / abs(self.band.value) if self.band.value else 0.0


def reach_of(level: Level, series: Series, ratio: bool, ahead: int | None = None) -> Reach | None:
    """The last value with the 80 % band of past changes; None if the history is too short or broken."""
    n = len(series.values)
    plan = backtest.design(n, series.per_year)
    if n < LEAST[series.grain] or series.missing > MOST_GAPS * n or plan is None:
        return None
    plan = Design(min(plan.ahead, ahead or plan.ahead), plan.start, plan.origins)
    rows = [[series.values[plan.start + i - 1]] * plan.ahead for i in range(plan.origins)]
    actuals = [list(series.values[plan.start + i : plan.start + i + plan.ahead]) for i in range(plan.origins)]
    trial = Trial(METHODS[0], rows, actuals, 0.0, None, differences=not ratio)
    bands = backtest.bands(trial, series.values, series.per_year, forecast=False)
    return Reach(level, series, plan, bands, trial)


def write_bands(found: Findings) -> dict[str, Any]:
    """Last values with their bands, or why there are none; returns what summary and advice speak of, and tests."""
    levels = Levels(found)
    courses = [(level, series) for level in levels.shown if (series := consecutive(_latest(level), levels.grain))]
    reaches = _reaches(courses, levels.ratio)
    if not reaches:
        tests = words.spelled(backtest.MIN_ORIGINS)
        text = (
            f"no {levels.one} has {LEAST[levels.grain]} {levels.grain}s, at most a tenth of them missing, with room for"
            f" {tests} past tests"
        )
        found.fact("reason", text, "text", text, "series", "why there is no band")
        found.say(f"No forecast and no band are given: {text}. The last value is the best known.")
        return {"forecast": {"given": False}}
    return {"forecast": _written(levels, reaches), "tests": {"outlook": _tests(levels, reaches, courses)}}


def _latest(level: Level) -> list[tuple[str, float]]:
    return list(zip(level.periods, level.values, strict=True))[-backtest.MOST_VALUES :]


def _reaches(courses: Sequence[tuple[Level, Series]], ratio: bool) -> list[Reach]:
    """All bands over one horizon, the shortest of those that each could have; the widest first."""
    ahead = min(
        (reach.design.ahead for level, series in courses if (reach := reach_of(level, series, ratio))), default=0
    )
    found = [reach for level, series in courses if ahead and (reach := reach_of(level, series, ratio, ahead))]
    return sorted(found, key=lambda reach: (-_width(reach, ratio), reach.level.name))


def _coverage(reaches: Sequence[Reach]) -> Coverage:
    each = [backtest.coverage(reach.trial) for reach in reaches]
    return Coverage(sum(one.inside for one in each), sum(one.tested for one in each))


def _tests(levels: Levels, reaches: Sequence[Reach], courses: Sequence[tuple[Level, Series]]) -> dict[str, Any]:
    """Whether the widest band is still the widest when each history begins one period later."""
    later = [(level, Series(s.grain, s.days[1:], s.values[1:], s.missing)) for level, s in courses if len(s.values) > 1]
    moved, covered = _reaches(later, levels.ratio), _coverage(reaches)
    return confidence.judge(
        levels.profile,
        "Outlook",
        moved[0].level.name == reaches[0].level.name if moved else None,
        complete=not any(reach.series.missing for reach in reaches) and not constant_parts.changes(levels.profile),
        cycles=min(len(reach.series.values) // reach.series.per_year for reach in reaches),
        doubt=covered.doubt,
        most=covered.most,
        entity=True,
        of=(),
    )


def _written(levels: Levels, reaches: Sequence[Reach]) -> dict[str, Any]:
    found, ahead = levels.found, reaches[0].design.ahead
    span, covered = words.counted(ahead, levels.grain), _coverage(reaches)
    sentences = [
        say(
            "A level gets no forecast: the last value is the best known. The {band} band shows how far {name} moved"
            f" within {span} in eight of ten past tests.",
            band=found.percent_whole("band", 80, "series", "between the 10 % and the 90 % quantile"),
            name=levels.name,
        )
    ]
    if covered.tested:
        share = found.percent("coverage", covered.share, "series", "backtest.coverage")
        n = found.count("tested", covered.tested, "series", "past values tested against the band")
        sentences.append(say("The band that was known at the time held {share} of {n} past values.", share=share, n=n))
    rows = [
        [reach.level.name, *(fact.text for fact in _ends(levels, reach).values()), words.number(reach.design.origins)]
        for reach in reaches
    ]
    sentences.append(_told(levels, reaches, span))
    sentences += _one_sided(levels, reaches[1:])
    found.paragraph(sentences)
    columns = [levels.one.capitalize(), "Last value", f"10{words.NBSP}%", f"90{words.NBSP}%", "Past tests"]
    found.table(f"Last value and 80{words.NBSP}% band {span} later", columns, rows, "series")
    if len(reaches) > 1:
        _chart(levels, reaches, span)
    elif levels.single:
        _fan(levels, reaches[0], span)
    alike, wide = _widths(levels, reaches)
    named = {"widest": reaches[0].level.name, "narrowest": reaches[-1].level.name, "alike": alike, "wide": wide}
    return {"given": True, **named, "span": span}


def _width(reach: Reach, ratio: bool) -> float:
    """Of the band, in percent of the last value or in the measure's unit."""
    return reach.width if ratio else reach.band.high - reach.band.low


def _widths(levels: Levels, reaches: Sequence[Reach]) -> tuple[bool, bool]:
    """Whether no band is written wider than the next, and whether any has a width at all."""
    written = [levels.written(_width(reach, levels.ratio)) for reach in reaches]
    return len(written) > 1 and written[0] == written[1], any(digit in written[0] for digit in "123456789")


def _moves(levels: Levels, reach: Reach) -> tuple[float, float]:
    """The band's ends as changes, in percent or in the measure's unit."""
    ends, last = (reach.band.low, reach.band.high), reach.band.value
    low, high = (100 * (end / last - 1) if levels.ratio else end - last for end in ends)
    return low, high


def _ends(levels: Levels, reach: Reach) -> dict[str, Fact]:
    """Last value, lower and upper end as facts, under the names of a sentence's places."""
    name, found = reach.level.name, levels.found
    note = "last value with the quantiles of past changes (backtest.bands)"
    low, high = (
        found.amount(f"{key}/{name}", end, "series", note, exactly=True)
        for key, end in (("low", reach.band.low), ("high", reach.band.high))
    )
    last = found.amount(f"now/{name}", reach.level.values[-1], "series", "last value", exactly=True)
    return {"last": last, "low": low, "high": high}


def _told(levels: Levels, reaches: Sequence[Reach], span: str) -> list[Span]:
    alike, wide = _widths(levels, reaches)
    reach, ends = reaches[0], _ends(levels, reaches[0])
    if not wide:
        return say("No band has a width: in the past tests the values ended where they had begun.")
    if alike or len(reaches) == 1:
        text = f"The band of {{name}} runs from {{low}} to {{high}} after {span}, from {{last}} now."
    else:
        text = f"{{name}} has the widest band: from {{last}} now to between {{low}} and {{high}} after {span}."
    if (side := _side(reach.band, ends)) and ends["low"].text != ends["high"].text:
        outside = reach.band.low > reach.band.value or reach.band.high < reach.band.value
        where = "lies outside it" if outside else "is one end of it"
        text += f" The last value {where}: the past changes were all {side}, or nearly all."
    return say(text, name=reach.level.name, **ends)


def _one_sided(levels: Levels, reaches: Sequence[Reach]) -> list[list[Span]]:
    """Which of the other bands do not hold the last value, and why."""
    found = []
    for where, moves, those in (
        ("above", "rises", [reach.level.name for reach in reaches if reach.band.low > reach.band.value]),
        ("below", "falls", [reach.level.name for reach in reaches if reach.band.high < reach.band.value]),
    ):
        if those:
            one = len(those) == 1
            many = f"{words.spelled(len(those))} other {levels.many}"
            who = words.listed(those) if len(those) <= MOST_NAMED else many
            found.append(
                say(
                    f"The band{'' if one else 's'} of {{who}} lie{'s' if one else ''} {where} the last value: the past"
                    f" changes were all {moves}, or nearly all.",
                    who=who,
                )
            )
    return found


def _side(band: Band, ends: dict[str, Fact]) -> str:
    """``rises`` or ``falls`` where the whole band lies on one side of the last value; empty where it does not."""
    last = ends["last"].text
    if band.low > band.value or ends["low"].text == last:
        return "rises"
    return "falls" if band.high < band.value or ends["high"].text == last else ""


def _fan(levels: Levels, reach: Reach, span: str) -> None:
    """The band of a single level, opening from its last value."""
    if not _widths(levels, [reach])[1]:
        return
    series, coming = reach.series, reach.series.after(reach.design.ahead)
    shown = slice(-10 * series.per_year, None)
    past = [
        {"period": day, "value": value} for day, value in zip(series.days[shown], series.values[shown], strict=True)
    ]
    now = past[-1]
    ahead = [{**now, "low": now["value"], "high": now["value"]}]
    ahead += [
        {"period": day, "value": band.value, "low": band.low, "high": band.high}
        for day, band in zip(coming, reach.bands, strict=True)
    ]
    low, high = (levels.text(end) for end in (reach.band.low, reach.band.high))
    end = levels.when(coming[-1], brief=True)
    title = f"Past moves would put {levels.name} between {low} and {high} in {end}"
    subtitle = (
        f"{levels.name}, {levels.stated_unit}: past (dark), last value (dashed), 80{words.NBSP}% band of past moves."
        " Axis not from zero."
    )
    alt = f"Line chart of {len(past)} {levels.grain}s and {span} ahead: {title}; now {levels.text(series.values[-1])}."
    cells = [
        [levels.when(day, brief=True), levels.text(band.low), levels.text(band.high)]
        for day, band in zip(coming, reach.bands, strict=True)
    ]
    spec = forecast_charts.fan(past, ahead, zero=False)
    columns = [levels.grain.capitalize(), f"10{words.NBSP}%", f"90{words.NBSP}%"]
    levels.figure("band", title, subtitle, alt, spec, columns, cells, "series")


def _chart(levels: Levels, reaches: Sequence[Reach], span: str) -> None:
    values: list[dict[str, Any]] = []
    for reach in reaches:
        low, high = _moves(levels, reach)
        values.append(
            {
                "name": reach.level.name,
                "low": low,
                "high": high,
                "low_label": levels.written(low),
                "high_label": levels.written(high),
                "tone": levels.tone(reach.level.name),
            }
        )
    title = f"{values[0]['name']} has the widest band {span} ahead, {values[-1]['name']} the narrowest"
    if _widths(levels, reaches)[0]:
        ends = f"{values[0]['low_label']} to {values[0]['high_label']}"
        title = f"Within {span} {values[0]['name']} moved by {ends} in eight of ten past tests"
    measured = "%" if levels.ratio else levels.unit or "unit not stated"
    subtitle = f"Change of {levels.name} within {span}, {measured}: bar = eight of ten past tests, line = last value."
    alt = (
        f"Bar chart of {len(values)} ranges: {title}; {values[0]['low_label']} to {values[0]['high_label']} and"
        f" {values[-1]['low_label']} to {values[-1]['high_label']}."
    )
    cells = [[row["name"], row["low_label"], row["high_label"]] for row in values]
    columns = [levels.one.capitalize(), f"10{words.NBSP}%", f"90{words.NBSP}%"]
    levels.figure("bands", title, subtitle, alt, forecast_charts.ranges(values), columns, cells, "series")
