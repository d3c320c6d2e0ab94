"""What each column is for, decided by values first and names second, and said in a table with the reason.

Time is found in ``times``; here: the measure and whether it may be summed, who is compared, given shares, ids.
When it is not sure that a measure may be summed, it is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import names, relations, units
from holdfast.nodes.data.columns import Column, exact_distinct
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.kinds import RANK, Kind, kind_of, stock_around
from holdfast.nodes.data.models import ColumnRole, Entity, Measure, MeasureKind, Panel, Price, Roles, Time
from holdfast.nodes.data.questions import Inquiry
from holdfast.nodes.data.times import find_time

MOST_ENTITIES = 500
FIRST_YEAR, LAST_YEAR = 1500, 2100
_NO_UNIT_PRICE = {"index", "open", "close", "high", "low", "change", "total"}
_MONEY = {"revenue", "turnover", "amount", "value", "spend", "income", "cost", "profit", "total"}
MOST_CODES = 100  # different whole numbers that may stand for names


@dataclass(slots=True)
class Draft:
    """Roles while they are being decided."""

    columns: list[Column]
    asked: Inquiry
    stock: str = ""  # what the names of the files or the goal speak of
    roles: dict[str, ColumnRole] = field(default_factory=dict)

    def give(self, column: Column, role: str, why: str) -> None:
        """Settles a column's role; the first reason stands."""
        self.roles.setdefault(
            column.name, ColumnRole(column=column.name, role=role, why=why, example=column.example[:40])
        )

    def role_of(self, column: Column) -> str:
        """The role given so far; empty if none."""
        return self.roles[column.name].role if column.name in self.roles else ""

    def kind(self, column: Column) -> Kind:
        """Whether its numbers may be summed."""
        return kind_of(column, self.stock)

    def free(self) -> list[Column]:
        """Columns without a role."""
        return [column for column in self.columns if column.name not in self.roles]


def decide_roles(engine: Engine, columns: list[Column], where: str, asked: Inquiry, about: Sequence[str] = ()) -> Roles:
    """The roles of the table ``data``; raises BadInput if nothing can be measured or dated in ``where``.

    ``about``: the names of the files and the goal, which may say what a column measures whose header does not.
    """
    draft = Draft(columns, asked, stock_around(about, [column.name for column in columns]))
    time = find_time(engine, draft.columns, where, asked)
    for column in draft.columns:
        if column.name in time.columns:
            divided = "; a week in two months is divided by its days†" if time.week else ""
            draft.give(column, "time", f"{time.form}; one period is a {time.grain}{divided}")
    _set_apart(engine, draft, time)
    shares = {
        column.name: scale
        for column in draft.free()
        if column.numeric and (scale := _given_share(engine, column, time))
    }
    categories = _categories(engine, draft, time)
    measured = _pick_measure(draft, set(shares), categories, where)
    unit = _unit_column(engine, draft, measured, categories)
    categories = [column for column in categories if unit is None or column is not unit.column]
    measure = _measure(draft, measured, unit, time)
    entity = _entity(engine, draft, categories, time, measure)
    share = next((name for name in shares if entity and name != measure.column), "")
    _rest(engine, draft, share, measure)
    return Roles(
        time=time,
        measure=measure,
        entity=entity,
        share=share,
        share_scale=shares.get(share, 100.0),
        panel=_panel(draft, entity),
        price=_price(draft, measure, unit),
        unit_column=unit.column.name if unit else "",
        columns=[draft.roles[column.name] for column in draft.columns],
    )


def _set_apart(engine: Engine, draft: Draft, time: Time) -> None:
    """Columns that cannot be measure or category: empty, constant, twice the same, ids and codes."""
    for column in draft.free():
        if not column.filled:
            draft.give(column, "empty", "no cell is filled")
        elif column.distinct <= 1:
            every = "in every row" if column.filled == column.rows else "wherever it is filled"
            draft.give(column, "constant", f"the same {every}")
    for name, other in relations.copies(engine, draft.free()).items():
        column = next(column for column in draft.columns if column.name == name)
        draft.give(column, "copy", f"the same as “{other}” in every row; dropped")
    for column in draft.free():
        if column.numeric and column.whole and (names.suggests(column.name, "id") or column.coded):
            draft.give(column, "id", "numbers that name something; never summed")
        elif _holds_years(column):
            draft.give(column, "other time", "years, as its name says; never measured")
        elif column.numeric and names.suggests(column.name, "id") and not column.whole:
            draft.give(column, "position", "coordinates; never summed")
        elif _counts_rows(column):
            draft.give(column, "id", "every row has the next higher number; never summed")
        elif not column.numeric and column.distinct > 0.5 * column.filled and column.filled > 20:
            draft.give(column, "text", "values nearly all differ; never grouped")


