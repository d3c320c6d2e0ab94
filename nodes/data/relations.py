"""How columns and values stand to each other: the same twice, part of another, one inside the other, sums, spellings.

Everything here is proven by the values of all rows; a name decides only between equals.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.nodes.data.columns import Column, exact_distinct
from holdfast.nodes.data.engine import Engine, literal

_TOTAL_WORDS = "^(grand )?(total|all|sum|overall|world|alle|gesamt|totalt|i alt)"
MOST_SPELLINGS = 100


def copies(engine: Engine, columns: Sequence[Column]) -> dict[str, str]:
    """Columns that say the same as an earlier one in every row, by name, with that one's name."""
    found: dict[str, str] = {}
    for at, column in enumerate(columns):
        for earlier in columns[:at]:
            same = earlier.filled == column.filled and earlier.sample == column.sample and earlier.name not in found
            if same and not engine.value(
                f"SELECT count(*) FROM data WHERE {earlier.text} IS DISTINCT FROM {column.text}"
            ):
                found[column.name] = earlier.name
                break
    return found


def inside(engine: Engine, columns: Sequence[Column]) -> dict[str, str]:
    """Categories each of whose values goes with one value of a smaller one (city in state), with that one's name.

    Of two that name the same things (a code and a name) the later goes with the earlier.
    """
    sizes = {column.name: exact_distinct(engine, column) for column in columns}
    found: dict[str, str] = {}
    for at, lower in enumerate(columns):
        for place, upper in enumerate(columns):
            smaller = sizes[upper.name] < sizes[lower.name] or (sizes[upper.name] == sizes[lower.name] and place < at)
            if lower is not upper and smaller and lower.name not in found:
                pairs = engine.value(
                    f"SELECT count(*) FROM (SELECT DISTINCT {lower.text}, {upper.text} FROM data WHERE {lower.text} IS"
                    " NOT NULL)"
                )
                if pairs == sizes[lower.name]:
                    found[lower.name] = upper.name
    return found


def never_above(engine: Engine, part: str, whole: str) -> bool:
    """Whether one number is at most the other in every row that has both; ``part`` and ``whole`` are SQL."""
    row = engine.row(
        f"SELECT count(*) AS n, count_if(p > w) AS above, count_if(p < w) AS below FROM (SELECT {part} AS p, {whole}"
        " AS w FROM data) WHERE p IS NOT NULL AND w IS NOT NULL"
    )
    return bool(row["n"] >= 3 and not row["above"] and row["below"])


def spellings(engine: Engine, text: str) -> dict[str, str]:
    """Names that differ only in case, spaces or Unicode form, each with the spelling that most rows use."""
    rows = engine.rows(f"SELECT {text} AS name, count(*) AS n FROM data WHERE {text} IS NOT NULL GROUP BY 1")
    return common_spellings({row["name"]: row["n"] for row in rows})


def common_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Each variant with the commonest of its kind; of equally common ones one in NFC, in mixed case, by alphabet."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts):
        groups[" ".join(unicodedata.normalize("NFC", name).split()).casefold()].append(name)
    found: dict[str, str] = {}
    for group in groups.values():
        best = max(group, key=lambda name: (counts[name], unicodedata.is_normalized("NFC", name), _mixed(name)))
        found |= {name: best for name in group if name != best}
    return found if len(found) <= MOST_SPELLINGS else {}


def _mixed(name: str) -> bool:
    return name not in (name.upper(), name.lower())


def spelled(text: str, variants: Mapping[str, str]) -> str:
    """SQL of a name with the variants replaced."""
    if not variants:
        return text
    cases = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in variants.items())
    return f"CASE {text} {cases} ELSE {text} END"


def totals(engine: Engine, period: str, name: str, value: str) -> list[str]:
    """Values of a category that are the sum of the others in at least 95 % of periods (±0.5 %).

    A value whose whole name is a total's (``World``) also counts if nothing exceeds it in 95 % of periods: its parts
    may be listed incompletely.  Without such a name the sums must hold for at least three different amounts, since a
    few constant numbers may add up by chance.
    """
    rows = engine.rows(
        f"WITH parts AS (SELECT {period} AS p, {name} AS e, sum({value}) AS v FROM data GROUP BY ALL), "
        "sums AS (SELECT p, sum(v) AS s, max(v) AS top, count(*) AS k FROM parts GROUP BY p) "
        "SELECT e, count(*) AS n, count_if(k >= 3 AND abs(s - 2 * v) <= 0.005 * abs(v)) AS hit, "
        "count_if(k >= 2 AND v >= top) AS highest, count(DISTINCT v) AS amounts, "
        f"bool_or(regexp_matches(lower(e), '{_TOTAL_WORDS}( .*)?$')) AS named, bool_or(regexp_matches(lower(e),"
        f" '{_TOTAL_WORDS}$')) AS only FROM parts JOIN sums USING (p) "
        "WHERE e IS NOT NULL AND v > 0 GROUP BY e ORDER BY e"
    )
    return [row["e"] for row in rows if row["n"] >= 2 and _is_total(row)]


def _is_total(row: Mapping[str, Any]) -> bool:
    adds_up = bool(row["hit"] >= 0.95 * row["n"])
    if row["named"]:
        incomplete = row["only"] and row["highest"] >= 0.95 * row["n"]
        return bool(adds_up or row["hit"] >= 0.5 * row["n"] or incomplete)
    return adds_up and bool(row["amounts"] >= 3)
