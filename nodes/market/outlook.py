"""The section "Outlook" where a forecast is given: value and band, how it did in the past, the chart."""

from __future__ import annotations

import math
from typing import Any

from holdfast.nodes.market import backtest, confidence, forecast_charts, formulas, words
from holdfast.nodes.market.backtest import Band, Outcome
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.forecast_methods import METHODS
from holdfast.nodes.market.series import Series
from holdfast.nodes.report.document import Fact, Span

LEAST_DIGITS, MOST_DIGITS = 3, 9  # significant ones of a forecast
LEAST_CHANGE = 0.05  # percent that is told as a change
FLAT = ("naive", "smoothing")  # methods whose forecast is one level
_SHOWN = {1: 30, 4: 32, 12: 96}  # past periods in the chart, by periods in a year


def _to(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _side(value: float, of: float) -> int:
    """On which side of another value one lies; 0 where they differ by no more than arithmetic does."""
    return 0 if math.isclose(value, of, rel_tol=1e-9) else (value > of) - (value < of)


class Outlook:
    """Writes the section on a series whose back-test came out well enough."""

    def __init__(self, found: Findings, series: Series, outcome: Outcome) -> None:
        self.found, self.series = found, series
        self.plan, self.records, self.best = outcome.plan, outcome.records, outcome.best
        measure = found.profile.roles.measure
        self.grain, self.name = series.grain, words.quoted(measure.column)
        told = measure.unit and measure.unit.casefold() != measure.column.casefold()
        self.unit = f"{words.NBSP}{measure.unit}" if told else ""
        self.summed = self.grain != "year" and measure.kind != "stock"
        self.ahead = backtest.bands(self.best, series.values, series.per_year)
        self.told = 0 if self.grain == "year" else -1  # of the bands, the one that is told where none are summed
        self.main = self._main(outcome)
        self.coming = series.after(self.plan.ahead)
        self.coverage = backtest.coverage(self.best)
        self.digits = self._digits()

    def write(self) -> dict[str, Any]:
        """Text, table and chart; beside the section what the summary and the advice speak of, and the tests."""
        self.found.paragraph(self._opening())
        self.found.paragraph(self._record())
        self._methods()
        self._chart()
        change = self._change()
        told = change is not None and abs(change) >= LEAST_CHANGE and (self.summed or self.grain == "year")
        beside = {"given": True, "span": self._span(), "wmape": self.best.wmape, "change": change if told else None}
        return self.found.result(forecast=beside, tests={"outlook": self._tests()})

    def _main(self, outcome: Outcome) -> Band:
        of = (outcome.best, outcome.values, outcome.per_year)
        return backtest.band_of_sum(*of) if self.summed else backtest.bands(*of)[self.told]

    def _when(self, day: str) -> str:
        return words.period(day, self.grain)

    def _span(self) -> str:
        """``the next 12 months``, or the one period that is named."""
        ahead = self.plan.ahead
        if self.summed and ahead > 1:
            return f"the next {ahead} {self.grain}s"
        return self._when(self.coming[self.told])

    def _rounded(self, value: float) -> str:
        """Three significant digits or as many as tell apart what differs, with no more decimals than the file has."""
        measure = self.found.profile.roles.measure
        return words.rounded(value, self.digits, 0 if measure.whole else measure.places)

    def _digits(self) -> int:
        """The fewest from three on that tell the forecasts from their bands' ends and all of them from the past."""
        measure, before = self.found.profile.roles.measure, self._before()[1]
        places = 0 if measure.whole else measure.places
        second = self.ahead[1:2] if self.grain == "year" else []
        groups = [[self.main.low, self.main.value, self.main.high]]
        groups += [[band.low, band.value, band.high] for band in second]
        for digits in range(LEAST_DIGITS, MOST_DIGITS):
            apart = True
            for group in groups:
                texts = [words.rounded(value, digits, places) for value in group]
                exact = [words.rounded(value, MOST_DIGITS, places) for value in group]
                past = words.rounded(before, MOST_DIGITS, places)
                apart &= len(set(texts)) == len(set(exact))
                apart &= all(_side(_to(value, digits), before) in (0, _side(value, before)) for value in group) and all(
                    (text == past) <= (full == past) for text, full in zip(texts, exact, strict=True)
                )
            if apart:
                return digits
        return MOST_DIGITS

    def _shifted(self, band: Band) -> list[list[Span]]:
        """That the method was biased, and what was done; nothing where it was not."""
        if band.unshifted is None:
            return []
        side = "below" if band.value > band.unshifted else "above"
        given = self._estimate("unshifted", band.unshifted, "what the method itself gives")
        return [
            say(
                f"The method itself gives {{given}}; its past forecasts lay {side} the actual values nearly always, so"
                " the forecast is shifted by the median of its past errors†.",
                given=given,
            )
        ]

    def _estimate(self, key: str, value: float, note: str, unit: str = "") -> Fact:
        text = words.in_unit(self._rounded(value), unit.strip(words.NBSP))
        return self.found.fact(key, value, "number", text, "periods", note, self.found.profile.roles.measure.unit)

    def _band(self, key: str, band: Band, note: str) -> dict[str, Fact]:
        return {
            "value": self._estimate(f"{key}value", band.value, note, self.unit),
            "low": self._estimate(f"{key}low", band.low, f"{note}, 10 % quantile of past errors"),
            "high": self._estimate(f"{key}high", band.high, f"{note}, 90 % quantile of past errors"),
        }

    def _opening(self) -> list[list[Span]]:
        note = "backtest.band_of_sum of the periods" if self.summed else "backtest.bands of the periods"
        span = self._span()
        if self.summed and self.plan.ahead > 1:
            span += f", {self._when(self.coming[0])} to {self._when(self.coming[-1])}"
        sentences = [
            say(
                f"{{name}} is forecast at {{value}} for {span}; the 80{words.NBSP}% band runs from {{low}} to"
                " {high}.",
                name=self.name,
                **self._band("", self.main, note),
            ),
            *self._compared(),
        ]
        if self.grain == "year" and self.plan.ahead > 1:
            second = self._band("second_", self.ahead[1], "backtest.bands of the periods")
            when = self._when(self.coming[1])
            sentences.append(say(f"For {when} it is {{value}}, with a band from {{low}} to {{high}}.", **second))
        return sentences + self._shifted(self.main)

    def _before(self) -> tuple[str, float]:
        """The same span a year before, or the latest period where one period is told: its name and value."""
        days, values, ahead = self.series.days, self.series.values, self.plan.ahead
        at = len(values) - (self.series.per_year if self.summed else 1)
        end = at + (ahead if self.summed else 1)
        then = f"in {self._when(days[at])}"
        if end - at > 1:
            then = f"from {self._when(days[at])} to {self._when(days[end - 1])}"
        return then, sum(values[at:end])

    def _change(self) -> float | None:
        return formulas.change_percent(self.main.value, self._before()[1])

    def _compared(self) -> list[list[Span]]:
        change = self._change()
        if change is None:
            return []
        then, before = self._before()
        amount = self.found.amount("before", before, "periods", f"value {then}")
        fact = self.found.percent("change", change, "periods", f"on the value {then}, without its sign", bare=True)
        if abs(change) < LEAST_CHANGE:
            return [say(f"That is as much as {then} ({{before}}).", before=amount)]
        return [say(f"That is {{change}} {words.more(change)} than {then} ({{before}}).", change=fact, before=amount)]

    def _record(self) -> list[list[Span]]:
        """Which method, how far off it was, and how many past values the band held."""
        best, plan = self.best, self.plan
        facts = {
            "origins": self.found.count("origins", plan.origins, "periods", "starts of the back-test"),
            "error": self.found.percent("wmape", best.wmape, "periods", "backtest.wmape of the periods"),
        }
        span = f"up to {plan.ahead} {self.grain}s" if plan.ahead > 1 else f"one {self.grain}"
        errors = f"On average its errors came to {{error}} of the value of a {self.grain} (wMAPE)"
        if best.mase is not None:
            text = words.number(best.mase, 2)
            facts["mase"] = self.found.fact(
                "mase", best.mase, "number", text, "periods", "backtest.mase of the periods"
            )
            errors += ", or {mase} times the usual change on the year before (MASE)"
        method = (
            f"The method is {best.method.name}: of {words.spelled(len(self.records))}, the simplest within"
            f" 5{words.NBSP}% of the smallest error. It was tested from {{origins}} points in the past, each time"
            f" {span} ahead. {errors}."
        )
        sentences = [say(method, **facts)]
        if tested := self.coverage.tested:
            held = self.found.percent(
                "coverage", self.coverage.share, "periods", "backtest.coverage: past values within the band"
            )
            n = self.found.count("tested", tested, "periods", "past values tested against the band")
            sentences.append(
                say("The band that was known at the time held {share} of {n} past values.", share=held, n=n)
            )
        if best.method.key in FLAT and len(self.ahead) > 1 and len({self._rounded(b.value) for b in self.ahead}) == 1:
            sentences.append(say(f"This method gives one level for all {self.grain}s ahead."))
        return sentences

    def _methods(self) -> None:
        rows = []
        for trial in sorted(self.records, key=lambda trial: METHODS.index(trial.method)):
            key, scaled = trial.method.key, "n/a"
            note = f"of the method {key}"
            error = self.found.percent(f"wmape/{key}", trial.wmape, "periods", f"backtest.wmape {note}").text
            if trial.mase is not None:
                text = words.number(trial.mase, 2)
                scaled = self.found.fact(
                    f"mase/{key}", trial.mase, "number", text, "periods", f"backtest.mase {note}"
                ).text
            name = trial.method.name
            rows.append([f"{name[:1].upper()}{name[1:]}", error, scaled, "chosen" if trial is self.best else ""])
        columns = ["Method, the simplest first", "wMAPE", "MASE", "Choice"]
        self.found.table("Error of each method in past tests", columns, rows, "periods")

    def _chart(self) -> None:
        shown = _SHOWN[self.series.per_year]
        days, values = self.series.days[-shown:], self.series.values[-shown:]
        pairs = list(zip(self.coming, self.ahead, strict=True))
        past = [{"period": day, "value": value} for day, value in zip(days, values, strict=True)]
        fan = [{"period": days[-1], "value": values[-1], "low": values[-1], "high": values[-1]}]
        fan += [{"period": day, "value": b.value, "low": b.low, "high": b.high} for day, b in pairs]
        value, low, high = (self._rounded(part) for part in (self.main.value, self.main.low, self.main.high))
        title = f"Forecast for {self._span()}: {value}, with a band from {low} to {high}"
        least, most = min(b.low for b in self.ahead), max(values)
        zero = min(least, *values) >= 0 and min(least, *values) < 0.4 * most
        subtitle = (
            f"{self.name} per {self.grain}: past (dark), forecast (dashed), 80{words.NBSP}% band from"
            f" {self.plan.origins} past tests." + ("" if zero else " Axis not from zero.")
        )
        first, last = self._when(days[0]), self._when(self.coming[-1])
        alt = f"Line chart of {len(past)} {self.grain}s and {len(pairs)} ahead, {first} to {last}: {title}."
        cells = [
            [words.period(day, self.grain, brief=True), *(self._rounded(part) for part in (b.value, b.low, b.high))]
            for day, b in pairs
        ]
        columns = [self.grain.capitalize(), "Forecast", f"10{words.NBSP}%", f"90{words.NBSP}%"]
        spec = forecast_charts.fan(past, fan, zero=zero)
        self.found.figure("forecast", title, subtitle, alt, spec, columns, cells, "periods")

    def _tests(self) -> dict[str, Any]:
        """Begun one period later, the whole choice must come out within the band; too few values held is a doubt."""
        later = backtest.run(self.series.values[1:], self.series.per_year)
        comparable = later is not None and later.plan.ahead == self.plan.ahead
        moved = self._main(later).value if later and comparable else None
        return confidence.judge(
            self.found.profile,
            "Outlook",
            None if moved is None else self.main.low <= moved <= self.main.high,
            complete=not self.series.missing,
            cycles=len(self.series.values) // self.series.per_year,
            doubt=self.coverage.doubt,
            most=self.coverage.most,
        )
