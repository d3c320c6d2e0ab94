"""The task types chart and compile_report: what they need, give and survive."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.registry import REGISTRY
from holdfast.nodes.report import charts, types
from holdfast.nodes.report.types import ChartParams, ReportParams, chart, compile_report
from tests.unit.fakes_report import HOSTILE, context, inputs

PARAMS = ReportParams(title="Units by maker", subtitle="What they say", goal="Market research on units")
CHARTS = {f"charts/{name}.{kind}" for name in ("yearly", "monthly") for kind in ("svg", "png", "vl.json")}


async def test_a_report_has_every_format_and_the_files_of_every_chart(tmp_path: Path):
    given = inputs()
    ctx, effects = context(tmp_path)
    given["charts"] = await chart(ChartParams(), given, ctx)
    result = await compile_report(PARAMS, given, ctx)
    assert set(effects.handed_out) == {"report.md", "report.html", "report.pdf", "evidence.json", *CHARTS}
    assert set(result["artifacts"]) == set(effects.handed_out)
    assert result["title"] == "Units by maker"
    assert result["headline"].startswith("139,000 units in 2018, the highest of the eight complete years. ")


async def test_the_chart_subtask_hands_out_nothing_and_stores_what_it_names(tmp_path: Path):
    ctx, effects = context(tmp_path)
    result = await chart(ChartParams(), inputs(), ctx)
    assert not effects.handed_out
    assert [figure["name"] for figure in result["figures"]] == ["yearly", "monthly"]
    assert all(
        effects.stored(figure[part]).exists() for figure in result["figures"] for part in ("spec", "svg", "png", "page")
    )


async def test_a_chart_subtask_can_be_held_to_one_section(tmp_path: Path):
    ctx, _ = context(tmp_path)
    assert len((await chart(ChartParams(section="market_overview"), inputs(), ctx))["figures"]) == 2
    assert (await chart(ChartParams(section="competitor_analysis"), inputs(), ctx))["figures"] == []


async def test_charts_may_be_drawn_side_by_side(tmp_path: Path):
    contexts = [context(tmp_path / str(i))[0] for i in range(4)]
    results = await asyncio.gather(*(chart(ChartParams(), inputs(), ctx) for ctx in contexts))
    assert all(result == results[0] for result in results)


async def test_a_report_is_the_same_with_charts_drawn_before_and_drawn_late(tmp_path: Path):
    given = inputs()
    late, late_effects = context(tmp_path / "late")
    await compile_report(PARAMS, given, late)
    early, early_effects = context(tmp_path / "early")
    given["charts"] = await chart(ChartParams(), given, early)
    await compile_report(PARAMS, given, early)
    hashes = [{name: file["sha256"] for name, file in e.handed_out.items()} for e in (late_effects, early_effects)]
    assert hashes[0] == hashes[1]


async def test_what_was_drawn_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = inputs()
    ctx, _ = context(tmp_path)
    given["charts"] = await chart(ChartParams(), given, ctx)

    def never(figure: Any) -> charts.Drawing:
        raise AssertionError(figure.name)

    monkeypatch.setattr(types, "draw", never)
    await compile_report(PARAMS, given, ctx)


async def test_a_report_that_broke_off_between_two_files_can_be_written_again(tmp_path: Path):
    ctx, effects = context(tmp_path)
    whole = effects.artifact
    calls = 0

    async def breaks(name: str, data: Any, media_type: str | None) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise OSError("disk gone")
        return await whole(name, data, media_type)

    effects.artifact = breaks  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk gone"):
        await compile_report(PARAMS, inputs(), ctx)
    effects.artifact = whole  # type: ignore[method-assign]
    await compile_report(PARAMS, inputs(), ctx)
    other, other_effects = context(tmp_path / "other")
    await compile_report(PARAMS, inputs(), other)
    assert {n: f["sha256"] for n, f in effects.handed_out.items()} == {
        n: f["sha256"] for n, f in other_effects.handed_out.items()
    }


async def test_sections_stand_in_the_order_of_a_report_whatever_order_they_come_in(tmp_path: Path):
    given = dict(reversed(inputs().items()))
    given["extra"] = {"id": "appendix", "title": "Appendix", "blocks": []}
    ctx, effects = context(tmp_path)
    await compile_report(PARAMS, given, ctx)
    text = Path(effects.handed_out["report.md"]["path"]).read_text()
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        *("Executive summary", "Market overview", "Competitor analysis", "Recommendations", "Data quality", "Method"),
        "Appendix",
    ]


async def test_a_number_in_the_evidence_names_the_subtask_that_found_it(tmp_path: Path):
    ctx, effects = context(tmp_path)
    given = inputs()
    given["find_overview"] = given.pop("market_overview")
    await compile_report(PARAMS, given, ctx)
    evidence = json.loads(Path(effects.handed_out["evidence.json"]["path"]).read_text())
    assert {fact["subtask"] for fact in evidence["facts"]} <= set(given)
    assert evidence["sources"][0]["sha256"] == "ab" * 32


async def test_a_hostile_name_comes_through_the_whole_way(tmp_path: Path):
    ctx, effects = context(tmp_path)
    await compile_report(PARAMS, inputs(HOSTILE), ctx)
    evidence = json.loads(Path(effects.handed_out["evidence.json"]["path"]).read_text())
    assert HOSTILE in [fact["value"] for fact in evidence["facts"]]  # as it is in the file: evidence is data


async def test_results_that_are_no_sections_are_left_alone(tmp_path: Path):
    ctx, _ = context(tmp_path)
    given = {**inputs(), "collect": {"files": 3}, "skipped": None, "count": 7}
    assert (await compile_report(PARAMS, given, ctx))["title"] == "Units by maker"


async def test_without_any_section_a_person_is_told_so(tmp_path: Path):
    ctx, _ = context(tmp_path)
    with pytest.raises(BadInput, match="no section"):
        await compile_report(PARAMS, {"collect": {"files": 3}}, ctx)


async def test_two_figures_of_one_name_are_refused(tmp_path: Path):
    given = inputs()
    given["market_overview"]["blocks"][1]["name"] = "monthly"
    ctx, _ = context(tmp_path)
    with pytest.raises(BadInput, match="monthly"):
        await chart(ChartParams(), given, ctx)


def test_a_figure_s_name_cannot_leave_its_folder(tmp_path: Path):
    assert types.slug("../../etc/passwd") == "etc-passwd"


def test_both_types_are_registered():
    assert "chart" in REGISTRY
    assert "compile_report" in REGISTRY
    assert REGISTRY.get("compile_report").faults({"titel": "x"})
