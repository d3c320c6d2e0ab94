"""Two who want different things at one moment: one wins, the other is told, and nothing is half done.

``ROUNDS`` of each; ``HOLDFAST_TORTURE=1`` makes them many.  The moment is drawn anew in each round.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskState
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.errors import AlreadyAnswered, IllegalMove, LeaseHeld, LeaseLost
from holdfast.checkpoints.states import TERMINAL
from holdfast.nodes.orchestration import create_task
from tests.integration import racer
from tests.integration.racer import Racer
from tests.integration.runner import digest

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS") or (500 if os.environ.get("HOLDFAST_TORTURE") == "1" else 20))
TICKS = 60
LEASE = 0.5
assert racer.work  # registers r_work


@pytest.fixture
async def pair(tmp_path) -> AsyncIterator[tuple[Holdfast, Holdfast]]:
    """Two of them on one file, each with its own connections, threads and leases."""
    async with Holdfast.open(tmp_path / "h.db") as one, Holdfast.open(tmp_path / "h.db") as other:
        yield one, other


@pytest.fixture
def racers() -> Iterator[tuple[Racer, Racer]]:
    made = Racer(), Racer()
    yield made
    for one in made:
        os.kill(one.process.pid, signal.SIGCONT)
        one.close()


def plan(size: int = 3, **params: Any) -> dict[str, Any]:
    return {
        "subtasks": [
            {"id": f"t{i}", "type": "r_work", "params": params, "dependencies": [f"t{i - 1}"] if i else []}
            for i in range(size)
        ]
    }


def results(size: int) -> dict[str, str]:
    known: dict[str, str] = {}
    for i in range(size):
        known[f"t{i}"] = digest(f"t{i}", [known[f"t{i - 1}"]] if i else [])
    return known


async def idle(task_id: str, *those: Holdfast, limit: float = 30) -> None:
    until = time.monotonic() + limit
    while any(hf.working_on(task_id) for hf in those):
        assert time.monotonic() < until, "it does not come to rest"
        await asyncio.sleep(0.001)


async def ended(hf: Holdfast, task_id: str) -> Any:
    return await asyncio.wait_for(hf.wait(task_id, until=TERMINAL), 30)


async def history(hf: Holdfast, task_id: str) -> list[str]:
    events = [event async for event in hf.events(task_id, follow=False)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.type for event in events]


async def tried(call: Awaitable[Any], *expected: type[Exception]) -> Exception | None:
    try:
        await call
    except expected as error:
        return error
    return None


async def after(delay: float, call: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(delay)
    return await call()


def starts_after(lines: list[str], word: str) -> list[str]:
    """What began after the first line of that type, up to the next task.working."""
    if word not in lines:
        return []
    later = lines[lines.index(word) + 1 :]
    end = later.index("task.working") if "task.working" in later else len(later)
    return [line for line in later[:end] if line in ("subtask.running", "step.started")]


async def completes(hf: Holdfast, task_id: str, size: int) -> None:
    task = await ended(hf, task_id)
    assert task.state == TaskState.COMPLETED
    assert {one.id: task.result(one.id)["digest"] for one in task.plan.subtasks} == results(size)
    lines = await history(hf, task_id)
    assert lines.count("subtask.completed") == size
    assert lines.count("task.completed") == 1


async def duration(hf: Holdfast, made: dict[str, Any]) -> float:
    began = time.monotonic()
    await ended(hf, (await hf.start("how long", plan=made)).id)
    return time.monotonic() - began


async def test_a_pause_that_meets_the_end_either_holds_or_comes_too_late(pair, chance):
    one, other = pair
    lasts = await duration(one, plan())
    seen: Counter[str] = Counter()
    for i in range(ROUNDS):
        task = await one.start("race", plan=plan())
        await asyncio.sleep(chance.uniform(0.3, 1.2) * lasts)
        who, mode = (one, other)[i % 2], chance.choice(["now", "step"])
        late = await tried(who.pause(task.id, mode=mode), IllegalMove)
        seen["late" if late else "held"] += 1
        await idle(task.id, one)
        now = await one.get(task.id)
        assert now.state == (TaskState.COMPLETED if late else TaskState.PAUSED)
        assert starts_after(await history(one, task.id), "task.paused") == []
        if not late:
            assert now.in_flight == 0
            await (one, other)[i % 3 == 0].resume(task.id)
        await completes(one, task.id, 3)
    print(seen)


async def test_a_resume_that_meets_a_cancel_never_brings_the_task_back(pair, chance):
    one, other = pair
    for i in range(ROUNDS):
        task = await one.start("race", plan=plan(seconds=0.005))
        await asyncio.sleep(chance.random() * 0.03)
        if await tried(one.pause(task.id), IllegalMove):
            continue
        if i % 2:
            await idle(task.id, one)
        await asyncio.gather(
            after(chance.random() * 0.004, lambda id_=task.id: tried(one.resume(id_), IllegalMove, LeaseHeld)),
            after(chance.random() * 0.004, lambda id_=task.id: other.cancel(id_)),
        )
        await idle(task.id, one, other)
        now = await one.get(task.id)
        assert now.state == TaskState.CANCELED
        assert {sub.state.value for sub in now.plan.subtasks} <= {"completed", "canceled"}
        lines = await history(one, task.id)
        assert lines.count("task.canceled") == 1
        assert starts_after(lines, "task.canceled") == []


async def test_a_cancel_that_meets_the_end_has_one_outcome(pair, chance):
    one, other = pair
    lasts = await duration(one, plan())
    for i in range(ROUNDS):
        task = await one.start("race", plan=plan())
        await asyncio.sleep(chance.uniform(0.4, 1.2) * lasts)
        late = await tried((one, other)[i % 2].cancel(task.id), IllegalMove)
        at_once = (await other.get(task.id)).state
        await idle(task.id, one)
        assert (await one.get(task.id)).state == at_once == (TaskState.COMPLETED if late else TaskState.CANCELED)
        lines = await history(one, task.id)
        assert lines.count("task.completed") + lines.count("task.canceled") == 1
        assert starts_after(lines, "task.canceled") == []


async def test_of_two_resumes_in_one_process_one_works_and_the_other_is_told(pair, chance):
    one, other = pair
    for i in range(ROUNDS):
        task = await one.start("race", plan=plan(seconds=0.002))
        await asyncio.sleep(chance.random() * 0.02)
        if await tried(one.pause(task.id), IllegalMove):
            continue
        if i % 2:
            await idle(task.id, one)
        refused = await asyncio.gather(
            after(chance.random() * 0.003, lambda id_=task.id: tried(one.resume(id_), LeaseHeld, IllegalMove)),
            after(chance.random() * 0.003, lambda id_=task.id: tried(other.resume(id_), LeaseHeld, IllegalMove)),
        )
        assert None in refused
        for error in refused:  # the slower one may also come when the faster one has brought the task to its end
            assert not isinstance(error, IllegalMove) or error.state == TaskState.COMPLETED
        await completes(one, task.id, 3)
        await idle(task.id, one, other)


async def test_of_two_processes_that_resume_one_works_and_the_other_is_told(tmp_path, chance, racers):
    size = 3
    for i in range(ROUNDS):
        path, log = tmp_path / f"{i}.db", tmp_path / f"{i}.log"
        async with Holdfast.open(path) as hf:
            task = await hf.start("race", plan=plan(size, steps=2, seconds=0.003))
            await asyncio.sleep(chance.random() * 0.01)
        if (await asyncio.to_thread(_state, path)) != "WORKING":
            continue
        for one in racers:
            one.order(db=str(path), task=task.id, log=str(log))
            time.sleep(chance.random() * 0.01)
        ends = [await asyncio.to_thread(one.end) for one in racers]
        assert sorted(filter(None, ends)) in ([], ["LeaseHeld"], ["IllegalMove"])  # the last: it had ended by then
        async with Holdfast.open(path) as hf:
            await completes(hf, task.id, size)
        done = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("step")]
        assert len(done) == len(set(done)), "a step ran in both"


def _state(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("SELECT state FROM tasks").fetchone()[0])


async def test_of_two_answers_to_one_question_the_first_stands(pair, chance):
    one, other = pair
    wins: Counter[int] = Counter()
    for _ in range(ROUNDS):
        task = await one.start("race", plan=plan(1, asks=True))
        waiting = await asyncio.wait_for(one.wait(task.id), 30)
        (question,) = waiting.questions

        async def answers(hf: Holdfast, value: int, id_: str = task.id, name: str = question.id) -> Exception | None:
            await asyncio.sleep(chance.random() * 0.002)
            return await tried(hf.answer(id_, name, value), AlreadyAnswered, IllegalMove)

        told = await asyncio.gather(*(answers(hf, value) for value, hf in enumerate(pair)))
        assert sum(error is None for error in told) == 1
        done = await ended(other, task.id)
        assert done.result("t0") == told.index(None)
        assert (await history(one, task.id)).count("question.answered") == 1
        wins[told.index(None)] += 1
        await idle(task.id, one, other)
    print(wins)


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("BEGIN")
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}


async def test_a_stopped_runner_is_taken_over_and_writes_nothing_when_it_wakes(tmp_path, chance, racers):
    victim, _ = racers
    for i in range(ROUNDS):
        path, log = tmp_path / f"{i}.db", tmp_path / f"{i}.log"
        async with Holdfast.open(path) as hf:
            task = await create_task(hf.services, "race", {"plan": plan(6, steps=4, seconds=0.02)})
        victim.order(db=str(path), task=task.id, log=str(log), lease=LEASE)
        assert (await asyncio.to_thread(victim.hear))["at"] == "working"
        await asyncio.sleep(chance.random() * 0.25)
        database = await asyncio.to_thread(Database, path, lease_seconds=60.0)
        lease, waited = await asyncio.to_thread(take_from, victim, database, task.id)
        before = everything(path)
        os.kill(victim.process.pid, signal.SIGCONT)
        error = await asyncio.to_thread(victim.end)
        assert everything(path) == before, "a runner that had lost its lease wrote"
        assert error == LeaseLost.__name__
        assert waited <= LEASE + 1.0
        await asyncio.to_thread(database.write, lambda db: database.owner.release(db, lease))  # noqa: B023
        await asyncio.to_thread(database.close)
        async with Holdfast.open(path) as hf:
            await hf.resume(task.id)
            await completes(hf, task.id, 6)
        kept: set[str] = set()
        for line in log.read_text().splitlines():
            word, step, _ = line.split()
            assert word != "step" or step not in kept, f"{step} was on disk and ran again"
            kept |= {step} if word == "kept" else set()


def take_from(victim: Racer, database: Database, task_id: str) -> tuple[Any, float]:
    """Stops the process and takes its lease once it has run out; (the lease, how long that took).

    A process may be stopped inside a transaction; then nobody can write until it goes on, so it is let go on.
    """
    number = database.read(lambda db: db.execute("SELECT number FROM tasks WHERE id = ?", (task_id,)).fetchone()[0])
    for _ in range(50):
        stop(victim.process.pid)
        with closing(sqlite3.connect(database.path, timeout=0.05, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
                break
            except sqlite3.OperationalError:
                os.kill(victim.process.pid, signal.SIGCONT)
                time.sleep(0.005)
    began = time.monotonic()
    while True:
        try:
            return database.write(lambda db: database.owner.take(db, number, task_id)), time.monotonic() - began
        except LeaseHeld:
            assert time.monotonic() < began + 10, "a stopped runner keeps its lease"
            time.sleep(0.01)


def stop(pid: int) -> None:
    """Stops a process, and waits until each of its threads has stopped."""
    os.kill(pid, signal.SIGSTOP)
    limit = time.monotonic() + 5
    while any(
        stat.read_text().rpartition(")")[2].split()[0] != "T" for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ):
        assert time.monotonic() < limit, "it does not stop"
        time.sleep(0.001)


async def tick(times: int) -> None:
    """Lets the loop turn so many times; the threads get their turn in between, so each turn has something to do."""
    for _ in range(times):
        time.sleep(0.0005)
        await asyncio.sleep(0)


async def test_a_cancel_at_every_turn_of_the_loop_is_final(pair):
    one, _ = pair
    for turns in range(1, TICKS + 1):
        task = await one.start("race", plan=plan())
        await tick(turns)
        late = await tried(one.cancel(task.id), IllegalMove)
        await idle(task.id, one)
        assert (await one.get(task.id)).state == (TaskState.COMPLETED if late else TaskState.CANCELED)
        assert starts_after(await history(one, task.id), "task.canceled") == []


@pytest.mark.parametrize("act", ["cancel", "pause"])
async def test_a_body_without_steps_is_stopped_within_a_second_at_every_turn_of_the_loop(pair, act):
    one, _ = pair
    long = {"subtasks": [{"id": f"t{i}", "type": "sleep", "params": {"seconds": 60}} for i in range(4)]}
    for turns in range(1, TICKS + 1, 1 if ROUNDS > 20 else 4):
        task = await one.start("race", plan=long)
        await tick(turns)
        await (one.cancel(task.id) if act == "cancel" else one.pause(task.id, mode="now"))
        began = time.monotonic()
        await idle(task.id, one, limit=5)
        assert time.monotonic() - began < 1


async def test_a_run_that_is_cut_off_at_any_turn_of_the_loop_goes_on_after_a_lease_at_most(tmp_path):
    async with Holdfast.open(tmp_path / "h.db", lease_seconds=LEASE) as one:
        for turns in range(1, TICKS + 1, 1 if ROUNDS > 20 else 4):
            task = await one.start("race", plan=plan())
            await tick(turns)
            one._runner._runs[task.id].cancel()
            await idle(task.id, one)
            limit = time.monotonic() + LEASE + 2
            while (await one.get(task.id)).state not in TERMINAL:
                if await tried(one.resume(task.id), LeaseHeld) is None:
                    break
                assert time.monotonic() < limit, f"cut off at turn {turns}, its lease is kept for ever"
                await asyncio.sleep(0.02)
            await completes(one, task.id, 3)


@pytest.mark.parametrize("call", ["pause", "hold", "resume", "start"])
async def test_a_caller_that_gives_up_at_any_turn_of_the_loop_leaves_nothing_half_done(pair, call):
    one, _ = pair
    for turns in range(TICKS // 2):
        before = {task.id for task in await one.list()}
        task = await one.start("race", plan=plan()) if call != "start" else None
        if call == "resume" and task:
            await tried(one.pause(task.id), IllegalMove)
        id_ = task.id if task else ""
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "pause": partial(one.pause, id_),
            "resume": partial(one.resume, id_),
            "hold": partial(one.hold, id_, "t1"),
            "start": partial(one.start, "race", plan=plan()),
        }
        caller = asyncio.ensure_future(calls[call]())
        await tick(turns)
        caller.cancel()
        await tried(caller, IllegalMove, asyncio.CancelledError)
        for made in [one_.id for one_ in await one.list() if one_.id not in before]:
            await goes_on(one, made)
            await completes(one, made, 3)


async def goes_on(hf: Holdfast, task_id: str) -> None:
    """What a person does who finds the task: releases, resumes."""
    limit = time.monotonic() + 20
    while (now := await hf.get(task_id)).state not in TERMINAL:
        assert time.monotonic() < limit, f"it is stuck: {now.to_json()}"
        for sub in now.plan.subtasks:
            if "person" in sub.stops:
                await tried(hf.release(task_id, sub.id), IllegalMove)
        if now.state == TaskState.PAUSED or not hf.working_on(task_id):
            await tried(hf.resume(task_id), IllegalMove)
        await asyncio.sleep(0.005)
