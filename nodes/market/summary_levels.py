"""Findings about prices, rates and other levels for the executive summary, in order of interest."""

from __future__ import annotations

from holdfast.nodes.market import words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.summary_amounts import Finding, Writer, basis, measure_of
from holdfast.nodes.market.summary_outlook import level_outlook
from holdfast.nodes.report.document import Fact

SMALL_FALL = 5.0  # percent, below which the deepest fall is told as a small one; our own convention


def _among(known: Known) -> tuple[str, dict[str, Fact | str]]:
    """``Of the 15 regions compared, `` where the file has more; else, and of one alone, nothing."""
    n, entity = known.fact("market_overview.compared"), known.profile.roles.entity
    if not n or n.value == 1 or not entity:
        return "", {}
    return f"Of the {{compared}} {entity.plural} compared, ", {"compared": n}


def _alone(known: Known) -> bool:
    """Whether the file has one level only, whose name then tells nothing."""
    return known.number("market_overview.entities") == 1


def _level_change(known: Known) -> Finding | None:
    best = known.level_name("best")
    facts = (
        known.facts(
            change=f"competitor_analysis.change/{best}",
            first=f"competitor_analysis.first/{best}",
            last=f"competitor_analysis.last/{best}",
        )
        if best
        else None
    )
    if facts is None:
        return None
    levels = known.beside("levels")
    among, compared = _among(known)
    tied = levels.get("best_tied") or [best]
    moved = ("rose" if levels["best_rose"] else "fell") + f" by {{change}} {levels['best_between']}"
    if still := levels["best_still"]:
        moved = f"changed by nothing {levels['best_between']}"
        del facts["change"]
    most = "most" if levels["best_rose"] else "least"
    if len(tied) > 1:
        who = "All " + words.spelled(len(tied)) if len(tied) == levels["of"] else words.spelled(len(tied)).capitalize()
        which = "alike" if len(tied) == levels["of"] else f"the {most}, alike"
        moved = moved.replace(" by ", f" {which}, by ", 1)
        who = who.lower() if among else who
        return say(
            f"**{among}{who} {moved}.** {{best}} went from {{first}} to {{last}}.", best=best, **facts, **compared
        ), known.confidence("level_change")
    if levels["of"] > 1:
        moved = moved.replace(" by ", f" the {most}: by ", 1)
    template = f"**{among}{{best}} {moved}, {{first}} to {{last}}.**"
    places: dict[str, Fact | str] = {**facts, **compared, "best": best}
    if not still and (rate := known.fact(f"competitor_analysis.yearly/{best}")):
        template += " That is {rate} a year. One start and one end decide it."
        places["rate"] = rate
    return say(template, **places), known.confidence("level_change")


def _level_common(known: Known) -> Finding | None:
    levels = known.beside("levels")
    best, worst = known.level_name("common_best"), known.level_name("common_worst")
    facts = (
        known.facts(up=f"competitor_analysis.common/{best}", down=f"competitor_analysis.common/{worst}")
        if best and best != worst
        else None
    )
    if facts is None:
        return None
    since = f"Since {levels['start']}"
    if known.level_name("late"):
        since = f"From the latest common start, {levels['start']},"
    among, compared = _among(known)
    since = f"{among}{since[0].lower()}{since[1:]}" if among else since
    template = f"**{since} {{best}} shows the highest change ({{up}}) and {{worst}} the lowest ({{down}}).**"
    facts |= compared
    if known.level_name("late"):
        template += " {late} begins only then: compare all from there."
        return say(template, best=best, worst=worst, late=levels["late"], **facts), known.confidence("level_common")
    return say(template, best=best, worst=worst, **facts), known.confidence("level_common")


