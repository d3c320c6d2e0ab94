"""The nodes of the orchestrator: plan, review, supervise, finish, and gate, which is the only one that waits.

Each reads the task's row first, because the row is right and not the checkpoint, and does only what is still to do, so
LangGraph may call any of them again from its first line.  Each returns only what it changed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from langgraph.types import interrupt

from holdfast.checkpoints import events, results, subtasks, tasks
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.states import TERMINAL, SubtaskState, TaskEvent, TaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.plan import Plan, Subtask
from holdfast.nodes.services import Services
from holdfast.nodes.state import State
from holdfast.nodes.supervise import supervise as work_on

PLANNER = "@plan"
LOOK_AGAIN = {"holdfast": "look again"}  # resumes the interrupt of a task whose row says whether it may go on
Update = dict[str, Any]


async def open_task(services: Services, thread_id: str, state: State) -> TaskRow:
    """The row of the thread's task; a thread that LangGraph began gets one now.  Raises BadInput or InvalidPlan."""
    known = await services.database.aread(lambda db: tasks.find(db, thread_id))
    if known:
        return known
    return await create_task(services, state.get("goal", ""), state, task_id=thread_id)


async def create_task(
    services: Services, goal: str, fields: Mapping[str, Any], *, task_id: str | None = None
) -> TaskRow:
    """Records a task, and its plan if ``fields`` has one, in one transaction.

    ``fields`` are those of Input.  Raises BadInput or InvalidPlan, and then nothing is recorded.
    """
    if not goal.strip():
        raise BadInput("the goal is empty; say in a sentence what you want")
    given = fields.get("plan")
    checked = Plan.parse(given).checked(services.registry) if given else None
    options = {key: fields[key] for key in ("data", "out", "workers") if fields.get(key) not in (None, [])}

    def create(db: sqlite3.Connection) -> TaskRow:
        now = services.clock()
        task = tasks.find(db, task_id) if task_id else None
        if task is None:
            task = tasks.create(db, goal, options, now, task_id=task_id)
            if checked:
                _store_plan(db, task, checked, now)
        return tasks.get(db, task.id)

    return await services.database.awrite(create)


