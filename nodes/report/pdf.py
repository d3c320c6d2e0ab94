"""The report as a tagged PDF (PDF/UA-1 where the fonts have all letters) with typst.

The document enters typst as data (JSON) and never as source: typst prints strings as they are, so there is nothing to
escape and no name can become a command.  The page itself is templates/report.typ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report import charts
from holdfast.nodes.report.document import Document, Section
from holdfast.nodes.report.text import LONG_WORD, labels, printable, slug

_NO_GLYPH = "could not be displayed"  # no font here has a letter of a name: PDF/UA refuses, a plain PDF shows a box
_ZERO_SPACE = "\u200b"
_NOT_SHOWN = ("type", "name", "alt", "confidence", "fact")
_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"


def to_pdf(document: Document, drawings: Mapping[str, charts.Drawing]) -> bytes:
    """The PDF, without any date in it; blocks for a second or less.

    It is PDF/UA-1 unless a name has a letter that no font here has: a report without that mark is better than none.
    """
    try:
        import typst  # noqa: PLC0415  80 MB that only a report needs
    except ImportError as error:
        raise BadInput("reports need the extra: pip install 'holdfast[report]'") from error
    document = printable(document)
    names = labels(document)
    value = document.model_dump(mode="json", include={"title", "subtitle", "about", "banner", "kicker", "engine"})
    value["about"] = [{"label": label, "lines": text.splitlines()} for label, text in document.about]
    value["sections"] = [_section(*pair) for pair in zip(document.sections, names, strict=True)]
    value["charts"] = {name: drawing.page.decode() for name, drawing in drawings.items()}
    try:
        return _compiled(typst, value, ["ua-1"])
    except typst.TypstError as error:
        if _NO_GLYPH not in str(error):
            raise
        return _compiled(typst, value, [])


def _compiled(typst: ModuleType, value: dict[str, Any], standards: list[str]) -> bytes:
    pdf: bytes = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        font_paths=typst.Fonts(font_paths=[str(charts.FONTS)]),
        sys_inputs={"report": json.dumps(value)},
        pdf_standards=standards,
    )
    return pdf


def _breakable(value: Any) -> Any:
    """The same with places to break inside long words such as hashes, or a line would leave the page."""
    if isinstance(value, str):
        return LONG_WORD.sub(lambda match: _ZERO_SPACE.join(re.findall(".{1,8}", match[0])), value)
    if isinstance(value, list):
        return [_breakable(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key in _NOT_SHOWN else _breakable(item) for key, item in value.items()}
    return value


def _section(section: Section, names: list[str]) -> dict[str, Any]:
    blocks = [
        {**block.model_dump(mode="json", exclude={"spec", "data"}), "label": name}
        for block, name in zip(section.blocks, names, strict=True)
    ]
    return {"id": slug(section.id), "title": section.title, "blocks": _breakable(blocks)}
