"""A plan that is revised while its task is at work: what may still change, what becomes of it, and the difference.

Finished work is kept.  What has not begun may be changed, left out or added to; a subtask that failed for good and is
worked round counts as skipped.  ``nodes/replanning.py`` asks the model; here nothing is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.checkpoints import control, events, questions, subtasks, tasks
from holdfast.checkpoints.errors import InvalidPlan
from holdfast.checkpoints.events import News
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import SETTLED, SubtaskEvent, SubtaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.plan import Plan, Subtask
from holdfast.nodes.registry import Registry

PLANNER, REVISER = "@plan", "@replan-"  # a number follows
MOST = 3  # times that a model is asked about one task's plan


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a plan may have to be revised: subtasks that failed, by id with the reason, and answers, by question."""

    failed: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)  # "prompt → answer"

    def __bool__(self) -> bool:
        return bool(self.failed or self.answers)


def revisers(rows: Iterable[SubtaskRow]) -> list[SubtaskRow]:
    """The built-in subtasks that asked about revisions, in their order."""
    return sorted((row for row in rows if row.id.startswith(REVISER)), key=lambda row: int(row.id[len(REVISER) :]))


def is_open(row: SubtaskRow) -> bool:
    """Whether a reviser has not ended, or what it found has not been put into effect."""
    return not (subtasks.is_settled(row) and row.spec.get("description"))


def occasion(db: sqlite3.Connection, task: TaskRow, rows: Sequence[SubtaskRow]) -> Occasion:
    """What has happened that no reviser was asked about yet; nothing for a plan that no planner made, or too often.

    Failures count once nothing else can run, answers while something has not begun.
    """
    asked = revisers(rows)
    if len(asked) >= MOST or all(row.id != PLANNER for row in rows):
        return Occasion()
    seen = {id_ for row in asked for key in ("failed", "answers") for id_ in row.spec["params"].get(key, {})}
    planned = [row for row in rows if not row.id.startswith("@")]
    over = all(map(subtasks.is_settled, planned))
    failed = {row.id: row.error or "" for row in planned if over and _failed(row) and row.id not in seen}
    given: dict[str, str] = {}
    if open_ids(planned):
        asked_for = [one for one in questions.load(db, task.number) if one.id not in seen and _tells(one)]
        given = {one.id: f"{one.prompt} → {one.answer}" for one in asked_for}
    return Occasion(failed, given)


def _tells(question: Question) -> bool:
    """Whether a person gave a subtask's question another answer than its default."""
    by_person = question.answered_by == control.PERSON and question.answer != question.default
    return question.kind == "input" and by_person and not question.subtask.startswith("@")


def insert_reviser(db: sqlite3.Connection, task: TaskRow, rows: Sequence[SubtaskRow], why: Occasion) -> None:
    """Adds the built-in subtask that asks about this occasion."""
    planned = [row for row in rows if not row.id.startswith("@")]
    free = open_ids(planned, why.failed)
    params = {
        "goal": task.goal,
        "data": task.options.get("data", []),
        "failed": dict(why.failed),
        "answers": dict(why.answers),
        "open": [row.spec for row in planned if row.id in free],
        "kept": [one.compact() for one in kept(planned, why.failed)],
        "spent": sorted(spent(planned, why.failed)),
    }
    id_ = f"{REVISER}{len(revisers(rows)) + 1}"
    spec = Subtask(id=id_, type="replan", params=params, retries=0, on_failure="continue")
    subtasks.add(db, task.number, [spec.compact()])


def open_ids(rows: Sequence[SubtaskRow], failed: Collection[str] = ()) -> set[str]:
    """What a revision may change or leave out: what has not begun, and what was given up because of ``failed``."""
    lost = set(failed)
    for row in rows:  # in the plan's order, so that a chain is found whole
        if lost.intersection(row.spec.get("dependencies", ())):
            lost.add(row.id)
    return {row.id for row in rows if _untouched(row) or (row.id in lost and _given_up(row))}


def kept(rows: Sequence[SubtaskRow], failed: Collection[str] = ()) -> list[Subtask]:
    """What a revision has to leave as it is, as subtasks of the plan: what completed, and what is under way or held."""
    free, found = open_ids(rows, failed), list[Subtask]()
    for row in rows:
        if subtasks.has_result(row):
            found.append(Subtask.model_validate({**row.spec, "dependencies": [], "fallback": None}))
        elif row.state not in SETTLED and row.id not in free:
            found.append(Subtask.model_validate(row.spec))
    return found


def spent(rows: Sequence[SubtaskRow], failed: Collection[str] = ()) -> set[str]:
    """The ids that a revision may not use: those of subtasks that ended without a result and cannot run again."""
    return {row.id for row in rows} - open_ids(rows, failed) - {one.id for one in kept(rows, failed)}


def _failed(row: SubtaskRow) -> bool:
    return row.state == SubtaskState.FAILED and not subtasks.has_result(row)


def _untouched(row: SubtaskRow) -> bool:
    return row.state == SubtaskState.WAITING and row.started_at is None and not row.attempts and not row.stops


