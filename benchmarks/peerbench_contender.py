# venv: /path/to/holdfast/.venv/bin/python
# The line above is a placeholder: it has to name the interpreter of a virtual environment in which Holdfast is
# installed (`make setup` makes one in .venv).  README.md beside this file says how to copy this into a peer benchmark.
"""Holdfast as a contender of the peer benchmark: a plan, a task type of our own, and the results read back."""

from __future__ import annotations

from typing import Any

from holdfast import Holdfast, Plan, Subtask, TaskContext, task_type

at_work: dict[str, Any] = {}


@task_type("peer_node")
async def peer_node(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """One subtask of the peer benchmark."""
    return await at_work["now"].body(ctx.subtask_id, inputs)


async def run(ctx: Any) -> dict[str, Any]:
    at_work["now"] = ctx
    async with Holdfast.open(ctx.db, max_workers=ctx.workers) as hf:
        if ctx.resume:
            task = await hf.resume((await hf.list())[0].id)
        else:
            task = await hf.start("peer benchmark", plan=_plan(ctx))
        ended = await hf.wait(task.id)
        return {id_: ended.result(id_) for id_ in ctx.tasks}


def _plan(ctx: Any) -> Plan:
    return Plan(
        subtasks=[
            Subtask(id=id_, type="peer_node", dependencies=spec["deps"], estimated_time=spec["ms"] / 60_000)
            for id_, spec in ctx.tasks.items()
        ]
    )