async def plan(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Decomposes the goal into subtasks, unless that has been done."""
    if task.state == TaskState.SUBMITTED:
        task = await _move(services, task, lease, TaskEvent.START)
    if blocked := _blocked(task, "plan"):
        return blocked
    if task.revision == 0:
        made = await _planned(services, task, lease)
        if made is None:
            return _blocked(await services.task(task.id), "plan") or {"goto": "finish"}
        try:
            checked = Plan.parse(made).checked(services.registry)
        except BadInput as error:
            await _move(services, task, lease, TaskEvent.FAIL, error=str(error))
            return {"goto": "finish"}
        await services.database.awrite(lambda db: _store_plan(db, task, checked, services.clock()), lease)
    return {"revision": max(task.revision, 1), "plan": None, "goto": "review"}


async def review(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Sets a question when approval is wanted; nothing asks for it yet, so every plan goes on."""
    return _blocked(task, "review") or {"goto": "supervise"}


async def supervise(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Runs the plan until every subtask is settled, or the task is stopped."""
    while not (blocked := _blocked(task, "supervise")):
        rows = [row for row in await _rows(services, task) if not _built_in(row)]
        if all(map(subtasks.is_settled, rows)):
            return {"goto": "finish"}
        await work_on(services, task, lease, rows)
        task = await services.task(task.id)
    return blocked


async def finish(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Closes the task: completed if every subtask has, else failed with the reasons."""
    if blocked := _blocked(task, "finish"):
        return blocked
    rows = await _rows(services, task)
    if task.state not in TERMINAL:
        error = _failure(rows)
        task = await _move(services, task, lease, TaskEvent.FAIL if error else TaskEvent.COMPLETE, error=error)
    given = await services.database.aread(lambda db: tasks.artifacts(db, task.number))
    return {
        "subtasks": _counts(row for row in rows if not _built_in(row)),
        "artifacts": [asdict(one) for one in given],
        "error": task.error,
        "goto": "end",
    }


async def gate(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Waits for as long as the task is paused.  The only place that interrupts, before any effect."""
    if task.state == TaskState.PAUSED:
        who, stop = next(iter(task.stops.items()), ("person", {}))
        reply = interrupt(
            {
                "kind": "paused",
                "by": who,
                "reason": stop.get("reason"),
                "message": f"The task is paused by {who}. Any answer resumes it.",
            }
        )
        if reply == LOOK_AGAIN:  # the row was moved before this run began, and paused again since
            return {"goto": "gate"}
        task = await services.database.awrite(lambda db: tasks.resume(db, task.id, services.clock()), lease)
    return {"goto": "finish" if task.state in TERMINAL else None}


def _blocked(task: TaskRow, back: str) -> Update | None:
    """Where a stopped or ended task goes instead of on."""
    if task.state == TaskState.PAUSED:
        return {"goto": "gate", "back": back}
    if task.state in TERMINAL and back != "finish":
        return {"goto": "finish"}
    return None


async def _planned(services: Services, task: TaskRow, lease: Lease) -> dict[str, Any] | None:
    """The plan that the built-in subtask ``@plan`` makes; None if it was stopped or failed."""
    spec = Subtask(id=PLANNER, type="plan", params={"goal": task.goal, "data": task.options.get("data", [])}).compact()

    def row(db: sqlite3.Connection) -> SubtaskRow | None:
        return subtasks.find(db, task.number, PLANNER)

    known = await services.database.aread(row)
    if known is None:
        await services.database.awrite(lambda db: subtasks.insert(db, task.number, [spec]), lease)
        known = await services.database.aread(row)
    if known and not subtasks.is_settled(known):
        await work_on(services, task, lease, [known])
        known = await services.database.aread(row)
    if known is None or known.result is None:
        return None
    number = known.result
    made: dict[str, Any] = json.loads(await services.database.aread(lambda db: results.get(db, number)))
    return made


def _store_plan(db: sqlite3.Connection, task: TaskRow, plan: Plan, now: float) -> None:
    subtasks.insert(db, task.number, [subtask.compact() for subtask in plan.subtasks])
    revision = tasks.next_revision(db, task.number)
    news = News("plan.made", data={"revision": revision, "subtasks": len(plan.subtasks)})
    events.append(db, task.number, [news], now)


async def _move(
    services: Services, task: TaskRow, lease: Lease, event: TaskEvent, *, error: str | None = None
) -> TaskRow:
    """Makes a lifecycle move, unless somebody else's move came first: then the row as it is."""

    def move(db: sqlite3.Connection) -> TaskRow:
        now = tasks.get(db, task.id)
        return now if now.state != task.state else tasks.move(db, task.id, event, services.clock(), error=error)

    return await services.database.awrite(move, lease)


async def _rows(services: Services, task: TaskRow) -> list[SubtaskRow]:
    return await services.database.aread(lambda db: subtasks.load(db, task.number))


def _built_in(row: SubtaskRow) -> bool:
    return row.id.startswith("@")


def _counts(rows: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state.value] = counts.get(row.state.value, 0) + 1
    return counts


def _failure(rows: list[SubtaskRow]) -> str | None:
    """Why the task failed, or None."""
    failed = [row for row in rows if row.state == SubtaskState.FAILED]
    if not failed:
        return None
    first = f"{failed[0].id}: {failed[0].error}" if not _built_in(failed[0]) else failed[0].error
    skipped = sum(row.state == SubtaskState.SKIPPED for row in rows)
    more = [f"{len(failed) - 1} more failed"] * (len(failed) > 1) + [f"{skipped} were skipped"] * (skipped > 0)
    return f"{first}" + (f" ({', '.join(more)})" if more else "")
