"""The bundled sample: the same bytes from its script, and a report that finds what was put in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.unit.fakes_market import facts, run_analyses

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_sample_is_what_its_script_writes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_sample", EXAMPLES / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path / "market.csv")
    assert (tmp_path / "market.csv").read_bytes() == (EXAMPLES / "sample" / "market.csv").read_bytes()


async def test_the_report_on_the_sample_finds_what_was_put_in(tmp_path: Path) -> None:
    results = await run_analyses(tmp_path, [EXAMPLES / "sample" / "market.csv"])
    assert results["profile_data"]["banner"].startswith("Synthetic data")
    competition = results["competitor_analysis"]["competition"]
    assert (competition["gainers"][0], competition["losers"][0]) == ("Maker C", "Maker B")
    assert [entrant["name"] for entrant in competition["entrants"]] == ["Maker L"]
    assert [left["name"] for left in competition["exits"]] == ["Maker K"]
    season = {"best": "March", "worst": "January", "word": "strong", "cycles": 17, "timed": True}
    assert results["trends_analysis"]["season"] == season
    assert facts(results)["market_overview.frame_last"].value == "2024"
