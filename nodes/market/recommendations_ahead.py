"""Advice on what comes next: the season, ranks that may change, and how to plan with a forecast that may be far off."""

from __future__ import annotations

from holdfast.nodes.data import names
from holdfast.nodes.market import formulas, words
from holdfast.nodes.market.advice import Advice
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known

SCENARIO_ERROR = 15.0  # percent of wMAPE above which one figure is not planned with


def season(known: Known) -> Advice | None:
    """Stock by the season if it is strong; against doing so if it is not."""
    parts = known.beside("season")
    facts = known.facts(
        strength="trends_analysis.strength",
        above="trends_analysis.best_above",
        below="trends_analysis.worst_below",
        swing="trends_analysis.season_swing",
    )
    strength = known.number("trends_analysis.strength")
    idle = known.profile.harm or known.profile.roles.measure.kind == "stock"  # nobody stocks what is there anyway
    if strength is None or facts is None or not parts or idle:
        return None
    because = say(
        f"{parts['best']} is {{above}} above the trend and {parts['worst']} {{below}} below, {{swing}} points of the"
        " index apart; the seasonal strength is {strength}.",
        **facts,
    )
    strong, people = bool(parts["timed"]), names.counts_people(known.profile.roles.measure.column)
    who, what = ("Planner", "staff") if people else ("Supplier", "stock")
    lull = "leave" if people else "promotions"
    timed = f"time {what} for {parts['best']} and {lull} for {parts['worst']}"
    advice = timed if strong else f"do not time {what} by the season"
    grain = known.profile.roles.time.grain
    points = f"{formulas.LEAST_SWING:.0f} points of the index between the highest and the lowest {grain}†"
    rule = f"seasonal strength of at least {formulas.STRONG} and at least {points}"
    changes = f"a strength below {formulas.STRONG} or fewer points"
    if not strong:
        rule = f"{what} is timed from a seasonal strength of {formulas.STRONG} on, with at least {points}"
        changes = (
            f"a strength of at least {formulas.STRONG}" if strength < formulas.STRONG else "a season that swings more"
        )
    swing = known.number("trends_analysis.best_above") or 0.0
    return Advice(f"{who}: {advice}", because, rule, changes, known.confidence("season"), swing if strong else 0.0)


def watch_date(known: Known) -> Advice | None:
    """When two neighbours in the ranking would change places if both trends went on."""
    crossing = known.beside("competition").get("crossing")
    facts = (
        known.facts(
            one=f"competitor_analysis.share_last/{crossing['upper']}",
            other=f"competitor_analysis.share_last/{crossing['lower']}",
            up=f"competitor_analysis.slope/{crossing['upper']}",
            down=f"competitor_analysis.slope/{crossing['lower']}",
        )
        if crossing
        else None
    )
    if not crossing or facts is None or known.profile.harm:
        return None
    because = say(
        "{upper} holds {one} and moves by {up} points a year, {lower} {other} and {down}.",
        upper=crossing["upper"],
        lower=crossing["lower"],
        **facts,
    )
    company = bool(known.profile.roles.entity and known.profile.roles.entity.company)
    return Advice(
        f"{'Incumbent' if company else 'Planner'}: watch {crossing['upper']} and {crossing['lower']}, which may change"
        f" places by {crossing['when']}",
        because,
        "the trends of both shares over five years meet within three†",
        "a year in which the gap between the two widens",
        known.confidence("crossing"),
        _gap(known, crossing["upper"], crossing["lower"]),
    )


def scenarios(known: Known) -> Advice | None:
    """Three cases from the band where the forecast was often far off or the level has moved before."""
    forecast, dates = known.beside("forecast"), known.beside("breaks").get("dates") or []
    facts = known.facts(low="forecast.low", value="forecast.value", high="forecast.high", error="forecast.wmape")
    if not forecast.get("given") or facts is None:
        return None
    if forecast["wmape"] <= SCENARIO_ERROR and not dates:
        return None
    moved = f" The level changed in {words.listed(dates)}." if dates else ""
    because = say(
        f"For {forecast['span']} the forecast is {{value}}, its band {{low}} to {{high}}; past errors came to {{error}}"
        f" (wMAPE).{moved}",
        **facts,
    )
    return Advice(
        f"Planner: plan {forecast['span']} in three cases, the two ends of the band and the forecast",
        because,
        f"wMAPE above {SCENARIO_ERROR:.0f}{words.NBSP}% or a change of level in the last five years†",
        f"a wMAPE of at most {SCENARIO_ERROR:.0f}{words.NBSP}% and five years without a change of level",
        known.confidence("outlook"),
        _half_width(known),
    )


def _gap(known: Known, upper: str, lower: str) -> float:
    """Points of share between the two."""
    one, other = (known.number(f"competitor_analysis.share_last/{name}") or 0.0 for name in (upper, lower))
    return one - other


def _half_width(known: Known) -> float:
    """Half of the band, in percent of the forecast."""
    value, low, high = (known.number(f"forecast.{key}") or 0.0 for key in ("value", "low", "high"))
    return 50 * (high - low) / value if value > 0 else 0.0
