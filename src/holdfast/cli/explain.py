"""What ``resume --explain`` tells people: one line for each subtask, and what to do about the uncertain."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence

from rich.text import Text

from holdfast.checkpoints.states import SETTLED, TERMINAL
from holdfast.cli.common import Target
from holdfast.cli.text import clean, symbol, words
from holdfast.cli.views import console
from holdfast.graphs.explain import Explanation
from holdfast.graphs.task import Task

POLICIES = {
    "repeat": "is repeated",
    "ask": "asks a person first",
    "fail": "fails its subtask",
    "unknown type": "depends on its type, which is not loaded here (--types)",
}
SHOWN = 100


def page(to: Target, task: Task, told: Explanation) -> None:
    """Prints the explanation."""
    out = console(sys.stdout)
    out.print(Text(clean(task.goal), "bold"), soft_wrap=True)
    out.print(_head(to, task), soft_wrap=True)
    for title, rows in _groups(task, told):
        if rows:
            out.print()
            out.print(Text(title, "dim"), soft_wrap=True)
            for row in rows[:SHOWN]:
                out.print(row, soft_wrap=True)
            if len(rows) > SHOWN:
                out.print(Text(f"… and {len(rows) - SHOWN:,} more", "dim"), soft_wrap=True)


def _head(to: Target, task: Task) -> Text:
    line = Text.assemble(symbol(task.state), " ", (words(task.state), "bold"))
    if task.state in TERMINAL:
        return line.append("; there is nothing to resume")
    if task.runner:
        return line.append(f"; {task.runner} works on it now, so this changes while you read")
    return line.append(f"; nothing was done now; carry on with: {to.resume(task.id)}")


def _groups(task: Task, told: Explanation) -> list[tuple[str, list[Text]]]:
    """(title, lines) of each part."""
    ended = task.state in TERMINAL
    kept = told.kept_steps
    return [
        (_count("reused as it is", told.reused), [_row(task, one) for one in told.reused]),
        (
            _count("runs again" if not ended else "had begun", told.run_again),
            [_row(task, one, _steps(kept.get(one, 0))) for one in told.run_again],
        ),
        (_count("not started yet", told.not_started), [_row(task, one) for one in told.not_started]),
        (_count("stays as it ended", told.settled), [_row(task, one) for one in told.settled]),
        (f"uncertain: begun, without a receipt ({len(told.uncertain):,})", _uncertain(told)),
    ]


def _count(title: str, some: Sequence[str]) -> str:
    return f"{title} ({len(some):,})"


def _steps(count: int) -> str:
    if not count:
        return "from its beginning"
    return f"{count:,} step{'' if count == 1 else 's'} kept, from the next one on"


def _row(task: Task, subtask: str, more: str = "") -> Text:
    one = task.plan[subtask]
    held = f"held by {', '.join(one.stops)}" if one.stops and one.state not in SETTLED else ""
    note = "; ".join(filter(None, [more, held]))
    line = Text.assemble("  ", symbol(one.state), " ", clean(one.id))
    return line.append(f"  {note}", "dim") if note else line


def _uncertain(told: Explanation) -> list[Text]:
    by_policy = defaultdict(list)
    for one in told.uncertain:
        by_policy[one.policy].append(f"{clean(one.subtask)}/{clean(one.step)}")
    return [
        Text.assemble(("  ! ", "yellow"), name, (f"  {POLICIES.get(policy, policy)}", "dim"))
        for policy, names in by_policy.items()
        for name in names
    ]
