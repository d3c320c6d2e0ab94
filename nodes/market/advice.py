"""A recommendation as data, and the order in which several stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.nodes.report.document import Level, Span

WEIGHT: dict[Level, float] = {"high": 1.0, "medium": 2 / 3, "low": 1 / 3}  # of the confidence; our own convention
FIRST = 1000.0  # the size of what has to be done before anything else is worth doing


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation: what to do, the figures, the rule and what would change it.

    ``size`` is what is at stake in percent of the whole; advice on the file itself has none and stands last.
    """

    advice: str
    because: list[Span]
    rule: str
    changes: str
    level: Level
    size: float = 0.0


def ordered(found: Iterable[Advice]) -> list[Advice]:
    """By size × confidence, the largest first; equals keep their order."""
    return sorted(found, key=lambda advice: -advice.size * WEIGHT[advice.level])
