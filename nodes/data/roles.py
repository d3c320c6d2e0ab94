"""What each column is for, decided by values first and names second, and said in a table with the reason.

Time is found in ``times``; here: the measure and whether it may be summed, who is compared, given shares, ids.
When it is not sure that a measure may be summed, it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column, exact_distinct
from holdfast.nodes.data.engine import Engine, literal
from holdfast.nodes.data.models import ColumnRole, Entity, Measure, MeasureKind, Roles, Time
from holdfast.nodes.data.times import find_time

MOST_ENTITIES = 500
_TOTAL_NAMES = "^(grand )?(total|all|sum|overall|world|alle|gesamt|totalt|i alt)( .*)?$"


@dataclass(slots=True)
class Draft:
    """Roles while they are being decided."""

    columns: list[Column]
    roles: dict[str, ColumnRole] = field(default_factory=dict)
    assumptions: list[str] = field(default_factory=list)

    def give(self, column: Column, role: str, why: str) -> None:
        """Settles a column's role; the first reason stands."""
        self.roles.setdefault(
            column.name, ColumnRole(column=column.name, role=role, why=why, example=column.example[:40])
        )

    def role_of(self, column: Column) -> str:
        """The role given so far; empty if none."""
        return self.roles[column.name].role if column.name in self.roles else ""

    def free(self) -> list[Column]:
        """Columns without a role."""
        return [column for column in self.columns if column.name not in self.roles]


def decide_roles(engine: Engine, columns: list[Column], where: str) -> Roles:
    """The roles of the table ``data``; raises BadInput if nothing can be measured or dated in ``where``."""
    draft = Draft(columns)
    time, assumed = find_time(engine, draft.columns, where)
    draft.assumptions += assumed
    for column in draft.columns:
        if column.name in time.columns:
            draft.give(column, "time", f"{time.form}; one period is a {time.grain}")
    _set_apart(engine, draft)
    shares = {
        column.name: scale
        for column in draft.free()
        if column.numeric and (scale := _given_share(engine, column, time))
    }
    measure_column = _pick_measure(draft, set(shares), where)
    measure = _measure(draft, measure_column)
    entity = _entity(engine, draft, time, measure)
    share = next((name for name in shares if entity and name != measure.column), "")
    _rest(draft, share)
    return Roles(
        time=time,
        measure=measure,
        entity=entity,
        share=share,
        share_scale=shares.get(share, 100.0),
        columns=[draft.roles[column.name] for column in draft.columns],
        assumptions=draft.assumptions,
    )


def _set_apart(engine: Engine, draft: Draft) -> None:
    """Columns that cannot be measure or category: empty, constant, ids and codes."""
    for column in draft.free():
        if not column.filled:
            draft.give(column, "empty", "no cell is filled")
        elif column.distinct <= 1:
            draft.give(column, "constant", "the same in every row")
        elif column.numeric and column.whole and (names.suggests(column.name, "id") or column.coded):
            draft.give(column, "id", "numbers that name something; never summed")
        elif column.numeric and names.suggests(column.name, "id") and not column.whole:
            draft.give(column, "position", "coordinates; never summed")
        elif not column.numeric and column.distinct > 0.5 * column.filled and column.filled > 20:
            draft.give(column, "text", "values nearly all differ; never grouped")


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


def _pick_measure(draft: Draft, shares: set[str], where: str) -> Column:
    candidates = [column for column in draft.free() if column.numeric]
    if not candidates:
        candidates = [column for column in draft.columns if column.numeric and draft.role_of(column) == "constant"]
        for column in candidates:
            del draft.roles[column.name]
    if not candidates:
        raise BadInput(
            f"{where} has no numeric column to measure among {', '.join(column.name for column in draft.columns[:20])};"
            " add one such as units or sales"
        )
    usual = [column for column in candidates if column.name not in shares] or candidates
    best = max(usual, key=lambda column: (_RANK[_kind(column)[0]], names.suggests(column.name, "flow"), column.filled))
    if rivals := [column.name for column in usual if column is not best and _kind(column)[0] == _kind(best)[0]]:
        draft.assumptions.append(f"the measure is “{best.name}”, not {' or '.join(f'“{name}”' for name in rivals[:3])}")
    return best


_RANK: dict[MeasureKind, int] = {"flow": 3, "stock": 2, "intensive": 1}


