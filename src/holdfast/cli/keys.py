"""``keys``: who may use a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from holdfast.cli.common import Target, emit, shared

if TYPE_CHECKING:
    import sqlite3

    from holdfast.checkpoints.database import Work

T = TypeVar("T")
CLOSED = "every request is refused until `holdfast keys add NAME` makes one, or `holdfast keys off` asks for none"


@click.group()
def keys() -> None:
    """Make, list and revoke the keys that `holdfast serve` asks for.

    From the first one on every request needs one, also when all are revoked; each name sees its own tasks only.
    --db and --json may follow each of the commands.
    """


@keys.command("add")
@click.argument("name")
@shared
def add(to: Target, name: str) -> None:
    """Make a key for NAME and print it; it is shown this once only."""
    import time

    from holdfast.checkpoints import keys as stored
    from holdfast.checkpoints import tasks
    from holdfast.cli.text import count

    def work(db: sqlite3.Connection) -> tuple[str, bool, int]:
        return stored.add(db, name, time.time()), len(stored.names(db)) == 1, tasks.count(db, owner="")

    made, first, without = _change(to.path, work)
    if to.json:
        emit({"name": name, "key": made})
        return
    print(made)
    print(
        f"Keep it: it cannot be shown again. Clients send it as `Authorization: Bearer {made[:5]}…`.", file=sys.stderr
    )
    if first:
        print("It is the first: from now on a server on this database asks for a key.", file=sys.stderr)
    if first and without:
        print(
            f"What was begun without one ({count(without, 'task')}) goes on, but no key sees it: use --db.",
            file=sys.stderr,
        )


@keys.command("list")
@shared
def list_(to: Target) -> None:
    """List whose keys there are, and since when."""
    from datetime import UTC, datetime

    from holdfast.checkpoints import keys as stored
    from holdfast.checkpoints.events import timestamp

    with to.database() as store:
        found, asked = store.database.read(lambda db: (stored.names(db), stored.asked(db)))
    for name, at in found:
        made = timestamp(datetime.fromtimestamp(at, UTC))
        if to.json:
            emit({"name": name, "created_at": made})
        else:
            print(f"{name}  {made}")
    if not found and not to.json:
        print(f"no keys{f', and {CLOSED}' if asked else '; `holdfast keys add NAME` makes one'}")


@keys.command("revoke")
@click.argument("name")
@shared
def revoke(to: Target, name: str) -> None:
    """Make the key of NAME worthless; a running server notices within a second or two. Its tasks stay."""
    from holdfast.checkpoints import keys as stored
    from holdfast.checkpoints import tasks
    from holdfast.cli.text import count

    def work(db: sqlite3.Connection) -> tuple[bool, int]:
        stored.revoke(db, name)
        return bool(stored.names(db)), tasks.count(db, owner=name)

    left, stay = _change(to.existing(), work)
    if to.json:
        emit({"name": name, "revoked": True})
        return
    print(f"the key of {name} is revoked{'' if left else f'; it was the last, and {CLOSED}'}")
    if stay:
        print(f"{count(stay, 'task')} of {name} stay and go on; a new key for {name} sees them", file=sys.stderr)


@keys.command("off")
@shared
def off(to: Target) -> None:
    """Ask for keys no more: who can reach the server may use it. Refused while there is a key."""
    from holdfast.checkpoints import keys as stored

    _change(to.existing(), stored.off)
    if to.json:
        emit({"asked": False})
    else:
        print("requests need no key now")


def _change(path: Path, work: Work[T]) -> T:
    from holdfast.cli.store import Store

    store = Store(path)
    try:
        return store.database.write(work)
    finally:
        store.close()
