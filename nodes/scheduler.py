"""What runs next: a reducer from (state, event) to commands.  It knows no clock, no loop, no disk and no LangGraph.

Ready subtasks start by *longest remaining path*: the time from a subtask's start to the end of the plan along its
slowest chain of successors (the critical-path rule of list scheduling: R. L. Graham, "Bounds on multiprocessing timing
anomalies", 1969; T. C. Hu, 1961).  Ties go to the plan's order, so equal events always give equal commands.

``apply`` changes the scheduler in place and returns commands: a copy of the state at every event would cost O(n²) for a
plan.  Everything it needs comes in as a value, so a test can call it ten thousand times without a loop.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

BACKOFF_SECONDS, BACKOFF_CAP = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """What the scheduler needs to know of a subtask; ``weight`` is its expected time in any unit."""

    id: str
    dependencies: tuple[str, ...] = ()
    weight: float = 1.0
    priority: int = 0
    retries: int = 0
    attempts: int = 0
    on_failure: str = "continue"
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A body returned; its value is recorded by the command that answers this."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A body raised; ``final`` forbids a retry."""

    subtask: str
    error: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """A body ended without a result because the task was stopped, or its start was refused."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A body asked a question; it starts again once that is answered."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody did something to a subtask: this is how its row stands now.

    ``held``: it may not start; ``dead``: it will not run (any more), and why; ``attempts`` it has used up.
    """

    subtask: str
    held: bool = False
    dead: str | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Go:
    """What was halted may start again."""


@dataclass(frozen=True, slots=True)
class Due:
    """The wait before a retry is over."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more may start."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a subtask's body once this command is committed."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Record:
    """Record a completed subtask's result."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Record a subtask as failed for good; ``then`` is its policy: continue, fail_fast or rollback."""

    subtask: str
    error: str
    then: str = "continue"


@dataclass(frozen=True, slots=True)
class Ask:
    """Record the question that a subtask asked."""

    subtask: str


