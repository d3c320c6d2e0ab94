"""The report as data: facts, and blocks of text, tables and figures that may state only facts.

Analysis types return a ``Section`` each (as JSON, so that it is durable and can cross processes); ``compile_report``
puts them together into a ``Document``, and one renderer each turns that into Markdown, HTML and PDF.  A number gets
into a sentence only as a ``Fact``: ``say("{total} cars", total=fact)`` makes spans whose numbers know their query.
"""

from __future__ import annotations

import re
import string
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Kind = Literal["count", "number", "percent", "points", "index", "year", "text"]
Level = Literal["high", "medium", "low"]


class Query(BaseModel):
    """A stored query; run on the named files it gives the facts that name it."""

    id: str
    sql: str
    files: list[str] = []  # sha256 of each file that it reads


class Fact(BaseModel):
    """One verified value and where it comes from; ``text`` is how it is written, everywhere."""

    id: str
    value: float | int | str | None
    kind: Kind
    text: str
    unit: str = ""
    query: str = ""  # id of a Query
    note: str = ""  # how it follows from the query's rows, when it is not simply a cell of them


class Span(BaseModel):
    """A run of text; ``fact`` names the fact that it writes."""

    text: str
    bold: bool = False
    fact: str = ""


class Paragraph(BaseModel):
    """A sentence or several."""

    type: Literal["paragraph"] = "paragraph"
    spans: list[Span]


class Bullet(BaseModel):
    """A list item; ``confidence`` is shown as a small label."""

    spans: list[Span]
    confidence: Level | None = None


class Bullets(BaseModel):
    """A list."""

    type: Literal["bullets"] = "bullets"
    items: list[Bullet]
    numbered: bool = False


class Note(BaseModel):
    """A box set apart, such as "What these data cannot tell"."""

    type: Literal["note"] = "note"
    title: str
    spans: list[Span]


class Table(BaseModel):
    """Cells are text as written; ``numeric`` columns are right-aligned.  The first column heads its row."""

    type: Literal["table"] = "table"
    caption: str
    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]
    query: str = ""


class Figure(BaseModel):
    """A chart: ``title`` is a verified finding, ``subtitle`` says measure, unit, period and what is left out.

    ``spec`` is Vega-Lite without title and size config of the page; ``name`` is its file name without ending.
    """

    type: Literal["figure"] = "figure"
    name: str
    title: str
    subtitle: str
    alt: str
    spec: dict[str, Any]
    data: Table
    query: str = ""


class Heading(BaseModel):
    """A heading within a section."""

    type: Literal["heading"] = "heading"
    text: str


Block = Annotated[Paragraph | Bullets | Note | Table | Figure | Heading, Field(discriminator="type")]


class Section(BaseModel):
    """What one analysis subtask found: blocks to show, and the facts and queries behind them."""

    id: str
    title: str
    blocks: list[Block] = []
    facts: list[Fact] = []
    queries: list[Query] = []


class Document(BaseModel):
    """A whole report; ``about`` is the title block: (label, value) pairs such as source, rows, period, unit, engine."""

    title: str
    subtitle: str
    about: list[tuple[str, str]]
    banner: str = ""  # e.g. that the data are synthetic; shown above everything else
    kicker: str = "Market research report"  # what kind of document it is, in small type above the title
    engine: str = "built-in rules, no AI"  # who wrote it, in each page's footer
    sections: list[Section]


def say(template: str, **facts: Fact | str) -> list[Span]:
    """Spans of a sentence: ``{name}`` writes a fact's text (or a plain string, a column's name say), ``**…**`` bold.

    Raises KeyError for a name that was not given and ValueError for one that was given and not used: a sentence states
    exactly what was handed in.
    """
    spans: list[Span] = []
    used: set[str] = set()
    bold = False
    for literal, name, _, _ in string.Formatter().parse(template):
        for i, part in enumerate(re.split(r"\*\*", literal)):
            bold = bold != (i > 0)
            if part:
                spans.append(Span(text=part, bold=bold))
        if name:
            fact = facts[name]
            used.add(name)
            spans.append(
                Span(text=fact, bold=bold) if isinstance(fact, str) else Span(text=fact.text, bold=bold, fact=fact.id)
            )
    if unused := set(facts) - used:
        raise ValueError(f"given but not stated: {', '.join(sorted(unused))}")
    return spans
