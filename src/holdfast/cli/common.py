"""What all commands share: ``--db``, ``--server`` and ``--json``, reading what is there, and JSON Lines."""

from __future__ import annotations

import functools
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from holdfast.cli.remote_store import RemoteStore
    from holdfast.cli.store import Store

MOST = 2**63 - 1  # to which SQLite counts
DIGITS = 20
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Which database or server, and whether a program reads what is printed; ``named`` if the server was an option."""

    db: str | None
    json: bool
    server: str | None = None
    named: bool = False

    @property
    def path(self) -> Path:
        """Where the database is, or will be; raises BadInput if a server is meant."""
        from holdfast.graphs.settings import database_path

        self.require_local()
        return database_path(self.db)

    def require_local(self) -> None:
        """Raises BadInput if a server is meant, for a command that works on a database."""
        from holdfast.checkpoints.errors import BadInput

        if self.server:
            how = "leave out --server" if self.named else "unset HOLDFAST_SERVER, or name a database with --db"
            raise BadInput(f"this command works on a database here, not on the server {self.server}; {how}")

    @property
    def can_pause(self) -> bool:
        """Whether pausing is switched on here; a server says so itself."""
        from holdfast.graphs.settings import pause_resume_on

        return bool(self.server) or pause_resume_on()

    def existing(self) -> Path:
        """The database's path; raises BadInput if there is none, so that looking never makes one."""
        from holdfast.checkpoints.errors import BadInput

        if not self.path.exists():
            raise BadInput(
                f"there is no database {self.path}; `holdfast run` makes it, --db or HOLDFAST_DB name another"
            )
        return self.path

    @contextmanager
    def reading(self) -> Iterator[Store | RemoteStore]:
        """The open database, or the server, for commands that only look, or change rows and leave the work to others.

        Not for coroutines.
        """
        if not self.server:
            with self.database() as store:
                yield store
            return
        from holdfast.cli.remote_store import RemoteStore

        there = RemoteStore(self.server)
        try:
            yield there
        finally:
            there.close()

    @contextmanager
    def database(self) -> Iterator[Store]:
        """The open database; raises BadInput if a server is meant."""
        from holdfast.cli.store import Store

        store = Store(self.existing())
        try:
            yield store
        finally:
            store.close()

    def resume(self, task: str, types: Sequence[str] = ()) -> str:
        """The command that carries on with a task."""
        return self.command("resume", task[:8], *(word for one in types for word in ("--types", one)))

    def command(self, *words: str) -> str:
        """A command as a person types it to reach this database or server."""
        place = ["--server", self.server] if self.server and self.named else ["--db", self.db] if self.db else []
        return shlex.join(["holdfast", *words, *place])


def whole(least: int = 0, most: int | None = None) -> Callable[..., int | None]:
    """The callback of an option whose value is a whole number in that range, as SQLite can hold it."""

    def read(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        number = int(value) if value.isdecimal() and len(value) < DIGITS else None
        if number is not None and least <= number <= (MOST if most is None else most):
            return number
        to = "or more" if most is None else f"to {most:,}"
        raise click.BadParameter(f"{value} is not a whole number of {least} {to}")

    return read


def amount(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The callback of an option whose value is a number above 0."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if 0 < number < math.inf:
        return number
    raise click.BadParameter(f"{value} is not a number above 0")


def shared(command: Command) -> Command:
    """Adds ``--db``, ``--server`` and ``--json`` to a command, which gets them as ``to``.

    A reader that goes away ends it quietly.
    """

    @click.option("--db", type=click.Path(dir_okay=False), metavar="PATH", help="The database file.")
    @click.option("--server", metavar="URL", help="A server to work with instead (HOLDFAST_SERVER, HOLDFAST_API_KEY).")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, and nothing else, on stdout.")
    @functools.wraps(command)
    def with_target(*args: Any, db: str | None, server: str | None, as_json: bool, **kwargs: Any) -> Any:
        if db and server:
            raise click.UsageError("--db and --server name two places; give one of them")
        named, server = bool(server), server or (None if db else os.environ.get("HOLDFAST_SERVER") or None)
        if as_json and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as RFC 8259 has it, whatever the terminal's is
        try:
            outcome = command(*args, to=Target(db, as_json, server, named), **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            close_stdout()
            return 0
        return outcome

    return with_target  # type: ignore[return-value]


def emit(value: Any) -> None:
    """One JSON line on stdout, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def close_stdout() -> None:
    """Points stdout at nothing, so that the interpreter does not stumble over the closed pipe when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
