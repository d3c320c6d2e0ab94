"""Task types for the tests of the command line; loaded by path, in the tests' process and in those they start."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast import TaskContext, task_type


async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
    await ctx.step("give back", lambda: None)


@task_type("cli_ask")
async def ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks after a step."""
    await ctx.step("paid", lambda: None)
    return await ctx.ask(f"What does {ctx.subtask_id} need?", params.get("schema"), params.get("default"))


@task_type("cli_steps", compensate=undo)
async def steps(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> int:
    """Short steps that can be undone."""
    for number in range(params.get("steps", 3)):
        await ctx.step(f"s{number}", lambda: asyncio.sleep(params.get("seconds", 0.02)))
    return params.get("steps", 3)


@task_type("cli_fail")
async def fail(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Fails."""
    raise ValueError("the shop is shut")


@task_type("cli_once", uncertain="ask")
async def once(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Does something that must not happen twice, and is stopped in the middle of it."""
    await ctx.step("before", lambda: None)
    await ctx.step("pay", lambda: asyncio.sleep(params.get("seconds", 600)))
