"""``run`` and ``resume``: working on a task in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, shared

if TYPE_CHECKING:
    from holdfast.graphs.holdfast import Holdfast
    from holdfast.graphs.task import Task

TYPES = click.option(
    "--types", multiple=True, metavar="MODULE|FILE", help="Load own task types from here (more than once if needed)."
)


@click.command()
@click.argument("goal")
@click.option("--data", multiple=True, metavar="PATH", help="A data file, folder or pattern (as often as needed).")
@click.option("--plan", metavar="FILE", help="Run this plan instead of planning.")
@click.option("--out", metavar="DIR", help="Where the report goes (without a plan: reports/<goal>-<time>).")
@click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Subtasks at once (default 8; 0 for no limit)."
)
@click.option(
    "--on-question",
    type=click.Choice(["pause", "continue"]),
    default="pause",
    show_default=True,
    help="What the other subtasks do while one asks.",
)
@click.option("--approve", is_flag=True, help="Ask before the plan is carried out.")
@click.option("--yes", is_flag=True, help="Take the default answer of every question.")
@TYPES
@shared
def run(
    to: Target,
    goal: str,
    data: tuple[str, ...],
    plan: str | None,
    out: str | None,
    workers: int | None,
    on_question: str,
    approve: bool,
    yes: bool,
    types: tuple[str, ...],
) -> int:
    """Start a task and work on it here.

    Ctrl-C pauses when the steps under way have ended, twice stops them at once; `holdfast resume` carries on.

    Exits 0 completed, 1 failed, 2 nothing was started, 3 paused, 4 waiting for an answer, 5 canceled, 6 handed over.
    """
    from holdfast.cli.preflight import Wishes, ready

    arguments = ready(Wishes(goal, data, plan, out, workers, on_question, approve, yes, types))

    async def begin(hf: Holdfast) -> Task:
        return await hf.start(goal, **arguments)

    from holdfast.cli.foreground import work

    return work(to, begin, types=types)


@click.command()
@click.argument("task")
@TYPES
@shared
def resume(to: Target, task: str, types: tuple[str, ...]) -> int:
    """Carry on with a paused task, or take up one that lost its runner, and work on it here.

    Exits as `holdfast run` does.
    """
    from holdfast.cli.preflight import prepare_types

    with to.reading() as store:
        known = store.get(task)
    prepare_types(types)

    async def begin(hf: Holdfast) -> Task:
        return await hf.resume(known.id)

    from holdfast.cli.foreground import work

    return work(to, begin, types=types, told=known.last_seq)
