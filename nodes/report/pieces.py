"""A report's page taken apart: every text with the place where a reader finds it, and the evidence inside.

Made for comparing two pages, so nothing is left out: text that stands where none belongs, links, the marks of charts
and the style are pieces as well.  Only the appendix on the run is taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from holdfast.checkpoints.errors import BadInput

EVIDENCE = "evidence"  # id of the element that holds it
NUMBER = re.compile(r"\d+(?:[,.\u00a0\u202f]\d+)*")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_WHOLE = frozenset(
    (
        *("h1", "h2", "h3", "p", "dt", "dd", "li", "th", "td", "caption", "summary", "pre", "figcaption", "title"),
        *("style", "svg", "footer", "script"),
    )
)
_ROLES = {"finding": "title", "measure": "subtitle", "kicker": "kicker", "subtitle": "subtitle", "banner": "banner"}


@dataclass(slots=True)
class Element:
    """A node of the page."""

    tag: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        """All text within, spaces joined; no-break spaces stay."""
        return re.sub(r"[ \t\n]+", " ", "".join(_texts(self))).strip()

    def markup(self) -> str:
        """The tags within, without their text."""
        return "".join(_tags(self))

    def find(self, tag: str) -> Iterator[Element]:
        """All elements of that tag, this one too, in their order."""
        if self.tag == tag:
            yield self
        for child in self.inside:
            if isinstance(child, Element):
                yield from child.find(tag)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reader finds at one place; ``markup`` is what he sees only by what it does: links, bars, colours.

    ``number`` counts paragraphs and items of a place; it names a piece and does not make it another one.
    """

    place: str
    text: str
    markup: str = ""
    number: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The place as a reader would look it up."""
        return f"{self.place} {self.number}" if self.number else self.place


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#page", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self._open[-1].inside.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def parse(html: str) -> Element:
    """The page as a tree; never fails, whatever the text is."""
    tree = _Tree()
    tree.feed(html)
    tree.close()
    return tree.root


def evidence_in(page: Element) -> dict[str, Any]:
    """What the report says its numbers rest on; raises BadInput if it carries nothing of the kind."""
    found = [script for script in page.find("script") if script.attributes.get("id") == EVIDENCE]
    if len(found) != 1:
        many = "evidence more than once" if found else "no evidence"
        raise BadInput(f"the report carries {many}, so nothing in it can be computed again")
    try:
        value = json.loads("".join(_texts(found[0])))
    except ValueError as error:
        raise BadInput(f"the evidence inside the report is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput("the evidence inside the report is not a JSON object")
    return value


def pieces(page: Element, leave_out: str) -> list[Piece]:
    """The page's pieces in reading order, without the section ``leave_out`` and without the evidence."""
    return list(_Walk(leave_out).walk(page, "page"))


class _Walk:
    def __init__(self, leave_out: str) -> None:
        self.leave_out, self._counts = leave_out, dict[str, int]()

    def walk(self, element: Element, place: str) -> Iterator[Piece]:
        """Containers give the pieces within and one for their own tag; a paragraph, a cell or a chart is one piece."""
        if self._left_out(element):
            return
        if element.tag in _WHOLE:
            yield self._whole(element, place)
            return
        if element.tag == "table":
            yield from self._table(element, place)
            return
        if element.tag != "#page":
            yield Piece(f"{place}, structure", "", _tag(element))
        inside = self._place(element, place)
        for child in element.inside:
            if isinstance(child, Element):
                yield from self.walk(child, inside)
            elif child.strip():
                yield Piece(f"{inside}, text on its own", child.strip())

    def _left_out(self, element: Element) -> bool:
        links = [link.attributes.get("href") for link in element.find("a")] if element.tag == "li" else []
        is_evidence = element.tag == "script" and element.attributes.get("id") == EVIDENCE
        gone = element.tag == "section" and element.attributes.get("id") == self.leave_out
        return is_evidence or gone or links == [f"#{self.leave_out}"]

    def _place(self, element: Element, place: str) -> str:
        if element.tag == "section":
            return next((head.text() for head in element.find("h2")), element.attributes.get("id", "section"))
        if element.tag == "figure":
            return element.attributes.get("id", "figure").replace("-", " ").capitalize()
        named = {"header": "title block", "nav": "contents", "aside": f"{place}, box", "head": "head of the page"}
        if element.tag == "details" and element.attributes.get("class") == "query":
            return next((f"query {summary.text()}" for summary in element.find("summary")), place)
        return named.get(element.tag, place)

    def _whole(self, element: Element, place: str) -> Piece:
        if element.tag == "svg":
            label = element.attributes.get("aria-label", "")
            texts = [text.text() for text in element.find("text")]
            return Piece(f"{place}, drawing", "\n".join([label, *texts]), _tag(element) + element.markup())
        role = _ROLES.get(element.attributes.get("class", ""))
        kind = role or {"p": "paragraph", "li": "item", "dd": "entry", "dt": "label", "pre": "SQL"}.get(
            element.tag, element.tag
        )
        name, number = f"{place}, {kind}", 0
        if not role and element.tag in ("p", "li"):
            number = self._counts[name] = self._counts.get(name, 0) + 1
        return Piece(name, element.text(), _tag(element) + element.markup(), number)

    def _table(self, table: Element, place: str) -> Iterator[Piece]:
        caption = next((caption.text() for caption in table.find("caption")), "")
        name = match[0] if (match := re.match(r"Table \d+", caption)) else f"{place}, values"
        heads = [cell.text() for row in table.find("thead") for cell in row.find("th")]
        yield Piece(f"{name}, caption", caption, _tag(table) + table.markup())
        for number, head in enumerate(heads, 1):
            yield Piece(f"{name}, head of column {number}", head)
        for body in table.find("tbody"):
            for row in body.find("tr"):
                cells = [cell for cell in row.inside if isinstance(cell, Element)]
                first = cells[0].text() if cells else ""
                for number, cell in enumerate(cells):
                    column = heads[number] if number < len(heads) else f"column {number + 1}"
                    yield Piece(f"{name}, row {first}, {column}" if number else f"{name}, row", cell.text())
        for stray in (child for child in table.inside if isinstance(child, str) and child.strip()):
            yield Piece(f"{name}, text on its own", stray.strip())


def _texts(element: Element) -> Iterator[str]:
    for child in element.inside:
        if isinstance(child, str):
            yield child
        else:
            yield from _texts(child)


def _tag(element: Element) -> str:
    return f"<{element.tag}{''.join(f' {key}={value!r}' for key, value in element.attributes.items())}>"


def _tags(element: Element) -> Iterator[str]:
    for child in element.inside:
        if isinstance(child, Element):
            yield _tag(child)
            yield from _tags(child)
