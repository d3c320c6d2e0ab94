"""The task type ``market_overview``: how large, which way, and since when.  Levels are shown, never summed."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.engine import MADE_WITH
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import (
    confidence,
    constant_parts,
    figures,
    formulas,
    level_overview,
    levels,
    panel,
    words,
    worth,
)
from holdfast.nodes.market.findings import Findings, Row, opened_cells, profile_in, say
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Fact, Span

MOST_BARS = 14  # with a label each
MOST_DRAWN, MOST_LISTED = 60, 40  # of the chart's bars, of the table's rows

QUERIES = {
    "size": (
        "SELECT CAST(date_trunc('{frame}', period) AS DATE) AS frame, sum(value) / {per} AS total, count(DISTINCT"
        " period) AS periods, count(DISTINCT entity) AS entities FROM cells GROUP BY 1 ORDER BY 1"
    ),
    "everything": (
        "SELECT sum(value) AS total, sum(n)::BIGINT AS rows, count(DISTINCT period) AS periods, min(period) AS first, "
        "max(period) AS last, count(DISTINCT entity) AS entities FROM cells"
    ),
    "course": (
        "SELECT period, sum(value) AS total, CASE WHEN count(*) OVER w = 12 THEN avg(sum(value)) OVER w END AS mean"
        " FROM cells GROUP BY period WINDOW w AS (ORDER BY period ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) ORDER BY"
        " period"
    ),
    "like_for_like": (
        "SELECT year(period) AS year, sum(value) / {per} AS total, count(DISTINCT period) AS periods FROM cells WHERE"
        " year(period) IN ({year} - 1, {year}) AND month(period) IN (SELECT month(period) FROM cells WHERE year(period)"
        " = {year}) GROUP BY 1 ORDER BY 1"
    ),
}


@task_type("market_overview", pure=True, made_with=MADE_WITH)
async def market_overview(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Size of the market per complete period, its growth and course; for prices and rates their latest levels."""
    profile = profile_in(inputs)
    parts = constant_parts.told_in(inputs)
    return await asyncio.to_thread(_write, profile, panel.seen(profile, inputs), parts, ctx)


def _write(
    profile: Profile, panels: list[panel.Seen], parts: constant_parts.Told | None, ctx: TaskContext
) -> dict[str, Any]:
    with opened_cells(ctx.stored(profile.cells)) as engine:
        queries = {**QUERIES, **levels.QUERIES, "worth": worth.QUERY}
        found = Findings(profile, "market_overview", "Market overview", queries, engine)
        if profile.roles.measure.kind == "intensive":
            return found.result(**level_overview.write_overview(found, parts))
        return Overview(found, panels).write()


