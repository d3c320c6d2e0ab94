"""The task type ``trends_analysis``: direction within the window, the season and its strength, highs and lows."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.engine import MADE_WITH
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import confidence, figures, formulas, level_swings, levels, shifts, words
from holdfast.nodes.market.findings import Findings, Row, opened_cells, profile_in, say
from holdfast.nodes.market.series import PER_YEAR, Series, usable
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Span

LEAST_SEASON = 0.05  # points of the index between the highest and the lowest part of the year

QUERIES = {
    "periods": "SELECT period, sum(value) AS total FROM cells GROUP BY period ORDER BY period",
    "sizes": (
        "SELECT CAST(date_trunc('{frame}', period) AS DATE) AS frame, sum(value) / {per} AS total FROM cells GROUP BY 1"
        " ORDER BY 1"
    ),
}


@task_type("trends_analysis", pure=True, made_with=MADE_WITH)
async def trends_analysis(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Direction over the years, seasonal index and strength, highs and lows; for prices falls and swings."""
    profile = profile_in(inputs)
    return await asyncio.to_thread(_write, profile, ctx)


def _write(profile: Profile, ctx: TaskContext) -> dict[str, Any]:
    with opened_cells(ctx.stored(profile.cells)) as engine:
        found = Findings(profile, "trends_analysis", "Trends analysis", {**QUERIES, **levels.QUERIES}, engine)
        if profile.roles.measure.kind == "intensive":
            return found.result(**level_swings.write_trends(found))
        return Trends(found).write()


