"""A model writes in a report: every figure in its text is a computed one and linked to it, and verify still holds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.report.verify import verify
from tests.models.server import ModelServer
from tests.unit.fakes_market import market_csv, write

GOAL = "Market research report on cars"
FEW = ("collect_data", "profile_data", "market_overview", "recommendations", "compile_report")


def asked_for(body: dict[str, Any]) -> str:
    """Which prompt a request has."""
    first = body["messages"][0]["content"]
    prompts = {"add recommendations": "advise", "write one section": "write", "break a goal": "plan"}
    return next(name for words, name in prompts.items() if words in first)


def facts(body: dict[str, Any]) -> dict[str, str]:
    """The facts that a request tells, as they are written, by id."""
    told = body["messages"][1]["content"]
    return {one[2]: one[1] for one in re.finditer(r"^(.+) \(([\w.]+(?:/[^,)]+)?)(?:, .*)?\)$", told, re.MULTILINE)}


def writes(text: Callable[[dict[str, str], bool], str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A script whose advice and sections are ``text(facts, again)``."""

    def script(body: dict[str, Any]) -> dict[str, Any]:
        if asked_for(body) == "plan":
            return {"text": "no plan"}
        return {"text": text(facts(body), len(body["messages"]) > 2)}

    return script


async def report(
    server: ModelServer, tmp_path: Any, monkeypatch: Any, *, author: bool = True
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The results of a finished task whose report has a section by the model, the page, and its evidence."""
    data = write(tmp_path / "market.csv", market_csv())
    section = {"id": "outlook", "type": "write_section", "params": {"title": "In short"}}
    section["dependencies"] = ["profile_data", "market_overview"]
    few = [one for one in make_plan(GOAL, [data]) if one["id"] in FEW]
    few = [{**one, "dependencies": [id_ for id_ in one["dependencies"] if id_ in FEW]} for one in few]
    few[-1]["dependencies"] = [*few[-1]["dependencies"], "outlook"]
    plan = {"subtasks": [section, *few]} if author else None
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    async with Holdfast.open("h.db") as hf:
        task = await hf.start(GOAL, data=[data], plan=plan, out=tmp_path / "out", yes=True)
        task = await asyncio.wait_for(hf.wait(task.id), 60)
        assert task.state == "COMPLETED", task.error
        results = {one.id: task.result(one.id) for one in task.plan.subtasks}
    page, evidence = ((tmp_path / "out" / name).read_text() for name in ("report.html", "evidence.json"))
    return results, page, json.loads(evidence)


async def test_each_figure_of_a_models_text_is_linked_to_its_fact_and_the_report_verifies(tmp_path, monkeypatch):
    def text(known: dict[str, str], again: bool) -> str:
        return f"The whole changed by {known['market_overview.cagr']} a year. **Buyer: look closely at it.**"

    with ModelServer(script=writes(text)) as server:
        results, page, evidence = await report(server, tmp_path, monkeypatch)
        assert [asked_for(call.body) for call in server.calls].count("plan") == 0
        assert server.count == 2
    spans = [
        span
        for subtask in ("outlook", "recommendations")
        for block in results[subtask]["blocks"]
        if block["type"] == "paragraph"
        for span in block["spans"]
    ]
    assert [span["fact"] for span in spans if span["fact"]] == ["market_overview.cagr"] * 2
    assert "In short" in page
    assert "Written by scripted." in page
    assert evidence["engine"] == "built-in rules; recommendations, outlook by scripted"
    verdict = await verify(page, [tmp_path / "market.csv"])
    assert verdict.differences == []
    assert [note for note in verdict.notes if "outlook" in note] == [
        "the wording of subtask outlook is that of the model scripted and was not checked; each figure in it was"
    ]
    tampered = page.replace("The whole changed by ", "The whole changed by 99.9% or ")
    assert tampered != page
    assert not (await verify(tampered, [tmp_path / "market.csv"])).holds


async def test_a_sentence_with_an_unknown_figure_goes_back_once_and_is_then_left_out_with_a_note(tmp_path, monkeypatch):
    def text(known: dict[str, str], again: bool) -> str:
        figure = known["market_overview.cagr"]
        wrong = "It may reach 777.7 million by 2099." if not again else "It surely doubled."
        return f"The change was {figure} a year. {wrong}"

    with ModelServer(script=writes(text)) as server:
        results, page, _ = await report(server, tmp_path, monkeypatch)
        assert server.count == 4
        back = [call.body["messages"][-1]["content"] for call in server.calls if len(call.body["messages"]) > 2]
    assert all("777.7 million" in one for one in back)
    assert "777.7" not in page.replace(json.dumps("777.7"), "").split('id="evidence"')[0]
    assert "doubled" not in page.split('id="evidence"')[0]
    assert "One sentence was left out for a figure that was not computed." in page
    assert (await verify(page, [tmp_path / "market.csv"])).differences == []
    assert results["outlook"]["written"]["said"].keys() == {"write", "write again"}


async def test_a_model_that_has_nothing_to_add_says_so_with_the_word_that_it_is_told(tmp_path, monkeypatch):
    def script(body: dict[str, Any]) -> dict[str, Any]:
        word = re.search(r"answer with the one word (\w+)", body["messages"][0]["content"])
        return {"text": word[1] if word else "Look closely."}

    with ModelServer(script=script) as server:
        results, page, _ = await report(server, tmp_path, monkeypatch)
        assert server.count == 2
    assert [block["type"] for block in results["recommendations"]["blocks"]] == ["bullets"]
    assert "Further advice" not in page
    assert (await verify(page, [tmp_path / "market.csv"])).differences == []


async def test_a_model_that_declines_leaves_the_advice_of_the_rules(tmp_path, monkeypatch):
    with ModelServer(script=lambda body: {"fault": "refusal"}) as server:
        results, page, _ = await report(server, tmp_path, monkeypatch)
    blocks = results["recommendations"]["blocks"]
    assert [block["type"] for block in blocks] == ["bullets"]
    assert "Nothing of what scripted wrote could be used." in page
    assert (await verify(page, [tmp_path / "market.csv"])).differences == []


async def test_the_report_names_the_model_that_planned_it(tmp_path, monkeypatch):
    def script(body: dict[str, Any]) -> dict[str, Any]:
        if asked_for(body) == "plan":
            found = re.search(
                r"--- begin PLAN BY THE BUILT-IN RULES (\w+)\n(.*)\n--- end", body["messages"][1]["content"]
            )
            return {"text": found[2]}
        return {"text": "Nothing to add."}

    with ModelServer(script=script) as server:
        results, page, evidence = await report(server, tmp_path, monkeypatch, author=False)
        bodies = json.dumps([call.body for call in server.calls])
    assert evidence["engine"] == "built-in rules; plan, recommendations by scripted"
    assert evidence["recipe"]["planned"] == "scripted"
    assert results.keys() >= {"market_overview", "competitor_analysis", "compile_report"}
    assert str(tmp_path) not in bodies
    assert "plan, recommendations by scripted" in page


async def test_without_a_model_a_section_by_a_model_fails_with_what_to_set(tmp_path):
    data = write(tmp_path / "market.csv", market_csv())
    async with Holdfast.open("h.db") as hf:
        plan = {"subtasks": [{"id": "a", "type": "write_section", "params": {"title": "x"}}]}
        task = await hf.start(GOAL, data=[data], plan=plan)
        task = await asyncio.wait_for(hf.wait(task.id), 60)
    assert "set HOLDFAST_MODEL" in task.error


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
