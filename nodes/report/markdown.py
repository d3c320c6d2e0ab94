"""The report as Markdown: headings, lists, pipe tables and images; the same bytes from run to run.

Text is escaped so that it reads as written in CommonMark and on GitHub: a name cannot become a tag, a link or a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from holdfast.nodes.report.document import Bullets, Document, Figure, Heading, Note, Paragraph, Span, Table
from holdfast.nodes.report.text import labels, printable

_ALWAYS = re.compile(r"[\\`*\[\]|~$]")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # within a word it is no emphasis
_LINE_START = re.compile(r"^(\s*)([#>=+\-]|\d+(?=[.)]))")


def to_markdown(document: Document) -> str:
    """The document; its figures are images in ``charts/``."""
    document = printable(document)
    parts = [*([f"> **{escape(document.banner)}**"] if document.banner else []), f"# {_start(document.title)}"]
    if document.subtitle:
        parts.append(_start(document.subtitle))
    parts.append("\n".join(f"- {escape(label)}: {_lines(value)}" for label, value in document.about))
    for section, names in zip(document.sections, labels(document), strict=True):
        parts.append(f"## {_start(section.title)}")
        parts += [_WRITERS[block.type](block, name) for block, name in zip(section.blocks, names, strict=True)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """``text`` as it has to stand within a line so that it is shown as it is."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    text = _ALWAYS.sub(lambda match: "\\" + match[0], text)
    return _EDGE_UNDERSCORE.sub(r"\\_", text)


def _start(text: str) -> str:
    """Escaped for the start of a line, where a sign or a number would open a list, a quotation or a heading."""
    return _LINE_START.sub(lambda m: m[1] + (m[2] + "\\" if m[2].isdigit() else "\\" + m[2]), escape(text))


def _lines(text: str) -> str:
    return "; ".join(escape(line) for line in text.splitlines())


def _inline(spans: Iterable[Span]) -> str:
    """Spans with bold runs joined, since ``**a****b**`` is not bold; spaces move out of the marks."""
    result, run = "", ""
    for span in [*spans, Span(text="")]:
        if span.bold:
            run += span.text
            continue
        if run:
            bare = run.strip()
            before, after = run[: len(run) - len(run.lstrip())], run[len(run.rstrip()) :]
            result += f"{before}**{escape(bare)}**{after}" if bare else run
        result, run = result + escape(span.text), ""
    return result


def _paragraph(block: Paragraph, _: str) -> str:
    return _LINE_START.sub(lambda m: m[1] + (m[2] + "\\" if m[2].isdigit() else "\\" + m[2]), _inline(block.spans))


def _bullets(block: Bullets, _: str) -> str:
    lines = []
    for number, item in enumerate(block.items, 1):
        label = f" ({item.confidence} confidence)" if item.confidence else ""
        lines.append(f"{f'{number}.' if block.numbered else '-'} {_inline(item.spans)}{label}")
    return "\n".join(lines)


def _note(block: Note, _: str) -> str:
    return f"> **{escape(block.title)}:** {_inline(block.spans)}"


def _heading(block: Heading, _: str) -> str:
    return f"### {_start(block.text)}"


def _grid(table: Table) -> str:
    def row(cells: Iterable[str]) -> str:
        return "| " + " | ".join(escape(cell) for cell in cells) + " |"

    rule = "| " + " | ".join("---:" if numeric else "---" for numeric in table.numeric) + " |"
    return "\n".join([row(table.columns), rule, *(row(cells) for cells in table.rows)])


def _table(block: Table, name: str) -> str:
    return f"**{name}. {escape(block.caption)}**\n\n{_grid(block)}" + (
        f"\n\n{name}: query {escape(block.query)}" if block.query else ""
    )


def _figure(block: Figure, name: str) -> str:
    query = f" Query: {escape(block.query)}." if block.query else ""
    return (
        f"**{escape(block.title)}**\n\n{_start(block.subtitle)}\n\n"
        f"![{escape(block.alt)}](charts/{block.name}.png)\n\n{name}.{query}"
    )


_WRITERS: dict[str, Callable[[Any, str], str]] = {
    "paragraph": _paragraph,
    "bullets": _bullets,
    "note": _note,
    "heading": _heading,
    "table": _table,
    "figure": _figure,
}
