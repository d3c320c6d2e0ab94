"""Findings about amounts for the executive summary, in order of interest; one that cannot be said is None."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.nodes.data import names
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.summary_outlook import outlook
from holdfast.nodes.report.document import Fact, Level, Span

Finding = tuple[list[Span], Level]
Writer = Callable[[Known], Finding | None]


def measure_of(known: Known) -> str:
    """The measure's name, quoted."""
    return words.quoted(known.profile.roles.measure.column)


def _size(known: Known) -> Finding | None:
    facts = known.facts(total="market_overview.total_last", when="market_overview.frame_last")
    if facts is None or known.flips:
        return None
    came = (
        ("averaged" if known.profile.per_frame > 1 else "was")
        if known.profile.roles.measure.kind == "stock"
        else "came to"
    )
    place = _place(known)
    template = f"**{{measure}} {came} {{total}} in {{when}}{place}.**"
    facts["measure"] = measure_of(known)
    yoy, growth = known.fact("market_overview.change_last_size"), known.fact("market_overview.cagr")
    if yoy and (change := known.number("market_overview.change_last")) is not None:
        before = words.before(known.profile.frame, known.profile.step)
        template += f" That is {words.than(change, before).replace('{change}', '{yoy}')}"
        facts["yoy"] = yoy
        if growth and (start := known.fact("market_overview.frame_first")):
            template += ", and {growth} a year (CAGR) since {start}"
            facts |= {"growth": growth, "start": start}
        template += "."
    sample, panel = known.fact("market_overview.sample"), known.profile.roles.panel
    if sample and panel:
        template += f" Counted are the {{sample}} {panel.many} in the file, no others."
        facts["sample"] = sample
    else:
        template += _so_what_of_growth(known)
    return say(template, **facts), known.confidence("size", *(("extremes",) if place else ()))


def _place(known: Known) -> str:
    frame = known.profile.frame
    last, count = known.fact("market_overview.frame_last"), known.number("market_overview.frames")
    if not last or not count:
        return ""
    for key, word in (("frame_high", "highest"), ("frame_low", "lowest")):
        extreme = known.fact(f"market_overview.{key}")
        if extreme and extreme.value == last.value:
            return f", the {word} of {words.spelled(int(count))} complete {frame}s"
    return ""


def _so_what_of_growth(known: Known) -> str:
    growth = known.number("market_overview.cagr")
    if growth is None or known.profile.harm:
        return ""
    if abs(growth) < 3:
        shares = known.profile.roles.entity is not None
        return " At that pace the whole moves slowly" + (": look at who gains share." if shares else ".")
    if known.profile.roles.entity is None:
        return ""
    return (
        " Whoever grew less lost share."
        if growth > 0
        else " The whole shrinks: holding an amount takes a rising share."
    )


def _moves(known: Known) -> Finding | None:
    competition, profile = known.beside("competition"), known.profile
    gainers, losers = competition.get("gainers") or [], competition.get("losers") or []
    if not gainers or not losers or not profile.roles.entity:
        return None
    up, down = gainers[0], losers[0]
    facts = known.facts(
        up_move=f"competitor_analysis.move/{up}",
        up_share=f"competitor_analysis.share_last/{up}",
        down_move=f"competitor_analysis.move/{down}",
        down_share=f"competitor_analysis.share_last/{down}",
    )
    if facts is None:
        return None
    start = words.period(profile.frames[0], profile.frame)
    template = (
        f"**{{up}} gained the most share since {start}, {{down}} lost the most.** {{up}} gained {{up_move}} points to"
        " {up_share}; {down} lost {down_move} points to {down_share}."
    )
    if since := (competition.get("begun") or {}).get(up):
        template += f" {{up}} came only in {words.period(since, profile.roles.time.grain)}."
    elif not profile.harm:
        template += (
            " Measure yourself by the gainers, not by the whole."
            if profile.roles.entity.company
            else " The total does not show that."
        )
    return say(template, up=up, down=down, **facts), known.confidence("moves")


