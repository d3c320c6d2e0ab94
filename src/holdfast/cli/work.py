"""``run`` and ``resume``: working on a task in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, amount, emit, shared, whole

if TYPE_CHECKING:
    from holdfast.cli.engine import Engine
    from holdfast.graphs.task import Task

TYPES = click.option(
    "--types", multiple=True, metavar="MODULE|FILE", help="Load own task types from here (more than once if needed)."
)


@click.command()
@click.argument("goal")
@click.option("--data", multiple=True, metavar="PATH", help="A data file, folder or pattern (as often as needed).")
@click.option("--plan", metavar="FILE", help="Run this plan instead of planning.")
@click.option("--out", metavar="DIR", help="Where the report goes (without a plan: reports/<goal>-<time>).")
@click.option("--workers", callback=whole(), metavar="N", help="Subtasks at once (default 8; 0 for no limit).")
@click.option(
    "--on-question",
    type=click.Choice(["pause", "continue"]),
    default="pause",
    show_default=True,
    help="What the other subtasks do while one asks.",
)
@click.option(
    "--on-failure",
    type=click.Choice(["continue", "fail_fast", "rollback", "ask"]),
    default="continue",
    show_default=True,
    help="When a subtask has failed for good: finish what does not need it, stop at once, undo, or ask.",
)
@click.option("--approve", is_flag=True, help="Ask before the plan is carried out.")
@click.option("--yes", is_flag=True, help="Take the default answer of every question, and never ask here.")
@click.option("--from", "reuse", metavar="TASK", help="Reuse results of this task whose type and inputs are equal.")
@click.option("--budget", callback=amount, metavar="DOLLARS", help="Spend at most so much on the model, then ask.")
@click.option("--max-tokens", callback=whole(1), metavar="N", help="Use at most so many tokens, then ask.")
@click.option("--max-minutes", callback=amount, metavar="N", help="Be at work for at most so long, then ask.")
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
    on_failure: str,
    approve: bool,
    yes: bool,
    reuse: str | None,
    budget: float | None,
    max_tokens: int | None,
    max_minutes: float | None,
    types: tuple[str, ...],
) -> int:
    """Start a task and work on it here.

    Ctrl-C or the key p pauses when the steps under way have ended, Ctrl-C again stops them at once, the key q leaves
    the task to another process; `holdfast resume` carries on. A question is asked and answered in the terminal.

    Exits 0 completed, 1 failed, 2 nothing was started, 3 paused, 4 waiting for an answer, 5 canceled, 6 handed over.
    """
    from holdfast.cli.preflight import Wishes, ready

    if reuse:
        with to.reading() as store:
            reuse = store.resolve(reuse)
    limits = {"cost": budget, "tokens": max_tokens, "seconds": max_minutes and max_minutes * 60}
    held_to = {name: limit for name, limit in limits.items() if limit is not None} or None
    wishes = Wishes(goal, data, plan, out, workers, on_question, on_failure, approve, yes, reuse, held_to, types)
    arguments = ready(wishes, elsewhere=bool(to.server))

    async def begin(hf: Engine) -> Task:
        return await hf.start(goal, **arguments)

    from holdfast.cli.foreground import work

    return work(to, begin, types=types, ask=not yes, out=arguments["out"])


@click.command()
@click.argument("task")
@click.option("--subtask", metavar="ID", help="Release this subtask only, then go on.")
@click.option("--explain", is_flag=True, help="Only say what will be reused, run again, or is uncertain.")
@click.option("--out", metavar="DIR", help="With --server: where the report is brought to.")
@TYPES
@shared
def resume(to: Target, task: str, subtask: str | None, explain: bool, out: str | None, types: tuple[str, ...]) -> int:
    """Carry on with a paused task, or take up one that lost its runner, and work on it here.

    Exits as `holdfast run` does.
    """
    from holdfast.cli.preflight import check_out, prepare_types

    if explain:
        return _explain(to, task, types)
    if out:
        _require_server(to)
        check_out(Path(out).expanduser())
    with to.reading() as store:
        known = store.get(task)
    if subtask:
        stopped = _release(to, known, subtask, types)
        if stopped is not None:
            return stopped
    else:
        _refuse(to, known)
    if not to.server:
        prepare_types(types)

    async def begin(hf: Engine) -> Task:
        return await hf.resume(known.id)

    from holdfast.cli.foreground import work

    return work(to, begin, types=types, told=known.last_seq, ask=not known.options.get("yes"), out=out)


def _explain(to: Target, task: str, types: tuple[str, ...]) -> int:
    """Prints what a resume would do."""
    from holdfast.cli.preflight import prepare_types

    if not to.server:
        prepare_types(types)
    from holdfast.cli.explain import page

    with to.reading() as store:
        known = store.get(task)
        told = store.explain(known.id)
    emit(told.to_json()) if to.json else page(to, known, told)
    return 0


def _release(to: Target, known: Task, subtask: str, types: tuple[str, ...]) -> int | None:
    """Releases a subtask; the exit code if this process has nothing to do after that, else None."""
    from holdfast.checkpoints import control
    from holdfast.cli.control import goes_on
    from holdfast.cli.exits import HANDED_OVER, STATES
    from holdfast.cli.preflight import prepare_types

    with to.reading() as store:
        runs_here = known.state == "WORKING" or known.stops == ["holds"]
        if runs_here and not known.runner and not to.server:
            prepare_types(types)  # before anything is changed
        released = store.change(known.id, control.release, subtask=subtask)
    code = STATES[released.state]
    if code == HANDED_OVER and (to.server or not released.runner):
        return None
    if to.json:
        emit(released.to_json())
    else:
        print(f"subtask {subtask} is released; {goes_on(to, released, types)}")
    return code


def _require_server(to: Target) -> None:
    """Raises BadInput for an --out that nothing would come of."""
    from holdfast.checkpoints.errors import BadInput

    if not to.server:
        raise BadInput("--out belongs to `holdfast run`; a task here keeps the folder that it was begun with")


def _refuse(to: Target, known: Task) -> None:
    """Raises at once what a resume would raise after LangGraph was loaded; tells how to answer what it waits for."""
    from holdfast.checkpoints.errors import IllegalMove, SwitchedOff
    from holdfast.checkpoints.states import TERMINAL
    from holdfast.cli.asking import command

    if known.state == "PAUSED" and not to.can_pause:
        raise SwitchedOff("resumed")
    if known.state in TERMINAL:
        raise IllegalMove(f"task {known.id}", known.state.value, "be resumed")
    if known.state in ("INPUT_REQUIRED", "AUTH_REQUIRED"):
        how = ", ".join(command(to, known.id, one) for one in known.questions)
        raise IllegalMove(f"task {known.id}", known.state.value, f"be resumed before it is answered: {how}")
