"""``cache``: the model's answers that are kept to be used again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.common import Target, amount, emit, shared, whole
from holdfast.cli.work import TYPES

if TYPE_CHECKING:
    import sqlite3

    from holdfast.checkpoints.cache import Stats
    from holdfast.cli.engine import Engine
    from holdfast.graphs.task import Task


@click.group()
def cache() -> None:
    """Look at the model's answers that are kept to be used again, forget some, or have some made beforehand.

    --db and --json may follow each of the commands.
    """


@cache.command("stats")
@shared
def stats(to: Target) -> None:
    """Tell how many answers are kept, by the type that asked, and what using them again has saved."""
    import time

    from holdfast.checkpoints import cache as kept

    with to.database() as store:
        parts = store.database.read(lambda db: kept.stats(db, time.time()))
    every = kept.summed(parts)
    if to.json:
        sums = {name: value for name, value in asdict(every).items() if name != "type"}
        emit({**sums, "types": [asdict(one) for one in parts]})
        return
    print(_told("all", every) if parts else "no answers are kept")
    for one in parts:
        print(f"  {_told(one.type or '', one)}")


@cache.command("clear")
@click.option("--key", metavar="HEX", help="The answer whose key begins so, as cache.hit events have it.")
@click.option("--type", "type_", metavar="TYPE", help="Those that subtasks of this type asked for.")
@click.option("--tag", metavar="TAG", help="Those with this tag, such as model:NAME or prompt:plan/1.")
@click.option(
    "--from",
    "origin",
    metavar="FILE|TASK/SUBTASK",
    help="Those made from this file or folder, or from this subtask's result, over all the subtasks between.",
)
@click.option("--stale", is_flag=True, help="Those whose time is over.")
@click.option("--yes", is_flag=True, help="Do not ask before all are forgotten.")
@shared
def clear(
    to: Target, key: str | None, type_: str | None, tag: str | None, origin: str | None, stale: bool, yes: bool
) -> None:
    """Forget answers: those that an option names, or all of them. Tasks, and what they have recorded, stay."""
    import time

    from holdfast.checkpoints import cache as kept
    from holdfast.cli.text import count

    chosen = _way({"--key": key, "--type": type_, "--tag": tag, "--from": origin, "--stale": stale or None})
    with to.database() as store:
        if chosen is kept.clear and sys.stdin.isatty() and sys.stderr.isatty() and not (yes or to.json):
            there = kept.summed(store.database.read(lambda db: kept.stats(db, time.time()))).entries
            if there and not click.confirm(f"Forget {count(there, 'answer')}?", err=True):
                print("nothing was forgotten")
                return
        gone = store.database.write(chosen)
    if to.json:
        emit({"forgotten": gone})
    else:
        print(f"{count(gone, 'answer')} forgotten")


def _way(named: Mapping[str, Any]) -> Callable[[sqlite3.Connection], int]:
    """What forgets the answers that the one option given names, by default all; raises UsageError."""
    import time

    from holdfast.checkpoints import cache as kept

    given = {name: value for name, value in named.items() if value is not None}
    if len(given) > 1:
        raise click.UsageError("give one of --key, --type, --tag, --from and --stale")
    if not given:
        return kept.clear
    ((name, value),) = given.items()
    if value == "":  # a variable that is not set
        raise click.UsageError(f"{name} is given without a value; without any option all answers are forgotten")
    if name == "--key" and set(value.lower()) - set("0123456789abcdef"):
        raise click.UsageError(f"the key {value!r} has to be hexadecimal digits")
    ways: Mapping[str, Callable[[sqlite3.Connection], int]] = {
        "--key": lambda db: kept.clear_key(db, value),
        "--type": lambda db: kept.clear_type(db, value),
        "--tag": lambda db: kept.clear_tag(db, value),
        "--from": lambda db: _clear_from(db, value),
        "--stale": lambda db: kept.clear_stale(db, time.time()),
    }
    return ways[name]


def _clear_from(db: sqlite3.Connection, origin: str) -> int:
    """Forgets what was made from a file, or from a subtask named as TASK/SUBTASK."""
    import os

    from holdfast.checkpoints import cache as kept
    from holdfast.checkpoints import tasks
    from holdfast.checkpoints.errors import AmbiguousTask, UnknownTask

    task, _, subtask = origin.partition("/")
    if task and subtask and not Path(origin).exists():
        try:
            return kept.clear_tag(db, f"{kept.SUBTASK}{tasks.resolve(db, task)}/{subtask}")
        except (UnknownTask, AmbiguousTask):
            pass  # then it is a file that is not there any more
    return kept.clear_file(db, Path(os.path.abspath(Path(origin).expanduser())))


@cache.command("warm")
@click.argument("file")
@click.option("--workers", callback=whole(), metavar="N", help="Subtasks at once (default 8; 0 for no limit).")
@click.option("--budget", callback=amount, metavar="DOLLARS", help="Spend at most so much on the model, then ask.")
@TYPES
@shared
def warm(to: Target, file: str, workers: int | None, budget: float | None, types: tuple[str, ...]) -> int:
    """Have the answers made that a list of subtasks asks for, so that later tasks find them.

    FILE is a plan, or subtasks as a plan has them, in a JSON list or one to a line; an id may be left out. They run as
    a task of their own; exits as `holdfast run` does.
    """
    from holdfast.cli.preflight import prepare_types

    to.require_local()
    prepare_types(types)
    from holdfast.cli.warming import read
    from holdfast.nodes.registry import REGISTRY

    path = Path(file).expanduser()
    plan = read(path).checked(REGISTRY)
    limits = None if budget is None else {"cost": budget}

    async def begin(hf: Engine) -> Task:
        return await hf.start(f"Warm the cache from {path.name}", plan=plan, workers=workers, budget=limits)

    from holdfast.cli.foreground import work

    return work(to, begin, types=types)


def _told(name: str, one: Stats) -> str:
    from holdfast.cli.text import count, size

    stale = f" ({one.stale:,} stale)" if one.stale else ""
    saved = f", {one.saved_tokens:,} tokens and ${one.saved:.4f} saved" if one.hits else ""
    return f"{name}: {count(one.entries, 'answer')}{stale}, {size(one.bytes)}, {count(one.hits, 'hit')}{saved}"