def _holds_years(column: Column) -> bool:
    """Whole numbers that are years by their size, under a name that says a time or a bound of one."""
    timely = names.suggests(column.name, "time") or names.suggests(column.name, "span")
    return column.numeric and column.whole and timely and column.low >= FIRST_YEAR and column.high <= LAST_YEAR


def _counts_rows(column: Column) -> bool:
    """Whole numbers that only rise from row to row, one for each row, and whose name speaks of no measure."""
    if not column.numeric or not column.whole or column.filled <= 20 or column.filled < column.rows:
        return False
    if any(names.suggests(column.name, kind) for kind in ("flow", "stock", "intensive")):
        return False
    numbers = [float(cell) for cell in column.sample] if column.form == "plain" else []
    return (
        column.distinct > 0.9 * column.filled and all(a < b for a, b in itertools.pairwise(numbers)) and bool(numbers)
    )


def _given_share(engine: Engine, column: Column, time: Time) -> float:
    """100 or 1 if the column's values add up to that in at least 90 % of periods, else 0."""
    if column.negatives or column.high > 100.5:
        return 0.0
    for whole in (100.0, 1.0):
        row = engine.row(
            f"SELECT count(*) AS n, count_if(abs(s - {whole}) <= {0.02 * whole}) AS ok, avg(k) AS parts FROM "
            f"(SELECT sum({column.number}) AS s, count({column.number}) AS k FROM data GROUP BY {time.sql})"
        )
        if row["n"] >= 3 and row["parts"] >= 2 and row["ok"] >= 0.9 * row["n"]:
            return whole
    return 0.0


