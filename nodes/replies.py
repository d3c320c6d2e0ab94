"""What gate shows of a task that waits, and how any reply to it is read.

The payload follows the agent-inbox convention (``action_requests`` and ``review_configs``) beside our own fields, and
every shape that its clients send back is taken: decisions, a list, a map from question id to answer, or plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import TaskRow

_ID = re.compile(r"q\d+")


def payload(task: TaskRow, open_: Sequence[Question]) -> dict[str, Any]:
    """The interrupt's value: why the task waits, and what is asked."""
    if task.state == TaskState.PAUSED:
        who, stop = next(iter(task.stops.items()), ("person", {}))
        return {
            "kind": "paused",
            "by": who,
            "reason": stop.get("reason"),
            "message": f"The task is paused by {who}. Any answer resumes it.",
            "action_requests": [{"name": "resume", "args": {}, "description": "Resume the task"}],
            "review_configs": [{"action_name": "resume", "allowed_decisions": ["approve"]}],
        }
    return {
        "kind": "input_required",
        "questions": [question.to_json() for question in open_],
        "action_requests": [
            {"name": one.id, "args": {"answer": one.to_json()["default"]}, "description": one.prompt} for one in open_
        ],
        "review_configs": [
            {"action_name": one.id, "allowed_decisions": ["approve", "edit", "reject", "respond"]} for one in open_
        ],
    }


def answers_in(reply: Any, open_: Sequence[Question]) -> dict[str, Any]:
    """Question id → answer; raises BadInput if it is not clear which question a reply answers."""
    said = reply if isinstance(reply, Mapping) else {}
    if isinstance(said.get("answers"), Mapping):
        return dict(said["answers"])
    decisions = said.get("decisions", reply)
    if isinstance(decisions, list) and decisions and all(map(_is_decision, decisions)):
        if len(decisions) != len(open_):
            raise BadInput(f"{len(decisions)} decisions for {len(open_)} open questions; give one for each, in order")
        return {one.id: _decided(decision, one) for decision, one in zip(decisions, open_, strict=True)}
    if said and (set(said) <= {one.id for one in open_} or all(map(_is_id, said))):
        return dict(said)  # some may be open no more: answering says so
    if len(open_) != 1:
        names = ", ".join(f"{one.id} ({one.prompt})" for one in open_) or "none"
        raise BadInput(f"it is not clear which question this answers; open are: {names}")
    return {open_[0].id: _decided(reply, open_[0]) if _is_decision(reply) else read(reply, open_[0])}


def read(value: Any, question: Question) -> Any:
    """An answer as typed: text is JSON where it reads as that, unless the question wants text."""
    if not isinstance(value, str) or (question.schema or {}).get("type") == "string":
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _is_id(key: Any) -> bool:
    return isinstance(key, str) and _ID.fullmatch(key) is not None


def _is_decision(reply: Any) -> bool:
    return isinstance(reply, Mapping) and reply.get("type") in (
        "approve", "accept", "edit", "reject", "ignore", "respond", "response"
    )  # fmt: skip


def _decided(decision: Mapping[str, Any], question: Question) -> Any:
    """The answer that an agent-inbox decision stands for."""
    match decision["type"]:
        case "approve" | "accept":
            return json.loads(question.default) if question.default is not None else "approve"
        case "edit":
            action = decision.get("edited_action", decision.get("args", {}))
            args = action.get("args", action) if isinstance(action, Mapping) else action
            return args["answer"] if isinstance(args, Mapping) and "answer" in args else args
        case "reject" | "ignore":
            return {"reject": decision.get("message") or ""}
        case _:
            said = next((decision[key] for key in ("args", "message", "value", "answer") if key in decision), None)
            return read(said, question)
