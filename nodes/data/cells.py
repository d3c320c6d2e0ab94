"""One row per period and entity: the small table ``cells`` from which every market figure is computed."""

from __future__ import annotations

from holdfast.nodes.data.engine import literal
from holdfast.nodes.data.models import Roles

DECIMAL = "DECIMAL(38, 9)"


def cells_sql(roles: Roles, after: str = "", through: str = "") -> str:
    """The common table expression that stands before every stored query; ``after`` and ``through`` bound the dates."""
    entity, kind = roles.entity, roles.measure.kind
    name = entity.sql if entity else literal(roles.measure.column)
    kept = ["period IS NOT NULL", "isfinite(v)"]
    if entity and entity.totals:
        kept.append(f"(entity IS NULL OR entity NOT IN ({', '.join(literal(total) for total in entity.totals)}))")
    kept += [f"period >= DATE '{after}'"] * bool(after) + [f"period <= DATE '{through}'"] * bool(through)
    split, dated = bool(roles.time.week) and kind == "flow", bool(roles.time.day) and kind == "stock"
    period = roles.time.week if split else roles.time.sql
    price = f", {roles.price.sql} AS w" if roles.price else ""
    exact = roles.measure.exact
    worth = ""
    if roles.price:
        product = _added("sum", "v * w", exact and roles.price.exact)
        worth = f", {product} AS worth, {_added('sum', 'CASE WHEN w IS NOT NULL THEN v END', exact)} AS priced"
    day = f", {roles.time.day} AS day" if dated else ""
    rows = f"SELECT {period} AS period, {name} AS entity, {roles.measure.sql} AS v, 1 AS k{price}{day} FROM data"
    if split:
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


def _by_month(rows: str, more: str) -> str:
    """Weeks as months: a week that lies in two months is divided by its days, else months of five weeks would peak.

    The last week counts wholly for the month in which it begins, since the next one has no more than its end.
    """
    later = "CAST(date_trunc('month', period + 6) AS DATE)"
    first = "CAST(date_trunc('month', period) AS DATE)"
    part = f"CASE WHEN {later} > month AND {later} <= last THEN datediff('day', period, {later}) ELSE 7 END / 7"
    return (
        f"WITH weeks AS (SELECT *, {first} AS month, max({first}) OVER () AS last FROM ({rows})), "
        f"parts AS (SELECT *, {part} AS part FROM weeks) "
        f"SELECT month AS period, entity, v * part AS v, k{more} FROM parts UNION ALL "
        f"SELECT {later} AS period, entity, v * (1 - part) AS v, 0 AS k{more} FROM parts WHERE part < 1"
    )