class Overview:
    """The section for amounts that can be summed."""

    def __init__(self, found: Findings, panels: list[panel.Seen]) -> None:
        self.found, self.profile, self.panels = found, found.profile, panels
        self.frame = self.profile.frame
        self.name = words.quoted(self.profile.roles.measure.column)
        self.stock = self.profile.roles.measure.kind == "stock"
        self.per = "count(DISTINCT period)" if self.stock else "1"
        complete = set(self.profile.frames)
        self.sizes = [row for row in found.rows("size", frame=self.frame, per=self.per) if row["frame"] in complete]

    def write(self) -> dict[str, Any]:
        """Text, table and charts; beside the section what was tested of its findings."""
        if self.sizes:
            lead = [seen for seen in self.panels if seen.flips]
            for seen in (*lead, *(seen for seen in self.panels if seen not in lead)):
                self.found.borrow(list(seen.facts.values()))
                self.found.paragraph(seen.sentences())
            self.found.paragraph(self._direction())
        self.found.paragraph(self._everything())
        self.found.paragraph(self._incomplete())
        if len(self.sizes) >= 2:
            self._table()
            self._size_chart()
        if self.profile.roles.time.grain == "month" and self.frame == "year" and self.profile.periods >= 24:
            self._course_chart()
        worth.write(self.found)
        return self.found.result(tests=self._tests())

    def when(self, row: Row) -> str:
        """A frame's name."""
        return words.period(row["frame"], self.frame)

    def total(self, row: Row) -> Fact:
        """A frame's size."""
        note = "mean of its periods" if self.stock else ""
        return self.found.amount(f"total_{row['frame']}", row["total"], "size", note)

    def _direction(self) -> list[list[Span]]:
        first, last = self.sizes[0], self.sizes[-1]
        self.found.amount("total_last", last["total"], "size")
        self.found.fact("frame_last", self.when(last), "text", self.when(last), "size")
        self.found.fact("frame_first", self.when(first), "text", self.when(first), "size")
        came = ("averaged" if self.profile.per_frame > 1 else "was") if self.stock else "came to"
        places: dict[str, Fact | str] = {"measure": self.name, "total": self.total(last), "when": self.when(last)}
        template = f"{{measure}} {came} {{total}} in {{when}}"
        if panel.is_sample(self.profile) and self.profile.roles.panel and last["entities"] > 1:
            template += f", added over the {{n}} {self.profile.roles.panel.many} in the file"
            places["n"] = self.found.count("sample", last["entities"], "size", "with a row")
        opening = say(template + ".", **places)
        if len(self.sizes) < 2:
            return [opening]
        return [opening, *self._growth(first, last), *self._extremes()]

    def _growth(self, first: Row, last: Row) -> list[list[Span]]:
        before = self.sizes[-2]
        result = []
        if (yoy := formulas.change_percent(last["total"], before["total"])) is not None:
            self.found.percent("change_last", yoy, "size", f"{self.when(last)} on {self.when(before)}")
            bare = self.found.percent("change_last_size", abs(yoy), "size", "without its sign")
            result.append(say(f"That is {words.than(yoy, 'in {when}')}.", change=bare, when=self.when(before)))
        change = formulas.change_percent(last["total"], first["total"])
        if change is not None and len(self.sizes) > 2:
            self.found.percent("change_first_last", change, "size", f"{self.when(last)} on {self.when(first)}")
            bare = self.found.percent("change_first_last_size", abs(change), "size", "without its sign")
            template = f"Against {{when}}, with {{total}}, it is {words.more_by(change)}"
            growth = self.yearly_growth(self.sizes)
            if growth is None:
                return [*result, say(template + ".", when=self.when(first), total=self.total(first), change=bare)]
            cagr = self.found.percent("cagr", growth, "size", f"CAGR, {self.when(first)} to {self.when(last)}")
            template += "; compound annual growth (CAGR) is {cagr}."
            result.append(say(template, when=self.when(first), total=self.total(first), change=bare, cagr=cagr))
        return result

    def yearly_growth(self, sizes: list[Row]) -> float | None:
        """CAGR from the first to the last of ``sizes``; none if they span less than two years."""
        first, last = sizes[0], sizes[-1]
        years = (dt.date.fromisoformat(last["frame"]) - dt.date.fromisoformat(first["frame"])).days / 365.25
        years = round(years) if self.frame == "year" else years
        return formulas.cagr(first["total"], last["total"], years, len(sizes)) if years >= 2 else None

    def _extremes(self) -> list[list[Span]]:
        if len(self.sizes) < 3:
            return []
        high = max(self.sizes, key=lambda row: row["total"])
        low = min(self.sizes, key=lambda row: row["total"])
        if high["total"] == low["total"]:
            return []
        many = words.spelled(len(self.sizes))
        self.found.fact("frame_high", self.when(high), "text", self.when(high), "size")
        self.found.fact("frame_low", self.when(low), "text", self.when(low), "size")
        self.found.count("frames", len(self.sizes), "size", "counted in the rows")
        template = (
            f"Of {many} complete {self.frame}s {{high}} was the highest ({{most}}) and {{low}} the lowest ({{least}})."
        )
        return [say(template, high=self.when(high), most=self.total(high), low=self.when(low), least=self.total(low))]

    def _tests(self) -> dict[str, Any]:
        """Direction, extremes and the young year, each again with the start moved by one period."""
        one_panel = not any(seen.flips for seen in self.panels)
        tests = {
            "size": confidence.judge(self.profile, "Size and growth", self._growth_holds(), complete=one_panel),
            "extremes": confidence.judge(self.profile, "Highest and lowest", self._extremes_hold(), complete=one_panel),
            "rows": confidence.judge(self.profile, "What the figures rest on", True),
        }
        if part := self.profile.partial_last:
            tests["young_year"] = confidence.judge(
                self.profile, f"The part of {part.year}", self._young_holds(), complete=False, cycles=1
            )
        if self.panels:
            signs = {seen.like_for_like > 0 for seen in self.panels}
            holds = len(signs) == 1 if len(self.panels) > 1 else None
            tests["panel"] = confidence.judge(self.profile, "Growth like for like", holds, complete=False)
        return tests

    def _growth_holds(self) -> bool | None:
        moved = self.yearly_growth(self.sizes[1:]) if len(self.sizes) > 3 else None
        return confidence.same_sign(self.yearly_growth(self.sizes), moved)

    def _extremes_hold(self) -> bool | None:
        later = self.sizes[1:]
        return all(pick(self.sizes, key=_total) is pick(later, key=_total) for pick in (max, min)) if later else None

    def _young_holds(self) -> bool | None:
        """Whether the young year's change keeps its sign without its first period; None with a single one."""
        part = self.profile.partial_last
        if not part or self.profile.roles.time.grain == "year" or part.periods < 2:
            return None
        totals = {row["period"]: row["total"] for row in self.found.rows("course")}
        held = [day for day in totals if part.first <= day <= part.last]
        pairs = [
            (totals[day], before) for day in held if (before := totals.get(f"{part.year - 1}{day[4:]}")) is not None
        ]
        if len(pairs) < 2:
            return None
        changes = [now - before for now, before in pairs]
        return bool((sum(changes) > 0) == (sum(changes[1:]) > 0))

    def _everything(self) -> list[list[Span]]:
        row, grain = self.found.rows("everything")[0], self.profile.roles.time.grain
        rows = self.found.count("rows_used", row["rows"], "everything")
        periods = self.found.count("periods", row["periods"], "everything")
        start, end = words.period(row["first"], grain), words.period(row["last"], grain)
        if self.stock:
            return [
                say(
                    f"The figures rest on {{rows}} rows over {{n}} {self._unit(row)}, {start} to {end}; a stock is"
                    " averaged over time.",
                    rows=rows,
                    n=periods,
                )
            ]
        if self.profile.roles.measure.guessed:
            text = (
                f"The {{rows}} rows in use cover {{n}} {self._unit(row)}, {start} to {end}; they are not added over"
                f" time, since nothing says that {self.name} is an amount per {grain}."
            )
            return [say(text, rows=rows, n=periods)]
        total = self.found.amount("total_all", row["total"], "everything", exactly=True)
        whole = row["rows"] == self.profile.rows and not self.profile.overhang
        every = "All {rows} rows" if whole else "The {rows} rows in use"
        template = f"{every} together hold a total of {{total}} over {{n}} {self._unit(row)}, {start} to {end}."
        if self.profile.overhang:
            template += " The last week counts only with its days up to the end of that month."
        if self.profile.roles.measure.shared:
            template += " A week in two months is shared out by its days, so amounts of months and years are rounded."
        return [say(template, rows=rows, total=total, n=periods)]

    def _unit(self, row: Row) -> str:
        grain = self.profile.roles.time.grain
        return grain if row["periods"] == 1 else f"{grain}s"

    def _incomplete(self) -> list[list[Span]]:
        result = []
        if part := self.profile.partial_first:
            months = words.held(part, self.profile.roles.time.grain)
            result.append(
                say(f"{part.year} is incomplete at the start of the file ({months}) and left out of yearly figures.")
            )
        part = self.profile.partial_last
        if not part:
            return result
        grain = self.profile.roles.time.grain
        held = words.held(part, grain)
        why = (
            f"it holds {held}, {part.periods} of {part.usual} {grain}s"
            if grain != "year"
            else "it has far fewer rows than the years before"
        )
        result.append(say(f"{part.year} is incomplete: {why}. It is left out of every yearly figure."))
        return result + (self._like_for_like(part.year) if grain != "year" else [])

    def _like_for_like(self, year: int) -> list[list[Span]]:
        part = self.profile.partial_last
        rows = self.found.rows("like_for_like", year=year, per=self.per)
        if not part or len(rows) != 2 or rows[0]["periods"] != rows[1]["periods"]:
            return []
        change = formulas.change_percent(rows[1]["total"], rows[0]["total"])
        if change is None:
            return []
        grain = self.profile.roles.time.grain
        held, same = (words.held_of(part, grain, one) for one in (year, year - 1))
        self.found.fact("like_for_like_span", held, "text", held, "like_for_like")
        self.found.percent("like_for_like", change, "like_for_like", f"{held} on {same}", plus=True)
        bare = self.found.percent("like_for_like_size", abs(change), "like_for_like", "without its sign")
        total = self.found.amount("like_for_like_total", rows[1]["total"], "like_for_like")
        came = "averaged" if self.stock else "came to"
        template = f"Over the same {grain}s, {held} {came} {{total}}, {words.than(change, same)}."
        return [say(template, total=total, change=bare)]

    def _changes(self) -> list[str]:
        """Change on the frame before, as written; empty where there is none."""
        texts = [""]
        for before, row in zip(self.sizes, self.sizes[1:], strict=False):
            change = formulas.change_percent(row["total"], before["total"])
            texts.append("" if change is None else words.percent(change, plus=True))
            if change is not None:
                self.found.percent(f"change_{row['frame']}", change, "size", f"on {self.when(before)}", plus=True)
        return texts

    def _table(self) -> None:
        measure, most = self.profile.roles.measure, max(abs(row["total"]) for row in self.sizes)
        rounded = measure.shared or (not measure.whole and most >= 10_000)
        exact = [
            self.found.amount(f"exact_{row['frame']}", row["total"], "size", exactly=True).text for row in self.sizes
        ]
        rows = [
            [self.when(row), total, change or "n/a"]
            for row, total, change in zip(self.sizes, exact, self._changes(), strict=True)
        ]
        caption = f"{self.name} per complete {self.frame}" + (", rounded" if rounded else "")
        if len(rows) > MOST_LISTED:
            caption += f", the last {MOST_LISTED} of {len(rows)}"
        self.found.table(
            caption,
            [
                self.frame.capitalize(),
                "Mean" if self.stock and self.profile.per_frame > 1 else "Total",
                f"On {words.before(self.frame, self.profile.step)}",
            ],
            rows[-MOST_LISTED:],
            "size",
        )

    def _size_chart(self) -> None:
        shown, changes = self.sizes[-MOST_DRAWN:], self._changes()[-MOST_DRAWN:]
        top = max(row["total"] for row in shown)
        size, unit = next(
            ((s, n) for s, n in ((1e9, "billions"), (1e6, "millions"), (1e4, "thousands")) if top >= s), (1, "")
        )
        scale = 1e3 if size == 1e4 else size
        measure = self.profile.roles.measure

        def label(total: float) -> str:
            """As exact as in the text, so that no bar says something else."""
            if scale == 1:
                return words.exact(total, measure.whole, measure.places)
            return words.number(total / scale, 2 if scale >= 1e6 else 1)

        high, low = (pick(shown, key=_total) for pick in (max, min))
        marked = [high, low] if len(shown) > 2 and high["total"] > low["total"] else []
        values = [
            {
                "when": words.period(row["frame"], self.frame, brief=True),
                "value": row["total"],
                "label": label(row["total"]),
                "change": change,
                "marked": row in marked,
            }
            for row, change in zip(shown, changes, strict=True)
        ]
        title, message = self._size_title(shown)
        labelled = len(shown) <= MOST_BARS
        stated = measure.unit if measure.unit.casefold() != measure.column.casefold() else ""
        told = [self.name, stated if measure.unit else "unit not stated", unit if labelled else "", f"per {self.frame}"]
        subtitle = ", ".join(part for part in told if part)
        subtitle += f" and change on {words.before(self.frame, self.profile.step)}" if labelled else ""
        subtitle += f". Complete {self.frame}s only"
        subtitle += f", the last {len(shown)} of {len(self.sizes)}." if len(shown) < len(self.sizes) else "."
        subtitle += "".join(seen.note() for seen in self.panels[:1])
        alt = f"Bar chart, {self.when(shown[0])} to {self.when(shown[-1])}: {message}"
        columns = [self.frame.capitalize(), self.profile.roles.measure.column, "On the one before"]
        rows = [
            [self.when(row), words.exact(row["total"], measure.whole, measure.places), change or "n/a"]
            for row, change in zip(shown, changes, strict=True)
        ]
        spec = figures.bars_over_time(values, labels=labelled)
        self.found.figure("size", title, subtitle, alt, spec, columns, rows, "size")

    def _size_title(self, shown: list[Row]) -> tuple[str, str]:
        """A title that the totals shown bear out, and the same with two figures for who does not see the chart."""
        first, last = shown[0], shown[-1]
        high, low = (pick(shown, key=_total) for pick in (max, min))
        if high["total"] == low["total"]:
            title = f"Every {self.frame} from {self.when(first)} to {self.when(last)} came to the same"
            return title, f"{title}: {self.total(first).text}."
        figures_of = f"{self.total(first).text} in {self.when(first)}, {self.total(last).text} in {self.when(last)}."
        many = f"of {'the last ' * (len(shown) < len(self.sizes))}{words.spelled(len(shown))} complete {self.frame}s"
        if high is last and len(shown) > 2:
            title = f"{self.when(last)} was the highest {many}"
        elif low is last and len(shown) > 2:
            title = f"{self.when(last)} was the lowest {many}"
        elif len(shown) > 2:
            of = f" {many}" if len(shown) < len(self.sizes) else f" {self.frame}"
            title = f"{self.when(high)} was the highest{of}, {self.when(low)} the lowest"
        else:
            title = f"{self.when(last)} was {'above' if last['total'] > first['total'] else 'below'} {self.when(first)}"
        return title, f"{title}; {figures_of}"

    def _course_chart(self) -> None:
        rows, measure = self.found.rows("course"), self.profile.roles.measure
        values = [{"period": row["period"], "value": row["total"], "mean": row["mean"]} for row in rows]
        means = [row for row in rows if row["mean"] is not None]
        first, last = means[0], means[-1]
        title = self._course_title(means)
        zero = min(row["total"] for row in rows) < 0.4 * max(row["total"] for row in rows)
        subtitle = (
            f"{self.name} per month (thin) and mean of 12 months (thick),"
            f" {words.period(rows[0]['period'], 'month', brief=True)} to "
            + (
                f"{words.period(rows[-1]['period'], 'month', brief=True)}."
                + ("" if zero else " The axis does not start at zero.")
            )
        )
        alt = (
            f"Line chart of {len(rows)} months: {title}; the mean went from"
            f" {words.amount(first['mean'], not measure.shared, 0)} to"
            f" {words.amount(last['mean'], not measure.shared, 0)}."
        )
        cells = [
            [
                words.period(row["period"], "month", brief=True),
                words.exact(row["total"], measure.whole, measure.places),
                words.number(row["mean"]) if row["mean"] is not None else "",
            ]
            for row in rows
        ]
        self.found.figure(
            "course",
            title,
            subtitle,
            alt,
            figures.course(values, "12-month mean", zero),
            ["Month", self.profile.roles.measure.column, "12-month mean"],
            cells,
            "course",
        )

    def _course_title(self, means: list[Row]) -> str:
        """From the low to the later high of the moving mean, or the reverse, with the change between the two."""
        low, high = min(means, key=lambda row: row["mean"]), max(means, key=lambda row: row["mean"])
        start, end = sorted((low, high), key=lambda row: str(row["period"]))
        change = formulas.change_percent(end["mean"], start["mean"])
        names = [words.period(row["period"], "month", brief=True) for row in (start, end)]
        if change is None or abs(change) < words.LEAST_PERCENT or start is end:
            return "The months and their 12-month mean"
        by = self.found.percent("course_change", abs(change), "course", "12-month mean, without its sign").text
        if start is low:
            return f"The 12-month mean rose by {by} from its low in {names[0]} to its high in {names[1]}"
        return f"The 12-month mean fell by {by} from its high in {names[0]} to its low in {names[1]}"


def _total(row: Row) -> float:
    return float(row["total"])
