"""Control: what a person, a parent agent or the system does to a task, each one transaction by whoever calls.

Every function is checked against the lifecycle tables and tells what it did in the history, which is also how a live
runner learns of it.  From its commit on it holds for every process: whatever starts work reads these rows first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.checkpoints import budget, events, questions, spend, subtasks, tasks
from holdfast.checkpoints.errors import IllegalMove, UnknownSubtask
from holdfast.checkpoints.events import News
from holdfast.checkpoints.questions import Asked, Question
from holdfast.checkpoints.spend import Spent
from holdfast.checkpoints.states import (
    SETTLED,
    TERMINAL,
    SubtaskEvent,
    SubtaskState,
    TaskEvent,
    TaskState,
    advance,
    advance_subtask,
)
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow

MODES = ("drain", "step", "now")  # from the mildest to the strictest
PERSON, PARENT, BUDGET, SYSTEM, HOLDS = "person", "parent", "budget", "system", "holds"
WAITS = (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)


def pause(
    db: sqlite3.Connection,
    task_id: str,
    now: float,
    *,
    who: str = PERSON,
    mode: str = "step",
    reason: str | None = None,
    until: float | None = None,
) -> TaskRow:
    """Stops a whole task; a stricter mode replaces a milder one.  Raises IllegalMove."""
    task = _active(tasks.get(db, task_id), TaskEvent.PAUSE)
    state = advance(task_id, task.state, TaskEvent.PAUSE)
    if known := task.stops.get(who):
        mode, reason = max(mode, known["mode"], key=MODES.index), reason or known["reason"]
        if mode == known["mode"] and until == known.get("until"):
            return task
    stop = {"mode": mode, "reason": reason, "at": known["at"] if known else now}
    stop |= {} if until is None else {"until": until}
    _set(db, task, state, {**task.stops, who: stop})
    data = {"by": who, "mode": mode, "reason": reason} | ({} if until is None else {"until": until})
    news = [News("control", data={"do": "pause", **data})]
    events.append(db, task.number, news + [News("task.paused", data=data)] * (state != task.state), now)
    return tasks.get(db, task_id)


def resume(db: sqlite3.Connection, task_id: str, now: float, *, only: str | None = None) -> TaskRow:
    """Clears a paused task's stops, or one of them, and lets it go on; a working task stays as it is.

    If nothing can run without an answer it is INPUT_REQUIRED at once.  Raises IllegalMove.
    """
    task = tasks.get(db, task_id)
    state = advance(task_id, task.state, TaskEvent.RESUME)
    stops = {who: stop for who, stop in task.stops.items() if only and who != only}
    if BUDGET in task.stops and not only and _asks_for_money(db, task):
        stops[BUDGET] = task.stops[BUDGET]  # it would be passed again at once: its question wants an answer
    if state == task.state or (only and only not in task.stops):
        return task
    events.append(db, task.number, [News("control", data={"do": "resume", **({"by": only} if only else {})})], now)
    if stops:
        _set(db, task, task.state, stops)
        return tasks.get(db, task_id)
    _set(db, task, state, {})
    events.append(db, task.number, [News("task.working")], now)
    return _wait_for_answers(db, tasks.get(db, task_id), now)


def cancel(db: sqlite3.Connection, task_id: str, now: float, *, rollback: bool = False) -> TaskRow:
    """Ends a task for good; with ``rollback`` it first undoes what has completed.  Raises IllegalMove."""
    task = tasks.get(db, task_id)
    state = advance(task_id, task.state, TaskEvent.CANCEL)
    if task.rollback:  # the compensations under way end first
        db.execute("UPDATE tasks SET rollback = 'cancel' WHERE number = ?", (task.number,))
        events.append(db, task.number, [News("control", data={"do": "cancel"})], now)
        return tasks.get(db, task_id)
    _end_live(db, task, now)
    events.append(db, task.number, [News("control", data={"do": "cancel", "rollback": rollback})], now)
    if rollback:
        return start_rollback(db, tasks.get(db, task_id), "cancel", now)
    _set(db, task, state, {})
    events.append(db, task.number, [News("task.canceled")], now)
    return tasks.get(db, task_id)


def fail(db: sqlite3.Connection, task: TaskRow, error: str, now: float) -> None:
    """Ends a live task as failed, and with it all that has not run."""
    state = advance(task.id, task.state, TaskEvent.FAIL)
    _end_live(db, task, now)
    db.execute("UPDATE tasks SET state = ?, error = ? WHERE number = ?", (state, error, task.number))
    events.append(db, task.number, [News("task.failed", data={"error": error})], now)


def start_rollback(db: sqlite3.Connection, task: TaskRow, ending: str, now: float) -> TaskRow:
    """Sets a task to undo what has completed; ``ending`` is 'fail' or 'cancel'."""
    state = advance(task.id, task.state, TaskEvent.ROLL_BACK)
    _end_live(db, task, now)
    _set(db, task, state, {})
    db.execute("UPDATE tasks SET rollback = ? WHERE number = ?", (ending, task.number))
    news = [News("control", data={"do": "rollback", "then": ending})]
    events.append(db, task.number, news + [News("task.working")] * (state != task.state), now)
    return tasks.get(db, task.id)


def hold(
    db: sqlite3.Connection,
    task_id: str,
    subtask: str,
    now: float,
    *,
    who: str = PERSON,
    mode: str = "step",
    reason: str | None = None,
) -> None:
    """Stops one subtask; the others go on.  Raises IllegalMove or UnknownSubtask."""
    task, row = _one(db, task_id, subtask)
    advance_subtask(subtask, row.state, SubtaskEvent.HOLD)
    subtasks.set_stops(db, task.number, subtask, {**row.stops, who: {"mode": mode, "reason": reason, "at": now}})
    subtasks.move(db, task.number, subtask, SubtaskEvent.HOLD)
    news = [News("control", subtask, {"do": "hold", "by": who, "mode": mode, "reason": reason})]
    after = subtasks.find(db, task.number, subtask)
    if after and after.state == SubtaskState.HELD != row.state:
        news.append(News("subtask.held", subtask))
    events.append(db, task.number, news, now)


def release(db: sqlite3.Connection, task_id: str, subtask: str, now: float, *, who: str = PERSON) -> None:
    """Lifts one stop of one subtask; it may run again when it has none.  Raises IllegalMove or UnknownSubtask."""
    task, row = _one(db, task_id, subtask)
    if who not in row.stops:
        raise IllegalMove(f"subtask {subtask!r}", row.state.value, f"be released: no {who} holds it")
    advance_subtask(subtask, row.state, SubtaskEvent.RELEASE)
    _lift(db, task, row, who, now)
    _settle(db, task_id, now)


def ask(db: sqlite3.Connection, task_id: str, subtask: str, asked: Asked, now: float) -> Question:
    """Records a running subtask's question; under ``on_question: pause`` its parent stops the siblings and waits."""
    task, _ = _one(db, task_id, subtask)
    question = questions.ask(db, task.number, subtask, asked, now)
    if question.answered:
        return question
    subtasks.move(db, task.number, subtask, SubtaskEvent.ASK)
    data = {"question": question.id, "prompt": question.prompt}
    news = [News("question.asked", subtask, data), News("subtask.input_required", subtask)]
    events.append(db, task.number, news, now)
    if task.options.get("yes") and question.default is not None:
        answer(db, task_id, question.id, json.loads(question.default), now, who="default")
    elif task.state == TaskState.WORKING and waits_at_once(task):
        for row in subtasks.load(db, task.number):
            if row.state == SubtaskState.RUNNING:
                hold(db, task_id, row.id, now, who=PARENT, reason=f"{subtask} asks {question.id}")
        _enter_waiting(db, task, now)
    return question


