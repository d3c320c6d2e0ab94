"""A changing panel: growth of a whole beside that of those who report in every sub-period of both years.

``profile_data`` compares the two where more than a tenth more sites, stations or countries report than before; the
overview, the summary and the recommendations take what it found from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.nodes.data import holes
from holdfast.nodes.data.cells import cells_sql, splits_weeks
from holdfast.nodes.data.engine import literal
from holdfast.nodes.data.models import Entity, Panel, Profile, Roles
from holdfast.nodes.market import formulas, words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.report.document import Fact, Section, Span

GROWN = 0.1  # of the reporting entities, beyond which growth is also told for those that were there throughout
LEAST_STEADY = 2
Which = Literal["last", "first"]  # the last complete period against the one before, or against the first
PERIODS: tuple[Which, ...] = ("last", "first")


@dataclass(frozen=True, slots=True)
class Compared:
    """Two complete periods: how many report, the whole, and those who report in every sub-period of both."""

    which: Which
    start: str
    reporting: tuple[int, int]
    steady: int
    whole: float
    like_for_like: float

    @property
    def flips(self) -> bool:
        """Whether the whole went one way and those present throughout the other."""
        return (self.whole > 0) != (self.like_for_like > 0)


def pairs(profile: Profile) -> dict[Which, str]:
    """The periods with which the last complete one is compared; none without a panel or for levels."""
    if profile.roles.panel is None or profile.roles.measure.kind == "intensive" or len(profile.frames) < 2:
        return {}
    return {"last": profile.frames[-2], **({"first": profile.frames[0]} if len(profile.frames) > 2 else {})}


def is_sample(profile: Profile) -> bool:
    """Whether what is added is that of the places in the file, beside which there may be others."""
    roles = profile.roles
    return bool(roles.panel and roles.entity and roles.panel.column == roles.entity.column and not roles.entity.totals)


def query(profile: Profile, start: str) -> str:
    """Both periods with the number that report, their total, and the total of those there in each sub-period."""
    roles = _by_panel(profile.roles)
    reported = cells_sql(roles).removeprefix("WITH cells AS ")
    both = f"DATE '{start}', DATE '{profile.frames[-1]}'"
    return (
        f"WITH reported AS {reported}, pair AS (SELECT * FROM (SELECT CAST(date_trunc('{profile.frame}', period) AS"
        " DATE) AS frame, period, entity AS who, value AS v FROM reported WHERE entity IS NOT NULL) WHERE frame IN"
        f" ({both})), there AS ({_there(roles, profile.frame, both)}), steady AS (SELECT who FROM there GROUP BY who"
        " HAVING count(DISTINCT period) = (SELECT count(DISTINCT period) FROM there)) SELECT frame, count(DISTINCT who)"
        " AS reporting, sum(v) AS whole, sum(CASE WHEN who IN (SELECT who FROM steady) THEN v END) AS same, (SELECT"
        " count(*) FROM steady) AS steady FROM pair GROUP BY frame ORDER BY frame"
    )


def _there(roles: Roles, frame: str, both: str) -> str:
    """Who reports when: in the periods of the pair, or in every week that lies in it where weeks are divided."""
    if not splits_weeks(roles):
        return "SELECT who, period FROM pair"
    weeks = cells_sql(holes.weekly(roles)).removeprefix("WITH cells AS ")
    ends = (f"CAST(date_trunc('{frame}', {day}) AS DATE) IN ({both})" for day in ("period", "period + 6"))
    return f"SELECT entity AS who, period FROM {weeks} WHERE entity IS NOT NULL AND ({' OR '.join(ends)})"


def _by_panel(roles: Roles) -> Roles:
    """The roles with those who report in place of what is compared, so that both are added in one way."""
    panel, value = roles.panel, roles.measure.sql
    assert panel
    if roles.entity and roles.entity.totals:
        listed = ", ".join(literal(total) for total in roles.entity.totals)
        value = f"CASE WHEN ({roles.entity.sql}) IN ({listed}) THEN NULL ELSE {value} END"
    who = Entity(column=panel.column, noun=panel.one, plural=panel.many, company=False, sql=panel.sql)
    measure = roles.measure.model_copy(update={"sql": value})
    return roles.model_copy(update={"entity": who, "measure": measure, "price": None})


def compare(found: Findings, which: Which, start: str) -> Compared | None:
    """What the query says, with its facts; None unless clearly more report than before and enough were there always."""
    rows = found.rows(f"panel_{which}")
    if len(rows) != 2 or rows[1]["reporting"] <= (1 + GROWN) * rows[0]["reporting"]:
        return None
    before, last = rows
    whole = formulas.change_percent(last["whole"], before["whole"])
    same = formulas.change_percent(last["same"] or 0, before["same"] or 0)
    if whole is None or same is None or last["steady"] < LEAST_STEADY:
        return None
    name = f"panel_{which}"
    found.count(f"{name}_before", before["reporting"], name)
    found.count(f"{name}_now", last["reporting"], name)
    found.count(f"{name}_steady", last["steady"], name, "in every sub-period of both")
    found.percent(f"{name}_change", abs(same), name, "of those in every sub-period of both, without its sign")
    found.percent(f"{name}_whole", abs(whole), name, "of all, without its sign")
    reporting = (before["reporting"], last["reporting"])
    return Compared(which, start, reporting, last["steady"], whole, same)


def quality_line(profile: Profile, found: Compared) -> tuple[str, str, str, str]:
    """The row of the data quality table."""
    panel = profile.roles.panel
    assert panel
    start, last = (words.period(day, profile.frame) for day in (found.start, profile.frames[-1]))
    before, now = (words.number(n) for n in found.reporting)
    same, whole = (words.percent(change, plus=True) for change in (found.like_for_like, found.whole))
    effect = f"{same} like for like, {whole} in all"
    return (
        f"Changing panel: {before} {panel.many} in {start}, {now} in {last}",
        f"{words.counted(found.steady, panel.one, panel.many)} in {_throughout(profile)}",
        "growth is also given for these alone",
        effect + ("; the sign differs, so the headline is the former" if found.flips else ""),
    )


def _throughout(profile: Profile) -> str:
    grain = "week" if splits_weeks(profile.roles) else profile.roles.time.grain
    return f"every {grain} of both" if grain != profile.frame else "both"


def beside(comparisons: list[Compared]) -> dict[str, Any]:
    """What other subtasks need to know beside the facts."""
    return {
        one.which: {"start": one.start, "whole": one.whole, "like_for_like": one.like_for_like, "flips": one.flips}
        for one in comparisons
    }


@dataclass(frozen=True, slots=True)
class Seen:
    """One comparison as the later subtasks see it: its facts and what was said beside them."""

    profile: Profile
    panel: Panel
    which: Which
    start: str
    whole: float
    like_for_like: float
    flips: bool
    facts: dict[str, Fact]  # by before, now, steady, change, whole

    def note(self) -> str:
        """What a chart of the whole has to say beside it."""
        start, last = (words.period(day, self.profile.frame) for day in (self.start, self.profile.frames[-1]))
        before, now = (self.facts[key].text for key in ("before", "now"))
        return f" {before} {self.panel.many} report in {start}, {now} in {last}."

    def sentences(self) -> list[list[Span]]:
        """What changed like for like, and what the whole did."""
        start, last = (words.period(day, self.profile.frame) for day in (self.start, self.profile.frames[-1]))
        throughout = _throughout(self.profile)
        first = say(
            f"Like for like, {{measure}} {words.moved(self.like_for_like)} {{change}} from {start} to {last}, counted"
            f" over the {{steady}} {self.panel.many} that report in {throughout}.",
            measure=words.quoted(self.profile.roles.measure.column),
            change=self.facts["change"],
            steady=self.facts["steady"],
        )
        second = say(
            f"The whole {words.moved(self.whole)} {{whole}}, with {{now}} {self.panel.many} in the file instead of"
            " {before}.",
            whole=self.facts["whole"],
            now=self.facts["now"],
            before=self.facts["before"],
        )
        return [first, second]


def seen(profile: Profile, inputs: Mapping[str, Any]) -> list[Seen]:
    """The comparisons that ``profile_data`` made, from a subtask's inputs."""
    result = next((v for v in inputs.values() if isinstance(v, dict) and v.get("panel")), None)
    panel = profile.roles.panel
    if result is None or panel is None:
        return []
    facts = {fact.id: fact for fact in Section.model_validate(result).facts}
    return [
        Seen(
            profile,
            panel,
            which,
            told["start"],
            told["whole"],
            told["like_for_like"],
            told["flips"],
            {key: facts[f"data_quality.panel_{which}_{key}"] for key in ("before", "now", "steady", "change", "whole")},
        )
        for which in PERIODS
        if (told := result["panel"].get(which))
    ]
