"""The tool ``read``: a part of a document that the agent was given, as text."""

from __future__ import annotations

import asyncio
import codecs
from pathlib import Path

from pydantic import BaseModel, Field

from holdfast.nodes.agent.confined import confined
from holdfast.nodes.agent.tools import Desk, ToolRefused, tool

PART = 10_000  # characters of one answer
LARGEST = 50 << 20  # bytes of a file
SECONDS = 30.0
PAGE_SECONDS = 10.0  # for one of HTML
PAGES = frozenset({".html", ".htm", ".xhtml"})
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Part(BaseModel):
    """Which part of which file."""

    file: str = Field(max_length=1000, description="the name of a file, as listed")
    page: int = Field(1, ge=1, description="of a PDF: the page, from 1")
    offset: int = Field(0, ge=0, description="how many characters to leave out before it begins, as the last part said")


@tool("read")
async def read(arguments: Part, desk: Desk) -> str:
    """Reads a text, Markdown, HTML or PDF file, up to 10,000 characters from a page or an offset."""
    given = desk.files.find(arguments.file)
    size = (await asyncio.to_thread(given.path.stat)).st_size
    if size > LARGEST:
        raise ToolRefused(f"{given.name} has {size >> 20} MB, and {LARGEST >> 20} can be read")
    if given.path.suffix.lower() == ".pdf":
        request = {"path": str(given.path), "page": arguments.page}
        told = await confined("holdfast.nodes.agent.pdf", request, SECONDS)
        return f"Page {arguments.page} of {told['pages']}.\n{part_of(told['text'], arguments.offset)}"
    text = await asyncio.to_thread(text_of, given.path)
    if given.path.suffix.lower() in PAGES:
        text = await from_html(text)
    return part_of(text, arguments.offset)


def part_of(text: str, offset: int) -> str:
    """A part of a text and where the next one begins."""
    if offset and offset >= len(text):
        raise ToolRefused(f"it has {len(text):,} characters, so there is nothing at {offset:,}")
    end = offset + PART
    more = f"\n[characters {offset:,} to {end:,} of {len(text):,}; the next part has offset {end}]"
    return text[offset:end] + (more if end < len(text) else "")


def text_of(path: Path) -> str:
    """A file as text; raises ToolRefused for one that is none."""
    body = path.read_bytes()
    encoding = next((name for bom, name in _BOMS.items() if body.startswith(bom)), "utf-8")
    if encoding != "utf-16" and b"\0" in body[: 1 << 20]:
        raise ToolRefused(f"{path.name} is a binary file and cannot be read as text")
    return body.decode(encoding, "replace")


async def from_html(text: str) -> str:
    """What a reader of a page sees, a line for each block; raises Confined for a page that takes too long."""
    return str((await confined("holdfast.nodes.agent.page", {"text": text}, PAGE_SECONDS))["text"])
