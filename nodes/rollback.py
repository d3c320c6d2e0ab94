"""Undoing what has completed: each type's compensation, in reverse order of the plan, each durable by itself.

A plan lists every subtask after its dependencies, so going through it backwards undoes a result before what it was
made from.  A crash in the middle goes on with the next one; a compensation that had begun runs again, with the steps
that it had recorded.  One that was given up is not tried again: what it was made from may be undone by then.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from holdfast.checkpoints import events, subtasks
from holdfast.checkpoints.errors import DataCorrupt, HandedOver, HoldfastError, LeaseLost, StoreError
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.states import SubtaskEvent, SubtaskState
from holdfast.checkpoints.subtasks import SubtaskRow
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.context import TaskContext
from holdfast.nodes.flight import Undoing, recorded
from holdfast.nodes.services import Services

TRIES = 3


async def roll_back(services: Services, task: TaskRow, lease: Lease) -> None:
    """Compensates every completed subtask whose type can; what could not be undone stays completed, with an alert.

    Raises HandedOver if this runner was told to leave the rest to another.
    """
    rows = await services.database.aread(lambda db: subtasks.load(db, task.number))
    for row in reversed(rows):
        if row.state == SubtaskState.COMPLETED and row.error is None and not row.id.startswith("@"):
            if services.leaving:
                raise HandedOver(task.id)
            await _undo(services, task, lease, row)


async def _undo(services: Services, task: TaskRow, lease: Lease, row: SubtaskRow) -> None:
    kind = services.registry.get(row.type) if row.type in services.registry else None
    error = None if kind and kind.compensate else f"the type {row.type!r} has no compensation"
    for attempt in range(1, TRIES + 1):
        if kind is None or kind.compensate is None:
            break
        try:
            known = await recorded(services, lease.task, row.id)
            context = TaskContext(task.id, row.id, attempt, Undoing(services, lease, task, row.id, known))
            body = await services.database.aread(lambda db: subtasks.result(db, lease.task, row.id))
            await kind.undo(kind.validate(row.spec.get("params", {})), json.loads(body), context)
        except (LeaseLost, HandedOver):
            raise
        except asyncio.CancelledError:
            if (run := asyncio.current_task()) and run.cancelling():
                raise  # the run itself is being cancelled
            error = "it was cancelled by something that it had started"
        except (Exception, SystemExit) as fault:
            if isinstance(fault, StoreError) and not isinstance(fault, DataCorrupt):
                raise
            error = str(fault) if isinstance(fault, HoldfastError) else f"{type(fault).__name__}: {fault}"
        else:
            error = None
            break
    now = services.clock()

    def record(db: Any) -> None:
        if error is None:
            subtasks.move(db, lease.task, row.id, SubtaskEvent.ROLL_BACK)
            news = News("subtask.rolled_back", row.id)
        else:
            subtasks.note(db, lease.task, row.id, f"could not be undone: {error}")
            news = News("alert", row.id, {"error": f"{row.id} could not be undone: {error}"})
        events.append(db, lease.task, [news], now)

    await services.database.awrite(record, lease)