@dataclass(frozen=True, slots=True)
class Consult:
    """A subtask failed for good and its policy is to ask what now."""

    subtask: str
    error: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Record a subtask as skipped: something it depends on did not complete."""

    subtask: str
    reason: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """Record a subtask as waiting again; an ``error`` used up an attempt, and ``Due`` comes after ``wait`` seconds."""

    subtask: str
    error: str | None = None
    wait: float = 0.0


Event: TypeAlias = Completed | Failed | Stopped | Asked | Changed | Due | Halt | Go
Command: TypeAlias = Start | Record | Fail | Skip | SendBack | Ask | Consult


class Scheduler:
    """The state of one plan's run.  ``jobs`` lists every subtask after its dependencies, as a valid plan does."""

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: int = 0,
        completed: Iterable[str] = (),
        dead: Mapping[str, str] | None = None,
        held: Iterable[str] = (),
    ) -> None:
        """``workers`` 0 is no limit; ``dead`` maps subtasks that failed or were skipped to the reason.

        ``held`` are those that may not start: held by somebody, or waiting for an answer.
        """
        self._jobs = {job.id: job for job in jobs}
        self._users: dict[str, list[str]] = {job.id: [] for job in jobs}
        for job in jobs:
            for dependency in job.dependencies:
                self._users[dependency].append(job.id)
        self._workers = workers
        self._rank = _ranks(jobs, self._users)
        self._done = set(completed)
        self._dead = dict(dead or {})
        self._missing = {job.id: sum(d not in self._done for d in job.dependencies) for job in jobs}
        self._attempts = {job.id: job.attempts for job in jobs}
        self._ready: list[tuple[tuple[int, float, int], str]] = []
        self._running: set[str] = set()
        self._resting: set[str] = set()
        self._held = set(held)
        self._parked: set[str] = set()  # held ones whose turn had come
        self._halted = False
        self._stands_for = {job.fallback: job.id for job in jobs if job.fallback}

    def begin(self) -> list[Command]:
        """The first commands: what may start at once, and what can never start."""
        awaited = {spare for spare, subtask in self._stands_for.items() if subtask in self._dead} - set(self._dead)
        lost = [subtask for subtask in self._dead if self._jobs[subtask].fallback not in awaited]
        skipped = [command for subtask in lost for command in self._skip_users(subtask)]
        for subtask, missing in self._missing.items():
            if not missing and subtask not in self._done and subtask not in self._dead and not self._spare(subtask):
                self._offer(subtask)
        return skipped + self._starts()

    def apply(self, event: Event) -> list[Command]:
        """The commands that answer an event; to be committed together, in their order."""
        return self._HANDLERS[type(event)](self, event) + self._starts()

    @property
    def running(self) -> frozenset[str]:
        """Subtasks that were told to start and have not come back."""
        return frozenset(self._running)

    @property
    def active(self) -> bool:
        """Whether an event can still come: something runs, or rests before a retry while nothing was halted."""
        return bool(self._running) or (bool(self._resting) and not self._halted)

    @property
    def finished(self) -> bool:
        """Whether every subtask has completed, failed or been skipped."""
        return len(self._done) + len(self._dead) == len(self._jobs)

    def remaining(self, elapsed: Mapping[str, float] | None = None) -> float:
        """The longest chain of expected time still ahead; ``elapsed`` is how long each running subtask has run."""
        elapsed = elapsed or {}
        chains = [
            -self._rank[subtask][1] - min(elapsed.get(subtask, 0.0), self._jobs[subtask].weight)
            for subtask in self._jobs
            if subtask not in self._done and subtask not in self._dead
        ]
        return max(chains, default=0.0)

    def _completed(self, event: Completed) -> list[Command]:
        self._running.discard(event.subtask)
        self._done.add(event.subtask)
        for user in self._users[self._stands_for.get(event.subtask, event.subtask)]:
            self._missing[user] -= 1
            if not self._missing[user] and user not in self._dead and not self._spare(user):
                self._offer(user)
        spare = self._jobs[event.subtask].fallback
        if spare is None:
            return [Record(event.subtask)]
        self._dead[spare] = f"{event.subtask!r} completed, so its fallback is not needed"
        return [Record(event.subtask), Skip(spare, self._dead[spare])]

    def _failed(self, event: Failed) -> list[Command]:
        self._running.discard(event.subtask)
        self._attempts[event.subtask] += 1
        failures = self._attempts[event.subtask]
        if not event.final and failures <= self._jobs[event.subtask].retries:
            self._resting.add(event.subtask)
            return [SendBack(event.subtask, event.error, min(BACKOFF_SECONDS * 2 ** (failures - 1), BACKOFF_CAP))]
        policy = self._jobs[event.subtask].on_failure
        if policy == "ask":
            self._held.add(event.subtask)
            self._parked.add(event.subtask)
            return [Consult(event.subtask, event.error)]
        self._dead[event.subtask] = event.error
        if self._jobs[event.subtask].fallback:
            policy = "continue"
        self._halted = self._halted or policy != "continue"
        followed = self._give_up(event.subtask) if policy == "continue" else []
        return [Fail(event.subtask, event.error, policy), *followed]

    def _stopped(self, event: Stopped) -> list[Command]:
        self._running.discard(event.subtask)
        self._offer(event.subtask)
        return [SendBack(event.subtask)]

    def _asked(self, event: Asked) -> list[Command]:
        self._running.discard(event.subtask)
        self._held.add(event.subtask)
        self._parked.add(event.subtask)
        return [Ask(event.subtask)]

    def _changed(self, event: Changed) -> list[Command]:
        """Follows a row that was changed from outside; its dependents' rows were changed with it."""
        subtask = event.subtask
        if subtask in self._done:
            return []
        if event.dead is not None:
            self._dead[subtask] = event.dead
            self._parked.discard(subtask)
            return []
        (self._held.add if event.held else self._held.discard)(subtask)
        if self._dead.pop(subtask, None) is not None or event.attempts < self._attempts[subtask]:
            self._attempts[subtask] = event.attempts
            self._resting.discard(subtask)
            self._parked.add(subtask)
        if not event.held and subtask in self._parked:
            self._parked.discard(subtask)
            if not self._missing[subtask] and not self._spare(subtask):
                self._offer(subtask)
        return []

    def _due(self, event: Due) -> list[Command]:
        if event.subtask in self._resting:
            self._resting.discard(event.subtask)
            self._offer(event.subtask)
        return []

    def _halt(self, event: Halt) -> list[Command]:
        self._halted = True
        return []

    def _go(self, event: Go) -> list[Command]:
        self._halted = False
        return []

    _HANDLERS: Mapping[type[Any], Callable[[Scheduler, Any], list[Command]]] = {
        Completed: _completed,
        Failed: _failed,
        Stopped: _stopped,
        Asked: _asked,
        Changed: _changed,
        Due: _due,
        Halt: _halt,
        Go: _go,
    }

    def _offer(self, subtask: str) -> None:
        heapq.heappush(self._ready, (self._rank[subtask], subtask))

    def _starts(self) -> list[Command]:
        commands: list[Command] = []
        while self._ready and not self._halted and not (0 < self._workers <= len(self._running)):
            _, subtask = heapq.heappop(self._ready)
            if subtask in self._held:
                self._parked.add(subtask)
            elif not (subtask in self._dead or subtask in self._done or subtask in self._running):
                self._running.add(subtask)
                commands.append(Start(subtask))
        return commands

    def _spare(self, subtask: str) -> bool:
        """Whether a subtask is a fallback that nothing needs yet."""
        stands_for = self._stands_for.get(subtask)
        return stands_for is not None and stands_for not in self._dead

    def _give_up(self, subtask: str) -> list[Command]:
        """What follows from a failure for good: the fallback's turn, if there is one, else its users are skipped."""
        spare = self._jobs[subtask].fallback
        if spare is None:
            return self._skip_users(self._stands_for.get(subtask, subtask))
        self._offer(spare)  # it needs nothing that the failed one did not have
        return []

    def _skip_users(self, subtask: str) -> list[Command]:
        """Skips all that depends on a subtask that will never complete, and the fallbacks of what is skipped."""
        commands: list[Command] = []
        cause = [subtask]
        while cause:
            lost = cause.pop()
            spare = [self._jobs[lost].fallback] if self._jobs[lost].fallback else []
            for user in [*spare, *self._users[lost]]:
                if user and user not in self._dead and user not in self._done:
                    self._dead[user] = f"{lost!r}, which it depends on, did not complete"
                    commands.append(Skip(user, self._dead[user]))
                    cause.append(user)
        return commands


def _ranks(jobs: Sequence[Job], users: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, float, int]]:
    """Sort keys, smallest first: priority, longest remaining path, position in the plan."""
    ranks: dict[str, tuple[int, float, int]] = {}
    for position, job in reversed(list(enumerate(jobs))):
        longest = max((-ranks[user][1] for user in users[job.id]), default=0.0)
        ranks[job.id] = (-job.priority, -(longest + job.weight), position)
    return ranks
