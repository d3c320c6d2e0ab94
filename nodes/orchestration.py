"""The nodes of the orchestrator: plan, review, supervise, finish, and gate, which is the only one that waits.

Each reads the task's row first, because the row is right and not the checkpoint, and does only what is still to do, so
LangGraph may call any of them again from its first line.  Each returns only what it changed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from langgraph.types import interrupt
from pydantic import ValidationError

from holdfast.checkpoints import control, events, messages, questions, results, subtasks, tasks
from holdfast.checkpoints.errors import BadInput, HoldfastError, InvalidAnswer, UnknownTask
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.states import TERMINAL, SubtaskState, TaskEvent, TaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes import replies, revision
from holdfast.nodes.models.settings import require_price
from holdfast.nodes.plan import Plan, Subtask
from holdfast.nodes.revision import PLANNER
from holdfast.nodes.rollback import roll_back
from holdfast.nodes.services import Services
from holdfast.nodes.state import Input, State
from holdfast.nodes.supervise import supervise as work_on

REVIEW = "@review"
STANDS = frozenset({TaskState.PAUSED, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})
APPROVAL = {
    "oneOf": [
        {"const": "approve"},
        {"type": "object", "required": ["edit"], "properties": {"edit": {"type": "object"}}},
        {"type": "object", "required": ["reject"], "properties": {"reject": {"type": "string"}}},
    ]
}
REVISE = {"enum": ["approve", "keep"]}  # of a plan that is at work already
LOOK_AGAIN = {"holdfast": "look again"}  # resumes the interrupt of a task whose row says whether it may go on
Update = dict[str, Any]
OPTIONS = (
    "data",
    "out",
    "workers",
    "on_question",
    "on_failure",
    "approve",
    "yes",
    "reuse",
    "budget",
)  # of Input, kept in the task's row


async def open_task(services: Services, thread_id: str, state: State, *, owner: str = "") -> TaskRow:
    """The row of the thread's task; a thread that LangGraph began gets one now, which is the ``owner``'s.

    Raises BadInput or InvalidPlan, and UnknownTask for a task of somebody else than the owner, if there is one.
    """
    known = await services.database.aread(lambda db: tasks.find(db, thread_id))
    if known and owner and known.owner != owner:
        raise UnknownTask(thread_id)
    if known and known.state in TERMINAL and state.get("goal", known.goal) != known.goal:
        raise BadInput(f"task {thread_id} is {known.state.value}; start a new thread for another goal")
    if known:
        return known
    if owner:
        await _require_own(services, state, owner)
    return await create_task(services, state.get("goal", ""), state, task_id=thread_id, owner=owner)


async def _require_own(services: Services, state: State, owner: str) -> None:
    """Raises BadInput or UnknownTask if an owner's new task would read or write what is not theirs on this machine."""
    plan = Plan.parse(state["plan"]) if state.get("plan") else None
    reading = [one.id for one in plan.subtasks if _reads(services, one)] if plan else []
    if state.get("data") or state.get("out") or reading:
        raise BadInput("whoever uses a key cannot name files of the server; send them in a message to /holdfast/a2a")
    reuse = state.get("reuse")
    if reuse:
        other = await services.task(reuse)
        if other.owner != owner:
            raise UnknownTask(reuse)


def _reads(services: Services, subtask: Subtask) -> bool:
    kind = services.registry.get(subtask.type) if subtask.type in services.registry else None
    return kind is not None and (kind.reads is not None or bool(kind.files and subtask.params.get(kind.files)))


async def create_task(
    services: Services,
    goal: str,
    fields: Mapping[str, Any],
    *,
    task_id: str | None = None,
    context_id: str | None = None,
    owner: str = "",
    also: Callable[[sqlite3.Connection, TaskRow], None] = lambda db, task: None,
) -> TaskRow:
    """Records a task, its plan if ``fields`` has one, and what ``also`` does, in one transaction.

    ``fields`` are those of Input.  Raises BadInput or InvalidPlan, and then nothing is recorded.
    """
    tasks.require_goal(goal)
    _require_options({"goal": goal, **{key: fields[key] for key in OPTIONS if fields.get(key) is not None}})
    require_price(services.model, fields.get("budget") or {})
    given = fields.get("plan")
    checked = Plan.parse(given).checked(services.registry) if given else None
    options = {key: fields[key] for key in OPTIONS if fields.get(key) not in (None, []) and fields[key] is not False}

    def create(db: sqlite3.Connection) -> TaskRow:
        now = services.clock()
        task = tasks.find(db, task_id) if task_id else None
        if task is None:
            task = tasks.create(db, goal, options, now, task_id=task_id, context_id=context_id, owner=owner)
            if checked:
                _store_plan(db, task, checked, {"by": "author"}, now)
            also(db, task)
        return tasks.get(db, task.id)

    return await services.database.awrite(create)


