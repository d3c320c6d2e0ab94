"""Periods that an entity lacks between its first and its last: missing rows, which are no zeros.

Some names have so little that a period without them is plain: they are counted, and taken as having had none.  For the
others a zero would be so unlike their other values that the row must be missing.
"""

from __future__ import annotations

from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.models import Hole

MOST_MISSING = 0.1  # of the periods from its first to its last; beyond that it comes and goes; our own convention
LEAST_VALUE = 0.1  # of its median; who has once had less may well have had none; our own convention
LEAST_MEDIAN = 10  # of whole numbers, below which none is near; our own convention

QUERY = (
    "SELECT entity, life, low >= {least} * mid AND mid >= {median} AND count(*) <= {most} * life AS missing, count(*)"
    " AS periods, string_agg(CAST(period AS VARCHAR), ' ' ORDER BY period) AS days FROM (SELECT l.entity, l.low, l.mid,"
    " p.period, count(*) OVER (PARTITION BY l.entity) AS life, c.entity AS there FROM (SELECT entity, min(period) AS a,"
    " max(period) AS b, min(value) AS low, median(value) AS mid FROM cells WHERE entity IS NOT NULL GROUP BY entity) AS"
    " l JOIN (SELECT DISTINCT period FROM cells) AS p ON p.period BETWEEN l.a AND l.b LEFT JOIN cells AS c ON c.entity"
    " = l.entity AND c.period = p.period) WHERE there IS NULL GROUP BY entity, life, low, mid ORDER BY missing DESC,"
    " mid DESC, entity"
)


def values(whole: bool) -> dict[str, float]:
    """What goes into the places of the query."""
    return {"least": LEAST_VALUE, "median": LEAST_MEDIAN if whole else 0, "most": MOST_MISSING}


def find_holes(engine: Engine, cells: str, *, whole: bool) -> list[Hole]:
    """The missing periods of those who have them otherwise; ``cells`` is the common table expression."""
    rows = engine.rows(f"{cells} {QUERY.format(**values(whole))}")
    return [Hole(entity=row["entity"], life=row["life"], days=row["days"].split()) for row in rows if row["missing"]]
