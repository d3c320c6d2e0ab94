"""What can go wrong, as sentences for a person with fields for a program.

No error knows an exit status, an HTTP status or a JSON-RPC code: each interface has one table from class to code.
"""

from __future__ import annotations

from collections.abc import Iterable


class HoldfastError(RuntimeError):
    """The base of every error that Holdfast raises on purpose; its text is one or more sentences for a person.

    A RuntimeError, because the LangGraph API shows people the text of few other classes.
    """


class BadInput(HoldfastError):
    """What a person handed in cannot be used; the sentence says what, where and what to do.  Never retried."""


class InvalidPlan(BadInput):
    """A plan has faults; ``faults`` holds one sentence each, all of them."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("the plan cannot run: " + "; ".join(self.faults))


class Rejected(BadInput):
    """A planner says that a goal is not for it, and why; the task ends REJECTED instead of FAILED."""


OWN_TYPES = "of your own are loaded with --types or HOLDFAST_TYPES"


class UnknownTaskType(BadInput):
    """No task type of that name is registered."""

    def __init__(self, name: str, nearest: Iterable[str] = ()) -> None:
        self.name, self.nearest = name, list(nearest)
        hint = f"did you mean {' or '.join(self.nearest)}? Types" if self.nearest else "types"
        super().__init__(f"there is no task type {name!r}; {hint} {OWN_TYPES}")


class MissingTypes(HoldfastError):
    """A runner does not know all types of a task, so it does not take it up."""

    def __init__(self, task: str, types: Iterable[str]) -> None:
        self.task, self.types = task, sorted(types)
        names = ", ".join(map(repr, self.types))
        super().__init__(
            f"task {task} needs the task types {names}, which are not loaded here; name their module with --types "
            "or HOLDFAST_TYPES"
        )


class UnknownTask(HoldfastError):
    """No task has this id, or this prefix of one."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"there is no task {task!r}; `holdfast tasks` lists those there are")


class AmbiguousTask(HoldfastError):
    """A prefix fits several tasks."""

    def __init__(self, prefix: str, matches: Iterable[str]) -> None:
        self.prefix, self.matches = prefix, list(matches)
        super().__init__(
            f"{prefix!r} fits {len(self.matches)} tasks; give more of the id: {', '.join(self.matches[:5])}"
        )


class UnknownSubtask(HoldfastError):
    """The task has no subtask of this id."""

    def __init__(self, task: str, subtask: str) -> None:
        self.task, self.subtask = task, subtask
        super().__init__(f"task {task} has no subtask {subtask!r}; `holdfast show {task[:8]}` lists those it has")


class UnknownQuestion(HoldfastError):
    """The task has no question of this id."""

    def __init__(self, question: str, pending: Iterable[str]) -> None:
        self.question, self.pending = question, list(pending)
        known = f"open are {', '.join(self.pending)}" if self.pending else "none is open"
        super().__init__(f"there is no question {question!r}; {known}")


class AlreadyAnswered(HoldfastError):
    """A question has its answer already; the first one stands."""

    def __init__(self, question: str) -> None:
        self.question = question
        super().__init__(f"question {question} was answered before; the first answer stands")


class InvalidAnswer(HoldfastError):
    """An answer does not fit the question's schema; the question stays open."""

    def __init__(self, question: str, reason: str) -> None:
        self.question, self.reason = question, reason
        super().__init__(f"the answer to question {question} does not fit: {reason}; the question stays open")


class IllegalMove(HoldfastError):
    """An event arrived that the state does not allow; nothing was changed."""

    def __init__(self, what: str, state: str, event: str) -> None:
        self.what, self.state, self.event = what, state, event
        super().__init__(f"{what} is {state}: it cannot {event}")


class AlreadyHeard(HoldfastError):
    """The message of this id came before from the same owner; nothing was changed."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(f"the message {message!r} came before; it was kept then")


class SwitchedOff(HoldfastError):
    """Pause and resume are switched off here."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no task can be {what} here: pause_resume is off; switch it on with HOLDFAST_PAUSE_RESUME=on")


class LeaseHeld(HoldfastError):
    """Another live runner works on the task."""

    def __init__(self, task: str, owner: str, *, by_server: bool = False) -> None:
        self.task, self.owner, self.by_server = task, owner, by_server
        super().__init__(f"task {task} is being worked on by {owner}")


class LeaseLost(HoldfastError):
    """This runner no longer holds the task's lease; nothing of what it tried was written."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"another runner has taken task {task}; this one stopped and wrote nothing more")


class HandedOver(HoldfastError):
    """This runner stopped at the last step and gave the task back; the task is still WORKING."""

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"task {task} was handed over: it goes on with the next `holdfast resume {task[:8]}`")


class StoreError(HoldfastError):
    """The database or its disk cannot be used; the sentence says why and what to do."""


class DataCorrupt(StoreError):
    """Stored bytes are not what their hash says."""


class StepRepeated(HoldfastError):
    """A body used one step name twice within one subtask."""

    def __init__(self, subtask: str, step: str) -> None:
        self.subtask, self.step = subtask, step
        super().__init__(f"subtask {subtask!r} uses the step name {step!r} twice; every step needs its own")
