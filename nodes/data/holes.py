"""Periods that an entity lacks between its first and its last: missing rows, which are no zeros.

Some names have so little that a period without them is plain: they are counted, and taken as having had none.  For the
others a zero would be so unlike their other values that the row must be missing.  Weeks that are divided between months
are looked at as weeks, since a month hides that one of its weeks is missing.
"""

from __future__ import annotations

from holdfast.nodes.data.cells import cells_sql, splits_weeks
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.models import Hole, Roles

MOST_MISSING = 0.1  # of the periods from its first to its last; beyond that it comes and goes; our own convention
LEAST_VALUE = 0.1  # of its median; who has once had less may well have had none; our own convention
LEAST_MEDIAN = 10  # of whole numbers, below which none is near; our own convention

_QUERY = (
    "SELECT entity, life, low >= {least} * mid AND mid >= {median} AND count(*) <= {most} * life AS missing, count(*)"
    " AS periods, string_agg(CAST(period AS VARCHAR), ' ' ORDER BY period) AS days FROM (SELECT l.entity, l.low, l.mid,"
    " p.period, count(*) OVER (PARTITION BY l.entity) AS life, c.entity AS there FROM (SELECT entity, min(period) AS a,"
    " max(period) AS b, min(value) AS low, median(value) AS mid FROM {table} WHERE entity IS NOT NULL GROUP BY entity)"
    " AS l JOIN (SELECT DISTINCT period FROM {table}) AS p ON p.period BETWEEN l.a AND l.b LEFT JOIN {table} AS c ON"
    " c.entity = l.entity AND c.period = p.period) WHERE there IS NULL GROUP BY entity, life, low, mid ORDER BY"
    " missing DESC, mid DESC, entity"
)


def weekly(roles: Roles) -> Roles:
    """The roles with weeks as periods, where weeks are divided between months."""
    time = roles.time.model_copy(update={"sql": roles.time.week, "grain": "week", "week": ""})
    return roles.model_copy(update={"time": time}) if splits_weeks(roles) else roles


def query(roles: Roles, first: str, last: str) -> str:
    """Missing periods by name, over the table ``cells``; where weeks are divided, over those of the dates given."""
    whole = roles.measure.whole or roles.measure.shared
    least = {"least": LEAST_VALUE, "median": LEAST_MEDIAN if whole else 0, "most": MOST_MISSING}
    if not splits_weeks(roles):
        return _QUERY.format(table="cells", **least)
    weeks = cells_sql(weekly(roles), first, last).removeprefix("WITH cells AS ")
    return f"WITH by_week AS {weeks} {_QUERY.format(table='by_week', **least)}"


def find_holes(engine: Engine, roles: Roles, cells: str, first: str, last: str) -> list[Hole]:
    """The missing periods of those who have them otherwise; ``cells`` is the common table expression."""
    sql = query(roles, first, last)
    rows = engine.rows(sql if splits_weeks(roles) else f"{cells} {sql}")
    return [Hole(entity=row["entity"], life=row["life"], days=row["days"].split()) for row in rows if row["missing"]]
