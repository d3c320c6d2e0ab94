"""Draws figures: Vega-Lite spec in, SVG and PNG out, without browser or network.

The page shows title and subtitle as text, so that they can be read, searched and wrapped; the files in ``charts/`` must
stand alone and carry them inside.  Everything here blocks (JavaScript runs inside): call it in a thread.
"""

from __future__ import annotations

import base64
import functools
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report.document import Figure
from holdfast.nodes.report.text import cleaned, slug

FONTS = Path(__file__).parent / "fonts"
FONT = "Holdfast Sans"
STACK = f"{FONT}, Segoe UI, Helvetica, Arial, sans-serif"  # a name with a digit would need quotes, or no text is drawn
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

WIDTH = 736  # px, the text column; a single chart fills it with its labels, a faceted one brings its own width
PHONE = 450  # px, shown on 330: letters of 12 px come out at 9, and the labels of ten bars still fit
HEIGHT, PANEL = 240, 90  # of a chart, of one panel of a faceted one
MARGIN = 16  # px, round a chart that stands alone

# Okabe-Ito: one accent, one contrast, the rest grey
INK, GREY, MID, GRID = "#1a1d21", "#5b6470", "#8a929c", "#e3e6ea"
ACCENT, ACCENT_LIGHT, CONTRAST, CONTRAST_LIGHT = "#0072b2", "#a0cbe8", "#d55e00", "#f8dfcd"
PALE, REST, BEHIND = "#b4bcc6", "#c9ced4", "#dfe3e8"  # single years, all others in one bar, lines of the others
HEADS = {"text": (16.0, 600, INK, 20, 4), "subtitle": (12.5, 400, GREY, 16, 14)}  # size, weight, colour, line, gap

