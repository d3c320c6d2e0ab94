"""What a goal says about the rows: "… on cars in Norway" names a country, and the file may hold several.

Only whole values of category columns count.  A value of the column that is compared is no filter: it would leave
nothing to compare with; nor is one that may be part of another name ("South" in "South Korea").
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.engine import Engine, literal
from holdfast.nodes.data.models import Roles, Scope

MOST_VALUES = 600
_SHORT = 3  # letters up to which a value has to be written as it is: "in" is no Indiana
_COMMON = {
    "all", "any", "data", "file", "market", "markets", "month", "none", "other", "others", "overview", "report",
    "research", "sales", "share", "shares", "study", "total", "trend", "trends", "year", "years", "analysis",
    "industry",
}  # fmt: skip
_SMALL = {"a", "an", "and", "at", "by", "for", "from", "in", "into", "of", "on", "or", "the", "to", "vs", "with"}
_WORD = re.compile(r"\w[\w'’-]*")


@dataclass(frozen=True, slots=True)
class Named:
    """Values of one column that a goal names, spelled as in the file; ``sure`` if nothing else can be meant."""

    column: Column
    values: tuple[str, ...]
    spellings: tuple[str, ...]
    sure: bool


def named_in(engine: Engine, columns: Sequence[Column], goal: str) -> list[Named]:
    """The columns of which the goal names a value, in the order of the file."""
    goal = _plain(goal)
    found: dict[str, list[tuple[Column, str]]] = defaultdict(list)
    for column in columns:
        for value in _values(engine, column) if goal else ():
            found[_plain(value).casefold()].append((column, value))
    spans = _places(goal, found)
    result = []
    for column in columns:
        spellings = [value for key in spans for one, value in found[key] if one is column]
        if spellings:
            keys = [key for key in spans if any(one is column for one, _ in found[key])]
            alone = all(len({one.name for one, _ in found[key]}) == 1 for key in keys)
            sure = alone and not any(_in_a_name(goal, spans[key], spans.values()) for key in keys)
            shown = tuple(next(value for one, value in found[key] if one is column) for key in keys)
            result.append(Named(column, shown, tuple(spellings), sure))
    return result


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _values(engine: Engine, column: Column) -> list[str]:
    if column.numeric or not 2 <= column.distinct <= MOST_VALUES or names.suggests(column.name, "time"):
        return []
    rows = engine.rows(f"SELECT DISTINCT {column.text} AS v FROM data WHERE {column.text} IS NOT NULL ORDER BY 1")
    return [row["v"] for row in rows]


def _places(goal: str, found: dict[str, list[tuple[Column, str]]]) -> dict[str, tuple[int, int]]:
    """Where the goal names each value, longest first, so that a part of a longer name does not count."""
    spans: dict[str, tuple[int, int]] = {}
    for key in sorted(found, key=lambda key: (-len(key), key)):
        if len(key) < 2 or key in _COMMON or key.isdigit():
            continue
        short = len(key) <= _SHORT
        pattern = "|".join(sorted({re.escape(_plain(value)) for _, value in found[key]}))
        place = re.compile(rf"(?<!\w)(?:{pattern})(?:e?s|['’]s?)?(?!\w)", 0 if short else re.IGNORECASE).search(goal)
        if place and not any(start < place.end() and place.start() < end for start, end in spans.values()):
            spans[key] = place.span()
    return spans


def _in_a_name(goal: str, span: tuple[int, int], spans: Iterable[tuple[int, int]]) -> bool:
    """Whether the word beside it begins with a capital as it does, and so may belong to one name with it."""
    if not goal[span[0]].isupper():
        return False
    spans = list(spans)
    words = [word for word in _WORD.finditer(goal) if word[0].casefold() not in _SMALL]
    if all(word[0][0].isupper() for word in words):
        return False  # a title, in which capitals say nothing
    beside = [
        word
        for word in words[1:]
        if word[0][0].isupper()
        and (goal[span[1] : word.start()] == " " or goal[word.end() : span[0]] == " ")
        and not any(start <= word.start() < end for start, end in spans)
    ]
    return bool(beside)


def choose(engine: Engine, named: list[Named], roles: Roles) -> list[Named]:
    """Those of the named by which the rows are chosen; ``data`` is the whole table, read with ``roles``."""
    chosen = [one for one in named if one.sure and one.column.name in _free(roles)]
    if not chosen:
        return []
    row = engine.row(
        f"SELECT count(*) AS rows, count(DISTINCT {roles.time.sql}) AS periods FROM data WHERE {where(chosen)} AND"
        f" {roles.measure.sql} IS NOT NULL"
    )
    return chosen if row["rows"] and row["periods"] >= 2 else []


def _free(roles: Roles) -> set[str]:
    """Category columns that may be narrowed down: not the compared one, unless another could take its place."""
    entity = roles.entity
    others = {column.column for column in roles.columns if column.role in ("other category", "text", "unit")}
    if entity and not entity.company and any(column.role == "other category" for column in roles.columns):
        others.add(entity.column)
    return others


def where(chosen: Sequence[Named]) -> str:
    """SQL of the condition."""
    return " AND ".join(f"{one.column.text} IN ({', '.join(map(literal, one.spellings))})" for one in chosen)


def scopes(named: list[Named], chosen: list[Named], rows: int, of: int) -> list[Scope]:
    """What is told of it: first what the rows were chosen by, with how many of them."""
    filtered = [
        Scope(column=one.column.name, values=list(one.values), filtered=True, rows=rows, of=of) for one in chosen
    ]
    rest = [
        Scope(column=one.column.name, values=list(one.values), filtered=False, rows=rows, of=of)
        for one in named
        if one not in chosen
    ]
    return filtered + rest
