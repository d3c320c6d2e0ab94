"""Commands that only look: ``tasks``, ``show``, ``events``.  They load no LangGraph and never make a database."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from holdfast.checkpoints.states import TaskState
from holdfast.cli.common import Target, emit, shared, whole

if TYPE_CHECKING:
    from holdfast.cli.remote_store import RemoteStore
    from holdfast.cli.store import Store

MOST_LISTED = 1000
STANDS = (TaskState.PAUSED, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)


@click.command()
@click.option(
    "--state", type=click.Choice([*TaskState], case_sensitive=False), metavar="STATE", help="Only those in this state."
)
@click.option("--limit", callback=whole(), metavar="N", help="At most so many (default 1,000; with --json all).")
@shared
def tasks(to: Target, state: str | None, limit: int | None) -> None:
    """List the tasks, newest first."""
    wanted = TaskState(state.upper()) if state else None
    with to.reading() as store:
        if to.json:
            for task in store.newest(wanted, limit):
                emit(task.to_json())
            return
        from holdfast.cli.human import task_list

        task_list(store.newest(wanted, MOST_LISTED if limit is None else limit), store.count(wanted), to)


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
@click.option("--after", callback=whole(), default="0", metavar="N", help="Only what came after number N.")
@click.option("--follow", is_flag=True, help="Go on until the task has ended.")
@shared
def events(to: Target, task: str, after: int, follow: bool) -> None:
    """Print a task's numbered history."""
    with to.reading() as store:
        known = store.resolve(task)
        waits = None if to.json else _tells_standstill(store, to, known)
        for event in store.events(known, after, follow=follow, waits=waits):
            if to.json:
                emit(event.to_json())
                continue
            from holdfast.cli.human import event_line

            event_line(event)


def _tells_standstill(store: Store | RemoteStore, to: Target, task: str) -> Callable[[TaskState], None]:
    """What to call while nothing comes: each time the task stands still it says once, on stderr, how it goes on."""
    last: TaskState | None = None

    def tell(state: TaskState) -> None:
        nonlocal last
        if state == last:
            return
        first, last = last is None, state
        known = store.get(task)
        if state in STANDS or (first and not known.runner):
            from holdfast.cli.control import stands

            print(stands(to, known), file=sys.stderr)

    return tell