def _given_up(row: SubtaskRow) -> bool:
    by_person = row.error == f"skipped by {control.PERSON}"
    return row.state == SubtaskState.SKIPPED and row.started_at is None and not by_person


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what had not run and what is to run now; ``changed`` has [before, after] of each field by subtask."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Mapping[str, Mapping[str, Sequence[Any]]]
    revived: Sequence[str] = ()  # given up before, and to run now

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.revived)


def difference(rows: Sequence[SubtaskRow], after: Sequence[Mapping[str, Any]], free: Collection[str]) -> Difference:
    """What a list of subtasks changes, where ``free`` are the ids that it may change."""
    new, old = {spec["id"]: spec for spec in after}, {row.id: row for row in rows if row.id in free}
    changed = {id_: _fields(old[id_].spec, spec) for id_, spec in new.items() if id_ in old}
    return Difference(
        added=[id_ for id_ in new if id_ not in old],
        removed=[id_ for id_ in old if id_ not in new and old[id_].state not in SETTLED],
        changed={id_: fields for id_, fields in changed.items() if fields},
        revived=[id_ for id_ in new if id_ in old and old[id_].state in SETTLED],
    )


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        key: [before.get(key), after.get(key)]
        for key in sorted({**before, **after})
        if before.get(key) != after.get(key)
    }


def put_into_effect(
    db: sqlite3.Connection, task: TaskRow, reviser: SubtaskRow, made: Mapping[str, Any], registry: Registry, now: float
) -> None:
    """Revises the plan as a reviser found, or tells that it stays as it is, and why; once for each reviser."""
    rows = [row for row in subtasks.load(db, task.number) if not row.id.startswith("@")]
    failed = [id_ for id_ in reviser.spec["params"]["failed"] if any(row.id == id_ and _failed(row) for row in rows)]
    why, after, by = made["why"], made.get("subtasks") or [], made.get("by", {})
    if after:
        try:
            if used := spent(rows, failed) & {spec["id"] for spec in after}:
                raise InvalidPlan([f"{', '.join(sorted(used))} has ended"])
            Plan(subtasks=[*kept(rows, failed), *map(Subtask.model_validate, after)]).checked(registry)
        except InvalidPlan as fault:  # somebody skipped, held or tried again something meanwhile
            why, after = f"it does not fit any more: {'; '.join(fault.faults[:3])}", []
    changes = difference(rows, after, open_ids(rows, failed))
    if not after or not changes:
        events.append(db, task.number, [News("plan.kept", data={**by, "why": why})], now)
        _note(db, task, reviser, f"The plan was kept: {why}")
        return
    revision = tasks.next_revision(db, task.number)
    data = {
        "revision": revision,
        **by,
        "why": why,
        "because": {"failed": failed, "answers": list(reviser.spec["params"]["answers"])},
        "added": list(changes.added),
        "removed": list(changes.removed),
        "changed": {id_: dict(fields) for id_, fields in changes.changed.items()},
        "revived": list(changes.revived),
    }
    events.append(db, task.number, [News("plan.revised", data=data)], now)
    _apply(db, task, rows, after, changes, failed, revision, now)
    _note(db, task, reviser, f"The plan was revised: revision {revision}")


def _apply(
    db: sqlite3.Connection,
    task: TaskRow,
    rows: Sequence[SubtaskRow],
    after: Sequence[Mapping[str, Any]],
    changes: Difference,
    failed: Sequence[str],
    revision: int,
    now: float,
) -> None:
    """Writes a difference to the rows, and tells what becomes of each."""
    number, by_id, new = task.number, {row.id: row for row in rows}, {spec["id"]: spec for spec in after}
    reasons = dict.fromkeys(changes.removed, f"left out in revision {revision} of the plan") | {
        id_: f"worked round in revision {revision} of the plan; it had failed: {by_id[id_].error}" for id_ in failed
    }
    for id_, reason in reasons.items():
        subtasks.end(db, number, id_, SubtaskEvent.SKIP, reason, now)
        events.append(db, number, [News("subtask.skipped", id_, {"reason": reason})], now)
    for id_ in {**changes.changed, **dict.fromkeys(changes.revived)}:
        subtasks.respecify(db, number, id_, new[id_])
    for id_ in changes.revived:
        subtasks.set_waiting(db, number, id_, SubtaskEvent.RETRY)
        subtasks.renew(db, number, id_)
        events.append(db, number, [News("subtask.waiting", id_)], now)
    subtasks.add(db, number, [new[id_] for id_ in changes.added])
    whole = Plan(subtasks=[Subtask.model_validate(row.spec) for row in subtasks.load(db, number)])
    subtasks.arrange(db, number, [one.id for one in whole.ordered()])


def _note(db: sqlite3.Connection, task: TaskRow, reviser: SubtaskRow, outcome: str) -> None:
    """Marks a reviser as put into effect."""
    subtasks.respecify(db, task.number, reviser.id, {**reviser.spec, "description": outcome})


def summary(made: Mapping[str, Any]) -> str:
    """A revision as a person is asked about it."""
    listed = ", ".join(f"{one['id']} ({one['type']})" for one in made["subtasks"])
    return f"The model wants to revise the plan: {made['why']} From now on it would run: {listed}. Revise it?"