def _kind(column: Column) -> tuple[MeasureKind, str]:
    """The class of a measure and why.  An intensive word beats a flow word: a sales price is a price."""
    if names.suggests(column.name, "intensive"):
        return "intensive", "its name says price, rate, share or level; never summed"
    if names.suggests(column.name, "stock"):
        return "stock", "its name says a stock; summed over the parts, averaged over time"
    if names.suggests(column.name, "flow"):
        return "flow", "its name says an amount per period; summed over time and parts"
    spread = column.high_tenth / column.low_tenth if column.low_tenth > 0 else (50.0 if column.high_tenth > 50 else 0.0)
    if column.whole and not column.negatives and column.high >= 1000 and spread >= 20:
        return "flow", "whole numbers ≥ 0 of very different size; taken as an amount that can be summed"
    return "intensive", "nothing shows that it may be summed, so it is not"


def _measure(draft: Draft, column: Column) -> Measure:
    kind, why = _kind(column)
    unit = names.unit_of(column.name)
    draft.give(column, f"measure ({kind})", why)
    if not names.suggests(column.name, kind):
        draft.assumptions.append(
            f"“{column.name}” is"
            f" {'an amount that can be summed' if kind == 'flow' else 'a level that cannot be summed'}"
        )
    return Measure(column=column.name, kind=kind, why=why, unit=unit, sql=column.number, whole=column.whole)


def _entity(engine: Engine, draft: Draft, time: Time, measure: Measure) -> Entity | None:
    candidates = [column for column in draft.free() if _could_be_entity(engine, column, time)]
    if not candidates:
        return None
    column = max(candidates, key=_entity_score)
    noun = names.noun_for(column.name)
    named = names.suggests(column.name, "company") or names.suggests(column.name, "category")
    draft.give(
        column,
        "competitor" if noun.company else "category",
        f"{exact_distinct(engine, column)} values that recur over time",
    )
    if len(candidates) > 1 and not names.suggests(column.name, "company"):
        others = [other.name for other in candidates if other is not column]
        draft.assumptions.append(
            f"what is compared is “{column.name}”, not {' or '.join(f'“{name}”' for name in others[:3])}"
        )
    elif not named:
        draft.assumptions.append(f"what is compared is “{column.name}”")
    totals = _totals(engine, column, time, measure) if measure.kind != "intensive" else []
    return Entity(
        column=column.name, noun=noun.one, plural=noun.many, company=noun.company, sql=column.text, totals=totals
    )


def _could_be_entity(engine: Engine, column: Column, time: Time) -> bool:
    if column.numeric and not (
        column.whole and column.distinct <= 30 and not column.negatives and names.suggests(column.name, "category")
    ):
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


def _entity_score(column: Column) -> tuple[bool, bool, bool, int]:
    return (
        names.suggests(column.name, "company"),
        names.suggests(column.name, "category"),
        3 <= column.distinct <= 80,
        -abs(column.distinct - 12),
    )


def _totals(engine: Engine, column: Column, time: Time, measure: Measure) -> list[str]:
    """Values that equal the sum of the others in at least 95 % of periods (±0.5 %), whatever they are called."""
    rows = engine.rows(
        f"WITH parts AS (SELECT {time.sql} AS p, {column.text} AS e, sum({measure.sql}) AS v FROM data GROUP BY ALL), "
        "sums AS (SELECT p, sum(v) AS s, count(*) AS k FROM parts GROUP BY p) "
        "SELECT e, count(*) AS n, count_if(k >= 3 AND abs(s - 2 * v) <= 0.005 * abs(v)) AS hit, "
        f"bool_or(regexp_matches(lower(e), {literal(_TOTAL_NAMES)})) AS named FROM parts JOIN sums USING (p) "
        "WHERE e IS NOT NULL AND v > 0 GROUP BY e ORDER BY e"
    )
    return [
        row["e"]
        for row in rows
        if row["n"] >= 2 and (row["hit"] >= 0.95 * row["n"] or (row["named"] and row["hit"] >= 0.5 * row["n"]))
    ]


def _rest(draft: Draft, share: str) -> None:
    for column in draft.free():
        if column.name == share:
            draft.give(column, "given share", "its values add up to the whole in each period; checked, not used")
        elif column.numeric:
            kind, why = _kind(column)
            draft.give(column, f"other measure ({kind})", why)
        else:
            draft.give(column, "other category", f"about {column.distinct:,} values; not used")
