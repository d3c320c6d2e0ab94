"""Commands that change a task from outside, whoever works on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, emit, shared

if TYPE_CHECKING:
    from holdfast.graphs.holdfast import Holdfast
    from holdfast.graphs.task import Task


@click.command()
@click.argument("task")
@click.option(
    "--mode",
    type=click.Choice(["now", "step", "drain"]),
    default="step",
    show_default=True,
    help="What is under way: stop it now, let its step end, or let its subtask end.",
)
@click.option("--reason", metavar="TEXT", help="Kept with the pause.")
@shared
def pause(to: Target, task: str, mode: str, reason: str | None) -> None:
    """Pause a task; from then on nothing of it starts, in whichever process."""
    paused = _change(to, lambda hf: hf.pause(task, mode=mode, reason=reason))
    if to.json:
        emit(paused.to_json())
        return
    ending = f"; {paused.in_flight} under way will still end" if paused.in_flight else ""
    print(f"task {paused.id[:8]} is paused{ending}; carry on with: {to.command('resume', paused.id[:8])}")


def _change(to: Target, change: Callable[[Holdfast], Awaitable[Task]]) -> Task:
    """One change of a database that is there; the snapshot once it is on disk."""
    import asyncio

    path = to.existing()
    from holdfast.graphs.holdfast import Holdfast

    async def go() -> Task:
        async with Holdfast.open(path) as hf:
            return await change(hf)

    return asyncio.run(go())
