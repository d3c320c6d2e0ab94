"""Wide tables made long: columns of one measure side by side (``north_kt, south_kt``, or a year each) become rows.

Only where nothing else names the parts; a total among the columns becomes a part like the others and is found there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath

from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.engine import Engine, literal, quoted
from holdfast.nodes.data.kinds import stock_around

_YEAR = re.compile(r"^(1[5-9]|20)\d\d$")
_KINDS = ("flow", "stock")
_ALL = (*_KINDS, "intensive", "id")
LEAST_YEARS = 3
LEAST_PARTS = 2
LEAST_LEVELS = 3  # prices or rates under bare names, which no sum can confirm


@dataclass(frozen=True, slots=True)
class Fold:
    """``parts`` maps each folded column to what it stands for; ``kept`` columns repeat for each part."""

    kept: list[str]
    parts: dict[str, str]
    part: str  # name of the new column that holds the part
    value: str  # name of the new column that holds the number
    summed: bool = False  # one of the parts is the sum of the others
    after_goal: bool = False  # the goal says what the numbers are

    @property
    def columns(self) -> list[str]:
        """Columns of the long table."""
        return [*self.kept, self.part, self.value]

    def sql(self, wide: str) -> str:
        """The long table from the SELECT of the wide one."""
        kept = "".join(f"{quoted(name)}, " for name in self.kept)
        rows = " UNION ALL ".join(
            f"SELECT {kept}{literal(part)} AS {quoted(self.part)}, {quoted(column)} AS {quoted(self.value)} FROM wide"
            for column, part in self.parts.items()
        )
        return f"WITH wide AS ({wide}) {rows}"


def find_fold(engine: Engine, columns: list[Column], file_name: str, goal: str = "") -> Fold | None:
    """How to make the table long, or None if it is so already.

    The numbers under years are named by the file, or by a stock that the ``goal`` speaks of; else they are a value.
    """
    years = [column for column in columns if _YEAR.match(column.name.strip()) and (column.numeric or not column.filled)]
    if len(years) >= LEAST_YEARS:
        kept = [column.name for column in columns if not _YEAR.match(column.name.strip())]
        parts = {column.name: column.name.strip() for column in years}
        stem, said = PurePath(file_name).stem, stock_around([goal], kept)
        if _says_what(stem, kept):
            return Fold(kept, parts, _free("year", kept), _free(stem, kept))
        return Fold(kept, parts, _free("year", kept), _free(said or "value", kept), after_goal=bool(said))
    if any(_names_parts(column) for column in columns):
        return None
    return _side_by_side(columns) or _bare_parts(engine, columns, PurePath(file_name).stem, goal)


def _says_what(stem: str, kept: list[str]) -> bool:
    """Whether a file's name says what is measured, and not only who is compared (``cities``)."""
    nouns = {noun for name in kept for noun in (names.noun_for(name).one, names.noun_for(name).many)}
    return not names.says_nothing(stem) and not set(names.words(stem)) <= nouns


def _free(name: str, taken: list[str]) -> str:
    return name if name.casefold() not in {other.casefold() for other in taken} else f"{name}_"


def _side_by_side(columns: list[Column]) -> Fold | None:
    numeric = [column for column in columns if column.numeric and not names.suggests(column.name, "time")]
    for at, rest in ((-1, slice(None, -1)), (0, slice(1, None))):
        group = _largest(numeric, at)
        parts = {column.name: " ".join(names.words(column.name)[rest]) for column in group}
        if len(group) >= LEAST_PARTS and all(parts.values()) and not _measures(parts.values()):
            kept = [column.name for column in columns if column.name not in parts and column not in numeric]
            value = names.words(group[0].name)[at]
            kept += [
                column.name for column in numeric if column.name not in parts and names.suggests(column.name, "time")
            ]
            return Fold(kept, parts, _free("part", kept), _free(value, kept))
    return None


def _measures(parts: Collection[str]) -> bool:
    """Whether what tells the columns apart are measures (exports beside production), or nothing."""
    return len(set(parts)) < len(parts) or any(names.suggests(part, kind) for part in parts for kind in _KINDS)


def _bare_parts(engine: Engine, columns: list[Column], stem: str, goal: str) -> Fold | None:
    """Numbers under bare names (``coal, gas, wind``) beside a time.

    They are parts of one measure if one column is the sum of the others in at least 95 % of rows, or if the file's
    name says what they measure (``retail_prices``) and theirs do not; of levels the ``goal`` may want one alone.
    """
    parts = [column for column in columns if column.numeric and not names.suggests(column.name, "time")]
    if len(parts) < LEAST_PARTS or len(parts) == len(columns):
        return None
    plain = not any(names.suggests(part.name, kind) or names.unit_of(part.name) for part in parts for kind in _ALL)
    summed = len(parts) > LEAST_PARTS and _has_total(engine, parts)
    named = any(names.suggests(stem, kind) for kind in _KINDS)
    wanted = any(set(names.words(part.name)) <= set(names.words(goal)) for part in parts)
    named |= len(parts) >= LEAST_LEVELS and names.suggests(stem, "intensive") and not wanted
    if not summed and not (plain and named):
        return None
    kept = [column.name for column in columns if column not in parts]
    return Fold(
        kept, {part.name: part.name for part in parts}, _free("part", kept), _free(stem, [*kept, "part"]), summed
    )


def _has_total(engine: Engine, parts: list[Column]) -> bool:
    numbers = [f"coalesce({part.number}, 0)" for part in parts]
    hits = ", ".join(
        f"count_if({number} > 0 AND abs({' + '.join(numbers)} - 2 * {number}) <= 0.005 * {number}) AS c{at}"
        for at, number in enumerate(numbers)
    )
    row = engine.row(f"SELECT count(*) AS n, {hits} FROM data")
    return row["n"] >= 3 and any(row[f"c{at}"] >= 0.95 * row["n"] for at in range(len(parts)))


def _names_parts(column: Column) -> bool:
    """A column of recurring texts names the parts already."""
    date_like = names.suggests(column.name, "time")
    return not column.numeric and not date_like and 2 <= column.distinct <= 0.5 * max(column.filled, 1)


def _largest(columns: list[Column], at: int) -> list[Column]:
    """The largest set of columns that share their first (0) or last (-1) word, if it speaks of a measure or unit."""
    groups: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        parts = names.words(column.name)
        if len(parts) >= 2 and _is_measure(parts[at]):
            groups[parts[at]].append(column)
    return max(groups.values(), key=len, default=[])


def _is_measure(word: str) -> bool:
    return any(names.suggests(word, kind) for kind in ("flow", "stock", "intensive")) or bool(names.unit_of(word))
