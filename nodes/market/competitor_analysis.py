"""The task type ``competitor_analysis``: who leads, who gained and lost, how concentrated, who came and went.

For amounts these are shares; for prices and rates only changes (see ``levels``).  What is compared need not be
companies: then the words are those of the column ("sources"), never "players".
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.engine import MADE_WITH
from holdfast.nodes.data.models import Entity, Profile
from holdfast.nodes.market import (
    comings,
    competitor_charts,
    crossings,
    formulas,
    level_changes,
    levels,
    share_tests,
    words,
)
from holdfast.nodes.market.findings import Findings, opened_cells, profile_in, say
from holdfast.nodes.market.shares import LEAST_MOVE, Shares, Standing
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Fact, Span

MOST_UNKNOWN = 20.0  # percent that names nobody, beyond which no concentration is told; our own convention
_SHARES = (
    "SELECT frame, entity, value, CASE WHEN min(value) OVER (PARTITION BY frame) >= 0 THEN 100 * value /"
    " nullif(sum(value) OVER (PARTITION BY frame), 0) END AS share FROM (SELECT"
    " CAST(date_trunc('{frame}', period) AS DATE) AS frame, entity, sum(value) / {per} AS value FROM cells GROUP BY"
    " 1, 2)"
)

QUERIES = {
    "shares": f"SELECT * FROM ({_SHARES}) ORDER BY frame, share DESC, entity",
    "concentration": (
        "SELECT frame, sum(share * share) AS hhi, sum(share) AS named, sum(share) FILTER (place <= 4) AS cr4, count(*)"
        " FILTER (value > 0) AS entities FROM (SELECT *, row_number() OVER (PARTITION BY frame ORDER BY share DESC,"
        f" entity) AS place FROM ({_SHARES}) WHERE entity IS NOT NULL) GROUP BY frame ORDER BY frame"
    ),
    "presence": (
        "SELECT entity, min(period) AS first, max(period) AS last, count(*) AS n FROM cells WHERE value > 0 AND entity"
        " IS NOT NULL GROUP BY entity ORDER BY entity"
    ),
}


@task_type("competitor_analysis", pure=True, made_with=MADE_WITH)
async def competitor_analysis(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Shares, winners and losers in percentage points, concentration, entries and exits; for prices their changes."""
    profile = profile_in(inputs)
    return await asyncio.to_thread(_write, profile, ctx)


def _write(profile: Profile, ctx: TaskContext) -> dict[str, Any]:
    with opened_cells(ctx.stored(profile.cells)) as engine:
        found = Findings(profile, "competitor_analysis", title_for(profile), {**QUERIES, **levels.QUERIES}, engine)
        if profile.roles.measure.kind == "intensive":
            return found.result(**level_changes.write_comparison(found))
        if profile.roles.entity is None:
            found.say(
                "The file has no column that says who or what the amounts belong to, so there are no shares to compare."
            )
            return found.result()
        return Comparison(found, profile.roles.entity).write()


def title_for(profile: Profile) -> str:
    """Companies are competitors; anything else is a mix."""
    entity = profile.roles.entity
    if entity is None or entity.company or profile.roles.measure.kind == "intensive":
        return "Competitor analysis"
    return f"Competitor analysis: the mix of {entity.plural}"


