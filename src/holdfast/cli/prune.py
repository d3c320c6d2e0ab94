"""``prune``: forgets tasks that ended long ago."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, emit, shared, whole
from holdfast.cli.times import duration_option

if TYPE_CHECKING:
    from holdfast.checkpoints.prune import Pruned


@click.command()
@click.option(
    "--older-than",
    callback=duration_option,
    default="30d",
    show_default=True,
    metavar="TIME",
    help="How long ago they ended.",
)
@click.option("--keep", callback=whole(), default="0", metavar="N", help="Keep the N newest tasks anyway.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
def prune(to: Target, older_than: timedelta, keep: int, yes: bool) -> None:
    """Forget tasks that ended long ago, and give their space back. Reports in --out folders stay.

    What clients had sent with those tasks goes too. Drafts that a killed process left beside stored files and
    artifacts, and uploads that belong to no task, are removed after an hour.
    """
    import time

    from holdfast.checkpoints import prune as retention

    before = time.time() - older_than.total_seconds()
    with to.database() as store:
        count = store.ended(before, keep)
        question = f"Forget {_tasks(count)} that ended more than {_days(older_than)} ago?"
        asks = sys.stdin.isatty() and sys.stderr.isatty() and not (yes or to.json)
        if count and asks and not click.confirm(question, err=True):
            print("nothing was forgotten")
            return
        done = retention.prune(store.database, before, keep=keep)
    if to.json:
        emit(
            {
                "tasks": done.tasks,
                "files": done.files,
                "bytes": done.bytes,
                "drafts": done.drafts,
                "uploads": done.uploads,
            }
        )
    else:
        print(_told(done))


def _told(done: Pruned) -> str:
    from holdfast.cli.text import size

    files = f", {done.files:,} stored files removed" if done.files else ""
    drafts = f", {done.drafts:,} left half-written removed" if done.drafts else ""
    uploads = f", {done.uploads:,} uploaded files removed" if done.uploads else ""
    return f"{_tasks(done.tasks)} forgotten{files}{drafts}{uploads}, {size(done.bytes)} given back"


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def _days(time: timedelta) -> str:
    from holdfast.cli.text import age

    return age(time.total_seconds())
