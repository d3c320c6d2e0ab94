"""A process that takes up tasks when it is told to: ``python -m tests.integration.racer``, one JSON line for each.

In: ``{"db": …, "task": …, "log": …, "lease": …}``.  Out: ``{"at": "working"}`` once it works on the task, then
``{"at": "end", "error": …}`` once it does not any more.  It is started once and used for many rounds, because what
costs is its imports.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from holdfast import Holdfast, TaskContext, task_type
from tests.integration.runner import digest

ROOT = Path(__file__).parents[2]
LOG = -1


def log(word: str, name: str) -> None:
    if LOG >= 0:
        os.write(LOG, f"{word} {name} {os.getpid()}\n".encode())


@task_type("r_work")
async def work(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """A few steps, each with a line in the log; its result proves which inputs it had."""
    for i in range(params.get("steps", 2)):

        async def one(name: str = f"{ctx.subtask_id}/{i}") -> str:
            log("step", name)
            await asyncio.sleep(params.get("seconds", 0.0))
            return name

        await ctx.step(f"{i}", one)
        log("kept", f"{ctx.subtask_id}/{i}")
    if params.get("asks"):
        return await ctx.ask(f"What does {ctx.subtask_id} need?")
    return {"digest": digest(ctx.subtask_id, [value["digest"] for value in inputs.values()])}


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def race(order: dict[str, Any]) -> None:
    global LOG  # noqa: PLW0603
    LOG = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    error = None
    async with Holdfast.open(order["db"], lease_seconds=order.get("lease")) as hf:
        try:
            await hf.resume(order["task"])
            say(at="working")
            while hf.working_on(order["task"]):
                await asyncio.sleep(0.002)
            error = type(broken).__name__ if (broken := hf._runner.broken.get(order["task"])) else None
        except Exception as fault:
            error = type(fault).__name__
    os.close(LOG)
    say(at="end", error=error)


class Racer:
    """Such a process, or another one that takes orders, seen from the test."""

    def __init__(self, module: str = "tests.integration.racer") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, **what: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Its next line; whoever waits for ever for it is ended by the test's own limit."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the process has died"
        heard: dict[str, Any] = json.loads(line)
        return heard

    def end(self) -> str | None:
        """How its work ended: the name of an error, or None."""
        while (heard := self.hear())["at"] != "end":
            pass
        error: str | None = heard["error"]
        return error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


if __name__ == "__main__":
    for line in sys.stdin:
        asyncio.run(race(json.loads(line)))