class Comparison(Shares):
    """The text and the table of the section for amounts that can be summed."""

    def __init__(self, found: Findings, entity: Entity) -> None:
        super().__init__(found, entity)
        self.begun = comings.find_begun(self) if len(self.frames) > 1 else {}

    def write(self) -> dict[str, Any]:
        """Text, table and charts, and beside the section the names that other subtasks speak of."""
        if not self.standings:
            self.found.say(
                f"No {self.entity.noun} is named in a complete {self.grain} without negative amounts, so there are no"
                " shares to compare."
            )
            return self.found.result()
        self.found.paragraph([*self._leader(), *self._number(), *self._named()])
        competitor_charts.draw_ranking(self)
        self.found.paragraph(self._concentration())
        names: dict[str, Any] = {"leader": self.standings[0].name}
        if len(self.frames) > 1:
            names |= self._moves()
            competitor_charts.draw_moves(self)
            names |= comings.write_comings(self)
            names |= crossings.write_overtaking(self)
            names |= crossings.write_crossing(self)
        if self.shown():
            self._table()
        competitor_charts.draw_lines(self)
        return self.found.result(competition=names, tests=share_tests.of_shares(self, names))

    def _leader(self) -> list[list[Span]]:
        leader = self.standings[0]
        amount = self.found.amount(f"last/{leader.name}", leader.last, "shares")
        verb = f"led {self.last} with a share of" if self.rivals else f"had the largest share of {self.last}:"
        template = f"{{name}} {verb} {{share}} ({{amount}} in {{measure}})"
        facts: dict[str, Fact | str] = {
            "name": leader.name,
            "share": self.share(leader),
            "amount": amount,
            "measure": words.quoted(self.profile.roles.measure.column),
        }
        if len(self.standings) > 1:
            second = self.standings[1]
            ahead = leader.share_last - second.share_last
            gap = self.found.points("lead", ahead, "shares", "difference of two shares")
            level = ahead < LEAST_MOVE
            template += ", level with {second} ({other})" if level else ", {gap} points ahead of {second} ({other})"
            facts |= {"second": second.name, "other": self.share(second), **({} if level else {"gap": gap})}
        result = [say(template + ".", **facts)]
        if len(self.frames) > 1:
            old = max(self.standings, key=lambda s: (s.share_first, s.name))
            share, name = self.share(old, at_start=True), old.name
            if old is leader:
                result.append(say(f"It was also the largest in {self.first}, with {{share}}.", share=share))
            elif old.share_first - leader.share_first < LEAST_MOVE:
                result.append(say(f"In {self.first} it was level with {{name}} ({{share}}).", name=name, share=share))
            else:
                result.append(say(f"In {self.first} {{name}} was the largest, with {{share}}.", name=name, share=share))
        return result

    def _number(self) -> list[list[Span]]:
        present = sum(s.last > 0 for s in self.standings)
        everyone = len({row["entity"] for row in self.found.rows("presence")})
        active = self.found.count("active", present, "shares", "counted in the rows")
        noun = self.entity.noun if present == 1 else self.entity.plural
        has = "has an amount" if present == 1 else "have amounts"
        if everyone == present:
            return [say(f"{{n}} {noun} {has} in {self.last}.", n=active)]
        template = f"{{n}} {noun} {has} in {self.last}, of {{all}} in the whole file."
        return [say(template, n=active, all=self.found.count("everyone", everyone, "presence", "counted in the rows"))]

    def _named(self) -> list[list[Span]]:
        """Where those stand whom the goal names."""
        named = [one.values for one in self.profile.scope if one.column == self.entity.column and not one.filtered]
        places = {s.name: place for place, s in enumerate(self.standings, 1)}
        result = []
        for name in named[0][:3] if named else ():
            if name not in places or not self.standings[places[name] - 1].last:
                continue
            place = self.found.count(f"place/{name}", places[name], "shares", "counted in the rows")
            share = self.share(self.standings[places[name] - 1])
            template = f"{{name}}, which the goal names, held {{share}} of {self.last} (place {{place}})."
            result.append(say(template, name=name, share=share, place=place))
        return result

    def _concentration(self) -> list[list[Span]]:
        rows = {row["frame"]: row for row in self.found.rows("concentration", frame=self.grain, per=self.per)}
        index = formulas.hhi([share for _, share in self.cells[self.frames[-1]].values()])
        if index is None or index <= 0:
            return []
        row = rows[self.frames[-1]]
        if (unknown := 100 - row["named"]) > MOST_UNKNOWN:
            share = self.found.percent("not_stated_last", unknown, "concentration", "100 less the named shares")
            template = (
                f"{{share}} of {self.last} names no {self.entity.noun}: that is too much to tell a concentration."
            )
            return [say(template, share=share)]
        last = self.found.fact("hhi_last", row["hhi"], "index", words.number(row["hhi"]), "concentration")
        word = formulas.concentration(row["hhi"])
        self.found.fact(
            "hhi_limit",
            formulas.HIGH_HHI,
            "index",
            words.number(formulas.HIGH_HHI),
            "concentration",
            "US Merger Guidelines",
        )
        self.found.fact("hhi_word", word, "text", word, "concentration")
        alike = self.found.fact(
            "equal_sized",
            10_000 / row["hhi"],
            "number",
            words.number(10_000 / row["hhi"], 0 if row["hhi"] < 3000 else 1),
            "concentration",
            "10,000 / HHI",
        )
        what = (
            "The Herfindahl–Hirschman index (HHI)"
            if self.entity.company
            else "Concentration of the mix (Herfindahl–Hirschman index, HHI)"
        )
        template, facts = f"{what} was {{last}} in {self.last}", {"last": last}
        start = rows[self.frames[0]]
        if len(self.frames) > 1 and start["hhi"] is not None:
            facts["first"] = self.found.fact(
                "hhi_first", start["hhi"], "index", words.number(start["hhi"]), "concentration"
            )
            template += f" and {{first}} in {self.first}"
        template += f", on a scale from 0 to 10,000: {word}, like {{alike}} {self.entity.plural} of equal size."
        result = [say(template, **facts, alike=alike)]
        if row["entities"] >= 5:
            four = words.listed([s.name for s in self.standings[:4]])
            cr4 = self.found.percent("cr4", row["cr4"], "concentration", "CR4")
            result.append(say("The four largest ({names}) held {cr4} together (CR4).", names=four, cr4=cr4))
        if self.entity.company:
            result.append(
                say(
                    f"The index counts {self.entity.plural}, not their owners; it is a screening figure, no legal"
                    " finding."
                )
            )
        return result

    def _moves(self) -> dict[str, Any]:
        """Winners and losers of share; ``harm`` has neither."""
        gains = sorted((s for s in self.standings if s.visibly > 0), key=lambda s: (-s.move, s.name))
        losses = sorted((s for s in self.standings if s.visibly < 0), key=lambda s: (s.move, s.name))
        sentences = []
        for side, verb in ((gains, "gained"), (losses, "lost")):
            if not side:
                continue
            best, *others = side[:4]
            template = (
                f"{{name}} {verb} {{move}} points of share from {self.first} to {self.last}, from {{before}} to"
                " {after}"
            )
            facts: dict[str, Fact | str] = {
                "name": best.name,
                "move": self.move(best),
                "before": self.share(best, at_start=True),
                "after": self.share(best),
            }
            if others:
                template += (
                    f", the most; then {'come' if len(others) > 1 else 'comes'}"
                    f" {words.listed([f'{{name{i}}} ({{move{i}}})' for i in range(len(others))])}"
                )
                for i, other in enumerate(others):
                    facts |= {f"name{i}": other.name, f"move{i}": self.move(other)}
            sentences.append(say(template + ".", **facts))
        self.found.paragraph(sentences)
        splits = {standing.name: self._split(standing) for standing in [*gains[:1], *losses[:1]]}
        return {
            "splits": splits,
            "gainers": [s.name for s in gains[:4]],
            "losers": [s.name for s in losses[:4]],
        }

    def _split(self, standing: Standing) -> dict[str, float]:
        """How much of the change in amount came with the market and how much from share, with their signs.

        Of who was not there from the start nothing can be said to have come with the market: then only the change is.
        """
        first, last = (
            sum(value for value, _ in self.cells[frame].values()) for frame in (self.frames[0], self.frames[-1])
        )
        change = abs(standing.last - standing.first)
        self.found.amount(f"added/{standing.name}", change, "shares", "last less first, without sign")
        if not standing.first or standing.name in self.begun:
            return {}
        split = formulas.split_change(standing.first, standing.last, first, last)
        if split:
            rounded = round if self.profile.roles.measure.whole else float
            self.found.amount(
                f"by_market/{standing.name}",
                rounded(abs(split.market)),
                "shares",
                "share at the start × change of the total",
            )
            self.found.amount(
                f"by_share/{standing.name}", rounded(abs(split.share)), "shares", "change of share × total at the end"
            )
        return {"market": split.market, "share": split.share} if split else {}

    def _growth(self, standing: Standing) -> str:
        years = dt.date.fromisoformat(self.frames[-1]).year - dt.date.fromisoformat(self.frames[0]).year
        known = years >= 2 and standing.name not in self.begun
        rate = formulas.cagr(standing.first, standing.last, years, len(self.frames)) if known else None
        return (
            "n/a"
            if rate is None
            else self.found.percent(f"cagr/{standing.name}", rate, "shares", "CAGR", plus=True).text
        )

    def _table(self) -> None:
        several = len(self.frames) > 1
        columns = [self.entity.noun.capitalize(), f"{self.profile.roles.measure.column} {self.last}", "Share"]
        if several:
            columns += [f"Share change since {self.first}, points", f"On {self.name_of(self.frames[-2])}", "CAGR"]
        rows = [self._line(standing, several) for standing in self.shown()]
        caption = (
            f"The {len(rows)} largest {self.entity.plural} of {self.last}"
            if len(rows) < sum(s.last > 0 for s in self.standings)
            else f"All {self.entity.plural} in {self.last}"
        )
        self.found.table(caption, columns, rows, "shares")

    def _line(self, s: Standing, several: bool) -> list[str]:
        amount = self.found.amount(f"exact/{s.name}", s.last, "shares", exactly=True).text
        line = [s.name, amount, self.share(s).text]
        if not several:
            return line
        move = self.found.points(f"signed_move/{s.name}", s.move, "shares", "last share less first", plus=True).text
        change = formulas.change_percent(s.last, s.before)
        on_before = (
            "n/a"
            if change is None
            else self.found.percent(f"change/{s.name}", change, "shares", "on the one before", plus=True).text
        )
        return [*line, move, on_before, self._growth(s)]
