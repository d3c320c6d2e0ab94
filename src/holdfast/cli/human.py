"""How tasks, one task and events look to people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence

from rich.text import Text

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import SubtaskState, TaskState
from holdfast.cli.board import entry
from holdfast.cli.common import Target
from holdfast.cli.ending import artifacts, questions, trouble
from holdfast.cli.frame import tree
from holdfast.cli.store import Standing
from holdfast.cli.text import age, clean, clock, cut, duration, symbol, words
from holdfast.cli.views import console
from holdfast.graphs.task import Task

WIDE = 104  # for a pipe


def task_list(tasks: Sequence[Task]) -> None:
    """One line for each task."""
    out = console(sys.stdout)
    if not tasks:
        out.print("no tasks", soft_wrap=True)
        return
    width, now = _width(), time.time()
    out.print(Text(f"{'task':<8}  {'state':<16}  {'subtasks':>13}  {'age':>6}  goal", "dim"), soft_wrap=True)
    for task in tasks:
        subtasks = task.plan.subtasks
        done = sum(one.state == SubtaskState.COMPLETED for one in subtasks)
        share = f"{done:,}/{len(subtasks):,}" if subtasks else "-"
        line = Text.assemble(f"{task.id[:8]}  ", symbol(task.state), f" {words(task.state):<14}")
        line.append(f"  {share:>13}  {age(now - task.created_at.timestamp()):>6}  ")
        line.append(cut(clean(task.goal), max(width - line.cell_len, 10)))
        out.print(line, soft_wrap=True)


def task_page(task: Task, standing: Standing, to: Target) -> None:
    """Everything about one task."""
    out = console(sys.stdout)
    for line in _page(task, standing, to, _width()):
        out.print(line, soft_wrap=True)


def event_line(event: Event) -> None:
    """One event; what it carries follows as ``key=value``."""
    data = "  ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in event.data.items()
    )
    at = f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}.{event.at.microsecond // 1000:03d}"
    parts = [f"{event.seq:>6}", at, f"{event.type:<20}", clean(event.subtask or ""), clean(data)]
    sys.stdout.write("  ".join(part for part in parts if part).rstrip() + "\n")
    sys.stdout.flush()


def _page(task: Task, standing: Standing, to: Target, width: int) -> Iterator[Text]:
    yield Text(clean(task.goal), "bold")
    yield Text.assemble(symbol(task.state), " ", (words(task.state), "bold"), *_why(task, standing))
    yield Text(f"{task.id}   begun {clock(task.created_at)}   {_lasted(task)}", "dim")
    subtasks = task.plan.subtasks
    if subtasks:
        done = sum(one.state == SubtaskState.COMPLETED for one in subtasks)
        yield Text()
        revision = f", revision {task.plan.revision}" if task.plan.revision > 1 else ""
        yield Text(f"plan: {done:,} of {len(subtasks):,} completed{revision}", "dim")
        yield from tree([entry(one) for one in subtasks], width, time.time())
    yield from trouble(task)
    yield from _held(standing)
    if standing.uncertain:
        steps = f"{standing.uncertain:,} step{'' if standing.uncertain == 1 else 's'}"
        yield Text.assemble(("  ! ", "yellow"), f"{steps} uncertain; {to.resume(task.id)} --explain says more")
    yield from questions(task, to)
    if task.artifacts:
        yield Text()
        yield Text("artifacts", "dim")
        yield from artifacts(task.artifacts)
    if task.usage.get("input_tokens") or task.usage.get("output_tokens"):
        yield Text()
        yield Text(_usage(task), "dim")


def _held(standing: Standing) -> Iterator[Text]:
    """One line for each held subtask: who holds it, and why."""
    for subtask, stops in standing.holds.items():
        by = ", ".join(f"{who} ({clean(reason)})" if reason else who for who, reason in stops.items())
        yield Text.assemble("  ", symbol("held"), f" {clean(subtask)} is held by {by}")


def _why(task: Task, standing: Standing) -> Iterator[Text]:
    """What is to be said beside the state."""
    if task.state == TaskState.PAUSED:
        reason = f": {clean(task.pause_reason)}" if task.pause_reason else ""
        until = f" until {clock(standing.until)}" if standing.until else ""
        yield Text(f" by {task.paused_by}{until}{reason}")
    if task.in_flight:
        yield Text(f", {task.in_flight} under way")
    elif task.state == TaskState.WORKING:
        yield Text(", nothing under way")


def _lasted(task: Task) -> str:
    return f"last change after {duration((task.updated_at - task.created_at).total_seconds())}"


def _usage(task: Task) -> str:
    usage = task.usage
    about = "about " if usage.get("estimated") else ""
    return f"usage: {usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out, {about}{usage['cost']:.2f}"


def _width() -> int:
    return console(sys.stdout).width if sys.stdout.isatty() else WIDE
