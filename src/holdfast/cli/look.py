"""Commands that only look: ``tasks``, ``show``, ``events``.  They load no LangGraph and never make a database."""

from __future__ import annotations

import click

from holdfast.checkpoints.states import TaskState
from holdfast.cli.common import Target, emit, shared


@click.command()
@click.option(
    "--state", type=click.Choice([*TaskState], case_sensitive=False), metavar="STATE", help="Only those in this state."
)
@shared
def tasks(to: Target, state: str | None) -> None:
    """List the tasks, newest first."""
    with to.reading() as store:
        found = store.newest(TaskState(state.upper()) if state else None)
    if to.json:
        for task in found:
            emit(task.to_json())
        return
    from holdfast.cli.human import task_list

    task_list(found)


@click.command()
@click.argument("task")
@shared
def show(to: Target, task: str) -> None:
    """Show one task: its state, plan, questions, artifacts and usage."""
    with to.reading() as store:
        shown = store.get(task)
        standing = store.standing(shown.id)
    if to.json:
        emit(shown.to_json())
        return
    from holdfast.cli.human import task_page

    task_page(shown, standing, to)


@click.command()
@click.argument("task")
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="N", help="Only what came after number N.")
@click.option("--follow", is_flag=True, help="Go on until the task has ended.")
@shared
def events(to: Target, task: str, after: int, follow: bool) -> None:
    """Print a task's numbered history."""
    with to.reading() as store:
        known = store.resolve(task)
        for event in store.events(known, after, follow=follow):
            if to.json:
                emit(event.to_json())
                continue
            from holdfast.cli.human import event_line

            event_line(event)
