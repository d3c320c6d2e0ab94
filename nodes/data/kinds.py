"""Whether a measure may be summed: an amount per period, a stock or a level.

Values are asked first, then the column's name; what neither tells is guessed, and whoever guesses says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.models import MeasureKind

RANK: dict[MeasureKind, int] = {"flow": 3, "stock": 2, "intensive": 1}  # of several columns the highest is measured


@dataclass(frozen=True, slots=True)
class Kind:
    """The class of a measure and why; ``guessed`` if neither values nor names tell."""

    kind: MeasureKind
    why: str
    guessed: bool = False


def kind_of(column: Column) -> Kind:
    """The class of a column's values.  An intensive word beats a flow word: a sales price is a price."""
    return _by_values(column) or _by_name(column) or _guessed(column)


def _by_values(column: Column) -> Kind | None:
    if column.adds_up:
        return Kind("flow", "its parts add up to one of them; summed over time and parts")
    if names.unit_in(column.sample) == "%":
        return Kind("intensive", "its cells say percent; never summed")
    return None


def _by_name(column: Column) -> Kind | None:
    if names.suggests(column.name, "intensive"):
        return Kind("intensive", "its name says price, rate, share or level; never summed")
    if names.suggests(column.name, "stock"):
        return Kind("stock", "its name says a stock; summed over the parts, averaged over time")
    if names.suggests(column.name, "flow"):
        return Kind("flow", "its name says an amount per period; summed over time and parts")
    return None


def _guessed(column: Column) -> Kind:
    spread = column.high_tenth / column.low_tenth if column.low_tenth > 0 else (50.0 if column.high_tenth > 50 else 0.0)
    if column.whole and not column.negatives and column.high >= 1000 and spread >= 20:
        return Kind("flow", "whole numbers ≥ 0 of very different size; taken as an amount that can be summed", True)
    return Kind("intensive", "nothing shows that it may be summed, so it is not", True)
