"""The task type ``forecast``: the next year chosen by back-test, with an 80 % band, or the reason why there is none.

It begins after the last complete period.  Levels (prices, rates) get their last value and a band, never a course.
What a forecast says is written by ``outlook``; this module decides whether one may be given.
"""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.engine import MADE_WITH
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import backtest, breaks, forecast_levels, levels, words
from holdfast.nodes.market.backtest import Trial
from holdfast.nodes.market.findings import Findings, opened_cells, profile_in, say
from holdfast.nodes.market.outlook import Outlook
from holdfast.nodes.market.series import Series, usable
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Span

LEAST_MONTHS, LEAST_YEARS = 24, 8
MOST_ERROR, MOST_GAPS = 30.0, 0.1

QUERIES = {"periods": "SELECT period, sum(value) AS total FROM cells GROUP BY period ORDER BY period"}


@task_type("forecast", pure=True, made_with=MADE_WITH)
async def forecast(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """The next 12 months (or 2 years) by the method that did best in the past, or why no forecast is given."""
    profile = profile_in(inputs)
    return await asyncio.to_thread(_write, profile, ctx)


def _write(profile: Profile, ctx: TaskContext) -> dict[str, Any]:
    with opened_cells(ctx.stored(profile.cells)) as engine:
        found = Findings(profile, "forecast", "Outlook", {**QUERIES, **levels.QUERIES}, engine)
        if profile.roles.measure.kind == "intensive":
            return found.result(**forecast_levels.write_bands(found))
        return Gate(found).write()


class Gate:
    """Decides on the section for amounts that can be summed."""

    def __init__(self, found: Findings) -> None:
        self.found, self.grain = found, found.profile.roles.time.grain
        self.series = usable(found.profile, found.rows("periods")[-backtest.MOST_VALUES :])

    def write(self) -> dict[str, Any]:
        """The forecast, or the reasons against one; beside the section what the summary and the advice need."""
        if self.series is None:
            return self._refused([say(f"no {self.grain} is complete")])
        if short := self._too_little(self.series):
            return self._refused(short)
        outcome = backtest.run(self.series.values, self.series.per_year)
        if outcome is None:
            return self._refused([self._few_tests(self.series)])
        if doubts := self._doubts(self.series, outcome.best):
            return self._refused(doubts)
        return Outlook(self.found, self.series, outcome).write()

    def _few_tests(self, series: Series) -> list[Span]:
        """With 8 or 9 years fewer than eight origins fit."""
        n, least = len(series.values), words.spelled(backtest.MIN_ORIGINS)
        have = self.found.count("history", n, "periods", "consecutive complete periods")
        fits = backtest.fitting(n, series.per_year)
        origins = self.found.count("origins_that_fit", fits, "periods", "starts of a back-test that fit")
        return say(
            f"{{n}} complete {self.grain}s leave room for {{origins}} past tests, and {least} are needed",
            n=have,
            origins=origins,
        )

    def _too_little(self, series: Series) -> list[list[Span]]:
        """Too short, too many gaps, or nothing but zeros."""
        n, gaps = len(series.values), series.missing
        least = LEAST_YEARS if self.grain == "year" else LEAST_MONTHS * series.per_year // 12
        reasons = []
        if n < least:
            have = self.found.count("history", n, "periods", "consecutive complete periods")
            unit = self.grain if n == 1 else f"{self.grain}s"
            reasons.append(say(f"only {{n}} complete {unit} are in the file, and {least} are needed", n=have))
        if (step := self.found.profile.step) > 1:
            reasons.append(say(f"the file holds one year in {words.spelled(step)}"))
        elif gaps > MOST_GAPS * n:
            missing = self.found.count("missing", gaps, "periods", "periods without a row")
            text = f"{{gaps}} of {words.number(n)} {self.grain}s are missing, more than a tenth"
            reasons.append(say(text, gaps=missing))
        if not any(series.values):
            reasons.append(say("every value is zero"))
        return reasons

    def _doubts(self, series: Series, best: Trial) -> list[list[Span]]:
        """The error is too large, or the level has just changed."""
        reasons = []
        if best.wmape > MOST_ERROR:
            error = self.found.percent("wmape", best.wmape, "periods", "backtest.wmape of the periods")
            text = (
                "in past tests even the best method was off by {error} of the actual values (wMAPE), more than"
                f" {words.number(MOST_ERROR)}{words.NBSP}%"
            )
            reasons.append(say(text, error=error))
        if recent := breaks.in_last_year(breaks.find_breaks(series), series):
            change = self.found.percent("break", recent.change, "periods", "breaks.find_breaks", bare=True)
            direction = "higher" if recent.change > 0 else "lower"
            when = words.period(series.days[recent.at], self.grain)
            text = f"from {when} on the level was {{change}} {direction}, too recently to tell whether it stays there"
            reasons.append(say(text, change=change))
        return reasons

    def _refused(self, reasons: list[list[Span]]) -> dict[str, Any]:
        spans = say("No forecast is given: ")
        for i, reason in enumerate(reasons):
            spans += [Span(text="; ")] * (i > 0) + reason
        self.found.paragraph([[*spans, Span(text=".")]])
        text = "; ".join("".join(span.text for span in reason) for reason in reasons)
        self.found.fact("reason", text, "text", text, "periods", "why there is no forecast")
        return self.found.result(forecast={"given": False})
