"""The text of a page of HTML, run by ``confined``: the parser takes very long for some pages, and fails for others."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

_SILENT = frozenset({"script", "style", "noscript", "template", "svg"})
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
        "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
        "table", "title", "tr", "ul",
    }
)  # fmt: skip


def work(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"text"}`` of the HTML in ``text``."""
    return {"text": plain(request["text"])}


def plain(text: str) -> str:
    """What a reader of a page sees, a line for each block."""
    page = _Page()
    page.feed(text)
    page.close()
    lines = (" ".join(line.split()) for line in "".join(page.pieces).splitlines())
    return "\n".join(filter(None, lines))


class _Page(HTMLParser):
    """Collects the text of a page, with the targets of its links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" | ")
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "a" and self._links and (target := self._links.pop()).startswith(("http://", "https://", "/")):
            self.pieces.append(f" ({target})")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)


if __name__ == "__main__":
    from holdfast.nodes.agent.confined import serve

    serve(work)