async def plan(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Decomposes the goal into subtasks, unless that has been done."""
    if task.state == TaskState.SUBMITTED:
        task = await _move(services, task, lease, TaskEvent.START)
    number = task.number
    while not (blocked := _blocked(task, "plan")):
        if await services.database.aread(lambda db: subtasks.planned(db, number)):
            return {"revision": max(task.revision, 1), "plan": None, "goto": "review"}
        planner = await _planner(services, task, lease)
        if not subtasks.is_settled(planner):
            await work_on(services, task, lease, [planner])
            task = await _park(services, task, lease)
        elif planner.result is None:
            return {"goto": "finish"}
        else:
            task = await _adopt(services, task, lease, planner.result)
    return blocked


async def review(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Asks for approval of the plan when that is wanted: approve, edit, or reject with a reason and plan again."""
    if blocked := _blocked(task, "review"):
        return blocked
    rows = [row for row in await _rows(services, task) if not _built_in(row)]
    if not rows:  # it was rejected before a crash
        return {"goto": "plan"}
    given = await services.database.aread(lambda db: questions.answers(db, task.number, REVIEW))
    edited = isinstance(given.get(_approval(task.revision - 1)), dict)
    if not task.options.get("approve") or edited:
        return {"goto": "supervise"}
    asked = Asked(f"The plan has {len(rows)} subtasks. Run it?", _approval(task.revision), APPROVAL, '"approve"')
    asked, now = replace(asked, kind="approval"), services.clock()
    question = await services.database.awrite(lambda db: control.request(db, task.id, REVIEW, asked, now), lease)
    if not question.answered:
        return {"goto": "gate", "back": "review"}
    decision = json.loads(question.answer or "null")
    if decision == "approve":
        return {"goto": "supervise"}
    await services.database.awrite(lambda db: _revise(db, task, decision, now), lease)
    return {"goto": "supervise" if "edit" in decision else "plan"}


def _approval(revision: int) -> str:
    """The key of the question whether a plan may run."""
    return f"approval {revision}"


async def supervise(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Runs the plan until every subtask is settled, or the task is stopped."""
    while not (blocked := _blocked(task, "supervise")):
        every = await _reviewed(services, task, lease)
        if reviser := next(filter(revision.is_open, revision.revisers(every)), None):
            task = await _reconsider(services, task, lease, reviser)
            continue
        rows = [row for row in every if not _built_in(row)]
        if all(map(subtasks.is_settled, rows)):
            return {"goto": "finish"}
        await work_on(services, task, lease, rows)
        before, task = task, await _park(services, task, lease)
        if task.last_seq == before.last_seq:
            raise HoldfastError(f"task {task.id} can neither go on nor wait; please report this with `holdfast show`")
    return blocked


async def _reviewed(services: Services, task: TaskRow, lease: Lease) -> list[SubtaskRow]:
    """All subtasks; among them a new reviser if a model is set and something has happened that it may answer to."""
    rows = await _rows(services, task)
    if services.calls is None:
        return rows

    def look(db: sqlite3.Connection) -> bool:
        if why := revision.occasion(db, task, rows):
            revision.insert_reviser(db, task, rows, why)
        return bool(why)

    if not await services.database.aread(lambda db: bool(revision.occasion(db, task, rows))):
        return rows
    await services.database.awrite(look, lease)
    return await _rows(services, task)


async def _reconsider(services: Services, task: TaskRow, lease: Lease, reviser: SubtaskRow) -> TaskRow:
    """Runs a reviser, or puts what it found into effect, which may need approval; the task as it stands then."""
    if not subtasks.is_settled(reviser):
        await work_on(services, task, lease, [reviser])
        return await _park(services, task, lease)
    made: dict[str, Any] = {"why": f"the revision failed: {reviser.error}"}
    if reviser.result is not None:
        number = reviser.result
        made = json.loads(await services.database.aread(lambda db: results.get(db, number)))
    now = services.clock()
    if task.options.get("approve") and made.get("subtasks"):
        asked = Asked(revision.summary(made), f"approval of {reviser.id}", REVISE, '"approve"')
        question = await services.database.awrite(lambda db: control.request(db, task.id, REVIEW, asked, now), lease)
        if not question.answered:
            return await services.task(task.id)
        if json.loads(question.answer or "null") != "approve":
            made = {"why": "a person wanted it so", "by": {"by": "person"}}
    await services.database.awrite(
        lambda db: revision.put_into_effect(db, task, reviser, made, services.registry, now), lease
    )
    return await services.task(task.id)


async def finish(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Undoes what is to be undone and closes the task: completed if every subtask has, else failed with the reasons."""
    if blocked := _blocked(task, "finish"):
        return blocked
    if task.rollback and task.state not in TERMINAL:
        await roll_back(services, task, lease)
    closed = await services.database.awrite(lambda db: _close(db, task, services.clock()), lease)
    if closed is None:
        return {"goto": "supervise"}  # somebody let a subtask run again, or wants all undone
    rows = await _rows(services, closed)
    given = await services.database.aread(lambda db: tasks.artifacts(db, closed.number))
    return {
        "subtasks": _counts(row for row in rows if not _built_in(row)),
        "artifacts": [asdict(one) for one in given],
        "error": closed.error,
        "goto": "end",
    }


def _close(db: sqlite3.Connection, task: TaskRow, now: float) -> TaskRow | None:
    """Ends a task as its rows say, in the transaction that reads them; None if something is still to do."""
    before, task = task, tasks.get(db, task.id)
    if task.state in TERMINAL:
        return task
    if task.rollback and not before.rollback:  # it was wanted just now
        return None
    rows = subtasks.load(db, task.number)
    if task.state != TaskState.WORKING or not (task.rollback or (rows and all(map(subtasks.is_settled, rows)))):
        return None
    event, error = _ending(task, rows)
    return tasks.move(db, task.id, event, now, error=error)


async def gate(services: Services, task: TaskRow, lease: Lease) -> Update:
    """Waits while the task is paused or needs an answer.  The only place that interrupts, before any effect."""
    if task.state in STANDS:
        open_ = await services.database.aread(lambda db: questions.pending(db, task.number))
        reply = interrupt(replies.payload(task, open_))
        if reply == LOOK_AGAIN:  # the row was moved before this run began, and stopped again since
            return {"goto": "gate"}
        task = await services.task(task.id)
        try:
            if task.state == TaskState.PAUSED:
                now = services.clock()
                task = await services.database.awrite(lambda db: control.resume(db, task.id, now), lease)
            else:
                given = replies.answers_in(reply, open_)
                for edited in [one["edit"] for one in given.values() if isinstance(one, dict) and "edit" in one]:
                    if task.owner:
                        await _require_own(services, {"plan": edited}, task.owner)
                task = await answer(services, task.id, given)
        except HoldfastError as error:
            return {"goto": "gate", "error": str(error)}
    return {"goto": "finish" if task.state in TERMINAL else None, "error": None}


async def answer(
    services: Services, task_id: str, given: Mapping[str, Any], *, who: str = "person", said: Sequence[Message] = ()
) -> TaskRow:
    """Gives questions their answers, all or none; an edited plan is checked like any other.

    ``said`` are the messages that brought them.  Raises what control.answer raises.
    """
    task = await services.task(task_id)
    values = {id_: await _checked(services, task, id_, value) for id_, value in given.items()}
    now = services.clock()

    def change(db: sqlite3.Connection) -> TaskRow:
        for message in said:
            messages.keep(db, task_id, message, now, answers=True)
        for id_, value in values.items():
            control.answer(db, task_id, id_, value, now, who=who)
        return tasks.get(db, task_id)

    row = await services.database.awrite(change)
    services.look(task_id)
    return row


async def _checked(services: Services, task: TaskRow, question_id: str, value: Any) -> Any:
    question = await services.database.aread(lambda db: questions.find(db, task.number, question_id))
    if question.kind == "approval" and isinstance(value, dict) and "edit" in value:
        try:
            return {"edit": Plan.parse(value["edit"]).checked(services.registry).model_dump()}
        except BadInput as error:
            raise InvalidAnswer(question_id, str(error)) from None
    return value


def _blocked(task: TaskRow, back: str) -> Update | None:
    """Where a stopped or ended task goes instead of on."""
    if task.state in STANDS:
        return {"goto": "gate", "back": back}
    if back != "finish" and (task.rollback or task.state in TERMINAL):
        return {"goto": "finish"}
    return None


async def _planner(services: Services, task: TaskRow, lease: Lease) -> SubtaskRow:
    """The built-in subtask ``@plan``, which is made when it is first needed."""
    given = await services.database.aread(lambda db: questions.answers(db, task.number, REVIEW))
    said = [one["reject"] for one in given.values() if isinstance(one, dict) and "reject" in one]
    params = {"goal": task.goal, "data": task.options.get("data", []), "feedback": said}
    spec = Subtask(id=PLANNER, type="plan", params=params).compact()

    def find_or_insert(db: sqlite3.Connection) -> SubtaskRow | None:
        if subtasks.find(db, task.number, PLANNER) is None:
            subtasks.insert(db, task.number, [spec])
        return subtasks.find(db, task.number, PLANNER)

    row = await services.database.awrite(find_or_insert, lease)
    assert row
    return row


async def _adopt(services: Services, task: TaskRow, lease: Lease, number: int) -> TaskRow:
    """Stores the plan that the planner made; a plan with faults fails the task, a refusal of the goal rejects it."""
    made = json.loads(await services.database.aread(lambda db: results.get(db, number)))
    if "rejected" in made:
        return await _move(services, task, lease, TaskEvent.REJECT, error=made["rejected"])
    try:
        checked = Plan.parse({"subtasks": made["subtasks"]}).checked(services.registry)
    except BadInput as error:
        return await _move(services, task, lease, TaskEvent.FAIL, error=str(error))
    await services.database.awrite(
        lambda db: _store_plan(db, task, checked, made.get("by", {}), services.clock()), lease
    )
    return await services.task(task.id)


def _require_options(fields: Mapping[str, Any]) -> None:
    try:
        Input.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _store_plan(db: sqlite3.Connection, task: TaskRow, plan: Plan, by: Mapping[str, Any], now: float) -> None:
    """Stores a plan; ``by`` says who made it: the task's author, the rules, or which model, and why not another."""
    subtasks.insert(db, task.number, [subtask.compact() for subtask in plan.subtasks])
    number = tasks.next_revision(db, task.number)
    news = News("plan.made", data={"revision": number, "subtasks": len(plan.subtasks), **by})
    events.append(db, task.number, [news], now)


def _revise(db: sqlite3.Connection, task: TaskRow, decision: Mapping[str, Any], now: float) -> None:
    """Puts an edited plan in the place of one that has not run, or takes the plan away so that it is made again."""
    subtasks.remove_all(db, task.number)
    number = tasks.next_revision(db, task.number)
    if "edit" in decision:
        plan = Plan.parse(decision["edit"])
        subtasks.insert(db, task.number, [subtask.compact() for subtask in plan.subtasks])
    data = {"revision": number, **({} if "edit" in decision else {"rejected": decision.get("reject")})}
    events.append(db, task.number, [News("plan.revised", data=data)], now)


async def _park(services: Services, task: TaskRow, lease: Lease) -> TaskRow:
    now = services.clock()
    return await services.database.awrite(lambda db: control.park(db, task.id, now), lease)


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


def _ending(task: TaskRow, rows: list[SubtaskRow]) -> tuple[TaskEvent, str | None]:
    """How a task ends, and why."""
    error = _failure(rows)
    if task.rollback:
        kept = [row.id for row in rows if row.state == SubtaskState.COMPLETED and not _built_in(row)]
        error = "; ".join(filter(None, [error, f"not undone: {', '.join(kept)}" if kept else "all was undone"]))
        return TaskEvent.CANCEL if task.rollback == "cancel" else TaskEvent.FAIL, error
    return TaskEvent.FAIL if error else TaskEvent.COMPLETE, error


def _failure(rows: list[SubtaskRow]) -> str | None:
    """Why the task failed, or None."""
    failed = [row for row in rows if row.state == SubtaskState.FAILED and not subtasks.has_result(row)]
    failed = [row for row in failed if not row.id.startswith(revision.REVISER)]  # without one the plan stays as it is
    if any(row.id == PLANNER and row.state == SubtaskState.SKIPPED for row in rows):
        return "there is no plan, for making one was skipped"
    if not failed:
        return None
    first = f"{failed[0].id}: {failed[0].error}" if not _built_in(failed[0]) else failed[0].error
    skipped = sum(row.state == SubtaskState.SKIPPED for row in rows)
    more = [f"{len(failed) - 1} more failed"] * (len(failed) > 1) + [f"{skipped} were skipped"] * (skipped > 0)
    return f"{first}" + (f" ({', '.join(more)})" if more else "")
