"""Planning over real HTTP: the form of the answer is found out once for a server, and what comes round it is borne."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from holdfast import Holdfast
from tests.integration.test_model_plans import TWO, first, plan
from tests.integration.test_model_revisions import BROKEN, KEEP, ROUND
from tests.models.server import ModelServer


async def run(hf: Holdfast, goal: str = "Do two things") -> Any:
    task = await hf.start(goal)
    return await asyncio.wait_for(hf.wait(task.id), 30)


def form(body: dict[str, Any]) -> str:
    return "schema" if "response_format" in body else "tool" if "tools" in body else "text"


@pytest.fixture
def points_to(monkeypatch):
    def point(server: ModelServer) -> None:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)

    return point


@pytest.mark.parametrize(
    ("refuses", "forms"),
    [
        ((), ["schema", "schema"]),
        (("response_format",), ["schema", "tool", "tool"]),
        (("response_format", "tools"), ["schema", "tool", "text", "text"]),
    ],
    ids=["schema", "tools", "text"],
)
async def test_a_server_is_asked_in_the_form_that_it_takes_and_no_other_is_tried_twice(points_to, refuses, forms):
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if "tools" in body:
            return {"tools": [{"name": "plan", "arguments": TWO}]}
        return {"text": f"Here it is:\n```json\n{json.dumps(TWO)}\n```"}

    with ModelServer(script=answer, refuses=refuses) as server:
        points_to(server)
        async with Holdfast.open("h.db") as hf:
            for goal in ("Do two things", "Do two other things"):
                task = await run(hf, goal)
                assert task.state == "COMPLETED", task.error
                assert (await first(hf, task.id))["by"] == "model"
        assert [form(call.body) for call in server.calls] == forms


async def test_two_megabytes_round_the_plan_come_through(points_to):
    noise = 'Thinking… {"not": the plan} {{{ ["' * 30_000
    with ModelServer({"text": f"{noise}{json.dumps(TWO)}{noise}"}) as server:
        points_to(server)
        async with Holdfast.open("h.db") as hf:
            task = await run(hf)
        assert task.state == "COMPLETED", task.error
        assert server.count == 1


@pytest.mark.parametrize(("answer", "state"), [(ROUND, "COMPLETED"), (KEEP, "FAILED")], ids=["revised", "kept"])
async def test_a_revision_over_http(points_to, answer, state):
    with ModelServer({"json": BROKEN, "times": 1}, {"json": answer}) as server:
        points_to(server)
        async with Holdfast.open("h.db") as hf:
            task = await run(hf)
        assert task.state == state
        assert server.count == 2


async def test_a_type_that_is_not_registered_goes_back_once(points_to):
    with ModelServer({"json": plan({"id": "a", "type": "shell"}), "times": 1}, {"json": TWO}) as server:
        points_to(server)
        async with Holdfast.open("h.db") as hf:
            task = await run(hf)
        assert task.state == "COMPLETED"
        assert "unknown type 'shell'" in server.calls[-1].said
        assert server.count == 2
