"""The task type ``sleep``, for trying things out and for benchmarks."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from holdfast.nodes.context import TaskContext
from holdfast.nodes.registry import task_type

TICK = 0.5


class SleepParams(BaseModel):
    """How long, and how many bytes the result carries."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(0.0, ge=0, le=86_400)
    payload_bytes: int = Field(0, ge=0, le=10_000_000)


@task_type("sleep")
async def sleep(params: SleepParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Waits for some seconds and returns a payload of the wanted size."""
    left = params.seconds
    while left > 0:
        await asyncio.sleep(min(TICK, left))
        left -= TICK
        ctx.progress(min(params.seconds - left, params.seconds), params.seconds)
    return {"seconds": params.seconds, "payload": "x" * params.payload_bytes}