_SVG = "http://www.w3.org/2000/svg"
_COMPOSED = ("hconcat", "vconcat", "concat", "repeat")
_NOISE = ("role", "aria-roledescription", "aria-label", "aria-hidden", "pointer-events")


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure: ``spec``, ``svg`` and ``png`` stand alone, ``page`` is the SVG without title for HTML and PDF.

    ``phone`` is the same for a narrow screen; empty where the chart brings its own width.
    """

    name: str
    spec: bytes
    svg: bytes
    png: bytes
    page: bytes
    phone: bytes = b""


MADE_WITH = ("holdfast", "vl-convert-python")  # what drawings depend on
PARTS = ("spec", "svg", "png", "page", "phone")


def theme() -> dict[str, Any]:
    """The Vega-Lite config that every chart shares."""
    text = {"labelFontSize": 12, "labelColor": GREY, "titleFontSize": 12, "titleColor": GREY, "titleFontWeight": 400}
    axis = {**text, "domain": False, "ticks": False, "gridColor": GRID, "labelPadding": 8, "titlePadding": 10}
    return {
        "font": STACK,
        "background": "white",
        "padding": {"left": 0, "right": 0, "top": 4, "bottom": 4},
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "labelFlush": False},
        "axisY": {"titleAngle": 0, "titleAlign": "left", "titleX": 0, "titleY": -14},
        "header": {**text, "title": None, "labelColor": INK, "labelFontWeight": 600, "labelAnchor": "start"},
        "legend": {**text, "title": None, "orient": "top", "symbolStrokeWidth": 2},
        "title": {
            **{"anchor": "start", "frame": "bounds", "offset": 16, "color": INK, "fontSize": 16, "fontWeight": 600},
            **{"subtitleColor": GREY, "subtitleFontSize": 12.5, "subtitlePadding": 6, "lineHeight": 20},
        },
        "range": {"category": [ACCENT, CONTRAST, MID, ACCENT_LIGHT, INK]},
        "bar": {"color": ACCENT},
        "line": {"color": ACCENT, "strokeWidth": 2},
        "area": {"color": ACCENT_LIGHT},
        "point": {"color": ACCENT, "size": 50, "opacity": 1},
        "circle": {"opacity": 1},
        "tick": {"opacity": 1},
        "rule": {"color": MID},
        "text": {"color": INK, "fontSize": 12},
    }


def draw(figure: Figure) -> Drawing:
    """Spec, SVG and PNG of one figure.  Raises BadInput if the extra is missing or the spec reads from outside."""
    figure = Figure.model_validate(cleaned(figure.model_dump(mode="json")))
    engine = _engine()
    spec, narrow = _fitted(engine, _page_spec(figure))
    page = _tidied(_svg(engine, spec), figure.name)
    phone = _tidied(_svg(engine, narrow), f"{figure.name}-phone") if narrow else ""
    alone = {**spec, "title": _title(figure), "background": "white", "padding": MARGIN}
    svg = _headed(page, figure)
    png: bytes = engine.svg_to_png(svg, scale=2)
    stored = json.dumps(alone, ensure_ascii=False, indent=1).encode()
    return Drawing(figure.name, stored, _with_font(svg).encode(), png, page.encode(), phone.encode())


@functools.cache
def _engine() -> ModuleType:
    try:
        import vl_convert  # noqa: PLC0415  90 MB that only a report needs
    except ImportError as error:
        raise BadInput("reports need the extra: pip install 'holdfast[report]'") from error
    vl_convert.register_font_directory(str(FONTS))
    return vl_convert


def _svg(engine: ModuleType, spec: dict[str, Any]) -> str:
    try:
        svg: str = engine.vegalite_to_svg(spec, allowed_base_urls=[])
    except ValueError as error:
        raise BadInput(f"the chart {spec['name']!r} cannot be drawn: {error}") from error
    return svg


def _page_spec(figure: Figure) -> dict[str, Any]:
    if any("url" in place for place in _objects(figure.spec)):
        # an empty list of allowed addresses does not keep the engine from reading file:// addresses
        raise BadInput(f"the chart {figure.name!r} names a url: charts carry their data inline")
    spec = {"$schema": SCHEMA, "name": slug(figure.name), "description": figure.alt, **figure.spec}
    spec["config"] = {**theme(), **spec.get("config", {})}
    spec.setdefault("background", None)
    _in_utc(spec)
    return spec


def _fitted(engine: ModuleType, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """With the width at which chart and labels together fill the column, and the same for a phone.

    Labels take what they need, so the first drawing only shows how much that is.  A spec with a width of its own keeps
    it; side by side are no more than two panels on a phone.
    """
    across = _across(spec)
    if not across or "width" in spec or "width" in spec.get("spec", {}):
        return spec, None
    labels = _labels(engine, spec, across)
    wide = _sized(spec, max((WIDTH - labels) / across, 60), across)
    few = min(across, 2)
    if few < across:
        spec = _in_columns(spec, few)
        labels = _labels(engine, spec, few)
    return wide, _sized(spec, max((PHONE - labels) / few, 60), few)


def _labels(engine: ModuleType, spec: dict[str, Any], across: int) -> float:
    """The width that labels and gaps take beside the panels."""
    guess = (PHONE - 60) / across
    return _width(_svg(engine, _sized(spec, guess, across))) - across * guess


def _in_columns(spec: dict[str, Any], columns: int) -> dict[str, Any]:
    """A faceted spec with fewer panels side by side."""
    if "columns" in spec:
        return {**spec, "columns": columns}
    encoding = spec.get("encoding", {})
    if "facet" in encoding:
        return {**spec, "encoding": {**encoding, "facet": {**encoding["facet"], "columns": columns}}}
    return {**spec, "facet": {**spec["facet"], "columns": columns}}


def _across(spec: dict[str, Any]) -> int:
    """How many panels stand side by side; 0 if that cannot be told."""
    facet = spec.get("facet") or spec.get("encoding", {}).get("facet")
    if facet is not None:
        return int(spec.get("columns") or facet.get("columns") or 0)
    beside = any(channel in spec.get("encoding", {}) for channel in ("row", "column"))
    return 0 if beside or any(key in spec for key in _COMPOSED) else 1


def _sized(spec: dict[str, Any], width: float, across: int) -> dict[str, Any]:
    size = {"width": round(width, 2), "height": HEIGHT if across == 1 else PANEL}
    if "facet" in spec:
        return {**spec, "spec": {**size, **spec["spec"], "width": size["width"]}}
    return {**size, **spec, "width": size["width"]}


def _width(svg: str) -> float:
    return float(ElementTree.fromstring(svg).attrib["width"])  # noqa: S314  our own SVG


def _title(figure: Figure) -> dict[str, list[str]]:
    return {"text": textwrap.wrap(figure.title, 84), "subtitle": textwrap.wrap(figure.subtitle, 122)}


def _headed(page: str, figure: Figure) -> str:
    """The page's drawing on white with title and subtitle above it: most of a drawing's time goes into its labels."""
    root = ElementTree.fromstring(page)  # noqa: S314  our own SVG
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    chart = list(root)
    for child in chart:
        root.remove(child)
    ElementTree.SubElement(root, f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": "white"})
    top = MARGIN
    for part, lines in _title(figure).items():
        size, weight, colour, step, gap = HEADS[part]
        style = {"font-family": STACK, "font-size": f"{size}px", "font-weight": str(weight), "fill": colour}
        for line in lines:
            place = {"x": str(MARGIN), "y": f"{top + size:g}"}
            ElementTree.SubElement(root, f"{{{_SVG}}}text", {**place, **style}).text = line
            top += step
        top += gap * bool(lines)
    ElementTree.SubElement(root, f"{{{_SVG}}}g", {"transform": f"translate({MARGIN},{top})"}).extend(chart)
    wide, high = f"{max(width, WIDTH) + 2 * MARGIN:g}", f"{top + height + MARGIN:g}"
    root.attrib.update({"width": wide, "height": high, "viewBox": f"0 0 {wide} {high}"})
    return ElementTree.tostring(root, encoding="unicode")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a spec but the rows of its data."""
    if isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key not in ("values", "datasets"):
                yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _in_utc(spec: dict[str, Any]) -> None:
    """Reads dates in UTC, or a chart would begin a day early west of Greenwich."""
    for place in _objects(spec):
        if place.get("type") == "temporal" and "scale" not in place and "field" in place:
            place["scale"] = {"type": "utc"}
        elif place.get("type") == "temporal" and isinstance(place.get("scale"), dict):
            place["scale"].setdefault("type", "utc")


def _tidied(svg: str, name: str) -> str:
    """The SVG with ids that are its own and the same in every run, and without the roles that name each mark.

    The engine counts clip paths through the whole process, so that equal charts would differ.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)  # noqa: S314  our own SVG
    ids = {e.attrib["id"]: f"{slug(name)}-{i}" for i, e in enumerate(e for e in root.iter() if "id" in e.attrib)}
    for element in root.iter():
        for key in _NOISE:
            element.attrib.pop(key, None)
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, ids[value])
            elif value.startswith("url(#"):
                element.set(key, f"url(#{ids[value[5:-1]]})")
    return ElementTree.tostring(root, encoding="unicode")


@functools.cache
def font_data() -> str:
    """The web font as a data: address, subset to Latin; see fonts/README.md."""
    return "data:font/woff2;base64," + base64.b64encode((FONTS / "HoldfastSans.woff2").read_bytes()).decode()


def _with_font(svg: str) -> str:
    face = f'@font-face{{font-family:"{FONT}";font-weight:400 700;src:url({font_data()}) format("woff2")}}'
    start = svg.index(">") + 1
    return f"{svg[:start]}<style>{face}</style>{svg[start:]}"
