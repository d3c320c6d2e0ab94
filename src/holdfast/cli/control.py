"""Commands that change a task from outside, whoever works on it: one transaction each, and no LangGraph to load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from holdfast.checkpoints.states import TERMINAL
from holdfast.cli.common import Target, emit, shared
from holdfast.cli.times import moment_option
from holdfast.cli.work import TYPES

if TYPE_CHECKING:
    from holdfast.graphs.task import Task


@click.command()
@click.argument("task")
@click.option("--subtask", metavar="ID", help="Hold this subtask only; the others go on.")
@click.option(
    "--mode",
    type=click.Choice(["now", "step", "drain"]),
    default="step",
    show_default=True,
    help="What is under way: stop it now, let its step end, or let its subtask end.",
)
@click.option("--reason", metavar="TEXT", help="Kept with the pause.")
@click.option(
    "--until", callback=moment_option, metavar="TIME", help="Ends by itself then: an ISO time, 18:00, or 2h30m."
)
@shared
def pause(to: Target, task: str, subtask: str | None, mode: str, reason: str | None, until: datetime | None) -> None:
    """Pause a task, or hold one subtask; from then on nothing of it starts, in whichever process."""
    from holdfast.checkpoints import control
    from holdfast.checkpoints.errors import BadInput, SwitchedOff

    if subtask and until:
        raise BadInput("a hold of one subtask has no --until; `holdfast resume TASK --subtask ID` releases it")
    if not subtask and not to.can_pause:
        raise SwitchedOff("paused")
    with to.reading() as store:
        if subtask:
            held = store.change(task, control.hold, subtask=subtask, mode=mode, reason=reason)
            release = to.command("resume", held.id[:8], "--subtask", subtask)
            running = held.plan[subtask].state == "running" if not subtask.startswith("@") else False
            ending = "; what it has under way will still end" if running else ""
            _tell(to, held, f"subtask {subtask} is held{ending}; release it with: {release}")
            return
        over = until.timestamp() if until else None
        paused = store.change(task, control.pause, mode=mode, reason=reason, until=over)
    ending = f"; {paused.in_flight} under way will still end" if paused.in_flight else ""
    again = to.resume(paused.id)
    if until:
        again = f"it goes on at {until.astimezone():%Y-%m-%d %H:%M:%S} if a runner is there, or before with: {again}"
    else:
        again = f"carry on with: {again}"
    _tell(to, paused, f"task {paused.id[:8]} is paused{ending}; {again}")


@click.command()
@click.argument("task")
@click.option("--rollback", is_flag=True, help="Undo what has completed, in reverse order, before it ends.")
@TYPES
@shared
def cancel(to: Target, task: str, rollback: bool, types: tuple[str, ...]) -> int:
    """End a task for good.

    With --rollback the compensations run in its runner, or here if nobody works on it.
    """
    from holdfast.checkpoints import control

    with to.reading() as store:
        known = store.get(task)
        if not rollback or known.runner:
            canceled = store.change(known.id, control.cancel, rollback=rollback)
            runner = canceled.runner
            undoing = f"; {runner} undoes what has completed" if rollback and runner else ""
            what = "is being canceled" if canceled.state == "WORKING" else "is canceled"
            _tell(to, canceled, f"task {canceled.id[:8]} {what}{undoing}")
            return 0
    from holdfast.cli.undo import undo

    return undo(to, known, types)


@click.command()
@click.argument("task")
@click.argument("subtask")
@shared
def retry(to: Target, task: str, subtask: str) -> None:
    """Let a failed or skipped subtask run again, and what was skipped because of it."""
    from holdfast.checkpoints import control

    with to.reading() as store:
        changed = store.change(task, control.retry, subtask=subtask)
    _tell(to, changed, f"subtask {subtask} will run again; {goes_on(to, changed)}")


@click.command()
@click.argument("task")
@click.argument("subtask")
@shared
def skip(to: Target, task: str, subtask: str) -> None:
    """Give up a subtask that does not run, and what depends on it."""
    from holdfast.checkpoints import control

    with to.reading() as store:
        changed = store.change(task, control.skip, subtask=subtask)
    _tell(to, changed, f"subtask {subtask} is skipped; {goes_on(to, changed)}")


def goes_on(to: Target, task: Task, types: Sequence[str] = ()) -> str:
    """Who carries on with a task after a change that let it; ``types`` are those that the command was given."""
    if task.state in ("INPUT_REQUIRED", "AUTH_REQUIRED"):
        ids = ", ".join(one.id for one in task.questions)
        return f"the task waits for an answer to {ids}; `{to.command('show', task.id[:8])}` shows what is asked"
    if task.state == "PAUSED":
        return f"the task stays paused; carry on with: {to.resume(task.id, types)}"
    if task.state in TERMINAL:  # a server was as fast as that
        return f"the task is {task.state.value.lower()}"
    return f"{task.runner} carries on" if task.runner else f"carry on with: {to.resume(task.id, types)}"


def stands(to: Target, task: Task) -> str:
    """Why nothing comes of a task, and what to do about it."""
    if task.state in ("INPUT_REQUIRED", "AUTH_REQUIRED"):
        return goes_on(to, task)
    why = f"task {task.id[:8]} is paused" if task.state == "PAUSED" else f"nobody works on task {task.id[:8]}"
    return f"{why}; carry on with: {to.resume(task.id)}"


def _tell(to: Target, task: Task, sentence: str) -> None:
    emit(task.to_json()) if to.json else print(sentence)
