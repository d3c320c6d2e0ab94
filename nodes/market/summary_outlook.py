"""The summary's finding on what comes next: the forecast with its band, or the reason why there is none."""

from __future__ import annotations

from holdfast.nodes.market import words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.report.document import Level, Span

TO_BAND = 15.0  # percent of wMAPE above which to plan with the band


def outlook(known: Known) -> tuple[list[Span], Level] | None:
    """The forecast of an amount with its band and past error."""
    forecast = known.beside("forecast")
    facts = known.facts(value="forecast.value", low="forecast.low", high="forecast.high", error="forecast.wmape")
    if not forecast.get("given") or facts is None:
        return None
    measure = words.quoted(known.profile.roles.measure.column)
    than = ""
    if (change := forecast["change"]) is not None and (fact := known.fact("forecast.change")):
        than = f", {{change}} {words.more(change)} than a year before"
        facts["change"] = fact
    template = (
        f"**{{measure}} is forecast at {{value}} for {forecast['span']}{than}.** The 80{words.NBSP}% band runs from"
        " {low} to {high}; past forecasts were off by {error}. "
    )
    template += "Plan with the band, not with one figure." if forecast["wmape"] > TO_BAND else "Plan within the band."
    return say(template, measure=measure, **facts), known.confidence("outlook")


def level_outlook(known: Known) -> tuple[list[Span], Level] | None:
    """How far the level with the widest band may move."""
    forecast = known.beside("forecast")
    name = forecast.get("widest", "")
    facts = known.facts(
        band="forecast.band", last=f"forecast.now/{name}", low=f"forecast.low/{name}", high=f"forecast.high/{name}"
    )
    if not forecast.get("given") or facts is None:
        return None
    if not forecast["wide"]:
        return None
    several = forecast["narrowest"] != name and not forecast["alike"]
    template = (
        f"**{{name}} stands at {{last}}; the {{band}} band for {forecast['span']} later runs from {{low}} to"
        " {high}.** "
    )
    template += (
        f"{'It is the widest of those compared. ' if several else ''}The band comes from past moves: it is no forecast."
    )
    return say(template, name=name, **facts), known.confidence("outlook")
