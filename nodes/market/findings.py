"""A section while it is written: runs stored queries, makes facts of what they return, collects blocks.

A number can get into a sentence or a table only through here, so that each one names the query it came from.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.models import Profile
from holdfast.nodes.data.profile import opened_cells
from holdfast.nodes.market import words
from holdfast.nodes.report.document import (
    Bullet,
    Bullets,
    Fact,
    Figure,
    Heading,
    Kind,
    Level,
    Note,
    Paragraph,
    Query,
    Section,
    Span,
    Table,
    say,
)

Row = dict[str, Any]
_CELLS = re.compile(r"\b(FROM|JOIN) cells\b")  # and not a column of that name


class Findings:
    """Facts, queries and blocks of one section; ids of facts and queries begin with the section's."""

    def __init__(self, profile: Profile, section: str, title: str, queries: Mapping[str, str], engine: Engine) -> None:
        self.profile, self.engine = profile, engine
        self._section = Section(id=section, title=title)
        self._sql = queries
        self._facts: dict[str, Fact] = {}
        self._queries: dict[str, Query] = {}

    def rows(self, name: str, **values: str | int) -> list[Row]:
        """The rows of a named query; ``values`` (dates, grains, numbers, never names from the file) fill its places."""
        body = self._sql[name].format(**values)
        key = name + "".join(f"_{value}" for value in values.values()) if name in self._queries else name
        sql = f"{self.profile.cells_sql} {body}" if _CELLS.search(body) else body
        files = [file.sha256 for file in self.profile.files]
        self._queries[key] = Query(id=self.query(key), sql=sql, files=files)
        return [_plain(row) for row in self.engine.rows(body)]

    def query(self, name: str) -> str:
        """A query's id in the evidence."""
        return f"{self._section.id}.{name}"

    def fact(
        self, key: str, value: float | int | str, kind: Kind, text: str, query: str, note: str = "", unit: str = ""
    ) -> Fact:
        """States a value once; a key used again with another value is a bug and raises ValueError."""
        value = float(f"{value:.12g}") if isinstance(value, float) else value
        fact = Fact(
            id=f"{self._section.id}.{key}",
            value=value,
            kind=kind,
            text=text,
            unit=unit,
            query=self.query(query),
            note=note,
        )
        if self._facts.setdefault(key, fact) != fact:
            raise ValueError(f"the fact {fact.id} has two values")
        return fact

    def amount(self, key: str, value: float, query: str, note: str = "", *, exactly: bool = False) -> Fact:
        """An amount of the measure."""
        measure = self.profile.roles.measure
        written = words.exact if exactly else words.amount
        text = written(value, measure.whole, measure.places)
        if measure.unit and not exactly and measure.unit.casefold() != measure.column.casefold():
            text = words.in_unit(text, measure.unit)
        return self.fact(key, value, "number", text, query, note, measure.unit)

    def count(self, key: str, value: int, query: str, note: str = "") -> Fact:
        """How many."""
        return self.fact(key, value, "count", words.number(value), query, note)

    def percent(
        self, key: str, value: float, query: str, note: str = "", *, plus: bool = False, bare: bool = False
    ) -> Fact:
        """A percentage; ``bare`` leaves the sign out, for sentences whose verb says it."""
        return self.fact(key, value, "percent", words.percent(abs(value) if bare else value, plus=plus), query, note)

    def percent_whole(self, key: str, value: int, query: str, note: str = "") -> Fact:
        """A percentage that is whole by definition."""
        return self.fact(key, value, "percent", f"{value}{words.NBSP}%", query, note)

    def points(self, key: str, value: float, query: str, note: str = "", *, plus: bool = False) -> Fact:
        """Percentage points, without sign unless ``plus``: the verb says the direction."""
        return self.fact(key, value, "points", words.points(value if plus else abs(value), plus=plus), query, note)

    def say(self, template: str, **facts: Fact | str) -> None:
        """Adds a paragraph."""
        self._section.blocks.append(Paragraph(spans=say(template, **facts)))

    def paragraph(self, sentences: Sequence[list[Span]]) -> None:
        """Adds a paragraph of several sentences; none at all if there are none."""
        if sentences:
            self._section.blocks.append(Paragraph(spans=joined(sentences)))

    def heading(self, text: str) -> None:
        """Adds a heading within the section."""
        self._section.blocks.append(Heading(text=text))

    def bullets(self, items: Sequence[tuple[list[Span], Level | None]], *, numbered: bool = False) -> None:
        """Adds a list."""
        self._section.blocks.append(
            Bullets(items=[Bullet(spans=spans, confidence=level) for spans, level in items], numbered=numbered)
        )

    def note(self, title: str, spans: list[Span]) -> None:
        """Adds a box."""
        self._section.blocks.append(Note(title=title, spans=spans))

    def table(
        self,
        caption: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        query: str = "",
        text_columns: int = 1,
    ) -> Table:
        """Adds a table whose first ``text_columns`` are text and the others numbers."""
        table = _table(caption, columns, rows, self.query(query) if query else "", text_columns)
        self._section.blocks.append(table)
        return table

    def figure(
        self,
        name: str,
        title: str,
        subtitle: str,
        alt: str,
        spec: dict[str, Any],
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        query: str,
        text_columns: int = 1,
    ) -> None:
        """Adds a chart with the table of what it draws."""
        data = _table(title, columns, rows, self.query(query), text_columns)
        self._section.blocks.append(
            Figure(name=name, title=title, subtitle=subtitle, alt=alt, spec=spec, data=data, query=self.query(query))
        )

    def borrow(self, facts: Sequence[Fact]) -> None:
        """Takes facts of other sections in, so that this one may state them."""
        for fact in facts:
            self._facts.setdefault(f"borrowed {fact.id}", fact)

    def result(self, **extra: Any) -> dict[str, Any]:
        """The section as JSON, with what other subtasks want to know beside it."""
        section = self._section.model_copy(
            update={"facts": list(self._facts.values()), "queries": list(self._queries.values())}
        )
        return {**section.model_dump(mode="json"), **extra}


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], query: str, text_columns: int) -> Table:
    numeric = [i >= text_columns for i in range(len(columns))]
    return Table(caption=caption, columns=list(columns), numeric=numeric, rows=[list(row) for row in rows], query=query)


def joined(sentences: Sequence[list[Span]]) -> list[Span]:
    """Sentences one after the other with a space between."""
    spans: list[Span] = []
    for sentence in sentences:
        spans += [Span(text=" ")] if spans else []
        spans += sentence
    return spans


def _plain(row: Row) -> Row:
    return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in row.items()}


def profile_in(inputs: Mapping[str, Any]) -> Profile:
    """The profile among a subtask's inputs; raises BadInput if no ``profile_data`` is among its dependencies."""
    return Profile.model_validate(result_with(inputs, "profile"))


def result_with(inputs: Mapping[str, Any], key: str) -> Any:
    """``key`` of the one input that has it; raises BadInput if there is none."""
    for value in inputs.values():
        if isinstance(value, dict) and key in value:
            return value[key]
    raise BadInput(f"this subtask needs the result of one that gives {key!r} among its dependencies")


__all__ = ["Findings", "Row", "joined", "opened_cells", "profile_in", "result_with", "say"]
