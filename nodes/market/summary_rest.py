"""Findings for the executive summary of files in which little can be seen: what fills it up to five, by facts alone."""

from __future__ import annotations

from holdfast.nodes.data import names
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.summary_amounts import Finding, Writer, measure_of
from holdfast.nodes.report.document import Fact


def _leader(known: Known) -> Finding | None:
    leader, entity = known.beside("competition").get("leader", ""), known.profile.roles.entity
    facts = known.facts(share=f"competitor_analysis.share_last/{leader}", n="competitor_analysis.active")
    if facts is None or entity is None or known.profile.harm:
        return None
    last = words.period(known.profile.frames[-1], known.profile.frame)
    among = entity.noun if known.number("competitor_analysis.active") == 1 else entity.plural
    template = (
        f"**{{leader}} had the largest share in {last}: {{share}}.** It is one of {{n}} {among} with an amount then."
    )
    return say(template, leader=leader, **facts), known.confidence("leader")


def _nobody(known: Known) -> Finding | None:
    rows = known.fact("data_quality.rows_read")
    if known.profile.roles.entity is not None or rows is None:
        return None
    template = (
        "**No column with several names says who or what the {rows} rows belong to.** So shares and concentration"
        " cannot be told."
    )
    return say(template, rows=rows), known.confidence("rows")


def _single(known: Known) -> Finding | None:
    facts = known.facts(
        most="trends_analysis.highest",
        least="trends_analysis.lowest",
        high="trends_analysis.highest_when",
        low="trends_analysis.lowest_when",
    )
    if facts is None:
        return None
    template = (
        f"**The highest single {known.profile.roles.time.grain} was {{high}} with {{most}} in {{measure}}, the lowest"
        " {low} with {least}.** Stock and staff have to bear both."
    )
    if known.profile.harm or known.profile.roles.measure.kind == "stock":
        template = template.removesuffix(" Stock and staff have to bear both.")
    elif names.counts_people(known.profile.roles.measure.column):
        template = template.replace("Stock and staff have", "Staff has")
    return say(template, measure=measure_of(known), **facts), known.confidence("extremes")


def _span(known: Known) -> Finding | None:
    periods, profile = known.fact("market_overview.periods"), known.profile
    if periods is None:
        return None
    grain = profile.roles.time.grain
    start, end = words.period(profile.first, grain), words.period(profile.last, grain)
    several = profile.periods > 1
    span = f"{{n}} {grain}s, {start} to {end}" if several else f"{{n}} {grain}, {start}"
    few = " Too few to tell a trend." if len(profile.frames) < 3 else " What came before or after is unknown."
    return say(f"**The file covers {span}.**{few}", n=periods), known.confidence("rows")


def _season(known: Known) -> Finding | None:
    """That a season cannot be told, and why."""
    strength, rows = known.fact("trends_analysis.strength"), known.fact("data_quality.rows_read")
    if strength or rows is None:
        return None
    grain = known.profile.roles.time.grain
    why = (
        f"are one for a {grain}"
        if grain == "year"
        else f"do not hold three full years of {grain}s without gaps or zeros"
    )
    places: dict[str, Fact | str] = {"rows": rows}
    return say(
        f"**The {{rows}} rows show no season: they {why}.** Nothing here says when in the year to act.", **places
    ), known.confidence("rows")


REST: list[Writer] = [_leader, _single, _nobody, _span, _season]
