"""The commands: they parse, ask the layers below, print, and turn outcomes into exit codes.

Every module that is imported here stays light (click and the standard library): what a command needs of LangGraph,
pydantic or rich it imports when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from holdfast.cli import interrupted
from holdfast.cli.answer import answer
from holdfast.cli.cache import cache
from holdfast.cli.control import cancel, pause, retry, skip
from holdfast.cli.demo import demo
from holdfast.cli.doctor import doctor
from holdfast.cli.exits import report, report_usage
from holdfast.cli.graph import graph
from holdfast.cli.keys import keys
from holdfast.cli.look import events, show, tasks
from holdfast.cli.prune import prune
from holdfast.cli.serve import serve
from holdfast.cli.verify import verify
from holdfast.cli.work import resume, run

COMMANDS = (
    run,
    tasks,
    show,
    events,
    pause,
    resume,
    answer,
    cancel,
    retry,
    skip,
    graph,
    verify,
    prune,
    cache,
    doctor,
    serve,
    keys,
    demo,
)


class Commands(click.Group):
    """Lists the commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as they were added."""
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Reads the words, and prints help; Ctrl-C is told by ``dispatch``, and once."""
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            raise click.Abort from None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; Ctrl-C as in ``make_context``."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None


def _version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"holdfast {version('holdfast')}")
        ctx.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Runs plans of subtasks in parallel, and lets you pause, resume and crash them without losing finished work.

    State lives in --db PATH, else $HOLDFAST_DB, else .holdfast/holdfast.db. Wherever a command wants a TASK, the
    beginning of its id is enough. --db, --server and --json may follow every command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in COMMANDS:
    cli.add_command(_command)


def dispatch(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    _prepare_streams()
    try:
        code = cli.main(args=arguments, prog_name="holdfast", standalone_mode=False)
    except click.Abort:
        return interrupted()
    except click.ClickException as error:
        return report_usage(error)
    except Exception as error:
        return report(error)
    return code if isinstance(code, int) else 0


def _prepare_streams() -> None:
    """Characters that a terminal lacks become "?" rather than an error, and logs become one line each."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    debugging = bool(os.environ.get("HOLDFAST_DEBUG"))
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter() if debugging else _OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if not debugging:
        for ours in ("holdfast", "asyncio"):  # their errors reach the person as sentences, by their exceptions
            logging.getLogger(ours).setLevel(logging.CRITICAL)
        logging.getLogger("holdfast.task").setLevel(logging.WARNING)


class _OneLine(logging.Formatter):
    """Messages without their tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return f"{record.levelname.lower()}: {' '.join(record.getMessage().split())}"