def request(db: sqlite3.Connection, task_id: str, subtask: str, asked: Asked, now: float) -> Question:
    """Records a question of the task itself, such as the approval of its plan, and waits for the answer."""
    task = tasks.get(db, task_id)
    question = questions.ask(db, task.number, subtask, asked, now)
    if not question.answered:
        data = {"question": question.id, "prompt": question.prompt}
        events.append(db, task.number, [News("question.asked", subtask, data)], now)
        if task.options.get("yes") and question.default is not None:
            answer(db, task_id, question.id, json.loads(question.default), now, who="default")
        elif task.state == TaskState.WORKING:
            _enter_waiting(db, task, now)
    return questions.find(db, task.number, question.id)


def overspend(db: sqlite3.Connection, task_id: str, next_: Spent | None, now: float) -> bool:
    """Pauses a task whose budget would be passed, and asks what now; False if it cannot be paused at this moment.

    ``next_`` is what the call costs at most that was not made; None if the time is over.
    """
    task = tasks.get(db, task_id)
    if task.state not in (TaskState.WORKING, TaskState.PAUSED) or task.rollback:
        return False
    if not _asks_for_money(db, task):
        limits, asked = budget.limits_of(db, task.number), len(questions.load(db, task.number))
        seconds = budget.seconds_at_work(db, task.number, now)
        asking = budget.question(limits, spend.total(db, task.number), seconds, next_, asked + 1)
        question = questions.ask(db, task.number, budget.SUBTASK, asking, now)
        data = {"question": question.id, "prompt": question.prompt}
        events.append(db, task.number, [News("question.asked", budget.SUBTASK, data)], now)
    pause(db, task_id, now, who=BUDGET, mode="step", reason="the budget has no room for more")
    return True


