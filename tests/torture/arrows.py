"""A process that plays one scene and is killed right before, or right after, it commits a given event of the history.

``python -m tests.torture.arrows``, one JSON line for each run: ``{"folder": …, "event": 12, "when": "before"}``, with
event 0 for a run that is left alone.  Out: ``{"exit": -9}``.  Each run is a process forked from this one, which has
imported everything; a run takes the task up wherever the one before was killed.

``scene.json`` in the folder has the plan and the options of the task, and who does what: ``answer`` is what the runner
itself answers (without it, it leaves at the question), ``held`` what a person holds before anything starts and
releases once nothing else is left, ``cancel`` the event after which the runner cancels with a rollback.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import database, events, schema
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.states import TERMINAL
from holdfast.nodes.orchestration import create_task
from tests.torture import victim
from tests.torture.watched import Watched, fork

LIMIT = 30  # seconds for one run: more is stuck
Told = Sequence[str]  # type of an event, subtask, and the name of a step


@task_type("k_plain")  # the same without a compensation
@task_type("k_agent", compensate=victim.undo)
async def agent(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Goes through its steps, each of which ends once another event of the history is told; may ask, wait or fail."""
    victim.log("start", ctx.subtask_id)
    for known in ctx._effects.answers.values():
        victim.log("knows", ctx.subtask_id, json.dumps(known))
    answer = None
    for name, then in params.get("steps", {}).items():
        if name == "ask":
            answer = await ctx.ask(f"What does {ctx.subtask_id} need?", schema={"type": "integer"})
            victim.log("answered", ctx.subtask_id, json.dumps(answer))
        else:
            await victim.step(ctx, name, lambda then=then: told(ctx, then))
    if params.get("fails"):
        raise BadInput("no luck")
    victim.log("end", ctx.subtask_id)
    return {"from": ctx.subtask_id, "answer": answer, "inputs": inputs}


async def told(ctx: TaskContext, what: Told) -> None:
    """Until the history has that event, whoever wrote it."""
    path = ctx._effects._services.database.path  # type: ignore[attr-defined]
    with closing(schema.connect(path, read_only=True)) as db:
        while what and name_of(what) not in history(db, ctx.task_id):
            await asyncio.sleep(0.002)


def history(db: sqlite3.Connection, task: str) -> list[str]:
    """The events of a task in order, each in a few words."""
    return [_name(one) for one in events.read(db, task)]


def _name(one: events.Event | events.News) -> str:
    data = one.data or {}
    return name_of([one.type, one.subtask, data.get("step"), data.get("do"), data.get("by")])


def name_of(what: Sequence[str | None]) -> str:
    return " ".join(filter(None, what))


def arm(event: int | str, when: str) -> Callable[[sqlite3.Connection], None]:
    """SIGKILL to this process around the commit that writes that event; gives the trace of the writer's connection.

    An event is named by its number or, where its number may differ from run to run, in the words of ``name_of``.  What
    a commit brings is logged, by the number of its first event, so that each has to be tried only once.
    """
    first, last, brought, append, commit = 0, 0, set[str](), events.append, database._Worker._commit

    def appended(db: sqlite3.Connection, task: int, news: Sequence[events.News], now: float) -> int:
        nonlocal first, last
        if news:
            last = append(db, task, news, now)
            first = first or last - len(news) + 1
            brought.update(map(_name, news))
        return last

    def strike(side: str) -> None:
        if side == when and first and (event in brought if isinstance(event, str) else first <= event <= last):
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(sql: str) -> None:
        nonlocal first
        if sql == "ROLLBACK":
            first = 0
            brought.clear()
        elif sql == "COMMIT":
            strike("before")

    def committed(worker: database._Worker, batch: Any) -> Any:
        nonlocal first
        outcome = commit(worker, batch)
        if worker._begin == "BEGIN IMMEDIATE":  # the writer, and not the reader
            strike("after")  # on disk, and nobody was told
            if first:
                victim.log("commit", str(first))
            first = 0
            brought.clear()
        return outcome

    events.append = appended
    database._Worker._commit = committed  # type: ignore[method-assign]
    return lambda connection: connection.set_trace_callback(traced)


async def play(folder: Path, trace: Callable[[sqlite3.Connection], None]) -> None:
    """Starts the task or takes it up, and plays the scene until it ends or nobody is there to answer."""
    scene = json.loads((folder / "scene.json").read_text())
    async with Holdfast.open(folder / "h.db") as hf:
        trace(hf.database.connection)
        known = await hf.list()
        made = await create_task(hf.services, "A delegates", scene["task"]) if not known else known[0]
        held = scene.get("held")
        if held and f"control {held} hold person" not in await past(hf, made.id):
            await hf.hold(made.id, held)
        while (task := await hf.get(made.id)).state not in TERMINAL:
            if task.state == TaskState.INPUT_REQUIRED:
                if "answer" not in scene:
                    return
                await hf.answer(task.id, task.questions[0].id, scene["answer"])
            elif task.state == TaskState.PAUSED:
                await hf.release(task.id, held)
            elif not hf.working_on(task.id):
                await hf.resume(task.id)
            while hf.working_on(task.id):
                await cancel(hf, task.id, scene.get("cancel"))
                await asyncio.sleep(0.003)


async def cancel(hf: Holdfast, task: str, after: Told | None) -> None:
    """Cancels with a rollback once that event is told, and once only."""
    if after and name_of(after) in (seen := await past(hf, task)) and "control cancel" not in seen:
        await hf.cancel(task, rollback=True)


async def past(hf: Holdfast, task: str) -> list[str]:
    return await hf.database.aread(lambda db: history(db, task))


Play = Callable[[Path, Callable[[sqlite3.Connection], None]], Coroutine[Any, Any, None]]


def run(folder: Path, event: int | str, when: str, play: Play) -> None:
    signal.alarm(LIMIT)
    victim.open_log(folder)
    asyncio.run(play(folder, arm(event, when)))


def main(play: Play = play) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        folder, meanwhile = Path(order["folder"]), order.get("meanwhile")
        child = fork(lambda: run(folder, order["event"], order["when"], play), folder / "err")  # noqa: B023  in this turn
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if meanwhile is not None:  # a person answers in this process while the runner is at work in its own
                Watched(folder).answer(lambda _: meanwhile)  # noqa: B023
            time.sleep(0.002)
        sys.stdout.write(json.dumps({"exit": os.waitstatus_to_exitcode(ended[1])}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
