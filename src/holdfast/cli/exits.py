"""From outcomes to exit codes: the only place in the command line that knows them."""

from __future__ import annotations

import os
import sys
import traceback

import click

from holdfast.checkpoints.errors import (
    AlreadyAnswered,
    AmbiguousTask,
    BadInput,
    HandedOver,
    HoldfastError,
    IllegalMove,
    InvalidAnswer,
    InvalidPlan,
    LeaseHeld,
    LeaseLost,
    MissingTypes,
    StepRepeated,
    StoreError,
    SwitchedOff,
    UnknownQuestion,
    UnknownSubtask,
    UnknownTask,
)
from holdfast.checkpoints.states import TaskState

COMPLETED, FAILED, REFUSED, PAUSED, ASKED, CANCELED, HANDED_OVER = range(7)
UNEXPECTED = 1

STATES: dict[TaskState, int] = {
    TaskState.COMPLETED: COMPLETED,
    TaskState.FAILED: FAILED,
    TaskState.REJECTED: FAILED,
    TaskState.PAUSED: PAUSED,
    TaskState.INPUT_REQUIRED: ASKED,
    TaskState.AUTH_REQUIRED: ASKED,
    TaskState.CANCELED: CANCELED,
    TaskState.SUBMITTED: HANDED_OVER,
    TaskState.WORKING: HANDED_OVER,
}
ERRORS: tuple[tuple[type[Exception], int], ...] = (  # the first that fits
    (BadInput, REFUSED),
    (UnknownTask, REFUSED),
    (AmbiguousTask, REFUSED),
    (UnknownSubtask, REFUSED),
    (UnknownQuestion, REFUSED),
    (AlreadyAnswered, REFUSED),
    (InvalidAnswer, REFUSED),
    (IllegalMove, REFUSED),
    (SwitchedOff, REFUSED),
    (MissingTypes, REFUSED),
    (LeaseHeld, REFUSED),
    (LeaseLost, HANDED_OVER),
    (HandedOver, HANDED_OVER),
    (StoreError, REFUSED),
    (StepRepeated, REFUSED),
    (HoldfastError, REFUSED),
    (Exception, UNEXPECTED),
)
FAULTS_SHOWN = 20
ISSUES = "please report it with the command and the output of HOLDFAST_DEBUG=1"


def code_of(error: Exception) -> int:
    """The exit code for an error."""
    return next(code for kind, code in ERRORS if isinstance(error, kind))


def report(error: Exception) -> int:
    """Says on stderr what went wrong, in a sentence; returns the exit code."""
    if os.environ.get("HOLDFAST_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, InvalidPlan):
        _complain("the plan cannot run:")
        for fault in error.faults[:FAULTS_SHOWN]:
            print(f"  - {_line(fault)}", file=sys.stderr)
        if (more := len(error.faults) - FAULTS_SHOWN) > 0:
            print(f"  … and {more:,} more", file=sys.stderr)
    elif isinstance(error, HoldfastError):
        _complain(str(error))
    else:
        _complain(f"something unexpected happened ({type(error).__name__}: {error}); {ISSUES}")
    return code_of(error)


def report_usage(error: click.ClickException) -> int:
    """Says on stderr, in one sentence, how the command was misused."""
    text = _misuse(error)
    context = error.ctx if isinstance(error, click.UsageError) else None
    misplaced = isinstance(error, click.NoSuchOption) and error.option_name in ("--db", "--json")
    if isinstance(error, click.NoSuchOption) and misplaced and context and context.parent is None:
        text = f"{error.option_name} comes after the command"
    where = context.command_path if context else "holdfast"
    _complain(f"{text}{' ' if text.endswith('?') else '; '}`{where} --help` says more")
    return REFUSED


def _misuse(error: click.ClickException) -> str:
    """What click found, with the option or argument first, and without its full stop."""
    if possible := getattr(error, "possibilities", None):
        return f"{_begin(error.message)}; did you mean {' or '.join(possible)}?"
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter) and error.param:
        name = error.param.opts[0] if isinstance(error.param, click.Option) else (error.param.name or "").upper()
        return f"{name}: {error.message.rstrip('.')}"
    return _begin(error.format_message())


def _begin(text: str) -> str:
    """The beginning of a sentence that goes on: no capital, no full stop."""
    return f"{text[:1].lower()}{text[1:].strip().rstrip('.')}"


def _complain(sentence: str) -> None:
    print(f"error: {_line(sentence)}", file=sys.stderr)


def _line(text: str) -> str:
    """One line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
