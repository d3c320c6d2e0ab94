"""Task types for the tests of the server; loaded by path in its process."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from holdfast import TaskContext, task_type

TICK = 0.01


def note(path: str | None, line: str) -> None:
    """Adds a line to a file, which is how a test counts what really happened."""
    if path:
        with Path(path).open("a") as file:
            file.write(f"{line}\n")


async def shown(path: str) -> None:
    """Waits until a file is there, which is how a test decides when a subtask goes on."""
    while not Path(path).exists():
        await asyncio.sleep(TICK)


async def undo(params: dict[str, Any], result: Any, ctx: TaskContext) -> None:
    if "undo_until" in params:
        await shown(params["undo_until"])
    note(params.get("log"), f"undo {ctx.subtask_id}")


@task_type("srv_steps", compensate=undo)
async def steps(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> int:
    """Steps that each write down that they were done."""

    async def one(name: str) -> None:
        await asyncio.sleep(params.get("seconds", 0.02))
        note(params.get("log"), f"{ctx.subtask_id}/{name}")

    for number in range(params.get("steps", 3)):
        await ctx.step(f"s{number}", partial(one, f"s{number}"))
    return int(params.get("steps", 3))


@task_type("srv_until", compensate=undo)
async def until(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
    """A step that ends when a file is there, and a short one after it."""
    note(params.get("log"), f"{ctx.subtask_id} begins")
    await ctx.step("wait", partial(shown, params["file"]))
    await ctx.step("note", partial(note, params.get("log"), f"{ctx.subtask_id} ends"))
    return "seen"


@task_type("srv_ask")
async def ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks after a step, once its file is there if it has one."""
    await ctx.step("paid", partial(note, params.get("log"), f"{ctx.subtask_id}/paid"))
    if "file" in params:
        await shown(params["file"])
    given = await ctx.ask(f"What does {ctx.subtask_id} need?", params.get("schema"), params.get("default"))
    await ctx.step("used", partial(note, params.get("log"), f"{ctx.subtask_id}/used"))
    return given


@task_type("srv_hear")
async def hear(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> list[str]:
    """Waits until it was told so many things."""
    while len(said := await ctx.messages()) < params.get("count", 1):
        await asyncio.sleep(5 * TICK)
    return said


@task_type("srv_hand_out")
async def hand_out(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Hands out a large file, a small one, a text, a value and a link."""
    await ctx.artifact("large.bin", large(params["bytes"]))
    await ctx.artifact("small.csv", b"a,b\n1,2\n")
    await ctx.artifact("note", "in short")
    await ctx.artifact("figures", b'{"total": 12}', "application/json")
    await ctx.artifact("elsewhere.pdf", "https://example.org/elsewhere.pdf", "text/uri-list")


def large(size: int) -> bytes:
    """Bytes that show it when a part is missing, twice there or in the wrong place."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))