def _level_worst(known: Known) -> Finding | None:
    worst = known.level_name("fell")
    facts = (
        known.facts(
            change=f"competitor_analysis.change/{worst}",
            first=f"competitor_analysis.first/{worst}",
            last=f"competitor_analysis.last/{worst}",
        )
        if worst
        else None
    )
    if facts is None:
        return None
    levels = known.beside("levels")
    return say(
        f"**{{worst}} fell by {{change}} {levels['fell_between']}, {{first}} to {{last}}.** The"
        " start decides: from a later one the sign may differ.",
        worst=worst,
        **facts,
    ), known.confidence("level_worst")


def _level_fall(known: Known) -> Finding | None:
    name = known.level_name("deepest")
    fact = known.fact(f"trends_analysis.fall/{name}") if name else None
    alone = len(known.beside("levels").get("deepest_tied") or []) == 1 < (known.number("market_overview.entities") or 0)
    if not fact:
        return None
    among, compared = _among(known) if alone else ("", {})
    return say(
        f"**{among}{{name}} fell{' the deepest' if alone else ''} from an earlier peak: by {{fall}}.** Such a fall was"
        " possible within this file; it may be so again.",
        name=name,
        fall=fact,
        **compared,
    ), known.confidence("level_fall")


def _fall(known: Known) -> Finding | None:
    """The deepest fall; a small one is told as small, not as a danger."""
    name = known.level_name("deepest")
    fall = known.number(f"trends_analysis.fall/{name}") if name else None
    if fall is None or abs(fall) >= SMALL_FALL:
        return _level_fall(known)
    facts = known.facts(fall=f"trends_analysis.fall/{name}") or {}
    template = "**The deepest fall from an earlier peak was small: {fall}{who}.** A calm past promises nothing."
    return say(template, who="" if _alone(known) else f" ({name})", **facts), known.confidence("level_fall")


def _level_swing(known: Known) -> Finding | None:
    known.beside("levels")
    most, least = known.level_name("most_swing"), known.level_name("least_swing")
    facts = (
        known.facts(high=f"trends_analysis.volatility/{most}", low=f"trends_analysis.volatility/{least}")
        if most and least and most != least
        else None
    )
    if facts is None:
        return None
    among, compared = _among(known)
    return say(
        f"**{among}{{most}} swung the most, {{high}} a year, {{least}} the least, {{low}}.** Compare gains with the"
        " swings they came with.",
        most=most,
        least=least,
        **facts,
        **compared,
    ), known.confidence("level_swing")


def _level_limit(known: Known) -> Finding | None:
    rows, n = known.fact("market_overview.rows_used"), known.fact("market_overview.entities")
    if not rows or not n:
        return None
    return (
        say(
            "**{measure} is a level and cannot be summed, so {rows} rows give no market size and no market share.**"
            " Volumes beside it would.",
            measure=measure_of(known),
            rows=rows,
        ),
        known.confidence("rows"),
    )


def _level_extremes(known: Known) -> Finding | None:
    levels = known.beside("levels")
    facts = known.facts(
        high=f"market_overview.high/{levels.get('highest')}", low=f"market_overview.low/{levels.get('lowest')}"
    )
    if facts is None:
        return None
    top, bottom = levels["highest"], levels["lowest"]
    among, names = _among(known)
    template = f"**{among}{'the' if among else 'The'} highest value was {{high}} ("
    if known.number("market_overview.compared") != 1 and not _alone(known):
        template += f"{{top}}, {levels['highest_when']}), the lowest {{low}} ({{bottom}}, {levels['lowest_when']}).**"
        names |= {"top": top, "bottom": bottom}
    else:
        template += f"{levels['highest_when']}), the lowest {{low}} ({levels['lowest_when']}).**"
        if not _alone(known):
            template, names = template.replace("**The", "**Of {top} the", 1), {"top": top}
    return say(f"{template} Between them lies what to be ready for.", **facts, **names), known.confidence(
        "level_extremes"
    )


LEVELS: list[Writer] = [
    _level_change,
    _level_common,
    _fall,
    _level_swing,
    level_outlook,
    _level_limit,
    _level_worst,
    _level_extremes,
    basis,
]
