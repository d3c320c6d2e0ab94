"""Vega-Lite specs of the forecast: a line that goes on as a band, and ranges round the present."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from holdfast.nodes.market.figures import ACCENT, GREY, INK, LIGHT, QUIET, TONES, Spec, Values

BAND = LIGHT  # 3:1 is left to the lines; the band only lies behind them


def fan(past: Values, ahead: Values, *, zero: bool) -> Spec:
    """Past values as a line (``period``, ``value``), then the forecast with its band (``low``, ``high``).

    ``ahead`` begins with the last past value, so that line and band go on from it.
    """
    every = [row["value"] for row in past] + [row[key] for row in ahead for key in ("low", "high")]
    low, high = min(every), max(every)
    room = 0.06 * (high - low or abs(high) or 1)
    domain = [0 if zero else low - room, high + room]
    years = int(ahead[-1]["period"][:4]) - int(past[0]["period"][:4])
    x: Spec = {
        "field": "period",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "domain": [past[0]["period"], ahead[-1]["period"]], "nice": False},
        "axis": {"format": "%Y", "tickCount": {"interval": "year", "step": max(1, math.ceil(years / 10))}},
    }

    def y(field: str) -> Spec:
        scale = {"domain": domain, "nice": False, "zero": zero}
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": {"tickCount": 5}}

    line: dict[str, Any] = {"type": "line", "strokeWidth": 2}
    return {
        "height": 260,
        "layer": [
            {
                "data": {"values": list(ahead)},
                "mark": {"type": "area", "color": BAND, "opacity": 1},
                "encoding": {"x": x, "y": y("low"), "y2": {"field": "high"}},
            },
            {"data": {"values": list(past)}, "mark": {**line, "color": INK}, "encoding": {"x": x, "y": y("value")}},
            {
                "data": {"values": list(ahead)},
                "mark": {**line, "color": ACCENT, "strokeDash": [5, 3]},
                "encoding": {"x": x, "y": y("value")},
            },
        ],
    }


def _beside(row: Mapping[str, Any]) -> dict[str, str]:
    """The labels to the left and to the right of a bar."""
    both = f"{row['low_label']} to {row['high_label']}"
    if row["low"] > 0:
        return {"left": "", "right": both}
    return {"left": both, "right": ""} if row["high"] < 0 else {"left": row["low_label"], "right": row["high_label"]}


def ranges(values: Values) -> Spec:
    """A bar from ``low`` to ``high`` (percent round zero) for each ``name``, ends labelled; ``tone``.

    A bar on one side of zero has both labels at its far end, where the line of zero does not strike them.
    """
    rows = [{**row, **_beside(row)} for row in values]
    low, high = min(0, *(row["low"] for row in values)), max(0, *(row["high"] for row in values))
    room = 0.14 * (high - low or 1)
    left = min(low, *(row["low"] - room * row["left"].count(" to ") for row in rows)) - room
    right = max(high, *(row["high"] + room * row["right"].count(" to ") for row in rows)) + room
    scale = {"domain": [left, right], "nice": False}

    def x(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": None, "scale": scale, "axis": None}

    colour = {"condition": TONES, "value": GREY}
    text = {"type": "text", "fontWeight": 600, "color": QUIET}
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    return {
        "height": {"step": 26},
        "data": {"values": rows},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "height": {"band": 0.42}},
                "encoding": {"x": x("low"), "x2": {"field": "high"}, "color": colour},
            },
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "color": INK},
                "encoding": {"x": x("zero"), "y": {"value": 0}, "y2": {"value": "height"}},
            },
            {
                "mark": {**text, "align": "right", "dx": -6},
                "encoding": {"x": x("low"), "text": {"field": "left"}},
            },
            {
                "mark": {**text, "align": "left", "dx": 6},
                "encoding": {"x": x("high"), "text": {"field": "right"}},
            },
        ],
    }
