"""The last lines of a run: how it ended, what it made, and what to type next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TextIO

from rich.text import Text

from holdfast.checkpoints.states import TERMINAL, SubtaskState, TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.cli import asking
from holdfast.cli.common import Target
from holdfast.cli.text import clean, count, duration, near, size, symbol, words
from holdfast.cli.views import console
from holdfast.graphs.task import Task

FIRST = ("report.pdf", "report.html", "report.md", "evidence.json")
FAILURES = 5


def show(task: Task, seconds: float, to: Target, stream: TextIO, types: Sequence[str]) -> None:
    """Prints the summary of a foreground run that lasted ``seconds``."""
    lines = [_outcome(task, seconds), *trouble(task), *questions(task, to), *artifacts(task.artifacts)]
    lines.append(Text.assemble(("next  ", "dim"), _next(task, to, types)))
    out = console(stream)
    if stream.isatty():
        out.print()
    for line in lines:
        out.print(line, soft_wrap=True)


def artifacts(rows: Sequence[ArtifactRow]) -> list[Text]:
    """Each file with its path, the report first; a folder that has more than two of them is one line."""
    folders: dict[str, list[ArtifactRow]] = defaultdict(list)
    for one in rows:
        handed_out = one.path.endswith(one.name)  # and not only kept beside the database
        folders[str(PurePosixPath(one.name).parent) if handed_out else "."].append(one)
    alone = [one for folder, some in folders.items() for one in some if folder == "." or len(some) < 3]
    many = {folder: some for folder, some in folders.items() if folder != "." and len(some) >= 3}
    alone.sort(key=lambda one: (FIRST.index(one.name) if one.name in FIRST else len(FIRST), one.name))
    lines = [line for one in alone for line in _artifact(one)]
    for _, some in sorted(many.items()):
        folder = near(some[0].path.rpartition("/")[0])
        lines.append(_sized(sum(one.bytes for one in some), f"{folder}/  ({len(some)} files)"))
    return lines


def _artifact(one: ArtifactRow) -> list[Text]:
    """A file's size and path; its name comes first where the path does not end in it."""
    path = near(one.path)
    if path.endswith(one.name):
        return [_sized(one.bytes, path)]
    return [_sized(one.bytes, one.name), Text(f"{'':>11}{clean(path)}", "dim")]


def _sized(count: int, text: str) -> Text:
    return Text.assemble((f"{size(count):>9}  ", "dim"), clean(text))


def questions(task: Task, to: Target) -> list[Text]:
    """What waits for an answer: who asks what, the form of an answer, and the command that gives it."""
    lines = []
    for one in task.questions:
        who = "" if one.subtask.startswith("@") else f"{clean(one.subtask)} asks: "
        given = asking.default(one)
        form = asking.hint(one) + (f"; default {given}" if given is not None else "")
        lines += [
            Text.assemble(("  ? ", "bold magenta"), who, clean(one.prompt), (f"  {clean(one.id)}", "dim")),
            Text(f"    {clean(form)}", "dim"),
            Text.assemble(("    answer  ", "dim"), clean(asking.command(to, task.id, one))),
        ]
    return lines


def ask(task: Task, to: Target, stream: TextIO) -> None:
    """Prints the open questions only."""
    out = console(stream)
    for line in questions(task, to):
        out.print(line, soft_wrap=True)


def _outcome(task: Task, seconds: float) -> Text:
    done = sum(one.state == SubtaskState.COMPLETED for one in task.plan.subtasks)
    state = {TaskState.WORKING: "handed over", TaskState.SUBMITTED: "handed over"}.get(task.state, words(task.state))
    line = Text.assemble(symbol(task.state), " ", (state, "bold"), f" after {duration(seconds)}")
    if task.plan.subtasks:
        line.append(f": {done:,} of {count(len(task.plan.subtasks), 'subtask')} completed")
    if task.state == TaskState.PAUSED and task.pause_reason:
        line.append(f" ({clean(task.pause_reason)})")
    return line


def trouble(task: Task) -> list[Text]:
    """What went wrong, in full: each failed subtask, else the task's own error."""
    failed = [one for one in task.plan.subtasks if one.state == SubtaskState.FAILED]
    lines = [Text(f"  ✗ {clean(one.id)}: {clean(one.error or 'failed')}", "red") for one in failed[:FAILURES]]
    if len(failed) > FAILURES:
        lines.append(Text(f"  … and {len(failed) - FAILURES:,} more", "red"))
    if not lines and task.error:
        lines = [Text(f"  {clean(task.error)}", "red")]
    return lines


def _next(task: Task, to: Target, types: Sequence[str]) -> str:
    if task.state in TERMINAL:
        return to.command("show", task.id[:8])
    return to.resume(task.id, types) + (" (once it is answered)" if task.state == TaskState.INPUT_REQUIRED else "")