def _asks_for_money(db: sqlite3.Connection, task: TaskRow) -> bool:
    return any(one.kind == "budget" for one in questions.pending(db, task.number))


def expire(db: sqlite3.Connection, task_id: str, now: float) -> None:
    """Takes the default of each question whose deadline has passed; without one its subtask fails."""
    task = tasks.get(db, task_id)
    for question in questions.pending(db, task.number):
        if question.deadline is None or question.deadline > now or task.state in TERMINAL:
            continue
        if question.default is not None:
            answer(db, task_id, question.id, json.loads(question.default), now, who="deadline")
        else:
            reason = f"question {question.id} was not answered in time"
            _drop(db, task, question.subtask, SubtaskEvent.FAIL, reason, now)
            _settle(db, task_id, now)


def due(db: sqlite3.Connection, now: float) -> list[str]:
    """Tasks with a question past its deadline or a pause past its ``until``."""
    late = db.execute(
        "SELECT DISTINCT t.id FROM questions q JOIN tasks t ON t.number = q.task "
        "WHERE q.answered_at IS NULL AND q.deadline <= ?",
        (now,),
    ).fetchall()
    paused = db.execute("SELECT id, stops FROM tasks WHERE state = 'PAUSED' AND stops LIKE '%\"until\"%'").fetchall()
    over = [task_id for task_id, stops in paused if _over(json.loads(stops), now)]
    return [task_id for (task_id,) in late] + over


def wake(db: sqlite3.Connection, task_id: str, now: float) -> TaskRow:
    """Lifts the stops of a paused task whose time is over, and only those."""
    task = tasks.get(db, task_id)
    for who in _over(task.stops, now):
        task = resume(db, task_id, now, only=who)
    return task


def _over(stops: Mapping[str, Mapping[str, Any]], now: float) -> list[str]:
    return [who for who, stop in stops.items() if stop.get("until") is not None and stop["until"] <= now]


def answer(
    db: sqlite3.Connection, task_id: str, question_id: str, value: Any, now: float, *, who: str = PERSON
) -> TaskRow:
    """Gives a question its answer; the last one that blocks sets the task WORKING, unless it is paused.

    Raises UnknownQuestion, AlreadyAnswered, InvalidAnswer (the question stays open), or IllegalMove if the task ended.
    """
    task = tasks.get(db, task_id)
    if task.state in TERMINAL:
        raise IllegalMove(f"task {task_id}", task.state.value, TaskEvent.ANSWER.value)
    question = questions.find(db, task.number, question_id)
    if not question.answered:
        questions.check(question, value)
    body = json.dumps(value, ensure_ascii=False, sort_keys=True)
    questions.answer(db, task.number, question, body, who, now)
    news = [News("question.answered", question.subtask, {"question": question.id, "by": who})]
    if subtasks.set_waiting(db, task.number, question.subtask, SubtaskEvent.ANSWER):
        news.append(_standing(db, task, question.subtask))
    events.append(db, task.number, news, now)
    if question.kind == "failure":
        _decide(db, task, question.subtask, str(value), now)
    elif question.kind == "budget":
        _spend_on(db, task, question.id, value, now)
    _settle(db, task_id, now)
    return tasks.get(db, task_id)


def skip(db: sqlite3.Connection, task_id: str, subtask: str, now: float, *, who: str = PERSON) -> None:
    """Gives a subtask up, and with it what depends on it; raises IllegalMove or UnknownSubtask."""
    task, row = _one(db, task_id, subtask)
    _active(task, TaskEvent.RESUME)
    advance_subtask(subtask, row.state, SubtaskEvent.SKIP)
    _drop(db, task, subtask, SubtaskEvent.SKIP, f"skipped by {who}", now)
    _settle(db, task_id, now)


