"""Holdfast through its Python API: a plan with expected times, and a task type of our own."""

from __future__ import annotations

from typing import Any

from benchmarks.work import Work
from holdfast import Holdfast, Plan, Subtask, TaskContext, task_type

at_work: dict[str, Work] = {}


@task_type("benchmark_node")
async def benchmark_node(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> dict[str, str]:
    """One subtask of a benchmark."""
    return await at_work["now"].do(ctx.subtask_id, inputs)


async def run(work: Work) -> dict[str, Any]:
    at_work["now"] = work
    async with Holdfast.open(work.path, max_workers=work.workers) as hf:
        if work.resuming:
            task = await hf.resume((await hf.list())[0].id)
        else:
            task = await hf.start("benchmark", plan=_plan(work))
        ended = await hf.wait(task.id)
        return {id_: ended.result(id_) for id_ in work.nodes}


def _plan(work: Work) -> Plan:
    return Plan(
        subtasks=[
            Subtask(id=node.id, type="benchmark_node", dependencies=list(node.needs), estimated_time=node.seconds / 60)
            for node in work.nodes.values()
        ]
    )
