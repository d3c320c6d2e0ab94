"""The column that a file lacks most, by what it measures: what to get next, and what cannot be told without it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.nodes.data import names
from holdfast.nodes.data.models import Profile

_MONEY = {"revenue", "turnover", "income", "profit", "spend", "spending", "expenditure", "earnings", "cost", "costs"}
_EITHER = {"sales", "sale", "amount", "value", "umsatz", "ventes", "ventas"}  # money or pieces
_VALUE = _MONEY | {"price", "prices", "margin", "usd", "eur", "dollars", "value"}
_MOVES = {"movement", "movements", "event", "events", "entry", "transaction", "transactions"}  # of a stock
_RECURRING = {"mrr", "arr", "recurring"}
_PAYERS = {"customers", "subscribers", "accounts", "users", "seats", "licences", "licenses"}
_PIECES = {"units", "unit", "quantity", "qty", "volume", "pieces", "orders", "litres", "liters", "tonnes", "tons"}
_SOURCES = {"source", "fuel", "product", "item", "model", "crop", "series"}


@dataclass(frozen=True, slots=True)
class Gap:
    """``because`` goes on after "The … rows"; ``missing`` stands in the list of what the data cannot tell."""

    advice: str
    because: str
    rule: str
    missing: str
    changes: str = "such a column in the file"


def key_gap(profile: Profile) -> Gap | None:
    """What would help most; None for levels, which lack amounts, and where value and pieces are both there."""
    measure, entity = profile.roles.measure, profile.roles.entity
    if measure.kind == "intensive":
        return None
    if found := _by_what_is_counted(profile):
        return found
    tokens = {word for column in profile.roles.columns for word in names.words(column.column)}
    own = set(names.words(measure.column))
    per = f" per {entity.noun}" if entity else ""
    if measure.kind == "stock" and not (entity and entity.company):
        return None if not own & _RECURRING or tokens & _PAYERS else _payers(per)
    if names.is_money(measure.unit) or own & _MONEY:
        return None if tokens & _PIECES else _pieces(per)
    if own & _EITHER and not measure.unit:
        return Gap(
            f"find out the unit of “{measure.column}” next",
            "do not say whether they count money or pieces.",
            "the header allows both money and pieces",
            "whether these are pieces or money",
            "a unit in the header",
        )
    return None if tokens & _VALUE else _prices(per)


def _by_what_is_counted(profile: Profile) -> Gap | None:
    """What is lacked beside a count of nobody knows what, of harm, or of what is there at a time."""
    measure, entity = profile.roles.measure, profile.roles.entity
    if measure.guessed:
        return Gap(
            f"find out what “{measure.column}” counts, and whether it may be summed, next",
            "do not say what they count; that they may be summed is assumed.",
            "nothing in the file names what is measured",
            f"what “{measure.column}” counts",
            "a header, a note or an answer that says it",
        )
    if profile.harm:
        return Gap(
            "get what is exposed next (people, traffic, hours), to turn counts into rates",
            "count cases only: whether they are many for their size cannot be seen in them.",
            "the measure counts harm, and no column holds what is exposed to it",
            "how many were exposed",
        )
    if names.counts_people(measure.column):
        return Gap(
            "get what serves them next (places, staff, hours), to set use beside capacity",
            "count people only: whether there was room for them cannot be seen in them.",
            "the measure counts people who are served, and no column holds capacity",
            "the capacity that served them",
        )
    moves = {word for column in profile.roles.columns for word in names.words(column.column)} & _MOVES
    if measure.kind == "stock" and not (entity and entity.company) and not moves:
        return Gap(
            "get what came and what went next, beside the stock",
            "give a stock only: neither what came nor what went can be seen in them.",
            "the measure is a stock",
            "what came and what went",
        )
    return None


def _payers(per: str) -> Gap:
    return Gap(
        f"get the number of customers{per} next",
        "give money only: whether price or number of customers moved cannot be seen in them.",
        "the measure is a recurring revenue, and no column holds who pays it",
        "how many pay",
    )


def _pieces(per: str) -> Gap:
    return Gap(
        f"get units sold{per} next",
        "give money only: whether price or volume moved cannot be seen in them.",
        "no column holds units or volumes",
        "units sold",
    )


def _prices(per: str) -> Gap:
    return Gap(
        f"get prices or revenue{per} next",
        "give amounts only: neither value nor margin can be seen in them.",
        "no column holds prices, revenue or costs",
        "prices and revenue",
    )


def is_source(profile: Profile) -> bool:
    """Whether what is compared can be bought, so that a buyer may depend on it."""
    return bool(profile.roles.entity and profile.roles.entity.noun in _SOURCES)
