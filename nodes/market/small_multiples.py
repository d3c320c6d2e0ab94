"""Shares over time, a panel for each entity: one line stands out, the others are grey behind it, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.nodes.market.figures import INK, QUIET, TONES, Spec
from holdfast.nodes.report.charts import BEHIND


def small_multiples(
    values: Sequence[Mapping[str, Any]], whens: Sequence[str], names: Sequence[str], labels: Mapping[str, str]
) -> Spec:
    """``values`` have ``name``, ``when``, ``value``, ``tone``; panels are as in ``names``, periods as in ``whens``.

    A line breaks where a value is None.  ``labels`` stand at the end of each line, as the text writes the number.
    """
    top = max((row["value"] for row in values if row["value"] is not None), default=1.0) * 1.08
    order = list(whens)
    x = {
        "field": "when",
        "type": "ordinal",
        "title": None,
        "scale": {"type": "point", "domain": order, "padding": 0.2},
        "axis": {"values": [order[0], order[-1]], "labelAngle": 0, "labelOverlap": False, "labelFontSize": 11},
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, top], "nice": False},
        "axis": {"tickCount": 3, "labelFontSize": 11},
    }
    ends = [{**row, "label": labels[row["name"]]} for row in values if row["when"] == order[-1]]
    front: list[Spec] = [
        {
            "transform": [{"filter": "!isValid(datum.label)"}],
            "mark": {"type": "line", "strokeWidth": 2.5},
            "encoding": {"color": {"condition": TONES, "value": QUIET}},
        },
        {
            "transform": [{"filter": "isValid(datum.label)"}],
            "mark": {"type": "text", "align": "left", "dx": 5, "fontWeight": 600, "color": INK},
            "encoding": {"text": {"field": "label"}},
        },
    ]
    return panels([*values, *ends], "name", names, {"x": x, "y": y}, values, front)


def panels(
    values: Sequence[Mapping[str, Any]],
    head: str,
    heads: Sequence[str],
    axes: Mapping[str, Spec],
    behind: Sequence[Mapping[str, Any]],
    front: Sequence[Spec],
) -> Spec:
    """A panel for each of ``heads``, which the field ``head`` has: ``front`` before a grey line of each name behind."""
    others = [{**row, "of": row["name"]} for row in behind]  # data of its own is drawn whole in every panel
    grey = {
        "data": {"values": others},
        "mark": {"type": "line", "strokeWidth": 1, "color": BEHIND},
        "encoding": {"detail": {"field": "of"}},
    }
    columns = 3 if len(heads) in (5, 6, 9) else 4
    full = len(heads) % columns == 0 == len(heads) % 2  # on a phone two stand side by side
    # one axis below each column would stand below an empty place of the last row
    each_its_own: Spec = {} if full else {"resolve": {"axis": {"x": "independent"}}}
    return {
        "data": {"values": list(values)},
        "facet": {"field": head, "type": "nominal", "title": None, "sort": list(heads)},
        "columns": columns,
        "spacing": {"row": 14, "column": 14},
        **each_its_own,
        "spec": {"encoding": dict(axes), "layer": [grey, *front]},
    }
