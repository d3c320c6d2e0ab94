"""How tasks, one task and events look to people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import SubtaskState, TaskState
from holdfast.cli.board import Entry, entry
from holdfast.cli.common import Target
from holdfast.cli.ending import artifacts, questions, trouble
from holdfast.cli.frame import LEAST, tree
from holdfast.cli.text import age, clean, clock, cut, duration, money, symbol, words
from holdfast.cli.views import console
from holdfast.graphs.standing import Standing
from holdfast.graphs.task import Stop, Task

WIDE = 104  # for a pipe
RESULTS = 20  # lines of results
ALONE = Text("!", "bold yellow")  # in the place of the state's sign


def task_list(tasks: Sequence[Task], total: int, to: Target) -> None:
    """One line for each task, of ``total`` that there are."""
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
        sign = ALONE if _alone(task) else symbol(task.state)
        line = Text.assemble(f"{task.id[:8]}  ", sign, f" {words(task.state):<14}")
        line.append(f"  {share:>13}  {age(now - task.created_at.timestamp()):>6}  ")
        line.append(cut(clean(task.goal), max(width - line.cell_len, 10)))
        out.print(line, soft_wrap=True)
    if any(map(_alone, tasks)):
        out.print(
            Text.assemble(ALONE, f" nobody works on it; go on with: {to.command('resume', 'TASK')}"), soft_wrap=True
        )
    if total > len(tasks):
        out.print(Text(f"… and {total - len(tasks):,} older; --limit {total} lists all", "dim"), soft_wrap=True)


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
    yield Text.assemble(symbol(task.state), " ", (words(task.state), "bold"), *_why(task, to))
    yield Text(task.id, "dim")
    yield Text(f"begun {clock(task.created_at)}, {_lasted(task)}", "dim")
    subtasks = task.plan.subtasks
    if subtasks:
        done = sum(one.state == SubtaskState.COMPLETED for one in subtasks)
        yield Text()
        revision = f", revision {task.plan.revision}" if task.plan.revision > 1 else ""
        yield Text(f"plan: {done:,} of {len(subtasks):,} completed{revision}", "dim")
        yield from tree(_entries(task), width, time.time(), ids=True)
    yield from trouble(task)
    yield from _held(standing)
    if standing.uncertain:
        steps = f"{standing.uncertain:,} step{'' if standing.uncertain == 1 else 's'}"
        yield Text.assemble(("  ! ", "yellow"), f"{steps} uncertain; {to.resume(task.id)} --explain says more")
    yield from questions(task, to)
    yield from _answers(standing.answered, width)
    yield from _results(standing.results, width)
    if task.artifacts:
        yield Text()
        yield Text("artifacts", "dim")
        yield from artifacts(task.artifacts)
    if task.usage.get("input_tokens") or task.usage.get("output_tokens") or task.budget:
        yield Text()
        yield Text(_usage(task), "dim")


def _held(standing: Standing) -> Iterator[Text]:
    """One line for each held subtask: who holds it, and why."""
    for subtask, stops in standing.holds.items():
        by = ", ".join(f"{who} ({clean(reason)})" if reason else who for who, reason in stops.items())
        yield Text.assemble("  ", symbol("held"), f" {clean(subtask)} is held by {by}")


def _answers(answered: Sequence[Question], width: int) -> Iterator[Text]:
    """What was asked and answered: two lines each."""
    if not answered:
        return
    yield Text()
    yield Text("answered", "dim")
    for one in answered:
        who = "" if one.subtask.startswith("@") else f"{clean(one.subtask)} asked: "
        yield Text(cut(f"  {clean(one.id)}  {who}{clean(one.prompt)}", width))
        said = "withdrawn" if one.answer is None else clean(one.answer)
        by = f"  by {clean(one.answered_by)}" if one.answer is not None and one.answered_by else ""
        yield Text.assemble("      ", cut(said, width - 6 - len(by)), (by, "dim"))


def _results(results: Sequence[tuple[str, bytes | None]], width: int) -> Iterator[Text]:
    """One line for each small result, cut to the width; the others are only counted."""
    small = [(clean(subtask), clean(body.decode(errors="replace"))) for subtask, body in results if body]
    told = [(subtask, value) for subtask, value in small if value != "null"][:RESULTS]
    if not told:
        return
    yield Text()
    yield Text("results", "dim")
    column = max(cell_len(subtask) for subtask, _ in told) + 4
    for subtask, value in told:
        line = Text(f"  {subtask}")
        line.pad_right(column - line.cell_len)
        yield line.append(cut(value, max(width - column, LEAST)))
    if more := len(results) - len(told) - sum(value == "null" for _, value in small):
        yield Text(f"  and {more:,} more or larger", "dim")


def _entries(task: Task) -> list[Entry]:
    """The plan's rows; what a runner left behind when it was lost is not at work, and its clock stands."""
    entries = [entry(one) for one in task.plan.subtasks]
    for one in entries if task.runner is None else []:
        if one.state == SubtaskState.RUNNING:
            one.state, one.started, one.description = SubtaskState.READY, None, "broken off; runs again"
    return entries


def _alone(task: Task) -> bool:
    """Whether somebody should be at work on the task and nobody is."""
    return task.runner is None and task.state in (TaskState.SUBMITTED, TaskState.WORKING)


def _why(task: Task, to: Target) -> Iterator[Text]:
    """What is to be said beside the state."""
    if task.state == TaskState.PAUSED:
        yield Text(", ".join(f" by {who}{_stop(stop)}" for who, stop in task.stopped_by.items()))
    if task.in_flight:
        yield Text(f", {task.in_flight} under way")
    elif _alone(task):
        yield Text(f", but nobody works on it; go on with: {to.resume(task.id)}")
    elif task.state == TaskState.WORKING:
        yield Text(", nothing under way")


def _stop(stop: Stop) -> str:
    until = f" until {clock(stop.until)}" if stop.until else ""
    return until + (f": {clean(stop.reason)}" if stop.reason else "")


def _lasted(task: Task) -> str:
    return f"last change after {duration((task.updated_at - task.created_at).total_seconds())}"


def _usage(task: Task) -> str:
    usage = task.usage
    about = "about " if usage.get("estimated") else ""
    told = [f"{usage['input_tokens']:,} tokens in", f"{usage['output_tokens']:,} out", about + money(usage["cost"])]
    if task.cost_to_finish is not None:
        told.append(f"about {money(task.cost_to_finish)} to finish")
    units = {"cost": money, "tokens": lambda limit: f"{limit:,.0f} tokens", "seconds": duration}
    limits = [units[name](limit) for name, limit in task.budget.items()]
    return f"usage: {', '.join(told)}" + (f"; budget: {', '.join(limits)}" if limits else "")


def _width() -> int:
    return console(sys.stdout).width if sys.stdout.isatty() else WIDE
