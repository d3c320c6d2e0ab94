"""Text that came from data files, made fit to print, and the numbers under which tables and figures appear.

Names in a data file are untrusted: here they lose control characters and the marks that turn the reading direction of
what stands around them.  Escaping for a format is that format's own business (markdown, html, pdf).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from holdfast.nodes.report.document import Document, Figure, Span

_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
LONG_WORD = re.compile(r"[^\s\u200b]{32,}")  # a hash, say: too long for a line of a table
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")


def clean(text: str) -> str:
    """One line without control characters, direction marks or half characters; no-break spaces stay."""
    if text.isprintable():  # then there is none
        return text
    text = _DIRECTION.sub("", _BREAKS.sub(" ", text))
    return "".join("\ufffd" if _half(c) else c for c in text if unicodedata.category(c) != "Cc")


def cleaned(value: Any) -> Any:
    """A JSON value with every string, keys too, made clean; a chart's data and the fields that name it stay in step."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): cleaned(item) for key, item in value.items()}
    return value


def printable(document: Document) -> Document:
    """The document with every text made clean; SQL keeps its lines, a figure's name fits a path."""
    lines = {query.id: query.sql for section in document.sections for query in section.queries}
    result = Document.model_validate(cleaned(document.model_dump(mode="json")))
    result.about = [(clean(label), _kept_lines(value)) for label, value in document.about]
    originals = {clean(name): sql for name, sql in lines.items()}
    for section in result.sections:
        for query in section.queries:
            query.sql = _kept_lines(originals[query.id])
        for block in section.blocks:
            if isinstance(block, Figure):
                block.name = slug(block.name)
    return result


def plain(spans: list[Span]) -> str:
    """The sentence without its marks."""
    return "".join(span.text for span in spans)


def labels(document: Document) -> list[list[str]]:
    """For each block of each section "Table 1", "Figure 1" or "", counted through the document."""
    seen = {"table": 0, "figure": 0}
    result: list[list[str]] = []
    for section in document.sections:
        row = []
        for block in section.blocks:
            if block.type in seen:
                seen[block.type] += 1
            row.append(f"{block.type.title()} {seen[block.type]}" if block.type in seen else "")
        result.append(row)
    return result


def slug(text: str) -> str:
    """Letters, digits and hyphens: fit for an anchor or a file name.  Not unique by itself."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "x"


def _kept_lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.splitlines())


def _half(character: str) -> bool:
    return 0xD800 <= ord(character) <= 0xDFFF