def retry(db: sqlite3.Connection, task_id: str, subtask: str, now: float) -> None:
    """Lets a failed or skipped subtask run again, and what was skipped because of it; raises IllegalMove."""
    task, row = _one(db, task_id, subtask)
    _active(task, TaskEvent.RESUME)
    advance_subtask(subtask, row.state, SubtaskEvent.RETRY)
    if subtasks.has_result(row):
        raise IllegalMove(f"subtask {subtask!r}", "replaced by its fallback", SubtaskEvent.RETRY.value)
    revived = {subtask}
    for one in subtasks.load(db, task.number):  # in the plan's order, so a chain comes back whole
        if one.id == subtask or (one.state == SubtaskState.SKIPPED and revived.intersection(_needs(one))):
            revived.add(one.id)
            subtasks.set_waiting(db, task.number, one.id, SubtaskEvent.RETRY)
            subtasks.renew(db, task.number, one.id)
            events.append(db, task.number, [News("control", one.id, {"do": "retry"}), _standing(db, task, one.id)], now)
    _settle(db, task_id, now)


def park(db: sqlite3.Connection, task_id: str, now: float) -> TaskRow:
    """What becomes of a working task none of whose subtasks can run: it waits for answers, or for a release."""
    task = tasks.get(db, task_id)
    rows = subtasks.load(db, task.number)
    if task.state != TaskState.WORKING or can_run(rows) or all(row.state in SETTLED for row in rows):
        return task
    if questions.pending(db, task.number):
        _enter_waiting(db, task, now)
    elif _only_held(rows):
        pause(db, task_id, now, who=HOLDS, reason="every subtask that is left is held")
    return tasks.get(db, task_id)


def can_run(rows: list[SubtaskRow]) -> bool:
    """Whether a subtask could start, or was under way when its runner was lost."""
    return bool(subtasks.startable(rows)) or any(row.state == SubtaskState.RUNNING and not row.stops for row in rows)


def waits_at_once(task: TaskRow) -> bool:
    """Whether a question stops the whole task (``on_question: pause``, the default)."""
    return bool(task.options.get("on_question", "pause") == "pause")


def _needs(row: SubtaskRow) -> list[str]:
    return list(row.spec.get("dependencies", ()))


def _decide(db: sqlite3.Connection, task: TaskRow, subtask: str, decision: str, now: float) -> None:
    """What the answer to "it failed, what now?" does to the subtask, which is waiting again."""
    if decision == "skip":
        _drop(db, task, subtask, SubtaskEvent.SKIP, "skipped after it had failed", now)
    elif decision == "retry":
        subtasks.renew(db, task.number, subtask)
    else:
        fail(db, tasks.get(db, task.id), f"{subtask} failed and was not to be tried again", now)


def _spend_on(db: sqlite3.Connection, task: TaskRow, question: str, value: Any, now: float) -> None:
    """What the answer to "the budget is used up, what now?" does; it lifts the budget's stop and no other."""
    if value == budget.STOP:
        cancel(db, task.id, now)
        return
    known = budget.limits_of(db, task.number)
    if value == budget.FINISH:
        known = {**known, "over": budget.FINISH}
    elif "raise" in value:
        known = budget.raised(question, known, value["raise"])
    else:
        _give_up(db, task, value["drop"], now)
    budget.store(db, task.number, task.options, known)
    resume(db, task.id, now, only=BUDGET)


def _give_up(db: sqlite3.Connection, task: TaskRow, given_up: Iterable[str], now: float) -> None:
    """Skips subtasks, some of which may go with another that they depend on."""
    before = {row.id for row in subtasks.load(db, task.number) if row.state == SubtaskState.SKIPPED}
    for subtask in given_up:
        _, row = _one(db, task.id, subtask)
        if subtask in before or row.state != SubtaskState.SKIPPED:
            skip(db, task.id, subtask, now, who="person, to keep to the budget")


def _drop(db: sqlite3.Connection, task: TaskRow, subtask: str, event: SubtaskEvent, reason: str, now: float) -> None:
    """Ends a subtask without a result and skips, in the same transaction, its fallback and all that depends on it."""
    questions.withdraw(db, task.number, now, subtask)
    subtasks.end(db, task.number, subtask, event, reason, now)
    told = "subtask.failed" if event == SubtaskEvent.FAIL else "subtask.skipped"
    key = "error" if event == SubtaskEvent.FAIL else "reason"
    news = [News("control", subtask, {"do": "drop"}), News(told, subtask, {key: reason})]
    rows = subtasks.load(db, task.number)
    stands_for = {row.spec["fallback"]: row.id for row in rows if row.spec.get("fallback")}
    gone = {subtask}
    for row in [*rows, *rows]:  # twice: a fallback may stand before what it stands in for
        if row.id in gone or not (stands_for.get(row.id) in gone or gone.intersection(_needs(row))):
            continue
        because = f"{subtask!r}, which it depends on, did not complete"
        if subtasks.end(db, task.number, row.id, SubtaskEvent.SKIP, because, now):
            gone.add(row.id)
            questions.withdraw(db, task.number, now, row.id)
            news += [News("control", row.id, {"do": "drop"}), News("subtask.skipped", row.id, {"reason": because})]
    events.append(db, task.number, news, now)


