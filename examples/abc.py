"""Agent A delegates to B and C in parallel; B needs data, and what happens then is what Holdfast is for.

    python examples/abc.py

A is the parent: the task itself.  B asks for data that only a person has.  A pauses C, which is in the middle of its
work, and waits.  When the answer comes A wakes, hands it to B alone, and lets C go on with the step after its last.
Nothing is kept in memory while A waits: the process could end there, and another one give the answer tomorrow.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from holdfast import Holdfast, Plan, Subtask, TaskContext, task_type

STEPS = 6


@task_type("agent_b")
async def agent_b(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Prepares, then needs a figure that nobody but a person knows."""
    await ctx.step("prepare", lambda: asyncio.sleep(0.2))
    # Here the body ends.  It starts again from its first line once there is an answer, and gets it from this call;
    # the step above is on disk by then and is not repeated.
    budget = await ctx.ask("What is the budget?", schema={"type": "integer", "minimum": 1})
    return {"budget": budget}


@task_type("agent_c")
async def agent_c(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> int:
    """Many steps; each is durable by itself."""
    for number in range(1, STEPS + 1):
        await ctx.step(f"part {number}", lambda: asyncio.sleep(0.1))
    return STEPS


@task_type("agent_a_sums_up")
async def sum_up(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
    """What A makes of the results of B and C."""
    return f"{inputs['c']} parts for a budget of {inputs['b']['budget']}"


PLAN = Plan(
    subtasks=[
        Subtask(id="b", type="agent_b"),
        Subtask(id="c", type="agent_c"),  # depends on nothing either, so B and C run side by side
        Subtask(id="a", type="agent_a_sums_up", dependencies=["b", "c"]),
    ]
)


async def main(database: Path) -> None:
    """Plays the scene and prints what the event log tells of it."""
    async with Holdfast.open(database) as hf:
        task = await hf.start("A delegates to B and C", plan=PLAN)
        task = await hf.wait(task.id)  # returns when the task has ended or, as here, waits for an answer
        while task.in_flight:  # the step that C had under way ends and is kept
            await asyncio.sleep(0.02)
            task = await hf.get(task.id)
        [question] = task.questions
        print(f"A is {task.state}: {question.subtask} asks {question.prompt!r}; C is {task.plan['c'].state}")
        await asyncio.sleep(0.5)  # a person thinks; nothing of the task runs
        await hf.answer(task.id, question.id, 1200)
        task = await hf.wait(task.id)
        print(f"A is {task.state}: {task.result('a')}\n")

        begin = task.created_at
        async for event in hf.events(task.id, follow=False):
            if line := tell(event.type, event.subtask, event.data):
                who, what = line
                column = {"b": 24, "c": 46}.get(who, 0)
                print(f"{(event.at - begin).total_seconds():5.2f} s  {'':{column}}{what}")


def tell(kind: str, who: str | None, data: dict[str, Any]) -> tuple[str, str] | None:
    """(whose column, what to say) of an event; None for what this story does not need."""
    agent = who or "a"
    match kind.split("."):
        case ["task", state]:
            what = f"A {state.replace('_', ' ')}"
        case ["step", "completed"]:
            what = f"{agent.upper()} ends {data['step']!r}"
        case ["question", happened]:
            what = f"{agent.upper()} {'asks' if happened == 'asked' else 'gets its answer'}"
        case ["control"] if who and data["do"] in ("hold", "release"):
            agent, what = "a", f"A {'pauses' if data['do'] == 'hold' else 'resumes'} {agent.upper()}"
        case ["subtask", "running" | "held" | "completed" as state] if agent != "a" or kind.endswith("running"):
            what = "A sums up" if agent == "a" else f"{agent.upper()} {state}"
        case _:
            return None
    return agent, what


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "abc.db"))
