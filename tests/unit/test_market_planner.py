"""The rules planner: the same goal and files give the same plan, and it can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.market.planner import make_plan, title_of
from holdfast.nodes.plan import Plan
from holdfast.nodes.registry import REGISTRY
from tests.unit.fakes_market import market_csv, write


def test_without_data_the_sentence_says_what_to_give() -> None:
    with pytest.raises(BadInput) as raised:
        make_plan("Market research report on x", [])
    assert (
        str(raised.value)
        == "a market research report needs data: name files with --data, or attach them to the message"
    )


def test_the_plan_is_a_dag_whose_analyses_may_run_side_by_side(tmp_path: Path) -> None:
    path = write(tmp_path / "market.csv", market_csv())
    subtasks = make_plan("Market research report on cars", [path])
    assert subtasks == make_plan("Market research report on cars", [path])
    plan = {subtask["id"]: subtask for subtask in subtasks}
    assert plan["collect_data"]["params"]["paths"] == [str(path)]
    for analysis in ("market_overview", "competitor_analysis", "trends_analysis", "forecast"):
        assert plan[analysis]["dependencies"] == ["profile_data"]
        assert plan[f"charts_{analysis}"]["dependencies"] == [analysis]
    assert set(plan["compile_report"]["dependencies"]) == set(plan) - {"compile_report"}
    assert plan["compile_report"]["params"]["title"] == "Cars"
    for subtask in subtasks:
        assert subtask["name"]
        assert subtask["description"]
        assert subtask["estimated_time"] > 0


def test_every_subtask_has_a_known_type_and_params_that_fit(tmp_path: Path) -> None:
    import holdfast.nodes.report.types  # noqa: F401  registers chart and compile_report

    path = write(tmp_path / "market.csv", market_csv())
    subtasks = make_plan("Market research report on cars", [path])
    Plan.parse({"subtasks": subtasks})
    assert [fault for s in subtasks for fault in REGISTRY.get(s["type"]).faults(s["params"])] == []


@pytest.mark.parametrize(
    ("goal", "title"),
    [
        ("Market research report on Norway's new car market", "Norway's new car market"),
        ("write a report about ice cream.", "Ice cream"),
        ("Please prepare a competitor analysis of makers", "Makers"),
        ("Electricity in Iowa", "Electricity in Iowa"),
        ("Report", "Report"),
    ],
)
def test_the_title_is_the_subject_of_the_goal(goal: str, title: str) -> None:
    assert title_of(goal) == title
