"""The process that is killed: it runs one task and may send itself SIGKILL at a named point.

Each body appends one line for everything that it does, with one O_APPEND write each, so the log survives the kill and
is in the order of what really happened.  The effect is such a line too, with its idempotency key: who reads the log is
the receiver that honours keys.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from holdfast import Holdfast, TaskContext, task_type
from holdfast.checkpoints import database, events, subtasks
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.saver import Saver
from holdfast.checkpoints.states import TERMINAL
from holdfast.nodes import orchestration
from tests.integration.runner import digest

LOG = -1
STEPS = ("one", "two")
UNDOING = ("back", "report")  # the steps of a compensation
POINTS = ("effect", "step begins", "step row", "result row", "move", "event", "checkpoint", "commit", "rename")
_strike: Callable[[str, str], None] = lambda point, when: None  # noqa: E731


def log(*words: str) -> None:
    os.write(LOG, (" ".join(word.replace(" ", "_") for word in words) + "\n").encode())


def open_log(folder: Path) -> None:
    global LOG  # noqa: PLW0603
    LOG = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


async def step(ctx: TaskContext, name: str, rest: Callable[[], Awaitable[None]]) -> None:
    """A step with an effect, after which it takes its time."""
    what = f"{ctx.subtask_id}/{ctx._effects.known_step(name)}"

    async def effect() -> str:
        _strike("effect", "before")
        log("effect", what, ctx.idempotency_key)
        _strike("effect", "after")
        await rest()
        return name

    await ctx.step(name, effect)
    log("kept", what)


async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
    """Two steps with an effect each, or a fault that does not go away."""
    log("undo", ctx.subtask_id)
    if params.get("stuck"):
        raise RuntimeError("the other side is gone")
    for name in UNDOING:
        await step(ctx, name, partial(asyncio.sleep, params.get("ms", 0) / 1000))


@task_type("t_fail")
async def fail(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Fails for good."""
    raise BadInput("no luck")


@task_type("t_work", compensate=undo)
async def work(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Two steps with an effect each, an artifact, and a result that proves which inputs it had."""
    log("start", ctx.subtask_id)
    await step(ctx, STEPS[0], partial(asyncio.sleep, params["ms"] / 1000))
    if params.get("asks"):
        answer = await ctx.ask(f"What does {ctx.subtask_id} need?", schema={"type": "integer"})
        if answer != len(ctx.subtask_id):
            raise RuntimeError(f"the answer of somebody else: {answer}")
    await step(ctx, STEPS[1], partial(asyncio.sleep, params["ms"] / 1000))
    value = digest(ctx.subtask_id, [one["digest"] for one in inputs.values()])
    if params.get("hands_out"):
        await ctx.artifact(f"{ctx.subtask_id}.txt", value * 500)
    log("end", ctx.subtask_id)
    return {"digest": value}


def arm(point: str, when: str, nth: int, *, undoing: bool = False) -> None:
    """SIGKILL to this process at the n-th time that ``point`` is passed (in a rollback only), before or after it."""
    global _strike  # noqa: PLW0603
    left, waits = nth, undoing

    def strike(at: str, side: str) -> None:
        nonlocal left, waits
        waits = waits and at != "rollback"
        if not waits and (at, side) == (point, when):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    _strike = strike
    for place, name, at in (
        (subtasks, "begin_step", "step begins"),
        (subtasks, "end_step", "step row"),
        (subtasks, "complete", "result row"),
        (subtasks, "move", "move"),
        (events, "append", "event"),
        (Saver, "put", "checkpoint"),
        (Saver, "aput", "checkpoint"),
        (Path, "replace", "rename"),
        (orchestration, "roll_back", "rollback"),
    ):
        _wrap(place, name, at)
    settle = database._Worker._settle

    def settled(outcome: Any) -> None:
        if any(job.lease for job, *_ in outcome):
            strike("commit", "after")  # on disk, and nobody was told
        settle(outcome)

    database._Worker._settle = staticmethod(settled)  # type: ignore[method-assign]


def _wrap(place: Any, name: str, at: str) -> None:
    real = getattr(place, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        _strike(at, "before")
        value = real(*args, **options)
        _strike(at, "after")
        return value

    async def awaited(*args: Any, **options: Any) -> Any:
        _strike(at, "before")
        value = await real(*args, **options)
        _strike(at, "after")
        return value

    setattr(place, name, awaited if asyncio.iscoroutinefunction(real) else wrapped)


def _traced(connection: sqlite3.Connection) -> None:
    connection.set_trace_callback(lambda sql: _strike("commit", "before") if sql == "COMMIT" else None)


async def run(folder: Path, seed: int) -> None:
    """Starts the task or takes it up, and works until it ends, waits or is paused."""
    random.seed(seed)
    async with Holdfast.open(folder / "h.db") as hf:
        _traced(hf.database.connection)
        known = await hf.list()
        if known:
            (task,) = known
        else:
            given = json.loads((folder / "plan.json").read_text())
            task = await hf.start("torture", plan=given["plan"], out=folder / "out", **given["options"])
        if task.state not in TERMINAL and not hf.working_on(task.id):
            await hf.resume(task.id)
        while hf.working_on(task.id):
            await asyncio.sleep(0.003)


def main(folder: Path, seed: int, kill: tuple[str, str, int] | None, undoing: bool = False) -> None:
    open_log(folder)
    if kill:
        arm(*kill, undoing=undoing)
    asyncio.run(run(folder, seed))
