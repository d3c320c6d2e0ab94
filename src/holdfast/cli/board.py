"""What is known of a running task, kept up to date from its events rather than by asking for the whole again.

A plan of ten thousand subtasks is read once, when it is made; after that each event changes one entry.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import SETTLED, TERMINAL, SubtaskState, TaskState
from holdfast.graphs.task import SubtaskView, Task

PLANS = ("plan.made", "plan.revised")
RECENT = 12
TAIL = 400  # characters of what a model writes that are kept
SUBTASK_STATES = frozenset(SubtaskState)


@dataclass(slots=True)
class Entry:
    """One subtask; times are seconds since the epoch, ``done`` is between 0 and 1."""

    id: str
    name: str
    type: str
    description: str
    dependencies: list[str]
    minutes: float | None
    state: str
    started: float | None = None
    ended: float | None = None
    error: str | None = None
    done: float | None = None
    cost: float = 0.0  # dollars
    saying: str = ""  # the end of what a model writes for it now

    @property
    def seconds(self) -> float | None:
        """How long it took, once it has ended."""
        return self.ended - self.started if self.started is not None and self.ended is not None else None

    def elapsed(self, now: float) -> float | None:
        """How long it took, or has taken so far while it runs."""
        if self.state == SubtaskState.RUNNING and self.started is not None:
            return max(now - self.started, 0.0)
        return self.seconds


class Board:
    """The state of one task as its events tell it."""

    def __init__(self, task: Task, default_workers: int = 8) -> None:
        self.id, self.goal = task.id, task.goal
        self.workers: int = task.options.get("workers", default_workers)
        self.state = TaskState.SUBMITTED
        self.planning = False
        self.saying = ""  # the end of what a model writes to plan
        self.entries: dict[str, Entry] = {}
        self.counts: Counter[str] = Counter()
        self.running: dict[str, None] = {}  # in the order of their start
        self.recent: deque[str] = deque(maxlen=RECENT)  # the last that ended, newest first
        self.cost, self.budget = 0.0, task.budget.get("cost")  # dollars
        self.asked: dict[str, str] = {}  # open questions, and who asks
        self._asked_before: set[str] = set()
        self.seq = 0
        self.loaded_seq = -1

    @property
    def settled(self) -> int:
        """How many subtasks will not run again."""
        return sum(self.counts[state] for state in SETTLED)

    def has_told(self, question: str) -> bool:
        """Whether the event that tells of this question has been seen."""
        return question in self._asked_before

    def wants_plan(self, event: Event) -> bool:
        """Whether the event speaks of subtasks that are not known here."""
        if event.seq <= self.loaded_seq:
            return False
        new = bool(event.subtask) and not str(event.subtask).startswith("@") and event.subtask not in self.entries
        return new or event.type in PLANS

    def load(self, task: Task) -> None:
        """Takes the plan from a snapshot."""
        self.loaded_seq = task.last_seq
        self.entries = {one.id: entry(one) for one in task.plan.subtasks}
        self.counts = Counter(one.state for one in self.entries.values())
        self.running = {one.id: None for one in self.entries.values() if one.state == SubtaskState.RUNNING}

    def apply(self, event: Event) -> None:
        """Changes what the event says; a subtask's event that the snapshot already had changes nothing."""
        self.seq = event.seq
        kind, _, what = event.type.partition(".")
        if kind == "task" and what.upper() in TaskState.__members__:
            self.state = TaskState(what.upper())
            if self.state in TERMINAL:
                self.asked.clear()
        elif kind == "question":
            self._question(event, what)
        elif kind == "usage":
            self.saying = ""
            self.cost += event.data["cost"]
            if event.subtask in self.entries:
                self.entries[event.subtask].cost += event.data["cost"]
                self.entries[event.subtask].saying = ""  # that call has ended
        elif kind == "subtask" and event.subtask and event.subtask.startswith("@"):
            self.planning, self.saying = what == SubtaskState.RUNNING, ""
        elif kind == "subtask" and event.subtask in self.entries and what in SUBTASK_STATES:
            if event.seq > self.loaded_seq:
                self._change(self.entries[event.subtask], what, event)
            elif what in SETTLED:
                self._remember(event.subtask)

    def progress(self, subtask: str | None, done: float, total: float) -> None:
        """Notes live progress."""
        if subtask in self.entries and total > 0:
            self.entries[subtask].done = min(max(done / total, 0.0), 1.0)

    def token(self, subtask: str | None, text: str) -> None:
        """Notes what a model writes now."""
        if subtask in self.running:
            one = self.entries[subtask]
            one.saying = (one.saying + text)[-TAIL:]
        elif self.planning:
            self.saying = (self.saying + text)[-TAIL:]

    def _question(self, event: Event, what: str) -> None:
        question = str(event.data.get("question"))
        if what == "asked":
            self.asked[question] = event.subtask or ""
            self._asked_before.add(question)
        else:
            self.asked.pop(question, None)

    def _change(self, one: Entry, state: str, event: Event) -> None:
        self.counts[one.state] -= 1
        self.counts[state] += 1
        one.state, one.saying = state, ""
        self.running.pop(one.id, None)
        if state == SubtaskState.RUNNING:
            one.started, one.ended, one.error, one.done = event.at.timestamp(), None, None, None
            self.running[one.id] = None
        elif state in SETTLED:
            self.asked = {question: subtask for question, subtask in self.asked.items() if subtask != one.id}
            one.ended = event.at.timestamp()
            self._remember(one.id)
        one.error = event.data.get("error") or event.data.get("reason")

    def _remember(self, subtask: str) -> None:
        self.recent.appendleft(subtask)


def entry(view: SubtaskView) -> Entry:
    """A board's entry from a snapshot's."""
    return Entry(
        view.id,
        view.name,
        view.type,
        view.description,
        view.dependencies,
        view.estimated_time,
        view.state.value,
        view.started_at.timestamp() if view.started_at else None,
        view.ended_at.timestamp() if view.ended_at else None,
        view.error,
    )
