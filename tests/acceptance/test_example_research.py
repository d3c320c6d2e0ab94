"""The example of a research agent over documents, by the command line against the scripted server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.cli_process import Cli
from tests.models.server import ModelServer

ROOT = Path(__file__).parents[2]
READ = {"name": "read"}
WORK: dict[str, list[dict[str, Any]]] = {  # of each agent, by a word of its goal
    "spread": [
        {"tools": [{"name": "query", "arguments": {"sql": "DESCRIBE rides"}}]},
        {"tools": [{"name": "query", "arguments": {"sql": "SELECT station, sum(rides) FROM rides GROUP BY 1"}}]},
        {"text": "The market has most rides, the school fewest [2.1]."},
    ],
    "minutes": [
        {"tools": [{**READ, "arguments": {"file": name}} for name in ("minutes.md", "survey.html")]},
        {"tools": [{**READ, "arguments": {"file": "costs.pdf", "page": page}} for page in (1, 2)]},
        {"text": "131 of 212 riders want it [1.2]; it costs 18,000 a year [1.1] and 640 a bike [2.2]."},
    ],
    "Recommend": [
        {"tools": [{"name": "query", "arguments": {"sql": "SELECT sum(rides) AS rides FROM rides"}}]},
        {"text": "Open it: 21,395 rides in a year [1.1]."},
    ],
}  # fmt: skip


def answer(body: dict[str, Any]) -> dict[str, Any]:
    goal = body["messages"][1]["content"].split("\n\n")[0]
    turns = next(turns for word, turns in WORK.items() if word in goal)
    return turns[sum(one["role"] == "assistant" for one in body["messages"])]


def test_the_example_reads_its_documents_and_its_recommendation_names_the_calls_it_rests_on(tmp_path):
    with ModelServer(script=answer) as server:
        done = Cli(ROOT)(
            "run", "Should the town open a fourth bicycle station?", "--plan", "examples/research/plan.json",
            "--out", str(tmp_path / "out"), "--db", str(tmp_path / "h.db"), "--json",
            OPENAI_BASE_URL=server.url, HOLDFAST_MODEL="scripted",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert server.count == sum(map(len, WORK.values()))
    advice = (tmp_path / "out" / "advice.md").read_text("utf-8")
    assert advice.startswith("Open it: 21,395 rides in a year [1.1].")
    assert '- [1.1] query {"sql": "SELECT sum(rides) AS rides FROM rides"}' in advice
    said = json.dumps([one.body["messages"] for one in server.calls], ensure_ascii=False)
    for read in ("school,4210", "131", "cost 18,000 a year", "16 bikes at 640 each", "rides\\n21395"):
        assert read in said, read
    assert "131 of 212 riders want it" in said.split("The result of papers")[-1]
    assert str(ROOT) not in said
    assert server.calls[0].body["model"] == "scripted"
