"""A task as people and programs see it: one snapshot, taken in one read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from holdfast.checkpoints import questions, results, spend, subtasks, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import HoldfastError, UnknownSubtask
from holdfast.checkpoints.events import timestamp
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import SETTLED, TERMINAL, SubtaskState, TaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs.view import in_flight


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of a task or subtask; ``until`` is when it ends by itself."""

    mode: str
    reason: str | None
    at: datetime
    until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``show --json`` has it under ``stopped_by``."""
        return {
            "mode": self.mode,
            "reason": self.reason,
            "at": timestamp(self.at),
            "until": self.until and timestamp(self.until),
        }


@dataclass(frozen=True, slots=True)
class SubtaskView:
    """One subtask; times are UTC, ``estimated_time`` is in minutes; ``stopped_by`` has a stop for each of ``stops``."""

    id: str
    name: str
    description: str
    type: str
    dependencies: list[str]
    estimated_time: float | None
    state: SubtaskState
    stops: list[str]
    attempts: int
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None
    stopped_by: Mapping[str, Stop]

    def to_json(self) -> dict[str, Any]:
        """As ``show --json`` prints it."""
        return {
            **{key: getattr(self, key) for key in self.__slots__},
            "state": self.state.value,
            "started_at": self.started_at and timestamp(self.started_at),
            "ended_at": self.ended_at and timestamp(self.ended_at),
            "stopped_by": _stops_json(self.stopped_by),
        }


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan of a task; ``revision`` 0 means that there is none yet."""

    revision: int
    subtasks: list[SubtaskView]

    def __getitem__(self, subtask: str) -> SubtaskView:
        return next(one for one in self.subtasks if one.id == subtask)


@dataclass(frozen=True, slots=True)
class Task:
    """A snapshot of one task.  ``result`` reads the file when it is called.

    ``budget`` has its limits (dollars, tokens, seconds); ``cost_to_finish`` is what the rest is expected to cost, in
    dollars, None where nothing is known.  ``runner`` is who works on it, in words, or None; ``paused_until`` is when
    its pause ends by itself.
    """

    id: str
    context_id: str
    goal: str
    state: TaskState
    in_flight: int
    stops: list[str]
    created_at: datetime
    updated_at: datetime
    paused_by: str | None
    pause_reason: str | None
    questions: list[Question]
    artifacts: list[ArtifactRow]
    usage: Mapping[str, Any]
    budget: Mapping[str, float]
    cost_to_finish: float | None
    error: str | None
    options: Mapping[str, Any] = field(repr=False)
    last_seq: int
    runner: str | None
    paused_until: datetime | None
    stopped_by: Mapping[str, Stop]
    _plan: Callable[[], PlanView] = field(repr=False)
    _read: Callable[[str], Any] = field(repr=False)

    @property
    def plan(self) -> PlanView:
        """The plan with each subtask's state; of a task from a list it is read when it is first asked for."""
        return self._plan()

    def result(self, subtask: str) -> Any:
        """The JSON value that a subtask returned; raises UnknownSubtask, or HoldfastError if it has none yet."""
        return self._read(subtask)

    def to_json(self) -> dict[str, Any]:
        """The one object that ``show --json`` prints."""
        return {
            "id": self.id,
            "context_id": self.context_id,
            "goal": self.goal,
            "state": self.state.value,
            "in_flight": self.in_flight,
            "stops": self.stops,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "paused_by": self.paused_by,
            "pause_reason": self.pause_reason,
            "plan": {"revision": self.plan.revision, "subtasks": [one.to_json() for one in self.plan.subtasks]},
            "questions": [question.to_json() for question in self.questions],
            "artifacts": [
                {key: getattr(one, key) for key in ("name", "media_type", "path", "sha256", "bytes")}
                for one in self.artifacts
            ],
            "usage": dict(self.usage),
            "error": self.error,
            "runner": self.runner,
            "paused_until": self.paused_until and timestamp(self.paused_until),
            "stopped_by": _stops_json(self.stopped_by),
            "budget": dict(self.budget),
            "cost_to_finish": self.cost_to_finish,
        }


