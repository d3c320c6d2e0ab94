"""One row per period and entity: the small table ``cells`` from which every market figure is computed."""

from __future__ import annotations

from holdfast.nodes.data.engine import literal
from holdfast.nodes.data.models import Roles


def cells_sql(roles: Roles, after: str = "", through: str = "") -> str:
    """The common table expression that stands before every stored query; ``after`` and ``through`` bound the dates."""
    entity = roles.entity
    how = "avg" if roles.measure.kind == "intensive" else "sum"
    name = entity.sql if entity else literal(roles.measure.column)
    kept = ["period IS NOT NULL", "isfinite(v)"]
    if entity and entity.totals:
        kept.append(f"(entity IS NULL OR entity NOT IN ({', '.join(literal(total) for total in entity.totals)}))")
    kept += [f"period >= DATE '{after}'"] * bool(after) + [f"period <= DATE '{through}'"] * bool(through)
    split = bool(roles.time.week) and roles.measure.kind == "flow"
    period = roles.time.week if split else roles.time.sql
    price = f", {roles.price.sql} AS w" if roles.price else ""
    worth = ", sum(v * w) AS worth, sum(CASE WHEN w IS NOT NULL THEN v END) AS priced" if roles.price else ""
    rows = f"SELECT {period} AS period, {name} AS entity, {roles.measure.sql} AS v, 1 AS k{price} FROM data"
    if split:
        rows = _by_month(rows, ", w" * bool(roles.price))
    return (
        f"WITH cells AS (SELECT period, entity, {how}(v) AS value, sum(k)::BIGINT AS n{worth} FROM "
        f"({rows}) WHERE {' AND '.join(kept)} GROUP BY period, entity)"
    )


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
