"""Tasks, questions and events as JSON from which another process makes them again.

What ``show --json`` prints is a part of it; the rest is what a page or a live view needs beside that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from holdfast.checkpoints.errors import HoldfastError
from holdfast.checkpoints.events import Event, timestamp
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs.explain import Explanation
from holdfast.graphs.standing import Standing
from holdfast.graphs.task import PlanView, Stop, SubtaskView, Task

NOT_TOLD = ("data", "out")  # options that name places on a disk
_SUBTASKS = TypeAdapter(list[SubtaskView])
_STOPS = TypeAdapter(dict[str, Stop])
_ARTIFACTS = TypeAdapter(list[ArtifactRow])
_EVENTS = TypeAdapter(list[Event])
_EXPLANATION = TypeAdapter(Explanation)


def task_json(task: Task) -> dict[str, Any]:
    """The ``show`` object with more of each question, the task's options and the number of its last event."""
    return {
        **task.to_json(),
        "questions": [question_json(one) for one in task.questions],
        "options": {name: value for name, value in task.options.items() if name not in NOT_TOLD},
        "last_seq": task.last_seq,
    }


def task_of(told: Mapping[str, Any]) -> Task:
    """The task from ``task_json``; its results are not there to be read."""
    plan = PlanView(told["plan"]["revision"], _SUBTASKS.validate_python(told["plan"]["subtasks"]))
    return Task(
        id=told["id"],
        context_id=told["context_id"],
        goal=told["goal"],
        state=TaskState(told["state"]),
        in_flight=told["in_flight"],
        stops=told["stops"],
        created_at=datetime.fromisoformat(told["created_at"]),
        updated_at=datetime.fromisoformat(told["updated_at"]),
        paused_by=told["paused_by"],
        pause_reason=told["pause_reason"],
        questions=[question_of(one) for one in told["questions"]],
        artifacts=_ARTIFACTS.validate_python(told["artifacts"]),
        usage=told["usage"],
        budget=told["budget"],
        cost_to_finish=told["cost_to_finish"],
        error=told["error"],
        options=told["options"],
        last_seq=told["last_seq"],
        runner=told["runner"],
        paused_until=told["paused_until"] and datetime.fromisoformat(told["paused_until"]),
        stopped_by=_STOPS.validate_python(told["stopped_by"]),
        _plan=lambda: plan,
        _read=_no_result,
    )


def question_json(question: Question) -> dict[str, Any]:
    """A question, open or answered."""
    return {
        **question.to_json(),
        "kind": question.kind,
        "asked_at": timestamp(datetime.fromtimestamp(question.asked_at, UTC)),
        "deadline": question.deadline and timestamp(datetime.fromtimestamp(question.deadline, UTC)),
        "answered": question.answered,
        "answer": json.loads(question.answer) if question.answer is not None else None,
        "answered_by": question.answered_by,
    }


def question_of(told: Mapping[str, Any]) -> Question:
    """The question from ``question_json``."""
    given = told["answered"] and told["answered_by"] != "withdrawn"
    return Question(
        id=told["id"],
        subtask=told["subtask"],
        key="",
        kind=told["kind"],
        prompt=told["prompt"],
        schema=told["schema"],
        default=None if told["default"] is None else json.dumps(told["default"], ensure_ascii=False),
        deadline=told["deadline"] and datetime.fromisoformat(told["deadline"]).timestamp(),
        asked_at=datetime.fromisoformat(told["asked_at"]).timestamp(),
        answer=json.dumps(told["answer"], ensure_ascii=False, sort_keys=True) if given else None,
        answered=told["answered"],
        answered_by=told["answered_by"],
    )


def events_of(told: Any) -> list[Event]:
    """Events from their JSON."""
    return _EVENTS.validate_python(told)


def standing_json(standing: Standing) -> dict[str, Any]:
    """How a task stands; results that are not small are left out, and their subtasks are not."""
    return {
        "holds": standing.holds,
        "uncertain": standing.uncertain,
        "answered": [question_json(one) for one in standing.answered],
        "results": [
            {"subtask": subtask, "json": None if body is None else body.decode()} for subtask, body in standing.results
        ],
    }


def standing_of(told: Mapping[str, Any]) -> Standing:
    """How a task stands, from ``standing_json``."""
    return Standing(
        told["holds"],
        told["uncertain"],
        [question_of(one) for one in told["answered"]],
        [(one["subtask"], None if one["json"] is None else one["json"].encode()) for one in told["results"]],
    )


def explanation_of(told: Any) -> Explanation:
    """What a resume would do, from ``Explanation.to_json``."""
    return _EXPLANATION.validate_python(told)


def _no_result(subtask: str) -> Any:
    raise HoldfastError(f"the result of subtask {subtask!r} is with the server that has its task")