def snapshot(database: Database, db: sqlite3.Connection, task_id: str, *, eager: bool = True) -> Task:
    """The task of that id as it is in this transaction; raises UnknownTask.

    Not ``eager``, its plan is read when it is first asked for: a list of tasks need not read every plan.
    """
    row = tasks.get(db, task_id)
    who, stop = next(iter(row.stops.items()), (None, {}))
    runner = None if row.state in TERMINAL else database.owner.runner(db, row.number)
    stopped_by = _stops(row.stops)
    rows = cache(lambda: database.read(lambda again: subtasks.load(again, row.number)))
    loaded: list[SubtaskRow] = []
    if eager:
        loaded = subtasks.load(db, row.number)
        rows = cache(lambda: loaded)
    return Task(
        id=row.id,
        context_id=row.context_id,
        goal=row.goal,
        state=row.state,
        in_flight=in_flight(database, db, row),
        stops=sorted(row.stops),
        created_at=_time(row.created_at),
        updated_at=_time(row.updated_at),
        paused_by=who if row.state == TaskState.PAUSED else None,
        pause_reason=stop.get("reason"),
        questions=questions.pending(db, row.number),
        artifacts=tasks.artifacts(db, row.number),
        usage=asdict(spend.total(db, row.number)),
        budget={name: limit for name, limit in (row.options.get("budget") or {}).items() if name != "over"},
        cost_to_finish=_to_finish(db, row.number, loaded) if eager and row.state not in TERMINAL else None,
        error=row.error,
        options=row.options,
        last_seq=row.last_seq,
        runner=runner,
        paused_until=_over(stopped_by) if row.state == TaskState.PAUSED else None,
        stopped_by=stopped_by,
        _plan=cache(lambda: PlanView(row.revision, _views([one for one in rows() if not one.id.startswith("@")]))),
        _read=lambda subtask: database.read(lambda again: _result(again, row.number, task_id, subtask)),
    )


def _to_finish(db: sqlite3.Connection, task: int, rows: Iterable[SubtaskRow]) -> float | None:
    costs = spend.by_subtask(db, task)
    if not costs:
        return None
    done = [(row.type, costs.get(row.id, 0.0)) for row in rows if row.state == SubtaskState.COMPLETED]
    return spend.to_finish(done, [(row.type, costs.get(row.id, 0.0)) for row in rows if row.state not in SETTLED])


def _stops(stops: Mapping[str, Mapping[str, Any]]) -> dict[str, Stop]:
    return {
        who: Stop(one["mode"], one.get("reason"), _time(one["at"]), _time(one["until"]) if one.get("until") else None)
        for who, one in stops.items()
    }


def _stops_json(stops: Mapping[str, Stop]) -> dict[str, Any]:
    return {who: one.to_json() for who, one in stops.items()}


def _over(stops: Mapping[str, Stop]) -> datetime | None:
    """When the last of some stops ends by itself; None if one of them does not."""
    ends = [one.until for one in stops.values() if one.until]
    return max(ends) if ends and len(ends) == len(stops) else None


def _views(rows: list[SubtaskRow]) -> list[SubtaskView]:
    startable = subtasks.startable(rows)
    return [
        SubtaskView(
            id=row.id,
            name=row.spec.get("name") or row.id,
            description=row.spec.get("description", ""),
            type=row.type,
            dependencies=row.spec.get("dependencies", []),
            estimated_time=row.spec.get("estimated_time"),
            state=SubtaskState.READY if row.id in startable else row.state,
            stops=sorted(row.stops),
            attempts=row.attempts + (row.state in (SubtaskState.RUNNING, SubtaskState.COMPLETED)),
            started_at=_time(row.started_at) if row.started_at else None,
            ended_at=_time(row.ended_at) if row.ended_at else None,
            error=row.error,
            stopped_by=_stops(row.stops),
        )
        for row in rows
    ]


def _result(db: sqlite3.Connection, task: int, task_id: str, subtask: str) -> Any:
    row = subtasks.find(db, task, subtask)
    if row is None:
        raise UnknownSubtask(task_id, subtask)
    if row.result is None:
        raise HoldfastError(f"subtask {subtask!r} is {row.state.value}: it has no result")
    return json.loads(results.get(db, row.result))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
