"""The task type ``recommendations``: advice that follows from a rule and figures, and says what would change it.

A rule that does not fire gives nothing; the list is never filled up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data import names
from holdfast.nodes.market import formulas, gaps, recommendations_ahead, words
from holdfast.nodes.market.advice import Advice, ordered
from holdfast.nodes.market.findings import joined, say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.panel_findings import fix_panel
from holdfast.nodes.market.prose import Prose, compose, ground_of, sections_in, text_of
from holdfast.nodes.models.prompting import prompt
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Bullet, Bullets, Fact, Heading, Paragraph, Section, Span

MOST = 6
SLOW, LARGE_MOVE, STUDIED_MOVE, DEPENDENT_SHARE = 3.0, 2.0, 0.5, 40.0


@task_type("recommendations")
async def recommendations(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Advice that the figures bear out, each with its rule and what would change it; a model may add more."""
    known = Known(inputs)
    rules = LEVELS if known.profile.roles.measure.kind == "intensive" else AMOUNTS
    found = ordered(advice for rule in rules if (advice := rule(known)))[:MOST]
    section = Section(id="recommendations", title="Recommendations", facts=list(known.used.values()))
    if found:
        section.blocks.append(Bullets(items=[_item(advice) for advice in found], numbered=True))
    else:
        section.blocks.append(Paragraph(spans=say("No rule fires on these figures, so there is no recommendation.")))
    section.facts = list(known.used.values())
    if ctx.model is None:
        return section.model_dump(mode="json")
    prose = await _more(section, known, inputs, ctx)
    if prose.paragraphs or prose.dropped:
        section.blocks += [Heading(text="Further advice"), *prose.blocks]
    section.facts += [fact for fact in prose.facts if fact.id not in known.used]
    return {**section.model_dump(mode="json"), "written": prose.written}


async def _more(section: Section, known: Known, inputs: dict[str, Any], ctx: TaskContext) -> Prose:
    """What the model would add to the advice of the rules."""
    found = sections_in(inputs)
    told = {"WHAT THE ANALYSES SAY": text_of(found), "GIVEN ALREADY": text_of([section])}
    return await compose(ctx, prompt("advise"), told, ground_of(found, known.profile))


def _item(advice: Advice) -> Bullet:
    spans = joined(
        [
            say("**{advice}.**", advice=advice.advice),
            advice.because,
            say("Rule: {rule}. What would change it: {changes}.", rule=advice.rule, changes=advice.changes),
        ]
    )
    return Bullet(spans=spans, confidence=advice.level)


def _share_targets(known: Known) -> Advice | None:
    growth, competition = known.number("market_overview.cagr"), known.beside("competition")
    mover = next(iter(competition.get("gainers") or []), None)
    if growth is None or abs(growth) >= SLOW or known.flips or not mover or known.profile.harm or not _company(known):
        return None
    move = known.number(f"competitor_analysis.move/{mover}")
    facts = known.facts(growth="market_overview.cagr", move=f"competitor_analysis.move/{mover}")
    if move is None or move < LARGE_MOVE or facts is None:
        return None
    because = say(
        "The whole changed by {growth} a year, while {name} gained {move} points of share.", name=mover, **facts
    )
    rule = (
        f"yearly change below {SLOW:.0f}{words.NBSP}% either way and a share change of at least {LARGE_MOVE:.0f} points"
    )
    return Advice(
        "Incumbent: set targets on share, not on market growth",
        because,
        rule,
        f"two years of growth above {SLOW:.0f}{words.NBSP}%",
        known.confidence("size", "moves"),
        size=move,
    )


def _company(known: Known) -> bool:
    return bool(known.profile.roles.entity and known.profile.roles.entity.company)


def _study_gainer(known: Known) -> Advice | None:
    competition = known.beside("competition")
    mover = next(iter(competition.get("gainers") or []), None)
    if not mover or known.profile.harm:
        return None
    move = known.number(f"competitor_analysis.move/{mover}")
    because = _gained_how(known, mover)
    if because is None or move is None or move < STUDIED_MOVE:
        return None
    return Advice(
        f"Incumbent and entrant: find out how {mover} did it" if _company(known) else f"Planner: look at {mover} first",
        because,
        f"the largest gainer gained at least {STUDIED_MOVE} points†, "
        + ("more by share than with the whole" if competition.get("splits", {}).get(mover) else "and came late"),
        "a year in which it loses share",
        known.confidence("moves"),
        size=move,
    )


def _gained_how(known: Known, mover: str) -> list[Span] | None:
    """What the gain is made of; None if it came with the market.  Of an entrant that cannot be told apart."""
    competition = known.beside("competition")
    split = competition.get("splits", {}).get(mover) or {}
    first, last = (words.period(known.profile.frames[i], known.profile.frame) for i in (0, -1))
    if not split:
        since = {one["name"]: one["since"] for one in competition.get("entrants") or []} | (
            competition.get("begun") or {}
        )
        added = known.facts(added=f"competitor_analysis.added/{mover}")
        if mover not in since or not added:
            return None
        when = words.period(since[mover], known.profile.roles.time.grain)
        text = (
            f"It came in {when}. Its amount rose by {{added}} from {first} to {last}; what came with the whole and what"
            " from a larger share cannot be told apart."
        )
        return say(text, **added)
    facts = known.facts(
        added=f"competitor_analysis.added/{mover}",
        share=f"competitor_analysis.by_share/{mover}",
        market=f"competitor_analysis.by_market/{mover}",
    )
    if facts is None or split["share"] <= split["market"]:
        return None
    verb = "rose" if split["share"] + split["market"] >= 0 else "fell"
    whole = "{market} with the whole" if split["market"] >= 0 else "less {market} with the shrinking whole"
    return say(
        f"Its amount {verb} by {{added}} from {first} to {last}: {{share}} from a larger share, {whole}.", **facts
    )


