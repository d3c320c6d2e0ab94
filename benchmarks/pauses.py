"""How long a pause takes to stop everything, and a resume to start the next step."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.race import folder
from holdfast import Holdfast, TaskContext, task_type

TIMES = 100
WIDTH = 8
STARTED: list[float] = []


@task_type("bench_step")
async def bench_step(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Begins a step, notes when, and is in it until it is stopped."""

    async def wait() -> None:
        STARTED.append(time.monotonic())
        await asyncio.sleep(3600)

    await ctx.step("wait", wait)


def pauses(contender: str, rep: int) -> dict[str, float]:
    """Milliseconds, median and 99th percentile, from the acknowledgement of a pause and from the call of a resume."""
    with folder() as path:
        here, there, again = asyncio.run(_measure(path))
    figures = {}
    for name, values in (("here", here), ("there", there), ("resume", again)):
        ordered = sorted(1e3 * value for value in values)
        figures[name] = statistics.median(ordered)
        figures[f"{name}_p99"] = ordered[int(0.99 * len(ordered))]
    return figures


async def _measure(path: Path) -> tuple[list[float], list[float], list[float]]:
    """A task with eight subtasks in a step each, paused ``now`` and resumed, here and from another connection."""
    here: list[float] = []
    there: list[float] = []
    again: list[float] = []
    plan = {"subtasks": [{"id": f"t{i}", "type": "bench_step"} for i in range(WIDTH)]}
    async with Holdfast.open(path / "h.db") as hf, Holdfast.open(path / "h.db") as other:
        task = await hf.start("pause it", plan=plan)
        for who, times in ((hf, here), (other, there)):
            for _ in range(TIMES):
                await _until(lambda: len(STARTED) >= WIDTH)
                times.append(await _stopped(hf, lambda who=who: who.pause(task.id, mode="now")))  # type: ignore[misc]
                STARTED.clear()
                begun = time.monotonic()
                await hf.resume(task.id)
                await _until(lambda: bool(STARTED))
                again.append(STARTED[0] - begun)
        await hf.cancel(task.id)
    return here, there, again


async def _stopped(hf: Holdfast, pause: Callable[[], Awaitable[Any]]) -> float:
    """Seconds from the acknowledgement until nothing is in flight."""
    await pause()
    acknowledged = time.monotonic()
    await _until(lambda: not hf.services.at_work)
    return time.monotonic() - acknowledged


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.0005)
