"""A run in a process of its own, to be killed: ``python -m tests.integration.runner DB LOG start|resume PLAN``.

Each body appends a line when it starts and one when it ends, with one O_APPEND write each, so the log survives SIGKILL
and shows what really ran.  ``HOLDFAST_TEST_REVERSE`` turns the durations round, so that the order of completion after a
crash is another than before.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from holdfast import Holdfast, TaskContext, task_type

LOG = -1
REVERSE = bool(os.environ.get("HOLDFAST_TEST_REVERSE"))


def log(event: str, subtask: str) -> None:
    os.write(LOG, f"{event} {subtask}\n".encode())


def digest(subtask: str, inputs: list[str]) -> str:
    return hashlib.sha256(":".join([subtask, *sorted(inputs)]).encode()).hexdigest()[:16]


@task_type("test_logged")
async def logged(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Sleeps between two log lines; its result proves which inputs it had."""
    log("start", ctx.subtask_id)
    ms = params["ms"]
    await asyncio.sleep((params["most"] - ms if REVERSE else ms) / 1000)
    value = digest(ctx.subtask_id, [one["digest"] for one in inputs.values()])
    log("end", ctx.subtask_id)
    return {"digest": value, "padding": "x" * 200}


@task_type("test_logged_steps")
async def logged_steps(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Three steps, each with log lines of its own."""
    for step in ("one", "two", "three"):

        async def body(name: str = f"{ctx.subtask_id}/{step}") -> str:
            log("start", name)
            await asyncio.sleep(params["ms"] / 1000)
            log("end", name)
            return name

        await ctx.step(step, body)
    return {"digest": digest(ctx.subtask_id, [one["digest"] for one in inputs.values()])}


async def main(path: str, act: str, plan: str) -> None:
    async with Holdfast.open(path) as hf:
        if act == "start":
            task = await hf.start("killed now and then", plan=json.loads(Path(plan).read_text()))
        else:
            (task,) = await hf.list()
            if task.state.value != "COMPLETED":
                await hf.resume(task.id)
        task = await hf.wait(task.id)
        events = [event.seq async for event in hf.events(task.id)]
        results = {one.id: task.result(one.id)["digest"] for one in task.plan.subtasks}
        print(json.dumps({"state": task.state, "results": results, "seqs": events}))


if __name__ == "__main__":
    LOG = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    asyncio.run(main(sys.argv[1], sys.argv[3], sys.argv[4]))
