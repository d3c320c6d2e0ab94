"""One row per period and entity: the small table ``cells`` from which every market figure is computed."""

from __future__ import annotations

from holdfast.nodes.data.engine import literal
from holdfast.nodes.data.models import Roles

DECIMAL = "DECIMAL(38, 9)"


def cells_sql(roles: Roles, after: str = "", through: str = "") -> str:
    """The common table expression that stands before every stored query; ``after`` and ``through`` bound the dates."""
    kind = roles.measure.kind
    kept = _kept(roles)
    kept += [f"period >= DATE '{after}'"] * bool(after) + [f"period <= DATE '{through}'"] * bool(through)
    dated = bool(roles.time.day) and kind == "stock"
    price = f", {roles.price.sql} AS w" if roles.price else ""
    exact = roles.measure.exact
    worth = ""
    if roles.price:
        product = _added("sum", "v * w", exact and roles.price.exact)
        worth = f", {product} AS worth, {_added('sum', 'CASE WHEN w IS NOT NULL THEN v END', exact)} AS priced"
    day = f", {roles.time.day} AS day" if dated else ""
    rows = _rows(roles, price + day)
    if splits_weeks(roles):
        rows = _by_month(rows, ", w" * bool(roles.price))
    where = " AND ".join(kept)
    if dated:  # what is there at a time is averaged over its dates in a period, never added
        rows = f"SELECT *, count(DISTINCT day) OVER (PARTITION BY period, entity) AS days FROM ({rows}) WHERE {where}"
    value = _added("avg" if kind == "intensive" else "sum", "v", exact) + " / max(days)" * dated
    return (
        f"WITH cells AS (SELECT period, entity, {value} AS value, sum(k)::BIGINT AS n{worth} FROM ({rows}) WHERE"
        f" {where} GROUP BY period, entity)"
    )


def _added(how: str, what: str, exact: bool) -> str:
    """The sum or mean of numbers; of decimals, since floating-point sums differ with the order of threads."""
    return f"CAST({how}(CAST({what} AS {DECIMAL})) AS DOUBLE)" if exact else f"{how}({what})"


def splits_weeks(roles: Roles) -> bool:
    """Whether the rows are weeks whose amounts are divided between months by their days."""
    return bool(roles.time.week) and roles.measure.kind == "flow"


def overhang_sql(roles: Roles, last: str) -> str:
    """Rows of the weeks that reach beyond the month ``last`` and what they hold of the days after it."""
    where = " AND ".join([*_kept(roles), f"month = DATE '{last}'", "later > month"])
    amount = _added("sum", "v * (1 - part)", roles.measure.exact)
    return (
        f"WITH {_parts(_rows(roles))} SELECT count(*) AS rows, coalesce({amount}, 0) AS amount FROM parts WHERE {where}"
    )


def _rows(roles: Roles, more: str = "") -> str:
    name = roles.entity.sql if roles.entity else literal(roles.measure.column)
    period = roles.time.week if splits_weeks(roles) else roles.time.sql
    return f"SELECT {period} AS period, {name} AS entity, {roles.measure.sql} AS v, 1 AS k{more} FROM data"


def _kept(roles: Roles) -> list[str]:
    """What a row must have to be used."""
    kept = ["period IS NOT NULL", "isfinite(v)"]
    if roles.entity and roles.entity.totals:
        listed = ", ".join(literal(total) for total in roles.entity.totals)
        kept.append(f"(entity IS NULL OR entity NOT IN ({listed}))")
    return kept


def _parts(rows: str) -> str:
    """Weeks with the month in which they begin, that in which they end, and the part of their days in the former."""
    part = "CASE WHEN later > month THEN datediff('day', period, later) ELSE 7 END / 7"
    first, last = (f"CAST(date_trunc('month', {day}) AS DATE)" for day in ("period", "period + 6"))
    return (
        f"weeks AS (SELECT *, {first} AS month, {last} AS later FROM ({rows})), parts AS (SELECT *, {part} AS part,"
        " max(month) OVER () AS last FROM weeks)"
    )


def _by_month(rows: str, more: str) -> str:
    """Weeks as months: a week that lies in two months is divided by its days, else months of five weeks would peak.

    Of the last week only the days in the month in which it begins count: of the next one the file has no more.
    """
    return (
        f"WITH {_parts(rows)} SELECT month AS period, entity, v * part AS v, k{more} FROM parts UNION ALL SELECT later"
        f" AS period, entity, v * (1 - part) AS v, 0 AS k{more} FROM parts WHERE part < 1 AND later <= last"
    )
