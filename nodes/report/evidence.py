"""evidence.json: each number of the report with its subtask, its query and the files that the query reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report.document import Bullets, Document, Fact, Note, Paragraph, Query, Section, Span, Table
from holdfast.nodes.report.text import labels, slug


def to_evidence(
    document: Document,
    sources: list[dict[str, Any]],
    authors: dict[str, str],
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The evidence as JSON, the same bytes from run to run; ``authors`` gives the subtask behind a section's id.

    ``more`` stands beside it: how the report came about, and with which versions.  Raises BadInput as
    ``require_backing`` does.
    """
    require_backing(document)
    value = {
        "title": document.title,
        "engine": document.engine,
        "sources": sources,
        "facts": _facts(document, authors),
        "queries": [query.model_dump(mode="json") for query in _queries(document)],
        "tables": list(_tables(document)),
        **(more or {}),
    }
    # a half character in a column's name cannot be UTF-8; JSON has an escape for it
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def require_backing(document: Document) -> None:
    """Raises BadInput unless each fact stated and each query named is in the document, with one meaning only."""
    facts = {fact.model_dump_json(): fact for section in document.sections for fact in section.facts}.values()
    queries = _queries(document)
    for kind, ids in (("fact", [fact.id for fact in facts]), ("query", [query.id for query in queries])):
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise BadInput(f"two subtasks give another {kind} under the same id: {', '.join(twice)}")
    stated = {span.fact for section in document.sections for span in _spans(section)} - {""}
    named = {*(fact.query for fact in facts), *(table["query"] for table in _tables(document))} - {""}
    missing = (stated - {fact.id for fact in facts}) | (named - {query.id for query in queries})
    if missing:
        raise BadInput(f"the report names facts or queries that no subtask gave: {', '.join(sorted(missing))}")


def _facts(document: Document, authors: dict[str, str]) -> list[dict[str, Any]]:
    """Each distinct fact once, with all sections that hold it; the subtask is that of the query, if it is known."""
    home = {query.id: section.id for section in reversed(document.sections) for query in section.queries}
    found: dict[str, tuple[Fact, list[str]]] = {}
    for section in document.sections:
        for fact in section.facts:
            found.setdefault(fact.model_dump_json(), (fact, []))[1].append(section.id)
    result = []
    for fact, sections in found.values():
        origin = home[fact.query] if home.get(fact.query) in sections else sections[-1]
        subtask = authors.get(origin, origin)
        result.append({**fact.model_dump(mode="json"), "subtask": subtask, "sections": list(dict.fromkeys(sections))})
    return result


def _queries(document: Document) -> list[Query]:
    found = {(query.id, query.sql): query for section in document.sections for query in section.queries}
    return list(found.values())


def _tables(document: Document) -> Iterator[dict[str, Any]]:
    """The cells of tables and the values that charts draw, under the names that the report gives them.

    Titles and captions stay out: a number in a sentence must not be its own evidence.
    """
    for section, names in zip(document.sections, labels(document), strict=True):
        for block, name in zip(section.blocks, names, strict=True):
            place = {"place": name, "section": section.id}
            if block.type == "table":
                yield {**place, **_cells(block, block.query)}
            elif block.type == "figure":
                yield {**place, "chart": slug(block.name), **_cells(block.data, block.query or block.data.query)}


def _cells(table: Table, query: str) -> dict[str, Any]:
    return {"query": query, "columns": table.columns, "rows": table.rows}


def _spans(section: Section) -> Iterator[Span]:
    for block in section.blocks:
        if isinstance(block, Paragraph | Note):
            yield from block.spans
        elif isinstance(block, Bullets):
            for item in block.items:
                yield from item.spans
