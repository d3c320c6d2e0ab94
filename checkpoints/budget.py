"""A task's budget: its limits, the question that is asked when they are reached, and what an answer makes of them."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from typing import Any

from holdfast.checkpoints.errors import InvalidAnswer
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.spend import Spent

SUBTASK = "@budget"  # in whose name the question is asked
FINISH, STOP = "finish", "stop"
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_LIMITS = {"cost": _POSITIVE, "tokens": _POSITIVE, "seconds": _POSITIVE}
ANSWER = {
    "description": '{"raise": {"cost": dollars}} (or tokens, or seconds), "finish", {"drop": ["id"]}, or "stop"',
    "oneOf": [
        {"enum": [FINISH, STOP]},
        {
            "type": "object",
            "required": ["raise"],
            "additionalProperties": False,
            "properties": {
                "raise": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": _LIMITS,
                }
            },
        },
        {
            "type": "object",
            "required": ["drop"],
            "additionalProperties": False,
            "properties": {"drop": {"type": "array", "minItems": 1, "items": {"type": "string"}}},
        },
    ],
}


def question(limits: Mapping[str, Any], spent: Spent, seconds: float, next_: Spent | None, number: int) -> Asked:
    """What is asked when a limit is reached; ``next_`` is what the next call may cost at most, None if time is up."""
    used = {"cost": f"${spent.cost:.4f}", "tokens": f"{spent.tokens:,} tokens", "seconds": f"{seconds:,.1f} s"}
    most = {"cost": "${:.4f}", "tokens": "{:,.0f} tokens", "seconds": "{:,.1f} s"}
    told = [f"{used[name]} of {most[name].format(limits[name])}" for name in _LIMITS if name in limits]
    what = "The budget has no room for the next call" if next_ else "The budget is used up"
    more = f"; the call may take ${next_.cost:.4f} and {next_.tokens:,} tokens" if next_ else ""
    prompt = (
        f"{what}: {', '.join(told)}{more}. Raise it "
        '({"raise": {"cost": dollars, "tokens": …, "seconds": …}}), "finish" without the model, '
        'drop subtasks ({"drop": ["id"]}), or "stop"?'
    )
    return Asked(prompt, f"budget {number}", ANSWER, kind="budget")


def raised(question_id: str, budget: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """The budget with higher limits; raises InvalidAnswer for one that is not higher, or that there is not."""
    for name, limit in limits.items():
        if name not in budget:
            there = " and ".join(one for one in _LIMITS if one in budget)
            raise InvalidAnswer(question_id, f"there is no limit of {name} to raise; there is one of {there}")
        if limit <= budget[name]:
            raise InvalidAnswer(question_id, f"{name}: {limit:g} is not above {budget[name]:g}")
    return {**budget, **limits}


def is_late(db: sqlite3.Connection, task: int, now: float) -> bool:
    """Whether a task has been at work for longer than it may."""
    limits = limits_of(db, task)
    return limits.get("over") != FINISH and seconds_at_work(db, task, now) >= limits.get("seconds", math.inf)


def store(db: sqlite3.Connection, task: int, options: Mapping[str, Any], budget: Mapping[str, Any]) -> None:
    """Gives a task another budget."""
    body = json.dumps({**options, "budget": dict(budget)}, ensure_ascii=False)
    db.execute("UPDATE tasks SET options = ? WHERE number = ?", (body, task))


def limits_of(db: sqlite3.Connection, task: int) -> dict[str, Any]:
    """The task's budget as it is now; empty without one."""
    (found,) = db.execute("SELECT json_extract(options, '$.budget') FROM tasks WHERE number = ?", (task,)).fetchone()
    known: dict[str, Any] = json.loads(found) if found else {}
    return {name: limit for name, limit in known.items() if limit is not None}


def seconds_at_work(db: sqlite3.Connection, task: int, now: float) -> float:
    """For how long a task has been at work: WORKING, or paused with something still ending is not counted."""
    rows = db.execute(
        "SELECT at, type FROM events WHERE task = ? AND type IN ('task.working', 'task.paused', 'task.input_required',"
        " 'task.auth_required', 'task.completed', 'task.failed', 'task.canceled', 'task.rejected') ORDER BY seq",
        (task,),
    )
    since, worked = None, 0.0
    for at, kind in rows:
        if since is not None:
            worked += at - since
        since = at if kind == "task.working" else None
    return worked + (now - since if since is not None else 0.0)
