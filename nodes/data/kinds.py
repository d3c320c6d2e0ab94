"""Whether a measure may be summed: an amount per period, a stock or a level.

Values are asked first, then the column's name.  A name that leaves it open ("value") may stand for a stock that the
file's name or the goal speaks of.  What nothing tells is guessed, and whoever guesses says so.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def kind_of(column: Column, stock: str = "") -> Kind:
    """The class of a column's values.  An intensive word beats a flow word: a sales price is a price.

    ``stock`` is what ``stock_around`` found.
    """
    return _by_values(column) or _by_surroundings(column, stock) or _by_name(column) or _guessed(column)


def stock_around(texts: Sequence[str], columns: Sequence[str]) -> str:
    """The stock that one of the ``texts`` around a table speaks of, such as the file's name or the goal; else empty.

    Not if the text names something else as well that could be measured (visits, density), if the stock may be who
    reports (stations), or if one of the ``columns`` holds the names of it (customers).
    """
    nouns = {noun for name in columns for noun in (names.noun_for(name).one, names.noun_for(name).many)}
    for text in texts:
        found = names.stock_in(text)
        alone = not any(names.suggests(text, kind) for kind in ("flow", "intensive"))
        if found and alone and found not in nouns and not names.suggests(found, "coverage"):
            return found
    return ""


def _by_surroundings(column: Column, stock: str) -> Kind | None:
    why = f"the goal or the file’s name speaks of “{stock}”, a stock; summed over the parts, averaged over time"
    return Kind("stock", why) if stock and names.says_nothing(column.name) else None


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
