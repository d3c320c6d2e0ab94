"""Vega-Lite specs of levels: lines that need not begin at zero, a panel each, ranges with their median."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.nodes.market.figures import ACCENT, GREY, INK, LIGHT, QUIET, TONES, Spec, Values, year_step
from holdfast.nodes.market.small_multiples import panels as framed

MOST_BEHIND = 60  # points of each grey line, which is drawn in every panel


def lines(values: Values, ends: Values) -> Spec:
    """A line per ``name``: ``period`` (ISO), ``value``, ``tone``; ``ends`` carry labels and where they stand."""
    x: Spec = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "axis": {"format": "%Y", "tickCount": {"interval": "year", "step": year_step(values, 10)}},
    }

    def y(field: str) -> Spec:
        scale = {"zero": False, "nice": True}
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": {"tickCount": 5}}

    colour = {"condition": TONES, "value": GREY}
    return {
        "height": 280,
        "layer": [
            {
                "data": {"values": list(values)},
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {"x": x, "y": y("value"), "color": colour, "detail": {"field": "name"}},
            },
            {
                "data": {"values": list(ends)},
                "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": 600},
                "encoding": {"x": x, "y": y("place"), "text": {"field": "label"}, "color": {**colour, "value": QUIET}},
            },
        ],
    }


def panels(values: Values, names: Sequence[str], labels: Sequence[str]) -> Spec:
    """A panel for each of ``names`` on one scale, its line in front of all others; ``labels`` stand in the heads."""
    every = [row["value"] for row in values]
    low, high = min(every), max(every)
    room = 0.06 * (high - low or abs(high) or 1)
    head = dict(zip(names, (f"{name}: {label}" for name, label in zip(names, labels, strict=True)), strict=True))
    rows = [{**row, "head": head[row["name"]]} for row in values]
    step = math.ceil(len(values) / len(names) / MOST_BEHIND)
    others = [
        {"period": row["period"], "value": row["value"], "name": name}
        for name in names
        for row in [row for row in values if row["name"] == name][::step]
    ]
    first, last = min(row["period"] for row in values), max(row["period"] for row in values)
    x: Spec = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "domain": [first, last], "nice": False},
        "axis": {"format": "%Y", "labelFontSize": 11, "tickCount": {"interval": "year", "step": year_step(values, 2)}},
    }
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [low - room, high + room], "nice": False, "zero": False},
        "axis": {"tickCount": 3, "labelFontSize": 11},
    }
    front: Spec = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"color": {"condition": TONES, "value": QUIET}},
    }
    return framed(rows, "head", list(head.values()), {"x": x, "y": y}, others, [front])


def histogram(bins: Values, places: int) -> Spec:
    """Bars side by side from zero: ``low``, ``high`` (written with ``places``), ``count``, which stands above each."""
    top = max(row["count"] for row in bins) * 1.14
    y = {"field": "count", "type": "quantitative", "scale": {"domain": [0, top], "nice": False}, "axis": None}
    ends = [row["low"] for row in bins] + [bins[-1]["high"]]
    scale = {"domain": [ends[0], ends[-1]], "nice": False, "zero": False}
    axis = {"values": ends, "format": f",.{places}f", "labelFlush": False, "labelOverlap": True}
    return {
        "data": {"values": [{**row, "middle": (row["low"] + row["high"]) / 2} for row in bins]},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "binSpacing": 2},
                "encoding": {
                    "x": {
                        "field": "low",
                        "type": "quantitative",
                        "bin": {"binned": True, "step": bins[0]["high"] - bins[0]["low"]},
                        "title": None,
                        "scale": scale,
                        "axis": axis,
                    },
                    "x2": {"field": "high"},
                },
            },
            {
                "transform": [{"filter": "datum.count > 0"}],
                "mark": {"type": "text", "dy": -8, "fontWeight": 600},
                "encoding": {
                    "x": {"field": "middle", "type": "quantitative", "scale": scale},
                    "text": {"field": "count"},
                },
            },
        ],
    }


def falls(values: Values, deepest: Mapping[str, Any]) -> Spec:
    """An area from zero down: ``period``, ``value``; the label of the ``deepest`` stands below it."""
    low = deepest["value"] * 1.25
    x: Spec = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "axis": {"format": "%Y", "tickCount": {"interval": "year", "step": year_step(values, 10)}},
    }
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [low, 0], "nice": False},
        "axis": {"tickCount": 4},
    }
    align = {"align": "left" if deepest["left"] else "right", "dx": -4 if deepest["left"] else 4}
    return {
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "data": {"values": list(values)},
                "mark": {"type": "area", "color": LIGHT, "line": {"color": ACCENT, "strokeJoin": "round"}},
            },
            {
                "data": {"values": [dict(deepest)]},
                "mark": {"type": "text", "dy": 14, "fontWeight": 600, **align},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def ranges(values: Values) -> Spec:
    """A bar from ``low`` to ``high`` with a tick at ``middle`` for each ``name``, ends labelled; ``tone``."""
    low, high = min(row["low"] for row in values), max(row["high"] for row in values)
    room = 0.14 * (high - low or 1)
    scale = {"domain": [low - room, high + room], "nice": False, "zero": False}

    def x(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": None}

    text: dict[str, Any] = {"type": "text", "fontWeight": 600, "color": QUIET}
    return {
        "height": {"step": 26},
        "data": {"values": list(values)},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
        },
        "layer": [
            {
                "mark": {"type": "bar", "height": {"band": 0.42}},
                "encoding": {"x": x("low"), "x2": {"field": "high"}, "color": {"condition": TONES, "value": GREY}},
            },
            {
                "mark": {"type": "tick", "thickness": 3, "color": INK, "height": {"band": 0.62}},
                "encoding": {"x": x("middle")},
            },
            {
                "mark": {**text, "align": "right", "dx": -6},
                "encoding": {"x": x("low"), "text": {"field": "low_label"}},
            },
            {
                "mark": {**text, "align": "left", "dx": 6},
                "encoding": {"x": x("high"), "text": {"field": "high_label"}},
            },
        ],
    }
