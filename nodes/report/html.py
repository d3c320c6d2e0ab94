"""The report as one HTML file: style, font and charts inside, nothing fetched, light and dark, screen and print.

Escaping is jinja2's (on for everything); only charts, which we drew, and our own style enter as they are.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report import charts
from holdfast.nodes.report.document import Block, Document, Heading, Section
from holdfast.nodes.report.text import LONG_WORD, labels, printable, slug

_SHORT = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])", re.IGNORECASE)
_UNSAFE = re.compile("[<>&\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_PAINTS = ("fill", "stroke")
_DARK = {
    charts.INK: "#e6e8eb",
    charts.GREY: "#a9b1ba",
    charts.MID: "#8d96a0",
    charts.GRID: "#31363d",
    charts.PALE: "#5d6670",
    charts.REST: "#4a525b",
    charts.BEHIND: "#373d45",
    charts.ACCENT: "#56b4e9",
    charts.ACCENT_LIGHT: "#41789d",
    charts.CONTRAST: "#f08a3c",
    charts.CONTRAST_LIGHT: "#543219",
    "white": "#15181c",
    "black": "#e6e8eb",
}


def to_html(document: Document, drawings: Mapping[str, charts.Drawing], evidence: str = "") -> str:
    """The page; ``drawings`` by the figures' names, ``evidence`` as JSON, which the page carries unseen.

    Blocks for some milliseconds.
    """
    document = printable(document)
    figures = {name: _inline(drawing.page, "chart") for name, drawing in sorted(drawings.items())}
    phones = {name: _inline(one.phone, "chart phone") for name, one in sorted(drawings.items()) if one.phone}
    template = _environment().get_template("report.html.j2")
    html: str = template.render(
        document=document,
        sections=[
            (section, _groups(section, names))
            for section, names in zip(document.sections, labels(document), strict=True)
        ],
        queries={query.id: query for section in document.sections for query in section.queries},
        query_of={
            fact.id: fact.query
            for section in document.sections
            for fact in section.facts
            if fact.kind not in ("text", "year")
        },
        figures=figures,
        phones=phones,
        dark=_dark_rules([*figures.values(), *phones.values()]),
        evidence=_in_script(evidence),
        font=charts.font_data(),
        family=charts.FONT,
        width=charts.WIDTH,
    )
    return html


def _environment() -> Any:
    try:
        import jinja2  # noqa: PLC0415  only a report needs it
    except ImportError as error:
        raise BadInput("reports need the extra: pip install 'holdfast[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.tests["long"] = lambda text: bool(LONG_WORD.search(text))
    environment.filters["svg"] = _with_label
    return environment


def _in_script(json: str) -> Any:
    """JSON that no text in it can end or turn round: tags and direction marks are written as escapes of JSON."""
    import markupsafe  # noqa: PLC0415  comes with jinja2

    return markupsafe.Markup(_UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json))  # noqa: S704  no tag is left


def _groups(section: Section, names: list[str]) -> list[tuple[Heading | None, list[tuple[Block, str]]]]:
    """The blocks under each heading, with the first group's blocks before any heading."""
    groups: list[tuple[Heading | None, list[tuple[Block, str]]]] = [(None, [])]
    for block, name in zip(section.blocks, names, strict=True):
        if isinstance(block, Heading):
            groups.append((block, []))
        else:
            groups[-1][1].append((block, name))
    return [group for group in groups if group[0] or group[1]]


def _inline(svg: bytes, kind: str) -> ElementTree.Element:
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")  # in a process that has drawn none, too
    root = ElementTree.fromstring(svg)  # noqa: S314  our own SVG
    root.attrib.pop("version", None)
    root.set("class", kind)
    return root


def _with_label(root: ElementTree.Element, label: str) -> Any:
    """The SVG as markup, an image to a screen reader with ``label`` as its alternative text."""
    import markupsafe  # noqa: PLC0415  comes with jinja2

    root.set("role", "img")
    root.set("aria-label", label)
    return markupsafe.Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  serialised XML


def _dark_rules(figures: Any) -> list[tuple[str, str, str]]:
    """(attribute, colour, colour in the dark) for each paint that the charts use."""
    used = {
        (paint, element.attrib[paint])
        for root in figures
        for element in root.iter()
        for paint in _PAINTS
        if re.fullmatch(r"#[0-9a-fA-F]{3,6}|rgb\([\d, ]+\)|white|black", element.attrib.get(paint, ""))
    }
    return [(paint, colour, _in_the_dark(colour)) for paint, colour in sorted(used)]


def _in_the_dark(colour: str) -> str:
    """The colour on a dark page: greys are turned over, colours become lighter."""
    if known := _DARK.get(colour.lower()):
        return known
    hue, light, saturation = colorsys.rgb_to_hls(*_rgb(colour))
    light = 1 - 0.88 * light if saturation < 0.2 else max(light, 0.58) if light < 0.7 else 0.36
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, light, saturation))


def _rgb(colour: str) -> tuple[float, float, float]:
    if colour.startswith("rgb"):
        parts = [int(part) for part in re.findall(r"\d+", colour)]
    else:
        digits = _SHORT.sub(r"#\1\1\2\2\3\3", colour) if len(colour) == 4 else colour
        parts = [int(digits[i : i + 2], 16) for i in (1, 3, 5)]
    return parts[0] / 255, parts[1] / 255, parts[2] / 255
