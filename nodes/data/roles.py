"""What each column is for, decided by values first and names second, and said in a table with the reason.

Time is found in ``times``, the measure in ``measures``; here: who is compared, given shares, ids, what is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from holdfast.nodes.data import names, relations
from holdfast.nodes.data.columns import Column, exact_distinct
from holdfast.nodes.data.draft import Draft, listed
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.kinds import stock_around
from holdfast.nodes.data.measures import measure_of, pick_measure, price_of, unit_column
from holdfast.nodes.data.models import Entity, Measure, Panel, Roles, Time
from holdfast.nodes.data.questions import Inquiry
from holdfast.nodes.data.times import find_time

MOST_ENTITIES = 500
FIRST_YEAR, LAST_YEAR = 1500, 2100
MOST_CODES = 100  # different whole numbers that may stand for names


def decide_roles(engine: Engine, columns: list[Column], where: str, asked: Inquiry, about: Sequence[str] = ()) -> Roles:
    """The roles of the table ``data``; raises BadInput if nothing can be measured or dated in ``where``.

    ``about``: the names of the files and the goal, which may say what a column measures whose header does not.
    """
    draft = Draft(columns, asked, about, stock_around(about, [column.name for column in columns]))
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
    measured = pick_measure(draft, set(shares), categories, where)
    unit = unit_column(engine, draft, measured, categories)
    categories = [column for column in categories if unit is None or column is not unit.column]
    measure = measure_of(draft, measured, unit, time)
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
        price=price_of(draft, measure, unit),
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
        for fits, role, why in APART:
            if fits(column):
                draft.give(column, role, why)
                break


def _names_something(column: Column) -> bool:
    return column.numeric and column.whole and (names.suggests(column.name, "id") or column.coded)


def _is_position(column: Column) -> bool:
    return column.numeric and not column.whole and names.suggests(column.name, "id")


def _is_text(column: Column) -> bool:
    return not column.numeric and column.distinct > 0.5 * column.filled and column.filled > 20


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


APART: tuple[tuple[Callable[[Column], bool], str, str], ...] = (  # the first that fits
    (_names_something, "id", "numbers that name something; never summed"),
    (_holds_years, "other time", "years, as its name says; never measured"),
    (_is_position, "position", "coordinates; never summed"),
    (_counts_rows, "id", "every row has the next higher number; never summed"),
    (_is_text, "text", "values nearly all differ; never grouped"),
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
            f"Whom or what should the report compare? {listed(best, rivals)} could be.",
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
