"""Plain LangGraph: invoke, streams, drawings and checkpointers, over the same engine."""

import asyncio
import uuid
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from holdfast import Holdfast, TaskContext, task_type
from holdfast.checkpoints.errors import BadInput, InvalidPlan, LeaseHeld
from holdfast.graphs.orchestrator import builder, graph, open_graph
from tests.conftest import chain


def thread(id_: str | None = None) -> dict:
    return {"configurable": {"thread_id": id_ or str(uuid.uuid4())}}


PLAN = chain("a", "b")


@pytest.fixture(autouse=True)
def _database(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_DB", str(tmp_path / "h.db"))


def test_invoke_runs_a_plan_to_its_end():
    id_ = str(uuid.uuid4())
    assert graph.invoke({"goal": "try it", "plan": PLAN}, thread(id_)) == {
        "task": id_,
        "status": "COMPLETED",
        "subtasks": {"completed": 2},
        "artifacts": [],
        "error": None,
    }


def test_invoke_works_without_a_thread_id():
    assert graph.invoke({"goal": "try it", "plan": PLAN})["status"] == "COMPLETED"


async def test_invoke_works_inside_a_running_loop():
    assert graph.invoke({"goal": "try it", "plan": PLAN}, thread())["status"] == "COMPLETED"
    assert (await graph.ainvoke({"goal": "try it", "plan": PLAN}, thread()))["status"] == "COMPLETED"


def test_bad_input_is_raised_as_its_sentence():
    with pytest.raises(BadInput, match="goal is empty"):
        graph.invoke({"goal": " ", "plan": PLAN}, thread())
    with pytest.raises(InvalidPlan, match="unknown type 'slep'; did you mean sleep"):
        graph.invoke({"goal": "x", "plan": chain("a", type_="slep")}, thread())


def test_any_checkpointer_may_be_used():
    compiled = builder.compile(checkpointer=InMemorySaver())
    config = thread()
    assert compiled.invoke({"goal": "try it", "plan": PLAN}, config)["status"] == "COMPLETED"
    assert compiled.get_state(config).tasks == ()


async def test_open_graph_keeps_thread_and_rows_in_one_file(tmp_path):
    config = thread()
    with open_graph(tmp_path / "own.db") as own:
        assert own.invoke({"goal": "sync", "plan": PLAN}, thread())["status"] == "COMPLETED"
    async with open_graph(tmp_path / "own.db") as own:
        assert (await own.ainvoke({"goal": "async", "plan": PLAN}, config))["status"] == "COMPLETED"
        assert (await own.aget_state(config)).values["status"] == "COMPLETED"
    async with Holdfast.open(tmp_path / "own.db") as hf:
        assert [task.goal for task in await hf.list()] == ["async", "sync"]


async def test_the_stream_shows_each_subtask_as_a_node_with_its_id(tmp_path):
    seen = []
    async with open_graph(tmp_path / "own.db") as own:
        async for namespace, update in own.astream(
            {"goal": "x", "plan": PLAN}, thread(), stream_mode="updates", subgraphs=True
        ):
            if namespace and namespace[0].startswith("supervise:"):
                seen.append(update)
    assert seen == [{"sleep": {"subtask": id_, "outcome": "completed"}} for id_ in ("a", "b")]


def test_the_drawing_shows_the_types_under_supervise():
    drawn = graph.get_graph(xray=True).draw_mermaid()
    for name in ("plan", "review", "gate", "finish"):
        assert f"\t{name}(" in drawn
    for name in ("sleep", "collect_data", "market_overview", "compile_report"):
        assert f"supervise\\3a{name}(" in drawn


def test_the_input_form_says_what_each_field_is_and_gives_examples():
    schema = graph.get_input_jsonschema()
    assert schema["required"] == ["goal"]
    assert all(field["description"] for field in schema["properties"].values())
    assert schema["properties"]["goal"]["examples"]
    assert schema["properties"]["data"]["examples"]


async def test_the_checkpoint_stays_small_whatever_the_results(tmp_path):
    plan = {"subtasks": [{"id": f"t{i}", "type": "sleep", "params": {"payload_bytes": 10_000}} for i in range(100)]}
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=plan)
        await hf.wait(task.id)
        sizes = await hf.database.aread(
            lambda db: db.execute("SELECT max(length(checkpoint)) FROM checkpoints").fetchone()
        )
    assert sizes[0] < 5_000


async def test_a_paused_task_is_an_interrupt_and_command_resume_carries_on(tmp_path):
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await hf.start("try it", plan=chain("a", "b", params={"seconds": 0.2}))
        await hf.pause(task.id, reason="look first")
        while hf.working_on(task.id):
            await asyncio.sleep(0.01)
    async with open_graph(tmp_path / "h.db") as own:
        waiting = await own.aget_state(thread(task.id))
        assert [one.value["kind"] for one in waiting.interrupts] == ["paused"]
        assert waiting.interrupts[0].value["reason"] == "look first"
        done = await own.ainvoke(Command(resume="go on"), thread(task.id))
        assert done["status"] == "COMPLETED"


async def test_two_runs_of_one_thread_do_not_both_work(tmp_path):
    config = thread()
    slow = {"goal": "x", "plan": chain("a", params={"seconds": 0.5})}
    async with open_graph(tmp_path / "own.db") as own, open_graph(tmp_path / "own.db") as other:
        first = asyncio.create_task(own.ainvoke(slow, config))
        await asyncio.sleep(0.25)
        with pytest.raises(LeaseHeld, match="being worked on by process"):
            await other.ainvoke(None, config)
        assert (await first)["status"] == "COMPLETED"
    async with Holdfast.open(tmp_path / "own.db") as hf:
        (task,) = await hf.list()
        events = [event.type async for event in hf.events(task.id)]
        assert events.count("subtask.running") == 1


@task_type("g_asks")
async def asks(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks for a year."""
    return await ctx.ask("Which year?", default=2024)


def test_without_a_checkpointer_nobody_can_answer_so_defaults_are_taken():
    asked = {"goal": "x", "plan": {"subtasks": [{"id": "a", "type": "g_asks"}]}}
    kept = builder.compile(checkpointer=InMemorySaver())
    assert graph.invoke(asked)["status"] == "COMPLETED"
    assert kept.invoke(asked, thread())["status"] == "INPUT_REQUIRED"
