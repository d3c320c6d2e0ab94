"""What is measured: which column, whether it may be summed, in which unit, and the price of one of it."""

from __future__ import annotations

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import names, units, values
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.draft import Draft, listed
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.kinds import RANK
from holdfast.nodes.data.models import Measure, MeasureKind, Price, Time

MOST_EXACT, MOST_EXACT_PRICE, MOST_PLACES = 1e15, 1e6, 6  # of what is added as decimals with nine places
_NO_UNIT_PRICE = {"index", "open", "close", "high", "low", "change", "total"}
_MONEY = {"revenue", "turnover", "amount", "value", "spend", "income", "cost", "profit", "total"}


def pick_measure(draft: Draft, shares: set[str], categories: list[Column], where: str) -> Column:
    """The column that is measured; asked if several could be.  Raises BadInput if none can."""
    candidates = _numbers(draft, categories)
    if not candidates:
        columns = ", ".join(column.name for column in draft.columns[:20])
        raise BadInput(f"{where} has no numeric column to measure among {columns}; add one such as units or sales")
    usual = [column for column in candidates if column.name not in shares] or candidates
    best = max(usual, key=lambda column: _measure_score(draft, column))
    rivals = [column for column in usual if column is not best and draft.kind(column).kind == draft.kind(best).kind]
    if not rivals or (draft.spoken_of(best) and not any(map(draft.spoken_of, rivals))):
        return best
    chosen = draft.asked.choose(
        "measure",
        f"Which column is to be measured? {listed(best, rivals)} could be.",
        [column.name for column in (best, *rivals)],
        "the measure is “{}”" + f", one of {len(rivals) + 1} columns that could be",
    )
    return next(column for column in usual if column.name == chosen)


def _numbers(draft: Draft, categories: list[Column]) -> list[Column]:
    """Columns of numbers that nothing else explains; else constant ones, which are free again then."""
    free = [column for column in draft.free() if column.numeric and column not in categories]
    if free:
        return free
    constant = [column for column in draft.columns if column.numeric and draft.role_of(column) == "constant"]
    for column in constant:
        del draft.roles[column.name]
    return constant


def _measure_score(draft: Draft, column: Column) -> tuple[bool, int, bool, bool, int]:
    """What the goal names; amounts before stocks before levels; of costs the total, of a day’s prices the close."""
    main = bool({"total", "close"} & set(names.words(column.name)))
    kind, flows = RANK[draft.kind(column).kind], names.suggests(column.name, "flow")
    return draft.spoken_of(column), kind, flows, main, column.filled


def unit_column(engine: Engine, draft: Draft, measure: Column, categories: list[Column]) -> units.UnitColumn | None:
    """The column that says in which unit the measure is; exchange rates, compared by currency, have none."""
    free = [column for column in draft.columns if draft.role_of(column) in ("", "constant", "id")]
    found = units.find_unit(engine, free)
    if found is None or not units.measured_in(found, measure.name):
        return None
    alone = all(column is found.column for column in categories)
    if alone and not found.one and draft.kind(measure).kind == "intensive":
        return None
    draft.roles.pop(found.column.name, None)
    several = f"{len(found.units)} of them, which are never added"
    draft.give(found.column, "unit", f"says in which {found.kind} “{measure.name}” is: {found.one or several}")
    return found


def measure_of(draft: Draft, column: Column, stated: units.UnitColumn | None, time: Time) -> Measure:
    """The measure with its kind, asked if nothing tells it, and its unit, asked if the file does not state it."""
    found = draft.kind(column)
    kind, why, guessed = found.kind, found.why, False
    unit = names.unit_of(column.name) or (stated.one if stated else "") or names.unit_in(column.sample)
    if found.guessed:
        kind = _asked_kind(draft, column, kind)
        guessed = "measure" in draft.asked.assumed
        why = why if guessed else f"somebody has said: {KINDS_TO_CHOOSE[kind]}"
    elif draft.stock and kind == "stock" and names.says_nothing(column.name):
        draft.asked.assume(
            f"“{column.name}” is the “{draft.stock}” that the goal or the file’s name speaks of, a stock"
        )
    draft.give(column, f"measure ({kind})", why)
    if not unit and not stated and not (column.whole and names.suggests(column.name, "counted")):
        unit = draft.asked.unit(column.name)
    shared = column.whole and kind == "flow" and bool(time.week)
    return Measure(
        column=column.name,
        kind=kind,
        why=why,
        guessed=guessed,
        unit=unit,
        sql=column.number,
        whole=column.whole and not shared,
        shared=shared,
        places=column.places,
        exact=_is_exact(column, MOST_EXACT),
    )


KINDS_TO_CHOOSE: dict[MeasureKind, str] = {
    "flow": "an amount that can be summed",
    "stock": "a stock, which is added over its parts and not over time",
    "intensive": "a level that cannot be summed",
}


def _asked_kind(draft: Draft, column: Column, guess: MeasureKind) -> MeasureKind:
    """What somebody says of a measure of which nothing tells whether it may be summed; else the guess, as assumed."""
    if draft.asked.has("measure"):
        draft.asked.assume(f"“{column.name}” is {KINDS_TO_CHOOSE[guess]}", "measure")
        return guess
    prompt = f"What is “{column.name}”? Nothing in the file shows whether it may be summed."
    options = [KINDS_TO_CHOOSE[guess], *(text for kind, text in KINDS_TO_CHOOSE.items() if kind != guess)]
    chosen = draft.asked.choose("measure", prompt, options, f"“{column.name}” is {{}}")
    return next(kind for kind, text in KINDS_TO_CHOOSE.items() if text == chosen)


def price_of(draft: Draft, measure: Measure, stated: units.UnitColumn | None) -> Price | None:
    """The one column of prices beside an amount of pieces; None if the file has money as well, or several prices."""
    words = [(column, set(names.words(column.name))) for column in draft.columns if column.numeric]
    prices = [column for column, said in words if said & {"price", "prices"} and not said & _NO_UNIT_PRICE]
    money = [column for column, said in words if said & _MONEY and column not in prices]
    counted = names.counts_pieces(measure.column)
    if measure.kind != "flow" or not counted or len(prices) != 1 or money or prices[0].low < 0:
        return None
    price = prices[0]
    unit = names.unit_of(price.name).split(" per ")[0] or names.unit_in(price.sample)
    if not set(names.words(price.name)) & {"unit", "per"}:
        draft.asked.assumptions.append(f"“{price.name}” is the price of one of “{measure.column}”")
    return Price(
        column=price.name,
        unit="" if unit == "units" else unit,
        sql=price.number,
        exact=_is_exact(price, MOST_EXACT_PRICE),
    )


def _is_exact(column: Column, most: float) -> bool:
    """Whether decimals of nine places hold the column's numbers and their sums."""
    decimals = values.decimals(column.sample, column.form or "plain")
    return max(-column.low, column.high) < most and decimals <= MOST_PLACES
