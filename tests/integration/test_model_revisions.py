"""A model revises what has not run: after a failure, after an answer, within limits, and without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.nodes.models.types import Fault, Kind
from tests.integration.test_model_plans import Scripted, done, listens, made, plan

BROKEN = plan(
    {"id": "read"},
    {"id": "fetch", "params": {"fail": "no such page"}, "dependencies": ["read"], "retries": 0},
    {"id": "write", "dependencies": ["read", "fetch"], "name": "Write"},
    {"id": "aside"},
)
ROUND = {
    **plan(
        {"id": "look-up", "dependencies": ["read"], "params": {"x": 1}},
        {"id": "write", "dependencies": ["read", "look-up"], "name": "Write"},
    ),
    "keep": False,
    "why": "The page is gone; look it up instead.",
}
KEEP = {"keep": True, "why": "Nothing can be done.", "subtasks": []}


@pytest.fixture
async def hf(tmp_path) -> AsyncIterator[Holdfast]:
    async with Holdfast.open(tmp_path / "h.db") as opened:
        yield opened


def states(task: Any) -> dict[str, str]:
    return {one.id: one.state.value for one in task.plan.subtasks}


async def ran(hf: Holdfast, task_id: str) -> list[str]:
    return [e.subtask async for e in hf.events(task_id, follow=False) if e.type == "subtask.running"]


async def test_after_a_failure_the_model_plans_round_it_and_what_is_finished_stays(hf):
    endpoint = listens(hf, BROKEN, ROUND)
    task = await done(hf)
    assert task.state == "COMPLETED"
    assert states(task) == {
        "read": "completed",
        "fetch": "skipped",
        "write": "completed",
        "aside": "completed",
        "look-up": "completed",
    }
    assert "no such page" in task.plan["fetch"].error
    assert "no such page" in endpoint.heard
    assert sorted(await ran(hf, task.id)) == sorted(
        ["@plan", "read", "fetch", "aside", "@replan-1", "look-up", "write"]
    )
    (told,) = await made(hf, task.id, "plan.revised")
    assert told == {
        "revision": 2,
        "by": "model",
        "model": "scripted-1",
        "why": "The page is gone; look it up instead.",
        "because": {"failed": ["fetch"], "answers": []},
        "added": ["look-up"],
        "removed": [],
        "changed": {"write": {"dependencies": [["read", "fetch"], ["read", "look-up"]]}},
        "revived": ["write"],
    }
    assert task.plan.revision == 2


async def test_a_model_that_keeps_the_plan_changes_nothing(hf):
    listens(hf, BROKEN, KEEP)
    task = await done(hf)
    assert task.state == "FAILED"
    assert task.error.startswith("fetch: ValueError: no such page")
    assert states(task) == {"read": "completed", "fetch": "failed", "write": "skipped", "aside": "completed"}
    assert await made(hf, task.id, "plan.revised") == []
    assert await made(hf, task.id, "plan.kept") == [
        {"by": "model", "model": "scripted-1", "why": "Nothing can be done."}
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        plan({"id": "fetch"}),
        plan({"id": "read"}),
        plan({"id": "more", "dependencies": ["fetch"]}),
        plan({"id": "more", "type": "no_such_type"}),
        plan({"id": "more", "params": {"files": ["/etc/passwd"]}}),
        plan({"id": "a", "dependencies": ["b"]}, {"id": "b", "dependencies": ["a"]}),
    ],
    ids=["failed again", "finished again", "needs what failed", "unknown type", "foreign file", "circle"],
)
async def test_a_revision_that_cannot_run_goes_back_once_and_then_the_plan_stays(hf, wrong):
    endpoint = listens(hf, BROKEN, wrong, wrong)
    task = await done(hf)
    assert task.state == "FAILED"
    assert len(endpoint.asked) == 3
    assert "Its faults:" in endpoint.heard
    (told,) = await made(hf, task.id, "plan.kept")
    assert "no plan that can run" in told["why"]
    assert states(task) == {"read": "completed", "fetch": "failed", "write": "skipped", "aside": "completed"}


async def test_revisions_that_fail_again_end_after_three(hf):
    def again(number: int) -> dict[str, Any]:
        return plan(
            {"id": f"try-{number}", "params": {"fail": "still gone"}, "retries": 0}, keep=False, why="Once more."
        )

    endpoint = listens(hf, BROKEN, *map(again, range(10)))
    task = await done(hf)
    assert task.state == "FAILED"
    assert "still gone" in task.error
    assert len(endpoint.asked) == 1 + 3
    assert [one["revision"] for one in await made(hf, task.id, "plan.revised")] == [2, 3, 4]


async def test_an_answer_lets_the_model_revise_what_has_not_begun(hf):
    first = plan(
        {"id": "scope", "params": {"ask": "Which region?"}},
        {"id": "all", "dependencies": ["scope"], "params": {"region": "all"}},
        {"id": "extra", "dependencies": ["scope"]},
    )
    after = plan(
        {"id": "all", "dependencies": ["scope"], "params": {"region": "north"}},
        {"id": "last", "dependencies": ["all"]},
        keep=False,
        why="Only the north is wanted.",
    )
    endpoint = listens(hf, first, after)
    task = await done(hf)
    assert task.state == "INPUT_REQUIRED"
    await hf.answer(task.id, task.questions[0].id, "the north only")
    task = await asyncio.wait_for(hf.wait(task.id), 30)
    assert task.state == "COMPLETED"
    assert "the north only" in endpoint.heard
    assert task.result("scope") == "the north only"
    assert task.result("all") == {"region": "north"}
    assert states(task) == {"scope": "completed", "all": "completed", "extra": "skipped", "last": "completed"}
    (told,) = await made(hf, task.id, "plan.revised")
    assert (told["added"], told["removed"]) == (["last"], ["extra"])
    assert told["changed"] == {"all": {"params": [{"region": "all"}, {"region": "north"}]}}
    assert len(endpoint.asked) == 2


async def test_a_plan_that_its_author_gave_is_never_revised(hf):
    endpoint = listens(hf)
    task = await done(hf, plan=BROKEN)
    assert task.state == "FAILED"
    assert endpoint.asked == []


async def test_a_pause_during_a_revision_loses_nothing_and_the_revision_goes_on_after_it(hf):
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Scripted):
        async def call(self, request, told):
            if request.prompt.startswith("replan") and not go_on.is_set():
                reached.set()
                await go_on.wait()
            return await super().call(request, told)

    listens(hf, BROKEN, ROUND)
    slow = hf.services.calls.endpoint = Slow(BROKEN, ROUND)
    task = await hf.start("Do it")
    await asyncio.wait_for(reached.wait(), 30)
    await hf.pause(task.id, mode="now")
    await asyncio.wait_for(hf.wait(task.id, until={"PAUSED"}), 30)
    go_on.set()
    await hf.resume(task.id)
    task = await asyncio.wait_for(hf.wait(task.id), 30)
    assert task.state == "COMPLETED"
    assert [request.prompt for request in slow.asked] == ["plan/1", "replan/1"]
    assert task.plan.revision == 2


async def test_a_cancel_during_a_revision_ends_the_task(hf):
    reached = asyncio.Event()

    class Hanging(Scripted):
        async def call(self, request, told):
            if request.prompt.startswith("replan"):
                reached.set()
                await asyncio.Event().wait()
            return await super().call(request, told)

    listens(hf)
    hf.services.calls.endpoint = Hanging(BROKEN)
    task = await hf.start("Do it")
    await asyncio.wait_for(reached.wait(), 30)
    await hf.cancel(task.id)
    task = await asyncio.wait_for(hf.wait(task.id), 30)
    assert task.state == "CANCELED"
    assert await made(hf, task.id, "plan.revised") == []


async def test_a_model_that_declines_to_revise_leaves_the_plan_as_it_is(hf):
    listens(hf, BROKEN, Fault(Kind.DECLINED, "the model declined"))
    task = await done(hf)
    assert task.error.startswith("fetch: ValueError: no such page")
    assert "declined" in (await made(hf, task.id, "plan.kept"))[0]["why"]


@pytest.mark.parametrize(("decision", "state"), [("approve", "COMPLETED"), ("keep", "FAILED")])
async def test_where_plans_need_approval_a_revision_needs_it_too(hf, decision, state):
    listens(hf, BROKEN, ROUND)
    task = await done(hf, approve=True)
    await hf.answer(task.id, task.questions[0].id, "approve")
    task = await asyncio.wait_for(hf.wait(task.id), 30)
    assert task.state == "INPUT_REQUIRED"
    assert "look-up" in task.questions[0].prompt
    await hf.answer(task.id, task.questions[0].id, decision)
    task = await asyncio.wait_for(hf.wait(task.id), 30)
    assert task.state == state
