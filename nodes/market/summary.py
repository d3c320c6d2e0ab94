"""The task type ``summary``: five findings with their confidence, and the box of what the data cannot tell.

Takes every number from the analyses; candidates stand in order of interest and the first five that can be said are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data import names
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Bullet, Bullets, Fact, Level, Note, Query, Section, Span

BULLETS = 5
Finding = tuple[list[Span], Level]
Writer = Callable[[Known], Finding | None]


@task_type("summary")
async def summary(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """The executive summary: five findings, each with what it means and how sure it is."""
    known = Known(inputs)
    writers = LEVELS if known.profile.roles.measure.kind == "intensive" else AMOUNTS
    found = list(_first(known, writers, BULLETS))
    blocks = [
        Bullets(items=[Bullet(spans=spans, confidence=level) for spans, level in found], numbered=True),
        Note(
            title="What these data cannot tell",
            spans=say("{missing}.", missing=words.listed(cannot_tell(known.profile))),
        ),
    ]
    data = Query(id="data", sql=known.profile.data_sql, files=[file.sha256 for file in known.profile.files])
    section = Section(
        id="executive_summary",
        title="Executive summary",
        blocks=blocks,
        facts=list(known.used.values()),
        queries=[data],
    )
    return section.model_dump(mode="json")


def _first(known: Known, writers: list[Writer], most: int) -> Iterator[Finding]:
    written = 0
    for writer in writers:
        if written < most and (finding := writer(known)):
            written += 1
            yield finding


def _measure(known: Known) -> str:
    return words.quoted(known.profile.roles.measure.column)


def _size(known: Known) -> Finding | None:
    facts = known.facts(total="market_overview.total_last", when="market_overview.frame_last")
    if facts is None:
        return None
    came = (
        ("averaged" if known.profile.per_frame > 1 else "was")
        if known.profile.roles.measure.kind == "stock"
        else "came to"
    )
    template = f"**{{measure}} {came} {{total}} in {{when}}{_place(known)}.**"
    facts["measure"] = _measure(known)
    yoy, growth = known.fact("market_overview.change_last_size"), known.fact("market_overview.cagr")
    if yoy and (change := known.number("market_overview.change_last")) is not None:
        template += f" That is {{yoy}} {words.more(change)} than the {known.profile.frame} before"
        facts["yoy"] = yoy
        if growth and (start := known.fact("market_overview.frame_first")):
            template += ", and {growth} a year (CAGR) since {start}"
            facts |= {"growth": growth, "start": start}
        template += "."
    template += _so_what_of_growth(known)
    return say(template, **facts), known.confidence(known.size_confidence)


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
        return " The total moves little: what one gains, another mostly loses."
    return (
        " Growth of the whole carries most."
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
    if not profile.harm:
        template += (
            " Measure yourself by the gainers, not by the whole."
            if profile.roles.entity.company
            else " The mix has changed more than one total shows."
        )
    return say(template, up=up, down=down, **facts), known.confidence(competition.get("confidence"))


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
        return say(template, **facts, leader=leader, share=share), known.confidence("high")
    if entity.company:
        template += f" Counted are {entity.plural}, not their owners."
    return say(template, **facts), known.confidence("medium" if entity.company else "high")


def _entry(known: Known) -> Finding | None:
    """The largest entrant and the largest exit, where one counts."""
    competition, profile = known.beside("competition"), known.profile
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
    return say(" ".join([*parts, "Absent from the file need not mean gone."]), **facts), known.confidence("medium")


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
    return say(template, upper=crossing["upper"], lower=crossing["lower"], **facts), known.confidence("high")


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
    held = words.months_of(part.first, part.last, known.profile.roles.time.grain)
    template = (
        f"**{part.year} is incomplete ({held}): {{span}} came to {{total}}, {{change}} {words.more(change)} than the"
        f" same part of {part.year - 1}.** "
    )
    template += (
        f"{words.counted(part.periods, known.profile.roles.time.grain).capitalize()} of {part.usual} cannot stand for a"
        " year; plan on complete ones."
    )
    return say(template, **facts), "low" if part.periods <= 3 else "medium"


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
        " Time stocks and staff by it."
        if season["word"] == "strong"
        else " Single years differ from it by as much."
        if season["word"] == "weak"
        else ""
    )
    return say(template, **facts), known.confidence("high" if season["cycles"] > 3 else "medium")


def _extremes(known: Known) -> Finding | None:
    high, low = known.fact("market_overview.frame_high"), known.fact("market_overview.frame_low")
    if not high or not low:
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
    ), known.confidence(known.size_confidence)


def _total_of(known: Known, name: str) -> Fact | None:
    frame = next((day for day in known.profile.frames if words.period(day, known.profile.frame) == name), "")
    return known.fact(f"market_overview.total_{frame}")


def _run(known: Known) -> Finding | None:
    facts = known.facts(ups="trends_analysis.rises", steps="trends_analysis.steps")
    if facts is None:
        return None
    template = (
        f"**{{measure}} rose in {{ups}} of {{steps}} comparisons of a {known.profile.frame} with the one before.**"
    )
    places: dict[str, Fact | str] = {**facts, "measure": _measure(known)}
    if means := known.fact("trends_analysis.cagr_of_means"):
        template += (
            " Between the means of the first and last three years the yearly change was {means}, whichever single year"
            " one starts from."
        )
        places["means"] = means
    return say(template, **places), known.confidence(known.size_confidence)


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
        "high",
    )


def _basis(known: Known) -> Finding | None:
    rows = known.fact("data_quality.rows_read")
    if not rows:
        return None
    unit = known.profile.roles.measure.unit
    told = (
        "The unit is {unit}, told by the header."
        if unit
        else "The unit is not stated in the file: find it out before comparing with other sources."
    )
    places: dict[str, Fact | str] = {"rows": rows, "measure": _measure(known), **({"unit": unit} if unit else {})}
    return say(
        f"**Everything rests on {{rows}} rows and one measure, {{measure}}.** {told}", **places
    ), known.confidence("high" if unit else "medium")


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
    verb = "rose the most" if levels["best_rose"] else "fell the least"
    template = (
        f"**{{best}} {verb}: by {{change}} from {levels['best_from']} to {levels['until']}, {{first}} to {{last}}.**"
    )
    places: dict[str, Fact | str] = {**facts, "best": best}
    if rate := known.fact(f"competitor_analysis.yearly/{best}"):
        template += " That is {rate} a year. One start and one end decide it."
        places["rate"] = rate
    return say(template, **places), known.confidence("high" if levels["holds"] else "medium")


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
    template = (
        f"**From the latest common start, {levels['start']}, {{best}} shows the highest change ({{up}}) and {{worst}}"
        " the lowest ({down}).**"
    )
    if known.level_name("late"):
        template += " {late} begins only then: compare all from there."
        return say(template, best=best, worst=worst, late=levels["late"], **facts), known.confidence("high")
    return say(template, best=best, worst=worst, **facts), known.confidence("high")


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
        f"**{{worst}} fell by {{change}} from {levels['fell_from']} to {levels['until']}, {{first}} to {{last}}.** The"
        " start decides: from a later one the sign may differ.",
        worst=worst,
        **facts,
    ), known.confidence("medium")


def _level_fall(known: Known) -> Finding | None:
    name = known.level_name("deepest")
    fact = known.fact(f"trends_analysis.fall/{name}") if name else None
    if not fact:
        return None
    return say(
        "**{name} fell the deepest from an earlier peak: by {fall}.** Such a fall was possible within this file; it may"
        " be so again.",
        name=name,
        fall=fact,
    ), known.confidence("high")


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
    return say(
        "**{most} swung the most, {high} a year, {least} the least, {low}.** Compare gains with the swings they came"
        " with.",
        most=most,
        least=least,
        **facts,
    ), known.confidence("high")


def _level_limit(known: Known) -> Finding | None:
    rows, n = known.fact("market_overview.rows_used"), known.fact("market_overview.entities")
    if not rows or not n:
        return None
    return (
        say(
            "**{measure} is a level and cannot be summed, so {rows} rows give no market size and no market share.**"
            " Volumes beside it would.",
            measure=_measure(known),
            rows=rows,
        ),
        "high",
    )


def _level_extremes(known: Known) -> Finding | None:
    levels = known.beside("levels")
    facts = known.facts(
        high=f"market_overview.high/{levels.get('highest')}", low=f"market_overview.low/{levels.get('lowest')}"
    )
    if facts is None:
        return None
    template = (
        f"**The highest value was {{high}} ({{top}}, {levels['highest_when']}), the lowest {{low}} ({{bottom}},"
        f" {levels['lowest_when']}).** Between them lies what to be ready for."
    )
    return say(template, top=levels["highest"], bottom=levels["lowest"], **facts), known.confidence("high")


AMOUNTS: list[Writer] = [
    _size,
    _moves,
    _concentration,
    _entry,
    _young_year,
    _season,
    _overtaking,
    _run,
    _extremes,
    _not_named,
    _basis,
]
LEVELS: list[Writer] = [
    _level_change,
    _level_common,
    _level_fall,
    _level_swing,
    _level_limit,
    _level_worst,
    _level_extremes,
    _basis,
]


def cannot_tell(profile: Profile) -> list[str]:
    """What no column speaks of."""
    columns = [column.column for column in profile.roles.columns]
    found = [column for column in columns if column not in profile.roles.time.columns]
    tokens = {word for column in found for word in names.words(column)}
    missing = []
    if not tokens & {"price", "prices", "revenue", "usd", "eur", "dollars", "sales", "value", "amount"}:
        missing.append("prices and revenue")
    if not tokens & {"region", "country", "state", "county", "city", "area", "province"}:
        missing.append("regions")
    if not profile.harm:
        missing.append("who buys")
    if profile.roles.entity and profile.roles.entity.company and profile.roles.measure.kind != "intensive":
        missing.append(f"who owns the {profile.roles.entity.plural}")
    if profile.roles.measure.kind == "intensive":
        missing.append("amounts sold or held")
    if not profile.roles.measure.unit:
        missing.append(f"the unit of {words.quoted(profile.roles.measure.column)}")
    return [*missing, "why any of this happened"]
