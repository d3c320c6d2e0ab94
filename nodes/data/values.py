"""What a cell says: missing, a number, a text — as SQL over text cells and as patterns over samples.

The stored cells are text.  Everything here is by value; names of columns are judged in ``names``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.nodes.data.engine import literal, quoted

MISSING = (
    "", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "-", "--", "–", "?", "unknown", "not available", "missing",
    "(blank)", "inf", "-inf", "infinity",
)  # fmt: skip
_TWO_LETTERS = re.compile(r"^[A-Z]{2}$")

NUMBER_FORMS = {
    "plain": (re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), "{x}"),
    "thousands": (
        re.compile(
            r"^[+-]?[$€£]?\s?[+-]?\d{1,3}(,\d{3})*(\.\d+)?\s?%?$|^[+-]?[$€£]\s?\d+(\.\d+)?$|^[+-]?\d+(\.\d+)?\s?%$"
        ),
        "regexp_replace({x}, '[$€£,%\\s]', '', 'g')",
    ),
    "decimal comma": (
        re.compile(r"^[+-]?\d{1,3}([.\s]?\d{3})*,\d+\s?[€%]?$|^[+-]?\d+,\d+$"),
        "replace(regexp_replace({x}, '[.€%\\s]', '', 'g'), ',', '.')",
    ),
}


def text_sql(column: str, codes: Sequence[str] = ()) -> str:
    """The trimmed text of a cell, NULL where it is empty or one of the ``codes``."""
    text = f"nullif(trim({quoted(column)}::VARCHAR), '')"
    if not codes:
        return text
    listed = ", ".join(literal(code) for code in codes)
    return f"CASE WHEN lower({text}) NOT IN ({listed}) THEN {text} END"


def number_sql(column: str, form: str) -> str:
    """The number in a cell, NULL if there is none."""
    text = f"{quoted(column)}::VARCHAR"
    return f"TRY_CAST({NUMBER_FORMS[form][1].format(x=text)} AS DOUBLE)"


def decimals(cells: Sequence[str], form: str) -> int:
    """The most decimals that a cell of the sample has."""
    mark = "," if form == "decimal comma" else "."
    found = (re.search(rf"{re.escape(mark)}(\d+)", cell) for cell in cells)
    return max((len(match[1].rstrip("0")) for match in found if match), default=0)


def is_missing(cell: str | None) -> bool:
    """Whether a cell of a sample holds one of the codes for "not known"."""
    return cell is None or cell.strip().lower() in MISSING


def missing_codes(values: Sequence[str]) -> tuple[str, ...]:
    """The codes that mean "missing" in a column: not ``NA`` where nearly all others are two-letter codes (Namibia)."""
    others = {value for value in values if value.upper() not in ("NA", "") and not is_missing(value)}
    if len(others) >= 5 and sum(bool(_TWO_LETTERS.match(value)) for value in others) >= 0.9 * len(others):
        return tuple(code for code in MISSING if code != "na")
    return MISSING


def number_form(values: Sequence[str]) -> str | None:
    """How the numbers of a column are written, if it is one of numbers: at least 95 % of ``values`` fit one form."""
    if not values:
        return None
    for name, (pattern, _) in NUMBER_FORMS.items():
        if sum(bool(pattern.match(value.strip())) for value in values) >= 0.95 * len(values):
            return name
    return None