def _settle(db: sqlite3.Connection, task_id: str, now: float) -> None:
    """Brings a task's own state in line with its questions and holds, after one of them has changed."""
    task = tasks.get(db, task_id)
    if task.state in TERMINAL:
        return
    asked = questions.pending(db, task.number)
    if not asked or not (waits_at_once(task) or not can_run(subtasks.load(db, task.number))):
        for row in subtasks.stopped_by(db, task.number, PARENT):
            _lift(db, task, row, PARENT, now)
        if task.state in WAITS:
            _set(db, task, advance(task_id, task.state, TaskEvent.ANSWER), task.stops)
            events.append(db, task.number, [News("task.working")], now)
    if HOLDS in task.stops and not _only_held(subtasks.load(db, task.number)):
        resume(db, task_id, now, only=HOLDS)


def _only_held(rows: list[SubtaskRow]) -> bool:
    return not can_run(rows) and any(row.state == SubtaskState.HELD for row in rows)


def _standing(db: sqlite3.Connection, task: TaskRow, subtask: str) -> News:
    """Tells that a subtask is waiting, or held."""
    row = subtasks.find(db, task.number, subtask)
    return News(f"subtask.{row.state.value if row else SubtaskState.WAITING.value}", subtask)


def _wait_for_answers(db: sqlite3.Connection, task: TaskRow, now: float) -> TaskRow:
    """A resumed task that can do nothing without an answer waits for it at once."""
    if questions.pending(db, task.number) and (waits_at_once(task) or not can_run(subtasks.load(db, task.number))):
        _enter_waiting(db, task, now)
    return tasks.get(db, task.id)


def _enter_waiting(db: sqlite3.Connection, task: TaskRow, now: float) -> None:
    _set(db, task, advance(task.id, task.state, TaskEvent.ASK), task.stops)
    asked = [question.id for question in questions.pending(db, task.number)]
    events.append(db, task.number, [News("task.input_required", data={"questions": asked})], now)


def _lift(db: sqlite3.Connection, task: TaskRow, row: SubtaskRow, who: str, now: float) -> None:
    stops = {name: stop for name, stop in row.stops.items() if name != who}
    subtasks.set_stops(db, task.number, row.id, stops)
    news = [News("control", row.id, {"do": "release", "by": who})]
    if not stops and row.state == SubtaskState.HELD:
        subtasks.move(db, task.number, row.id, SubtaskEvent.RELEASE)
        news.append(News("subtask.waiting", row.id))
    events.append(db, task.number, news, now)


def _end_live(db: sqlite3.Connection, task: TaskRow, now: float) -> None:
    """Cancels every subtask that has not settled, and withdraws its questions."""
    questions.withdraw(db, task.number, now)
    live = [row.id for row in subtasks.load(db, task.number) if row.state not in SETTLED]
    canceled = [id_ for id_ in live if subtasks.move(db, task.number, id_, SubtaskEvent.CANCEL)]
    events.append(db, task.number, [News("subtask.canceled", id_) for id_ in canceled], now)


def _one(db: sqlite3.Connection, task_id: str, subtask: str) -> tuple[TaskRow, SubtaskRow]:
    """A subtask of a task that has not ended."""
    task = tasks.get(db, task_id)
    row = subtasks.find(db, task.number, subtask)
    if row is None:
        raise UnknownSubtask(task_id, subtask)
    if task.state in TERMINAL:
        raise IllegalMove(f"task {task_id}", task.state.value, "be changed any more")
    return task, row


def _active(task: TaskRow, event: TaskEvent) -> TaskRow:
    """Raises IllegalMove during a rollback, which nothing but its end may stop."""
    if task.rollback and task.state not in TERMINAL:
        raise IllegalMove(f"task {task.id}", "rolling back", event.value)
    return task


def _set(db: sqlite3.Connection, task: TaskRow, state: TaskState, stops: Mapping[str, Any]) -> None:
    db.execute(
        "UPDATE tasks SET state = ?, stops = ? WHERE number = ?",
        (state, json.dumps(stops, ensure_ascii=False), task.number),
    )
