"""What all commands share: ``--db`` and ``--json``, reading a database that is there, and JSON Lines."""

from __future__ import annotations

import functools
import json
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
    from holdfast.cli.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Which database, and whether a program reads what is printed."""

    db: str | None
    json: bool

    @property
    def path(self) -> Path:
        """Where the database is, or will be."""
        from holdfast.graphs.settings import database_path

        return database_path(self.db)

    def existing(self) -> Path:
        """The database's path; raises BadInput if there is none, so that looking never makes one."""
        from holdfast.checkpoints.errors import BadInput

        if not self.path.exists():
            raise BadInput(
                f"there is no database {self.path}; `holdfast run` makes it, --db or HOLDFAST_DB name another"
            )
        return self.path

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The open database, for commands that only look, or change rows and leave the work to others."""
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
        """A command as a person types it to reach this database."""
        return shlex.join(["holdfast", *words, *(["--db", self.db] if self.db else [])])


def shared(command: Command) -> Command:
    """Adds ``--db`` and ``--json`` to a command, which gets them as ``to``; a reader that goes away ends it quietly."""

    @click.option("--db", type=click.Path(dir_okay=False), metavar="PATH", help="The database file.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, and nothing else, on stdout.")
    @functools.wraps(command)
    def with_target(*args: Any, db: str | None, as_json: bool, **kwargs: Any) -> Any:
        if as_json and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as RFC 8259 has it, whatever the terminal's is
        try:
            outcome = command(*args, to=Target(db, as_json), **kwargs)
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