def _concentration(known: Known) -> Finding | None:
    facts = known.facts(hhi="competitor_analysis.hhi_last", word="competitor_analysis.hhi_word")
    entity = known.profile.roles.entity
    if facts is None or entity is None:
        return None
    last = words.period(known.profile.frames[-1], known.profile.frame)
    template = f"**The {'market' if entity.company else 'mix'} is {{word}}.** The HHI was {{hhi}} in {last}"
    if first := known.fact("competitor_analysis.hhi_first"):
        template += f", {{first}} in {words.period(known.profile.frames[0], known.profile.frame)}"
        facts["first"] = first
    leader = known.beside("competition").get("leader", "")
    if cr4 := known.fact("competitor_analysis.cr4"):
        template += "; the four largest hold {cr4}."
        facts["cr4"] = cr4
    elif share := known.fact(f"competitor_analysis.share_last/{leader}"):
        template += "; {leader} holds {share}."
        return say(template, **facts, leader=leader, share=share), known.confidence("concentration")
    if entity.company:
        template += f" Counted are {entity.plural}, not their owners."
    return say(template, **facts), known.confidence("concentration")


def _entry(known: Known) -> Finding | None:
    """The largest entrant and the largest exit, where one counts; who was last seen lately, if that was larger."""
    competition, profile = known.beside("competition"), known.profile
    if unseen := _unseen(known):
        return unseen
    start, last = (words.period(profile.frames[i], profile.frame) for i in (0, -1)) if profile.frames else ("", "")
    entrants, exits = competition.get("entrants") or [], competition.get("exits") or []
    parts: list[str] = []
    facts: dict[str, Fact | str] = {}
    if entrants and (share := known.fact(f"competitor_analysis.share_last/{entrants[0]['name']}")):
        facts |= {"new": entrants[0]["name"], "new_share": share}
        parts.append(f"**Largest entrant: {{new}}, from none in {start} to {{new_share}} in {last}.**")
    if exits and (share := known.fact(f"competitor_analysis.share_first/{exits[0]['name']}")):
        facts |= {"old": exits[0]["name"], "old_share": share}
        sentence = f"Largest exit: {{old}} ({{old_share}} of {start}, last seen in {exits[0]['until'][:4]})."
        parts.append(sentence if parts else f"**{sentence}**")
    if not parts:
        return None
    return say(" ".join([*parts, "Absent from the file need not mean gone."]), **facts), known.confidence("entry")


def _unseen(known: Known) -> Finding | None:
    """Who left lately; none if an entrant or an exit has a larger share."""
    competition, profile = known.beside("competition"), known.profile
    one = next(iter(competition.get("unseen") or []), None)
    if one is None:
        return None
    others = [("share_last", side) for side in competition.get("entrants") or []]
    others += [("share_first", side) for side in competition.get("exits") or []]
    shares = [known.number(f"competitor_analysis.{key}/{side['name']}") or 0.0 for key, side in others]
    facts = known.facts(
        n=f"competitor_analysis.unseen/{one['name']}",
        before=f"competitor_analysis.share_before/{one['name']}",
        share=f"competitor_analysis.share_last/{one['name']}",
    )
    if facts is None or one["share"] < max(shares, default=0.0):
        return None
    grain = profile.roles.time.grain
    start, last = (words.period(profile.frames[i], profile.frame) for i in (-2, -1))
    template = (
        f"**{{name}} was last seen in {words.period(one['last'], grain)}: none in the {{n}} {grain}s since.** It had"
        f" {{before}} of {start} and {{share}} of {last}. Absent from the file need not mean gone."
    )
    return say(template, name=one["name"], **facts), known.confidence("unseen")


def _overtaking(known: Known) -> Finding | None:
    """The order changed: named with the two shares of today."""
    crossing = next(iter(known.beside("competition").get("overtaking") or []), None)
    facts = (
        known.facts(
            one=f"competitor_analysis.share_last/{crossing['upper']}",
            other=f"competitor_analysis.share_last/{crossing['lower']}",
        )
        if crossing
        else None
    )
    if not crossing or facts is None:
        return None
    last = words.period(known.profile.frames[-1], known.profile.frame)
    template = (
        f"**{{upper}} overtook {{lower}} in {crossing['since']} and has stayed above.** In {last} they had {{one}} and"
        " {other}."
    )
    return say(template, upper=crossing["upper"], lower=crossing["lower"], **facts), known.confidence("overtaking")