def _traded(known: Known) -> bool:
    """Whether the measure is of goods or money: of people, and of what is there at a time, nobody is the seller."""
    measure = known.profile.roles.measure
    return measure.kind != "stock" and not measure.guessed and not names.counts_people(measure.column)


def _dependence(known: Known) -> Advice | None:
    hhi, leader = known.number("competitor_analysis.hhi_last"), known.beside("competition").get("leader", "")
    share = known.number(f"competitor_analysis.share_last/{leader}")
    facts = known.facts(hhi="competitor_analysis.hhi_last", share=f"competitor_analysis.share_last/{leader}")
    if (
        hhi is None
        or share is None
        or facts is None
        or (hhi <= formulas.HIGH_HHI and share <= DEPENDENT_SHARE)
        or known.profile.harm
        or not (_company(known) or _traded(known))
    ):
        return None
    known.fact("competitor_analysis.hhi_limit")
    because = say("{leader} holds {share}, and the HHI is {hhi}.", leader=leader, **facts)
    rule = f"HHI above 1,800 or a leader above {DEPENDENT_SHARE:.0f}{words.NBSP}%"
    bought = _company(known) or gaps.is_source(known.profile)
    return Advice(
        "Buyer: look for a second source" if bought else f"Seller: do not rest on {leader} alone",
        because,
        rule,
        "an HHI below 1,800 with a smaller leader",
        known.confidence("leader", "concentration"),
        size=share,
    )


def _wait_for_year(known: Known) -> Advice | None:
    part = known.profile.partial_last
    if not part or known.profile.roles.time.grain == "year":
        return None
    grain = known.profile.roles.time.grain
    change = known.facts(change="market_overview.like_for_like")
    text = f"The file holds {part.periods} of {part.usual} {grain}s of {part.year}."
    because = say(f"{text} On the same part of {part.year - 1} that is {{change}}.", **change) if change else say(text)
    return Advice(
        f"Everyone: leave {part.year} out of yearly targets until it is complete",
        because,
        "the last year is incomplete",
        f"the missing {grain}s",
        known.confidence("rows", *(("young_year",) if change else ())),
    )


def _next_data(known: Known) -> Advice | None:
    missing = gaps.key_gap(known.profile)
    facts = known.facts(rows="data_quality.rows_read")
    if facts is None or missing is None:
        return None
    because = say(f"The {{rows}} rows {missing.because}", **facts)
    return Advice(f"Everyone: {missing.advice}", because, missing.rule, missing.changes, known.confidence("rows"))


def _common_start(known: Known) -> Advice | None:
    levels = known.beside("levels")
    best = known.level_name("common_best")
    facts = known.facts(common=f"competitor_analysis.common/{best}") if best and known.level_name("late") else None
    if facts is None:
        return None
    because = say(
        f"{{late}} begins only in {levels['start']}; from there {{best}} shows {{common}}.",
        late=levels["late"],
        best=best,
        **facts,
    )
    return Advice(
        f"Buyer: compare from {levels['start']} on, not over unequal histories",
        because,
        "not all begin in the same period",
        "earlier data for those that begin late",
        known.confidence("level_common"),
    )


def _bear_falls(known: Known) -> Advice | None:
    name = known.level_name("deepest")
    facts = known.facts(fall=f"trends_analysis.fall/{name}") if name else None
    if facts is None or (known.number(f"trends_analysis.fall/{name}") or 0) > -20:
        return None
    because = say("{name} fell by {fall} from an earlier peak.", name=name, **facts)
    return Advice(
        "Buyer: size each exposure by the deepest fall it has shown, not by its mean change",
        because,
        f"a fall from a peak of more than 20{words.NBSP}%†",
        "a longer history without such a fall",
        known.confidence("level_fall"),
    )


def _weigh_swings(known: Known) -> Advice | None:
    known.beside("levels")
    most, least = known.level_name("most_swing"), known.level_name("least_swing")
    high, low = (known.number(f"trends_analysis.volatility/{name}") for name in (most, least))
    facts = known.facts(high=f"trends_analysis.volatility/{most}", low=f"trends_analysis.volatility/{least}")
    if high is None or low is None or facts is None or high < 1.5 * low:
        return None
    because = say("{most} swings by {high} a year, {least} by {low}.", most=most, least=least, **facts)
    return Advice(
        "Buyer: judge each change beside its swings",
        because,
        "the largest volatility is at least 1.5 times the smallest†",
        "volatilities that draw level",
        known.confidence("level_swing"),
    )


def _next_volumes(known: Known) -> Advice | None:
    rows: Fact | None = known.fact("market_overview.rows_used")
    if not rows:
        return None
    because = say("The {rows} rows hold levels only, so neither size nor share of anything can be computed.", rows=rows)
    return Advice(
        "Everyone: get amounts (volumes, units) beside the levels next",
        because,
        "the only measure cannot be summed",
        "a column of amounts in the file",
        known.confidence("rows"),
    )


AMOUNTS: list[Callable[[Known], Advice | None]] = [
    fix_panel,
    _share_targets,
    _study_gainer,
    _dependence,
    recommendations_ahead.watch_date,
    recommendations_ahead.season,
    recommendations_ahead.scenarios,
    _wait_for_year,
    _next_data,
]
LEVELS: list[Callable[[Known], Advice | None]] = [_common_start, _bear_falls, _weigh_swings, _next_volumes]