def _pick_measure(draft: Draft, shares: set[str], categories: list[Column], where: str) -> Column:
    """The column that is measured; asked if several could be.  Raises BadInput if none can."""
    candidates = _numbers(draft, categories)
    if not candidates:
        listed = ", ".join(column.name for column in draft.columns[:20])
        raise BadInput(f"{where} has no numeric column to measure among {listed}; add one such as units or sales")
    usual = [column for column in candidates if column.name not in shares] or candidates
    best = max(usual, key=lambda column: _measure_score(draft, column))
    rivals = [column for column in usual if column is not best and draft.kind(column).kind == draft.kind(best).kind]
    if not rivals:
        return best
    chosen = draft.asked.choose(
        "measure",
        f"Which column is to be measured? {_listed(best, rivals)} could be.",
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


def _measure_score(draft: Draft, column: Column) -> tuple[int, bool, bool, int]:
    """Amounts before stocks before levels; of several costs the total one, of a day's prices that at its end."""
    main = bool({"total", "close"} & set(names.words(column.name)))
    return RANK[draft.kind(column).kind], names.suggests(column.name, "flow"), main, column.filled


def _listed(best: Column, rivals: list[Column]) -> str:
    return " or ".join(f"“{column.name}”" for column in [best, *rivals][:4])


def _unit_column(engine: Engine, draft: Draft, measure: Column, categories: list[Column]) -> units.UnitColumn | None:
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


def _measure(draft: Draft, column: Column, stated: units.UnitColumn | None, time: Time) -> Measure:
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


def _panel(draft: Draft, entity: Entity | None) -> Panel | None:
    """The finest column whose values are places that report, if there is one."""
    candidates = [
        column
        for column in draft.columns
        if names.suggests(column.name, "coverage")
        and draft.role_of(column) in ("competitor", "category", "other category", "text", "id")
        and 2 < column.distinct <= column.filled / 2
    ]
    if not candidates:
        return None
    column = max(candidates, key=lambda column: column.distinct)
    noun = names.noun_for(column.name)
    sql = entity.sql if entity and entity.column == column.name else column.text
    return Panel(column=column.name, one=noun.one, many=noun.many, sql=sql)


def _price(draft: Draft, measure: Measure, stated: units.UnitColumn | None) -> Price | None:
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
    return Price(column=price.name, unit="" if unit == "units" else unit, sql=price.number)


def _categories(engine: Engine, draft: Draft, time: Time) -> list[Column]:
    """Columns by whose values rows can be grouped, in order of the file."""
    return [column for column in draft.free() if _could_be_entity(engine, column, time)]


def _entity(engine: Engine, draft: Draft, categories: list[Column], time: Time, measure: Measure) -> Entity | None:
    candidates = [column for column in categories if not draft.role_of(column)]
    for name, upper in relations.inside(engine, candidates).items():
        lower = next(column for column in candidates if column.name == name)
        if not names.suggests(name, "company"):
            use = "compared" if measure.kind == "intensive" else "used for the mix"
            draft.give(lower, "other category", f"each value belongs to one “{upper}”, which is {use}")
    candidates = [column for column in candidates if not draft.role_of(column)]
    if not candidates:
        return None
    column = _compared(draft, candidates)
    noun = names.noun_for(column.name)
    text = f"('{noun.one} ' || {column.text})" if column.numeric else column.text  # a bare 2 says nothing
    variants = relations.spellings(engine, text)
    sql = relations.spelled(text, variants)
    totals = relations.totals(engine, time.sql, sql, measure.sql) if measure.kind != "intensive" else []
    why = _recurring(exact_distinct(engine, column), variants, totals)
    draft.give(column, "competitor" if noun.company else "category", why)
    return Entity(
        column=column.name,
        noun=noun.one,
        plural=noun.many,
        company=noun.company,
        sql=sql,
        totals=totals,
        spellings=variants,
        text=text,
    )


def _recurring(spelled: int, variants: Mapping[str, str], totals: Sequence[str]) -> str:
    """How many values are compared, and what became of the others of those ``spelled`` in the file."""
    told = f"{spelled - len(variants) - len(totals):,} values that recur over time"
    if variants:
        many = len(variants)
        told += f"; {many:,} other {'spelling is' if many == 1 else 'spellings are'} counted with them"
    return told + (f"; {len(totals):,} more {'is a total' if len(totals) == 1 else 'are totals'}" if totals else "")


def _compared(draft: Draft, candidates: list[Column]) -> Column:
    """The column whose values are compared: the one that names companies; asked if two do, or none of several."""
    best = max(candidates, key=_entity_score)
    company = names.suggests(best.name, "company")
    rivals = [
        column
        for column in candidates
        if column is not best and (not company or names.suggests(column.name, "company"))
    ]
    if rivals:
        chosen = draft.asked.choose(
            "compared",
            f"Whom or what should the report compare? {_listed(best, rivals)} could be.",
            [column.name for column in [best, *rivals]],
            "what is compared is “{}”" + f", one of {len(rivals) + 1} columns that could be",
        )
        return next(column for column in candidates if column.name == chosen)
    if not company and not names.suggests(best.name, "category"):
        draft.asked.assume(f"what is compared is “{best.name}”", "entity")
    return best


def _could_be_entity(engine: Engine, column: Column, time: Time) -> bool:
    if column.numeric and not _coded(column):
        return False
    if not 2 <= column.distinct <= 1.2 * MOST_ENTITIES:
        return False
    row = engine.row(
        f"SELECT count(*) AS n, avg(p) AS periods, count_if(p > 1) AS again FROM (SELECT count(DISTINCT {time.sql}) AS"
        f" p FROM data WHERE {column.text} IS NOT NULL GROUP BY {column.text})"
    )
    if not 2 <= row["n"] <= MOST_ENTITIES:
        return False
    return bool(row["again"] >= 0.3 * row["n"] or engine.value(f"SELECT count(DISTINCT {time.sql}) FROM data") == 1)


def _coded(column: Column) -> bool:
    """Whether few whole numbers stand for names: the header has to say so."""
    if not column.whole or column.negatives or column.distinct > MOST_CODES:
        return False
    if any(names.suggests(column.name, kind) for kind in ("flow", "stock", "intensive")):
        return False
    return names.suggests(column.name, "category") or names.suggests(column.name, "company")


def _entity_score(column: Column) -> tuple[bool, bool, bool, int]:
    return (
        names.suggests(column.name, "company"),
        names.suggests(column.name, "category"),
        3 <= column.distinct <= 80,
        -abs(column.distinct - 12),
    )


def _rest(engine: Engine, draft: Draft, share: str, measure: Measure) -> None:
    for column in draft.free():
        if column.name == share:
            draft.give(column, "given share", "its values add up to the whole in each period; checked, not used")
        elif column.numeric:
            kind, why = draft.kind(column).kind, draft.kind(column).why
            if kind != "intensive" and relations.never_above(engine, column.number, measure.sql):
                why = f"never above “{measure.column}” in any row, perhaps a part of it; never added to it"
            draft.give(column, f"other measure ({kind})", why)
        else:
            draft.give(column, "other category", f"{exact_distinct(engine, column):,} values; not used")
