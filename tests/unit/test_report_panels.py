"""Shares of many entities are drawn in a panel each, of a few in one chart; both show every share that they name."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.report.charts import draw
from holdfast.nodes.report.document import Figure, Section
from holdfast.nodes.report.recipe import Recipe, Step, follow
from tests.unit.fakes_market import write


async def shares_figure(makes: int, folder: Path) -> Figure:
    """Years 2018 to 2022; make i has 100 + 10 i units in each, so the total is 100 n + 5 n (n - 1)."""
    lines = [f"{year},M{i:02d},{100 + 10 * i}" for year in range(2018, 2023) for i in range(makes)]
    lines[-1] = f"2022,M{makes - 1:02d},{100 + 10 * (makes - 1) + 200}"  # one gains, so that somebody loses
    data = write(folder / "units.csv", "\n".join(["year,make,units", *lines]) + "\n")
    wanted = ("collect_data", "profile_data", "competitor_analysis")
    specs = [spec for spec in make_plan("units", [data]) if spec["id"] in wanted]
    steps = [Step(id=s["id"], type=s["type"], params=s["params"], dependencies=s["dependencies"]) for s in specs]
    recipe = Recipe(report={}, inputs=list(wanted), steps=steps)
    section = Section.model_validate((await follow(recipe, [data], folder))["competitor_analysis"])
    return next(block for block in section.blocks if isinstance(block, Figure) and block.name == "shares")


@pytest.mark.parametrize(("makes", "panels"), [(4, 0), (5, 5), (14, 12)])
async def test_more_than_four_have_a_panel_each_and_at_most_twelve_are_shown(makes: int, panels: int, tmp_path: Path):
    figure = await shares_figure(makes, tmp_path)
    assert len(figure.data.columns) - 1 == (panels or makes)
    assert ("facet" in figure.spec) == bool(panels)
    texts = [text for text in ElementTree.fromstring(draw(figure).page).itertext() if text.strip()]
    if panels:
        assert [text for text in texts if text in figure.data.columns[1:]] == figure.data.columns[1:]
    total = 100 * makes + 5 * makes * (makes - 1) + 200
    for i in range(makes):
        share = f"{100 * (100 + 10 * i + (200 if i == makes - 1 else 0)) / total:.1f}"
        if f"M{i:02d}" in figure.data.columns:
            assert share in (texts if panels else " ".join(texts))
            assert share == figure.data.rows[-1][figure.data.columns.index(f"M{i:02d}")]


@pytest.mark.parametrize("makes", [5, 6, 7, 8])
async def test_the_years_stand_below_panels_and_never_below_an_empty_place(makes: int, tmp_path: Path):
    drawing = draw(await shares_figure(makes, tmp_path))
    columns = 3 if makes in (5, 6) else 4
    for svg, across in ((drawing.page, columns), (drawing.phone, 2)):
        years = [text for text in ElementTree.fromstring(svg).itertext() if text in ("2018", "2022")]
        full = makes % columns == 0 == makes % 2
        assert len(years) == 2 * (across if full else makes)


async def test_all_panels_have_one_scale_from_zero(tmp_path: Path):
    spec = (await shares_figure(6, tmp_path)).spec
    assert "resolve" not in json.dumps(spec)
    assert spec["spec"]["encoding"]["y"]["scale"]["domain"][0] == 0