def _young_year(known: Known) -> Finding | None:
    part = known.profile.partial_last
    facts = known.facts(
        change="market_overview.like_for_like_size",
        span="market_overview.like_for_like_span",
        total="market_overview.like_for_like_total",
    )
    change = known.number("market_overview.like_for_like")
    if not part or facts is None or change is None:
        return None
    held = words.held(part, known.profile.roles.time.grain)
    came = "averaged" if known.profile.roles.measure.kind == "stock" else "came to"
    template = (
        f"**{part.year} is incomplete ({held}): {{span}} {came} {{total}}, {{change}} {words.more(change)} than the"
        f" same part of {part.year - 1}.** "
    )
    template += (
        f"{words.counted(part.periods, known.profile.roles.time.grain).capitalize()} of {part.usual} cannot stand for a"
        " year; plan on complete ones."
    )
    return say(template, **facts), known.confidence("young_year")


def _season(known: Known) -> Finding | None:
    season = known.beside("season")
    facts = known.facts(
        strength="trends_analysis.strength",
        high="trends_analysis.best_part",
        low="trends_analysis.worst_part",
        above="trends_analysis.best_above",
        below="trends_analysis.worst_below",
    )
    if not season or facts is None:
        return None
    template = (
        f"**The season is {season['word']}: {{high}} is {{above}} above the trend, {{low}} {{below}} below.** Its"
        " strength is {strength} on a scale from 0 to 1."
    )
    template += (
        (
            " Time staff by it."
            if names.counts_people(known.profile.roles.measure.column)
            else " Time stocks and staff by it."
        )
        if season["timed"] and not known.profile.harm
        else " It is steady but small: no reason to time stock by it."
        if season["word"] == "strong" and not season["timed"]
        else " Single years differ from it by as much."
        if season["word"] == "weak"
        else ""
    )
    return say(template, **facts), known.confidence("season")


def _extremes(known: Known) -> Finding | None:
    high, low = known.fact("market_overview.frame_high"), known.fact("market_overview.frame_low")
    if not high or not low or high.value == low.value:
        return None
    most, least = (_total_of(known, str(fact.value)) for fact in (high, low))
    if not most or not least:
        return None
    return say(
        "**{high} was the highest with {most}, {low} the lowest with {least}.** Between them lies the range to plan"
        " for.",
        high=high,
        low=low,
        most=most,
        least=least,
    ), known.confidence("extremes")


def _total_of(known: Known, name: str) -> Fact | None:
    frame = next((day for day in known.profile.frames if words.period(day, known.profile.frame) == name), "")
    return known.fact(f"market_overview.total_{frame}")


def _run(known: Known) -> Finding | None:
    counts = {key: known.number(f"trends_analysis.{key}") for key in ("rises", "falls", "steps")}
    ups, downs, steps = (int(value) if value is not None else None for value in counts.values())
    if ups is None or downs is None or steps is None:
        return None
    course, used = words.ups_and_downs(ups, downs, steps, words.stride(known.profile.frame, known.profile.step))
    facts = known.facts(**{key: f"trends_analysis.{key}" for key in used})
    if facts is None:
        return None
    template = f"**{{measure}} {course}.**"
    places: dict[str, Fact | str] = {**facts, "measure": measure_of(known)}
    if means := known.fact("trends_analysis.cagr_of_means"):
        template += (
            " Between the means of the first and last three years the yearly change was {means}, whichever single year"
            " one starts from."
        )
        places["means"] = means
    return say(template, **places), known.confidence("run")


def _not_named(known: Known) -> Finding | None:
    rows = known.fact("data_quality.not_stated_rows")
    if not rows or not known.profile.roles.entity:
        return None
    return (
        say(
            f"**{{rows}} rows name no {known.profile.roles.entity.noun}.** They are kept in totals and left out of"
            " every ranking.",
            rows=rows,
        ),
        known.confidence("rows"),
    )


def basis(known: Known) -> Finding | None:
    """What everything rests on."""
    rows = known.fact("data_quality.rows_read")
    if not rows:
        return None
    unit = known.profile.roles.measure.unit
    told = (
        "The unit is {unit}, as the file states."
        if unit
        else "The unit is not stated in the file: find it out before comparing with other sources."
    )
    places: dict[str, Fact | str] = {"rows": rows, "measure": measure_of(known), **({"unit": unit} if unit else {})}
    return say(
        f"**Everything rests on {{rows}} rows and one measure, {{measure}}.** {told}", **places
    ), known.confidence("rows")


AMOUNTS: list[Writer] = [
    _size,
    _moves,
    _concentration,
    _entry,
    outlook,
    _young_year,
    _season,
    _overtaking,
    _run,
    _extremes,
    _not_named,
    basis,
]