class Trends:
    """The section for amounts that can be summed."""

    def __init__(self, found: Findings) -> None:
        self.found, self.profile = found, found.profile
        self.grain = self.profile.roles.time.grain
        self.name = words.quoted(self.profile.roles.measure.column)
        self.series: Series | None = None  # of which ``season`` is the season
        self.season: formulas.Season | None = None
        self.tests: dict[str, Any] = {}

    def write(self) -> dict[str, Any]:
        """Direction, season, changes of level, extremes; beside the section what was tested of them."""
        self.found.paragraph(self._direction())
        season = self._season()
        series = usable(self.profile, self.found.rows("periods"))
        dates = shifts.write_breaks(self.found, series, "periods") if series else []
        if self.season and self.series:
            shifts.write_outliers(self.found, self.series, self.season, "periods")
        self.found.paragraph(self._extremes())
        return self.found.result(season=season, breaks={"dates": dates} if dates else {}, tests=self.tests)

    def _direction(self) -> list[list[Span]]:
        """Runs of growth and decline between complete frames."""
        complete = set(self.profile.frames)
        per = self.profile.per_frame if self.profile.roles.measure.kind == "stock" else 1
        sizes = [row for row in self.found.rows("sizes", frame=self.profile.frame, per=per) if row["frame"] in complete]
        if len(sizes) < 3 or min(row["total"] for row in sizes) <= 0:
            return []
        pairs = list(itertools.pairwise(row["total"] for row in sizes))
        ups, downs = sum(b > a for a, b in pairs), sum(b < a for a, b in pairs)
        later = ups - (sizes[1]["total"] > sizes[0]["total"])
        holds = (2 * ups > len(pairs)) == (2 * later > len(pairs) - 1)
        self.tests["run"] = confidence.judge(self.profile, "Rises and falls", holds)
        self.found.count("rises", ups, "sizes", "counted in the rows")
        self.found.count("falls", downs, "sizes", "counted in the rows")
        self.found.count("steps", len(pairs), "sizes", "counted in the rows")
        template, used = words.ups_and_downs(
            ups, downs, len(pairs), words.stride(self.profile.frame, self.profile.step)
        )
        facts = self.found._facts
        result = [say(f"{{name}} {template}.", name=self.name, **{key: facts[key] for key in used})]
        return [*result, *self._last_run(sizes), *self._halves(sizes)]

    def _last_run(self, sizes: list[Row]) -> list[list[Span]]:
        """How long the latest direction has lasted and what it came to."""
        rising = sizes[-1]["total"] > sizes[-2]["total"]
        if sizes[-1]["total"] == sizes[-2]["total"]:
            return []
        start = len(sizes) - 2
        while start > 0 and _same_way(sizes[start - 1], sizes[start], rising):
            start -= 1
        change = formulas.change_percent(sizes[-1]["total"], sizes[start]["total"])
        if len(sizes) - 1 - start < 2 or change is None:
            return []
        fact = self.found.percent("run", abs(change), "sizes", "without its sign")
        since, last = (words.period(row["frame"], self.profile.frame) for row in (sizes[start], sizes[-1]))
        return [
            say(
                f"Since {since} it has {'risen' if rising else 'fallen'} without a break, by {{change}} to {last}.",
                change=fact,
            )
        ]

    def _halves(self, sizes: list[Row]) -> list[list[Span]]:
        """Growth between the means of the first and the last three frames, which single years cannot tilt."""
        if len(sizes) < 7 or self.profile.frame != "year":
            return []
        first, last = (sum(row["total"] for row in part) / 3 for part in (sizes[:3], sizes[-3:]))
        rate = formulas.cagr(first, last, (len(sizes) - 3) * self.profile.step, len(sizes))
        if rate is None:
            return []
        fact = self.found.percent("cagr_of_means", rate, "sizes", "between means of three years", plus=True)
        return [
            say(
                "Between the mean of the first three and of the last three years the yearly change was {rate}.",
                rate=fact,
            )
        ]

    def _season(self) -> dict[str, Any]:
        if self.grain == "year":
            self.found.say("The file has yearly figures: a season cannot be seen in them.")
            return {}
        rows = self.found.rows("periods")
        per_year = PER_YEAR[self.grain]
        whole = not self.profile.gaps and per_year == self.profile.per_frame
        self.series = Series(self.grain, [row["period"] for row in rows], [row["total"] for row in rows])
        values, parts = self.series.values, self.series.parts
        self.season = formulas.season(values, parts, per_year) if whole else None
        if self.season is None:
            self.found.say(
                f"A season is not given: that takes at least three full cycles of {self.grain}s without gaps and a mean"
                " above zero."
            )
            return {}
        if max(self.season.index.values()) - min(self.season.index.values()) < LEAST_SEASON:
            self.found.say(f"The {self.grain}s of a year do not differ: there is no season.")
            return {}
        moved = formulas.season(values[1:], parts[1:], per_year)
        self.tests["season"] = confidence.judge(
            self.profile, "Season", _said(moved) == _said(self.season) if moved else None, cycles=self.season.cycles
        )
        return self._write_season(self.season, rows)

    def _part(self, part: int, *, brief: bool = False) -> str:
        return f"Q{part}" if self.grain == "quarter" else words.MONTHS[part - 1][: 3 if brief else None]

    def _write_season(self, season: formulas.Season, rows: list[Row]) -> dict[str, Any]:
        best, worst, word = _said(season)
        for part, value in season.index.items():
            self.found.fact(
                f"season/{part}", value, "index", words.number(value), "periods", "seasonal index, 100 = trend"
            )
        strength = self.found.fact(
            "strength", season.strength, "number", words.number(season.strength, 2), "periods", "seasonal strength F"
        )
        self.found.fact("best_part", self._part(best), "text", self._part(best), "periods")
        self.found.fact("worst_part", self._part(worst), "text", self._part(worst), "periods")
        facts = self.found._facts
        template = (
            f"The {self.grain}s have a {word} pattern (strength {{strength}} on a scale from 0 to 1)."
            f" {self._part(best)} is the highest with a seasonal index of {{high}} (100 is the trend),"
            f" {self._part(worst)} the lowest with {{low}}; it rests on {{cycles}} full years."
        )
        if season.additive:
            template += (
                " Some values are zero or below, so the index is 100 plus the difference in percent of the mean."
            )
        cycles = self.found.count("cycles", season.cycles, "periods", "full years of values")
        self.found.say(
            template, strength=strength, high=facts[f"season/{best}"], low=facts[f"season/{worst}"], cycles=cycles
        )
        self._season_chart(season, rows, best, worst, word)
        timed = word == "strong" and season.index[best] - season.index[worst] >= formulas.LEAST_SWING
        named = {"best": self._part(best), "worst": self._part(worst), "word": word, "cycles": season.cycles}
        return {**named, "timed": timed}

    def _season_chart(self, season: formulas.Season, rows: list[Row], best: int, worst: int, word: str) -> None:
        index = season.index
        medians: list[dict[str, Any]] = [
            {
                "part": self._part(p, brief=True),
                "index": index[p],
                "label": words.number(index[p]),
                "tone": (p == best) - (p == worst),
            }
            for p in sorted(index)
        ]
        singles = [
            {"part": self._part(part, brief=True), "index": value, "year": rows[at]["period"][:4]}
            for at, part, value in season.single
        ]
        title = (
            f"{self._part(best)} is {words.percent(index[best] - 100)} above the trend, {self._part(worst)}"
            f" {words.percent(100 - index[worst])} below"
        )
        title += "; the pattern is weak" if word == "weak" else ""
        self.found.percent("best_above", index[best] - 100, "periods", "seasonal index less 100")
        swing = index[best] - index[worst]
        self.found.points("season_swing", swing, "periods", "highest less lowest seasonal index")
        self.found.percent("worst_below", 100 - index[worst], "periods", "100 less seasonal index")
        how = ", differences in % of the mean" if season.additive else ""
        subtitle = (
            f"Seasonal index (100 = trend{how}): bar = median, dot = one year. Strength"
            f" {words.number(season.strength, 2)}. Axis not from zero."
        )
        cells = [[row["part"], row["label"]] for row in medians]
        alt = f"Chart of {len(medians)} seasonal indices: {title}."
        self.found.figure(
            "season",
            title,
            subtitle,
            alt,
            figures.seasonal(medians, singles),
            [self.grain.capitalize(), "Index"],
            cells,
            "periods",
        )

    def _extremes(self) -> list[list[Span]]:
        """The highest and the lowest of all periods in use, those of incomplete years too: they are complete."""
        rows = self.found.rows("periods")
        if self.grain == "year" or len(rows) < 6:
            return []
        high, low = max(rows, key=lambda row: row["total"]), min(rows, key=lambda row: row["total"])
        most = self.found.amount("highest", high["total"], "periods")
        least = self.found.amount("lowest", low["total"], "periods")
        when = {
            key: self.found.fact(f"{key}_when", name, "text", name, "periods")
            for key, row in (("highest", high), ("lowest", low))
            for name in [words.period(row["period"], self.grain)]
        }
        template = (
            f"The highest single {self.grain} was {{highest}} with {{most}}, the lowest {{lowest}} with {{least}}, of"
            f" all {{n}} {self.grain}s from {words.period(rows[0]['period'], self.grain)} to"
            f" {words.period(rows[-1]['period'], self.grain)}."
        )
        count = self.found.count("of_periods", len(rows), "periods", "counted in the rows")
        return [say(template, most=most, least=least, n=count, **when)]


def _said(season: formulas.Season) -> tuple[int, int, str]:
    """What the section says of a season: its highest and lowest part and the word for its strength."""
    best, worst = (pick(season.index, key=lambda part: season.index[part]) for pick in (max, min))
    return best, worst, formulas.strength_word(season.strength)


def _same_way(before: Row, row: Row, rising: bool) -> bool:
    return bool(row["total"] > before["total"] if rising else row["total"] < before["total"])
