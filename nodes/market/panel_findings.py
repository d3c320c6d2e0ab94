"""What a changing panel means for the summary and the recommendations."""

from __future__ import annotations

from holdfast.nodes.market import words
from holdfast.nodes.market.advice import FIRST, Advice
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.panel import PERIODS
from holdfast.nodes.market.summary_amounts import Finding, measure_of
from holdfast.nodes.report.document import Fact


def _flipped(known: Known) -> tuple[str, dict[str, Fact | str]] | None:
    """The comparison whose sign differs from that of the whole, with its facts."""
    for which in PERIODS:
        if known.beside("panel").get(which, {}).get("flips"):
            keys = ("before", "now", "steady", "change", "whole")
            facts = known.facts(**{key: f"data_quality.panel_{which}_{key}" for key in keys})
            return (which, facts) if facts else None
    return None


def headline(known: Known) -> Finding | None:
    """Growth like for like, where the whole says the opposite."""
    found, panel = _flipped(known), known.profile.roles.panel
    if found is None or panel is None:
        return None
    which, facts = found
    told = known.beside("panel")[which]
    start, last = (words.period(day, known.profile.frame) for day in (told["start"], known.profile.frames[-1]))
    template = (
        f"**Like for like, {{measure}} {words.moved(told['like_for_like'])} {{change}} from {start} to {last}.** That"
        f" is over the {{steady}} {panel.many} that report throughout. The whole {words.moved(told['whole'])}"
        f" {{whole}}, but with {{now}} {panel.many} in the file instead of {{before}}."
    )
    return say(template, measure=measure_of(known), **facts), known.confidence("panel")


def fix_panel(known: Known) -> Advice | None:
    """Before anything else: compare those that report throughout."""
    found, panel = _flipped(known), known.profile.roles.panel
    if found is None or panel is None:
        return None
    told = known.beside("panel")[found[0]]
    because = say(
        f"From {{before}} to {{now}} {panel.many} the whole {words.moved(told['whole'])} {{whole}}; over the {{steady}}"
        f" that report throughout it {words.moved(told['like_for_like'])} {{change}}.",
        **found[1],
    )
    return Advice(
        f"Everyone: fix the panel of {panel.many} first, before any target is set on the total",
        because,
        f"the sign of growth differs between all {panel.many} and those that report throughout",
        f"earlier figures of the {panel.many} that came later",
        known.confidence("panel"),
        FIRST,
    )
