"""Vega-Lite specs of the charts: each answers one question.  Titles, fonts and sizes of the page are left to rendering.

Okabe–Ito colours: one accent, one contrast, greys; labels stand at the marks, so there are no legends.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.nodes.report.charts import PALE, REST

ACCENT, LIGHT, CONTRAST, GREY, INK = "#0072b2", "#a0cbe8", "#d55e00", "#8a929c", "#1a1d21"
QUIET = "#5b6470"  # grey text: 4.5:1 and more on white
Spec = dict[str, Any]
Values = Sequence[Mapping[str, Any]]
# who is spoken of has one colour in every chart: 1 in accent, -1 in contrast, all others grey
TONES = [{"test": "datum.tone == 1", "value": ACCENT}, {"test": "datum.tone == -1", "value": CONTRAST}]
_NO_AXIS = {"axis": None}


def bars_over_time(values: Values, labels: bool) -> Spec:
    """Bars from zero: ``when``, ``value``, ``label``, ``change`` (may be empty), ``marked`` if spoken of."""
    ends = [0.0, *(row["value"] for row in values)]
    room = 0.14 * (max(ends) - min(ends))
    bottom, top = min(ends) - room * (min(ends) < 0), max(ends) + room * (max(ends) > 0)
    x = {
        "field": "when",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelAngle": 0, "labelOverlap": True},
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [bottom, top if top > bottom else 1]},
        "axis": None if labels else {"tickCount": 4},
    }
    colour = {"condition": {"test": "datum.marked", "value": ACCENT}, "value": LIGHT}
    layers: list[Spec] = [{"mark": {"type": "bar", "width": {"band": 0.66}}, "encoding": {"color": colour}}]
    if labels:
        above = "datum.value >= 0 && datum.change"
        for test, dy in ((f"{above} != ''", -20), (f"{above} == ''", -8), ("datum.value < 0", 12)):
            text = {"type": "text", "dy": dy, "fontWeight": 600}
            layers.append({"transform": [{"filter": test}], "mark": text, "encoding": {"text": {"field": "label"}}})
        layers.append(
            {
                "mark": {"type": "text", "dy": -7, "fontSize": 10.5, "color": QUIET},
                "encoding": {"text": {"field": "change"}},
            }
        )
    return {"data": {"values": list(values)}, "encoding": {"x": x, "y": y}, "layer": layers}


def course(values: Values, mean_label: str, from_zero: bool) -> Spec:
    """A thin raw line and its thick moving mean: ``period`` (ISO), ``value``, ``mean`` (may be missing)."""
    scale = {"zero": from_zero, "nice": True}
    x = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "axis": {"format": "%Y", "tickCount": {"interval": "year", "step": _step(len(values))}},
    }
    means = [row for row in values if row.get("mean") is not None]
    raw: Spec = {
        "mark": {"type": "line", "color": LIGHT if means else ACCENT, "strokeWidth": 1.3 if means else 2},
        "encoding": {
            "x": x,
            "y": {"field": "value", "type": "quantitative", "title": None, "scale": scale, "axis": {"tickCount": 4}},
        },
    }
    layers = [raw]
    if means:
        mean_y = {"field": "mean", "type": "quantitative", "title": None, "scale": scale}
        layers.append({"mark": {"type": "line", "color": ACCENT, "strokeWidth": 3}, "encoding": {"x": x, "y": mean_y}})
        layers.append(
            {
                "data": {"values": [{**means[-1], "text": mean_label}]},  # beyond the lines, which would cross it
                "mark": {"type": "text", "color": ACCENT, "fontWeight": 600, "align": "left", "dx": 6},
                "encoding": {"x": x, "y": mean_y, "text": {"field": "text"}},
            }
        )
    return {"data": {"values": list(values)}, "layer": layers}


def _step(periods: int) -> int:
    return max(1, math.ceil(periods / 12 / 12))


def ranking(values: Values) -> Spec:
    """Horizontal bars, sorted as given: ``name``, ``value``, ``label``, ``tone``; "other" rows are ``rest``."""
    top = max((row["value"] for row in values), default=1) * 1.18
    colour = {"condition": [{"test": "datum.rest", "value": REST}, *TONES], "value": GREY}
    x = {"field": "value", "type": "quantitative", "scale": {"domain": [0, top]}, **_NO_AXIS}
    return {
        "height": {"step": 24},
        "data": {"values": list(values)},
        "encoding": {"y": _names(), "x": x},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.66}}, "encoding": {"color": colour}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": 600},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def _names(title: str | None = None) -> Spec:
    return {"field": "name", "type": "nominal", "sort": None, "title": title, "axis": {"labelLimit": 220}}


def dumbbell(values: Values) -> Spec:
    """Share before (open) and after (filled): ``name``, ``before``, ``after``, ``label``, ``tone``."""
    top = max((max(row["before"], row["after"]) for row in values), default=1) * 1.16
    rows = [{**row, "right": max(row["before"], row["after"])} for row in values]
    scale = {"domain": [0, top], "nice": False}
    colour = {"condition": TONES, "value": GREY}
    axis = {"grid": True, "orient": "top", "tickCount": 5}

    def x(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": axis}

    return {
        "height": {"step": 23},
        "data": {"values": rows},
        "encoding": {"y": _names()},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3},
                "encoding": {"x": x("before"), "x2": {"field": "after"}, "color": colour},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "fill": "white",
                    "stroke": GREY,
                    "strokeWidth": 2,
                    "size": 55,
                    "opacity": 1,
                },
                "encoding": {"x": x("before")},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 65, "opacity": 1},
                "encoding": {"x": x("after"), "color": colour},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 10, "fontWeight": 600},
                "encoding": {"x": x("right"), "text": {"field": "label"}},
            },
        ],
    }


def seasonal(medians: Values, singles: Values, base: float = 100.0) -> Spec:
    """Index per part of the year: ``part``, ``index``, ``label``, ``tone``; a dot for each single year.

    The labels stand in a row above, where neither a dot nor a line crosses them.
    """
    every = [row["index"] for row in [*medians, *singles]]
    low, high = min(*every, base), max(*every, base)
    room = high - low or 1.0
    low, high = low - 0.05 * room, high + 0.05 * room
    scale = {"domain": [low, high], "nice": False, "zero": False}
    order = [row["part"] for row in medians]
    x = {
        "field": "part",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {"labelAngle": 0},
        "scale": {"domain": order},
    }
    y = {"field": "index", "type": "quantitative", "title": None, "scale": scale, "axis": {"tickCount": 5}}
    colour = {"condition": TONES, "value": QUIET}
    return {
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "data": {"values": [{"index": base}]},
                "mark": {"type": "rule", "color": GREY},
                "encoding": {"y": y, "x": {"value": 0}, "x2": {"value": "width"}},
            },
            {
                "data": {"values": list(singles)},
                "mark": {"type": "point", "filled": True, "size": 28, "color": PALE, "opacity": 1},
            },
            {
                "data": {"values": list(medians)},
                "mark": {"type": "tick", "thickness": 4, "opacity": 1, "width": {"band": 0.42}},
                "encoding": {"color": colour},
            },
            {
                "data": {"values": list(medians)},
                "mark": {"type": "text", "fontWeight": 600},
                "encoding": {"text": {"field": "label"}, "y": {"value": -8}},
            },
        ],
    }


def year_step(values: Values, most: int) -> int:
    """Years from one tick to the next, so that there are about ``most`` ticks."""
    years = sorted(int(row["period"][:4]) for row in values)
    return max(1, math.ceil((years[-1] - years[0]) / most))


def rebased(values: Values, ends: Values, logarithmic: bool) -> Spec:
    """Lines that start at 100 together: ``period``, ``name``, ``index``; ``ends`` carry labels and where they stand."""
    every = [row["index"] for row in values]
    if logarithmic:
        low, high = (
            2 ** math.floor(math.log2(min(every) / 100)) * 100,
            2 ** math.ceil(math.log2(max(every) / 100)) * 100,
        )
        ticks = [100 * 2**k for k in range(-12, 13) if low <= 100 * 2**k <= high]
        scale: Spec = {"type": "log", "domain": [low, high], "nice": False}
        axis: Spec = {"values": ticks, "format": ",.0f"}
    else:
        scale, axis = {"zero": False, "nice": True}, {"tickCount": 5}
    x = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "axis": {"format": "%Y", "tickCount": {"interval": "year", "step": year_step(values, 12)}},
    }

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": axis}

    colour = {"condition": TONES, "value": GREY}
    return {
        "height": 320,
        "layer": [
            {
                "data": {"values": list(values)},
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {"x": x, "y": y("index"), "color": colour, "detail": {"field": "name"}},
            },
            {
                "data": {"values": list(ends)},
                "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": 600},
                "encoding": {"x": x, "y": y("place"), "text": {"field": "label"}, "color": {**colour, "value": QUIET}},
            },
        ],
    }


def lines(values: Values, ends: Values) -> Spec:
    """A line per entity from zero: ``when``, ``name``, ``value``, ``tone``; ``ends`` carry the labels."""
    x = {
        "field": "when",
        "type": "ordinal",
        "sort": None,
        "title": None,
        "axis": {"labelAngle": 0, "labelOverlap": True},
    }

    def y(field: str) -> Spec:
        return {
            "field": field,
            "type": "quantitative",
            "title": None,
            "scale": {"zero": True, "nice": True},
            "axis": {"tickCount": 5},
        }

    colour = {"condition": TONES, "value": GREY}
    return {
        "layer": [
            {
                "data": {"values": list(values)},
                "mark": {"type": "line", "strokeWidth": 2.5},
                "encoding": {"x": x, "y": y("value"), "color": colour, "detail": {"field": "name"}},
            },
            {
                "data": {"values": list(ends)},
                "mark": {"type": "text", "align": "left", "dx": 8, "fontWeight": 600},
                "encoding": {"x": x, "y": y("place"), "text": {"field": "label"}, "color": {**colour, "value": QUIET}},
            },
        ],
    }


def diverging(values: Values) -> Spec:
    """Bars to both sides of zero: ``name``, ``value``, ``label``, ``tone``."""
    low, high = min(0, *(row["value"] for row in values)), max(0, *(row["value"] for row in values))
    span = (high - low) or 1
    domain = [low - (0.16 * span if low < 0 else 0), high + (0.16 * span if high > 0 else 0)]
    x = {"field": "value", "type": "quantitative", "scale": {"domain": domain, "nice": False}, **_NO_AXIS}
    colour = {"condition": TONES, "value": GREY}
    text = {"type": "text", "fontWeight": 600}
    return {
        "height": {"step": 26},
        "data": {"values": list(values)},
        "encoding": {"y": _names(), "x": x},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.62}}, "encoding": {"color": colour}},
            {
                "transform": [{"filter": "datum.value >= 0"}],
                "mark": {**text, "align": "left", "dx": 6},
                "encoding": {"text": {"field": "label"}},
            },
            {
                "transform": [{"filter": "datum.value < 0"}],
                "mark": {**text, "align": "right", "dx": -6},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def spread(places: Sequence[float], least: float) -> list[float]:
    """The places moved apart until neighbours keep at least ``least`` between them."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for _ in range(200):
        still = True
        for a, b in itertools.pairwise(order):
            if (gap := moved[b] - moved[a]) < least - 1e-9:
                moved[a] -= (least - gap) / 2
                moved[b] += (least - gap) / 2
                still = False
        if still:
            break
    return moved
