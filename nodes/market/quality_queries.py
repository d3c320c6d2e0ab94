"""The queries behind the section "Data quality": they name the file's own columns, so they are made from its roles."""

from __future__ import annotations

from holdfast.nodes.data import holes
from holdfast.nodes.data.cells import overhang_sql
from holdfast.nodes.data.engine import literal, quoted
from holdfast.nodes.data.models import Profile, Roles
from holdfast.nodes.data.window import Window
from holdfast.nodes.market import constant_parts, panel


def queries(profile: Profile, window: Window) -> dict[str, str]:
    """Every query of the section by its name; the tables are ``data`` and ``cells``."""
    roles = profile.roles
    return {
        "rows": _rows(roles),
        "negative": _negative(roles),
        "unused": _unused(roles),
        "not_stated": _not_stated(roles),
        "same_rows": (
            "SELECT coalesce(sum(k - 1), 0)::BIGINT AS extra FROM (SELECT count(*) AS k FROM data GROUP BY"
            f" {', '.join(quoted(c.column) for c in roles.columns)} HAVING count(*) > 1)"
        ),
        "same_keys": f"SELECT * FROM ({_keyed(roles)}) ORDER BY ALL LIMIT 3",
        "same_keys_count": f"SELECT count(*) AS keys, coalesce(sum(k), 0)::BIGINT AS rows FROM ({_keyed(roles)})",
        "twins": _twins(roles),
        "given_share": _given_share(roles),
        "totals": _totals(roles),
        "holes": holes.query(roles, *window.dates),
        **({"overhang": overhang_sql(roles, profile.last)} if profile.overhang else {}),
        "parts": constant_parts.query(profile),
        **{f"panel_{key}": panel.query(profile, start) for key, start in panel.pairs(profile).items()},
    }


def _rows(roles: Roles) -> str:
    """How many rows say what they should: each of those without is counted for the first that it lacks."""
    value, dated = roles.measure.sql, f"({roles.time.sql}) IS NOT NULL"
    price = roles.price.sql if roles.price else ""
    priced = f", count_if({dated} AND isfinite({value}) AND {price} IS NOT NULL) AS priced" * bool(price)
    return (
        f"SELECT count(*) AS rows, count({roles.time.sql}) AS dated, count_if({dated} AND isfinite({value})) AS"
        f" measured, count_if({dated} AND isfinite({value}) AND ({_name(roles)}) IS NOT NULL) AS named{priced},"
        f" count_if({value} = 0) AS zero FROM data"
    )


def _negative(roles: Roles) -> str:
    """Rows below zero, what they come to without their sign, and what the rows above zero come to."""
    value = roles.measure.sql
    return (
        f"SELECT count_if(v < 0) AS rows, -sum(v) FILTER (v < 0) AS below, sum(v) FILTER (v > 0) AS above FROM (SELECT"
        f" {value} AS v FROM data WHERE isfinite({value}) AND ({roles.time.sql}) IS NOT NULL{_no_total(roles)})"
    )


def _no_total(roles: Roles) -> str:
    """A condition that leaves totals among the parts out, to follow others."""
    if not roles.entity or not roles.entity.totals:
        return ""
    listed = ", ".join(literal(total) for total in roles.entity.totals)
    return f" AND coalesce(({roles.entity.sql}) NOT IN ({listed}), true)"


def unused(roles: Roles) -> list[str]:
    """The columns that no figure rests on."""
    used = {one.column for one in (roles.price, roles.panel) if one}
    idle = ("other", "text", "copy", "id", "position")
    return [c.column for c in roles.columns if c.role.startswith(idle) and c.column not in used]


def _unused(roles: Roles) -> str:
    """Empty cells of each column that no figure rests on, in the order of ``unused``."""
    counts = [
        f"count_if(nullif(trim({quoted(name)}::VARCHAR), '') IS NULL) AS c{at}" for at, name in enumerate(unused(roles))
    ]
    return f"SELECT {', '.join(counts) or '0 AS c0'} FROM data"


def _name(roles: Roles) -> str:
    return roles.entity.sql if roles.entity else "'all'"


def _not_stated(roles: Roles) -> str:
    value, raw = roles.measure.sql, f"{quoted(roles.entity.column)}::VARCHAR" if roles.entity else "''"
    used = f"isfinite({value}) AND ({roles.time.sql}) IS NOT NULL{_no_total(roles)}"
    return (
        f"SELECT count(*) AS rows, sum({value}) AS amount, (SELECT sum({value}) FROM data WHERE {used}) AS total,"
        f" min({raw}) AS code FROM data WHERE {used} AND ({_name(roles)}) IS NULL"
    )


def _keyed(roles: Roles) -> str:
    """Rows that share what should tell them apart: the period's columns, who is compared, and any other category."""
    named = [*roles.time.columns, *([roles.entity.column] if roles.entity else [])]
    named += [
        c.column
        for c in roles.columns
        if c.role in ("other category", "text", "id", *constant_parts.ROLES) and c.column not in named
    ]
    key = ", ".join(quoted(name) for name in named)
    return (
        f"SELECT {key}, count(*) AS k, min({roles.measure.sql}) AS low, max({roles.measure.sql}) AS high FROM data"
        " GROUP BY ALL HAVING count(*) > 1"
    )


def _given_share(roles: Roles) -> str:
    if not roles.share or not roles.entity:
        return "SELECT 0"
    given = f"TRY_CAST({quoted(roles.share)}::VARCHAR AS DOUBLE)"
    return (
        f"SELECT count(*) AS rows, max(abs(given - own)) AS gap FROM (SELECT {given} / {roles.share_scale} *"
        f" 100 AS given, 100 * v / sum(v) OVER (PARTITION BY p) AS own FROM (SELECT *, {roles.time.sql} AS p,"
        f" {roles.measure.sql} AS v FROM data)) WHERE given IS NOT NULL"
    )


def _totals(roles: Roles) -> str:
    """Each total among the parts: its rows, its periods, and in how many the others add up to it."""
    entity = roles.entity
    if not entity or not entity.totals:
        return "SELECT 0"
    listed = ", ".join(literal(total) for total in entity.totals)
    return (
        f"WITH parts AS (SELECT {roles.time.sql} AS p, {entity.sql} AS e, sum({roles.measure.sql}) AS v,"
        " count(*) AS n FROM data GROUP BY ALL), sums AS (SELECT p, sum(v) AS s FROM parts WHERE e IS NULL OR e NOT"
        f" IN ({listed}) GROUP BY p) SELECT e AS name, sum(n)::BIGINT AS rows, count(*) AS periods,"
        " count_if(abs(s - v) <= 0.005 * abs(v)) AS hits, 100 * sum(s) / nullif(sum(v), 0) AS part FROM parts JOIN"
        f" sums USING (p) WHERE e IN ({listed}) GROUP BY e ORDER BY e"
    )


def _twins(roles: Roles) -> str:
    """Rows with another spelling than the one that is used."""
    entity = roles.entity
    if not entity or not entity.spellings:
        return "SELECT 0"
    listed = ", ".join(literal(variant) for variant in entity.spellings)
    return f"SELECT count(*) AS rows FROM data WHERE {entity.text} IN ({listed})"
