"""Control and the runner against a pure model: any order of calls, crashes and the clock, at every database operation.

``driver.py`` runs the real nodes over a real file and stops before each operation; ``spec.py`` says what each call has
to do.  Moves and steps are seen by triggers on the runner's connection, so what happens inside one transaction counts.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast.checkpoints import control, errors, events, tasks
from holdfast.checkpoints.database import Database
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.states import SUBTASK_MOVES, TASK_MOVES, SubtaskState, TaskState
from holdfast.nodes import orchestration
from holdfast.nodes.registry import Registry, task_type
from tests.integration import driver, spec
from tests.integration.driver import Runner
from tests.integration.runner import digest

TORTURE = os.environ.get("HOLDFAST_TORTURE") == "1"
EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES") or (10_000 if TORTURE else 200))
STEPS = int(os.environ.get("HOLDFAST_STEPS") or (80 if TORTURE else 50))

TYPES = Registry()
REFUSALS = (errors.IllegalMove, errors.AlreadyAnswered, errors.InvalidAnswer, errors.UnknownQuestion)
TABLES = (("subtask", SUBTASK_MOVES, SubtaskState), ("task", TASK_MOVES, TaskState))
TRIGGERS = (
    "CREATE TEMP TABLE moves(what, id, before, after, task_state, task_stops, stops, rollback)",
    "CREATE TEMP TRIGGER m1 AFTER UPDATE OF state ON subtasks BEGIN INSERT INTO moves SELECT 'subtask', NEW.id, "
    "OLD.state, NEW.state, t.state, t.stops, NEW.stops, t.rollback FROM tasks t WHERE t.number = NEW.task; END",
    "CREATE TEMP TRIGGER m2 AFTER UPDATE OF state ON tasks BEGIN INSERT INTO moves VALUES"
    "('task', NEW.id, OLD.state, NEW.state, NEW.state, NEW.stops, '{}', NEW.rollback); END",
    "CREATE TEMP TRIGGER m3 AFTER INSERT ON steps BEGIN INSERT INTO moves SELECT 'step', s.id, s.state, NEW.name, "
    "t.state, t.stops, s.stops, t.rollback FROM tasks t JOIN subtasks s ON s.task = t.number "
    "WHERE t.number = NEW.task AND s.id = NEW.subtask; END",
)
ids = st.integers(0, 5)
modes = st.sampled_from(spec.MODES)
policies = st.sampled_from([None, None, "continue", "fail_fast", "rollback", "ask"])


async def undo(params: dict[str, Any], result: Any, ctx: Any) -> None:
    await ctx.step("give back", lambda: ctx.subtask_id)


@task_type("m_work", compensate=undo, registry=TYPES)
async def work(params: dict[str, Any], inputs: dict[str, Any], ctx: Any) -> Any:
    """Never called: the driver ends bodies."""


@task_type("m_firm", registry=TYPES)
async def firm(params: dict[str, Any], inputs: dict[str, Any], ctx: Any) -> Any:
    """Cannot be undone."""


@st.composite
def plans(draw: Callable[..., Any]) -> dict[str, Any]:
    size = draw(st.integers(1, 5))
    return {
        "subtasks": [
            {
                "id": f"s{i}",
                "type": draw(st.sampled_from(["m_work", "m_work", "m_firm"])),
                "dependencies": [f"s{j}" for j in range(i) if draw(st.integers(0, 2)) == 0],
                "retries": draw(st.integers(0, 1)),
                "on_failure": draw(policies),
            }
            for i in range(size)
        ]
    }


class Clock:
    """The time of day, which may be set back, and the time that passes, which may not."""

    def __init__(self) -> None:
        self._day, self._passed = 1e9, 0.0

    def time(self) -> float:
        return self._day

    def steady(self) -> float:
        return self._passed

    def move(self, seconds: float) -> None:
        self._day += seconds
        self._passed += max(seconds, 0.0)


class Model(RuleBasedStateMachine):
    """One database, one task after another, and one process after another that runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-model-"))
        self.clock = Clock()
        self.patch = ExitStack()
        self.patch.enter_context(driver.in_place(self.clock.steady))
        self.task: str | None = None
        self.runner: Runner | None = None
        self.database = self.open()
        self.seen: spec.Snap | None = None
        self.completed: dict[str, set[str]] = {}
        self.steps: dict[str, set[str]] = {}
        self.seq = 0

    def open(self) -> Database:
        database = Database(self.folder / "h.db")
        database.connection.execute("PRAGMA synchronous=OFF")  # nothing here depends on the power staying on
        for sql in TRIGGERS:
            database.connection.execute(sql)
        return database

    def teardown(self) -> None:
        try:
            if self.task and not self.snap().ended:
                self.bring_to_an_end()
        finally:
            self.patch.close()
            if self.runner:
                self.runner.crash()
            self.database.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # what is on disk, and what must hold of it

    def snap(self) -> spec.Snap:
        assert self.task
        task = self.task
        return self.database.read(lambda db: spec.take(db, task))

    def logged(self, database: Database) -> list[tuple[Any, ...]]:
        rows = database.connection.execute("SELECT * FROM moves").fetchall()
        database.connection.execute("DELETE FROM moves")
        return rows

    @property
    def live(self) -> bool:
        return self.seen is not None and not self.seen.ended

    @invariant()
    def holds(self) -> None:
        if not self.task:
            return
        before, now = self.seen, self.snap()
        for move in self.logged(self.database):
            self.check_move(*move)
        self.check_history()
        if before and before.ended:
            assert now == before, "a task that has ended was changed"
        self.check_shape(now)
        done = {name for name, sub in now.subs.items() if sub.state == "completed"}
        undone = {name for name, sub in now.subs.items() if sub.state == "rolled_back"}
        known = self.completed.setdefault(self.task, set())
        assert known <= done | undone, f"completed, and not any more: {known - done - undone}"
        known |= done
        if self.runner:
            assert self.runner.twice == [], "a body was started while it ran"
            for name, flight in self.runner.flying.items():
                missing = self.steps.get(name, set()) - set(flight.context._effects.recorded)
                assert not missing, f"{name} was started without its recorded steps {missing}"
        self.seen = now

    def check_move(
        self, what: str, id_: str, before: str, after: str, state: str, task_stops: str, stops: str, rollback: Any
    ) -> None:
        halted = [stop["mode"] for stop in (*json.loads(task_stops).values(), *json.loads(stops).values())]
        if what == "step":
            assert rollback or (before == "running" and all(mode == "drain" for mode in halted)), (
                f"step {after} of {id_} ({before}) began in spite of {halted}"
            )
            return
        for kind, table, states in TABLES:
            if kind == what:
                assert states(after) in table[states(before)].values() or before == after, (
                    f"{what} {id_}: {before} → {after} is not in the table"
                )
        if what == "subtask" and after == "running" and before == "waiting":
            assert state == "WORKING", f"{id_} was started while its task was {state}"
            assert not halted, f"{id_} was started in spite of {halted}"

    def check_history(self) -> None:
        task = self.task or ""
        fresh = self.database.read(lambda db: events.read(db, task, self.seq))
        assert [one.seq for one in fresh] == list(range(self.seq + 1, self.seq + 1 + len(fresh)))
        self.seq += len(fresh)
        assert self.database.read(lambda db: tasks.get(db, task)).last_seq == self.seq

    def check_shape(self, s: spec.Snap) -> None:
        asking = {s.questions[name].subtask for name in s.pending()}
        if s.ended:
            live = {name: sub.state for name, sub in s.subs.items() if sub.state not in spec.SETTLED}
            assert not live, f"the task is {s.state} and has {live}"
            assert not s.pending(), f"the task is {s.state} and still asks {s.pending()}"
            if s.state == "COMPLETED":
                assert {sub.state for sub in s.subs.values()} <= {"completed", "skipped"}
            return
        assert (s.state == "PAUSED") == bool(s.stops), f"{s.state} with the stops {s.stops}"
        assert s.state != "INPUT_REQUIRED" or s.pending(), "it waits for an answer to nothing"
        for name, sub in s.subs.items():
            assert sub.state != "held" or sub.stops, f"{name} is held by nobody"
            assert (sub.state == "input_required") == (name in asking), f"{name} is {sub.state}; asking: {asking}"
            if sub.state in ("running", "completed"):
                assert all(s.subs[need].state in ("completed", "rolled_back") for need in sub.needs)

    def check_not_stuck(self) -> None:
        """Nothing that could go on stands still; asked when the runner has seen all there is to see."""
        s, runner = self.snap(), self.runner
        if s.ended or s.state in ("PAUSED", "INPUT_REQUIRED"):
            return
        assert runner, "nobody works on it"
        assert runner.alive, f"the run ended while its task is {s.state}"
        idle = s.startable() - runner.loop.resting() - set(runner.flying)
        workers = self.workers or 99
        assert not idle or len(runner.flying) >= workers, f"{idle} could run and do not ({len(runner.flying)} do)"
        assert runner.flying or runner.loop.resting(), f"it is {s.state} and nothing is under way"

    # what a person, an agent or the clock does

    def does(self, act: Callable[..., Any], expect: Callable[..., None], *values: Any) -> None:
        """Calls control and the model alike, and compares what became of the task."""
        before = self.snap()
        model, refused = copy.deepcopy(before), None
        try:
            expect(model, *values)
        except spec.Refused as error:
            model, refused = before, str(error)
        got = None
        try:
            self.database.write(act)
        except REFUSALS as error:
            got = type(error).__name__
        assert got == refused, f"{expect.__name__}{values} raised {got}, and not {refused}; before: {before}"
        after = self.snap()
        assert after == model, f"{expect.__name__}{values}\nbefore: {before}\nmodel:  {model}\nfile:   {after}"
        note(f"  {expect.__name__}{values}: {got or after.state}")

    def now(self) -> float:
        return self.clock.time()

    def pick(self, names: Any, which: int) -> Any:
        names = list(names)
        return names[which % len(names)] if names else None

    @precondition(lambda self: not self.live)
    @rule(
        plan=plans(),
        workers=st.integers(0, 2),
        on_question=st.sampled_from(["pause", "continue"]),
        on_failure=policies,
        yes=st.sampled_from([False, False, True]),
        approve=st.sampled_from([False, False, False, True]),
        begins=st.sampled_from([True, True, False]),
    )
    def submit(
        self, plan: Any, workers: int, on_question: str, on_failure: Any, yes: bool, approve: bool, begins: bool
    ) -> None:
        if self.runner:
            self.crash()
        fields = {
            "workers": workers,
            "on_question": on_question,
            "on_failure": on_failure,
            "yes": yes,
        }
        self.submit_plan(plan["subtasks"], **{**fields, "approve": approve})
        if begins:
            self.settles()

    def submit_plan(self, specs: list[dict[str, Any]], workers: int = 0, **fields: Any) -> None:
        services = driver._Services(driver.Points(self.database), TYPES, lambda _: None, clock=self.clock.time)
        given = {**fields, "plan": {"subtasks": specs}, "workers": workers}
        self.task = driver.through(orchestration.create_task(services, "x", given)).id
        self.seen, self.seq, self.steps, self.workers = self.snap(), 0, {}, workers

    @precondition(lambda self: self.live)
    @rule(mode=modes, until=st.sampled_from([None, None, 50.0, 200.0]), then=st.one_of(st.none(), ids))
    def pause(self, mode: str, until: float | None, then: int | None) -> None:
        """Then, perhaps, a body ends and the runner goes on before it has looked."""
        over = self.now() + until if until else None
        task, now = self.task or "", self.now()
        self.does(lambda db: control.pause(db, task, now, mode=mode, until=over), spec.pause, mode, over)
        if then is not None and self.runner and self.runner.alive and self.runner.flying:
            self.completes(then, 9)

    @precondition(lambda self: self.live)
    @rule(anyway=st.sampled_from([False, False, False, True]))
    def resume(self, anyway: bool = True) -> None:
        if self.snap().state != "PAUSED" and not anyway:
            return
        task, now = self.task or "", self.now()
        self.does(lambda db: control.resume(db, task, now), spec.resume)

    @precondition(lambda self: self.live)
    @rule(which=ids, mode=modes)
    def hold(self, which: int, mode: str) -> None:
        task, now, name = self.task or "", self.now(), self.pick(self.snap().subs, which)
        self.does(lambda db: control.hold(db, task, name, now, mode=mode), spec.hold, name, mode)

    @precondition(lambda self: self.live)
    @rule(which=ids)
    def release(self, which: int) -> None:
        s = self.snap()
        name = self.pick([name for name, sub in s.subs.items() if sub.stops] or s.subs, which)
        task, now = self.task or "", self.now()
        self.does(lambda db: control.release(db, task, name, now), spec.release, name)

    @precondition(lambda self: self.live and self.seen.questions)
    @rule(which=ids, choice=st.sampled_from(["retry", "skip", "fail"]), any_=st.booleans())
    def answer(self, which: int, choice: str, any_: bool) -> None:
        s = self.snap()
        question = self.pick(s.questions if any_ else s.pending() or s.questions, which)
        values = {"failure": choice, "approval": "approve", "input": which}
        self.give(question, values[s.questions[question].kind])

    @precondition(lambda self: self.live and self.seen.questions)
    @rule(which=ids)
    def bad_answer(self, which: int) -> None:
        self.give(self.pick([*self.snap().questions, "q99"], which), "nonsense")

    def give(self, question: str, value: Any) -> None:
        task, now = self.task or "", self.now()
        self.does(lambda db: control.answer(db, task, question, value, now), spec.answer, question, value)

    @precondition(lambda self: self.live)
    @rule(rollback=st.booleans(), sure=st.integers(0, 4))
    def cancel(self, rollback: bool, sure: int) -> None:
        if sure == 0:
            task, now = self.task or "", self.now()
            self.does(lambda db: control.cancel(db, task, now, rollback=rollback), spec.cancel, rollback)

    @precondition(lambda self: self.live)
    @rule(which=ids)
    def skip(self, which: int) -> None:
        task, now, name = self.task or "", self.now(), self.pick(self.snap().subs, which)
        self.does(lambda db: control.skip(db, task, name, now), spec.skip, name)

    @precondition(lambda self: self.live)
    @rule(which=ids)
    def retry(self, which: int) -> None:
        s = self.snap()
        name = self.pick([name for name, sub in s.subs.items() if sub.state in ("failed", "skipped")] or s.subs, which)
        task, now = self.task or "", self.now()
        self.does(lambda db: control.retry(db, task, name, now), spec.retry, name)

    @precondition(lambda self: self.live)
    @rule(seconds=st.sampled_from([-100.0, 1.0, 30.0, 120.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)
        if self.runner:
            self.runner.loop.tick()
        now = self.now()

        def tend(db: Any) -> None:  # Runner._tend_once
            for task in control.due(db, now):
                control.expire(db, task, now)
                control.wake(db, task, now)

        self.does(tend, spec.tend, now)

    # what the runner and its bodies do

    @precondition(lambda self: self.live and not (self.runner and self.runner.alive))
    @rule()
    def take_up(self) -> None:
        if self.snap().state in ("SUBMITTED", "WORKING"):
            self.runner = self.runner or Runner(self.folder / "h.db", self.task or "", TYPES, self.clock, self.database)
            assert self.runner.take_up(), "the lease of a dead runner was not to be had"

    @precondition(lambda self: self.live and self.runner and self.runner.alive)
    @rule(operations=st.integers(1, 8), looks=st.booleans(), lands=st.booleans())
    def works(self, operations: int, looks: bool, lands: bool) -> None:
        """Some operations, a look at the control row, the end of what was cancelled."""
        if looks:
            self.runner.look()
        if lands:
            self.runner.land_stopped()
        self.runner.advance(operations)

    @precondition(lambda self: self.live)
    @rule()
    def settles(self) -> None:
        if not (self.runner and self.runner.alive):
            self.take_up()
        if self.runner:
            self.quieten()
            s = self.snap()
            stopped_at_once = s.ended or s.rollback or any(mode == "now" for mode, _ in s.stops.values())
            if stopped_at_once:
                assert not self.runner.flying, f"{set(self.runner.flying)} were not cancelled"
            self.check_not_stuck()

    def quieten(self) -> None:
        """Until the runner has heard all, and the bodies that it stopped have ended."""
        for _ in range(30):
            self.runner.settle()
            self.runner.land_stopped()
            if self.runner.idle and not (self.runner.shift and self.runner.shift._inbox.qsize()):
                before = self.snap()
                self.runner.settle()
                if self.snap() == before:
                    return
        raise AssertionError("the runner does not come to rest")

    @precondition(lambda self: self.live and self.runner and self.runner.flying)
    @rule(which=ids, operations=st.sampled_from([0, 0, 1, 3, 9]))
    def completes(self, which: int, operations: int) -> None:
        self.runner.complete(self.pick(self.runner.flying, which))
        self.runner.advance(operations)  # without a look: it has not heard what was done since the last one

    @precondition(lambda self: self.live and self.runner and self.runner.flying)
    @rule(which=ids, final=st.booleans())
    def fails(self, which: int, final: bool) -> None:
        self.runner.fail(self.pick(self.runner.flying, which), final=final)

    @precondition(lambda self: self.live and self.runner and self.runner.flying)
    @rule(which=ids, default=st.sampled_from([None, None, 7]), deadline=st.sampled_from([None, None, 100.0]))
    def asks(self, which: int, default: Any, deadline: Any) -> None:
        name = self.pick(self.runner.flying, which)
        key = f"k{len(self.runner.flying[name].context._effects.answers)}"
        fallback = None if default is None else json.dumps(default)
        self.runner.ask(name, Asked("What?", key, {"type": "integer"}, fallback, deadline))

    @precondition(lambda self: self.live and self.runner and self.runner.flying)
    @rule(which=ids, ends=st.booleans())
    def steps_on(self, which: int, ends: bool) -> None:
        name = self.pick(self.runner.flying, which)
        step = f"step {len(self.runner.flying[name].context._effects.recorded)}"
        if self.runner.begin_step(name, step) and ends:
            self.runner.end_step(name, step)
            self.steps.setdefault(name, set()).add(step)

    @precondition(lambda self: self.live and self.runner)
    @rule()
    def crash(self) -> None:
        """The process is gone, and with it all that it had in memory."""
        self.runner, old = None, self.leave()
        old.crash()
        old.database.owner.held.clear()  # a dead process gives nothing back
        old.database.close()

    def leave(self) -> Runner:
        """The runner, which is not this machine's any more; what comes now comes from another process."""
        for move in self.logged(self.database):
            self.check_move(*move)
        assert self.runner
        self.database = self.open()
        return self.runner

    @precondition(lambda self: self.live and self.runner and self.runner.alive and self.runner.lease)
    @rule(operations=st.integers(1, 30), other=st.integers(0, 30))
    def hangs_and_wakes(self, operations: int, other: int) -> None:
        """The process hangs, its lease runs out, another takes over and works; then the first wakes up and goes on."""
        s = self.snap()
        if s.state != "WORKING":
            return
        token = self.runner.lease.token
        self.database.write(lambda db: db.execute("UPDATE leases SET expires_at = 0 WHERE token = ?", (token,)))
        zombie, self.runner = self.leave(), None
        self.take_up()
        self.runner.advance(other)
        before = self.everything()
        for act in (
            *(lambda name=name: zombie.begin_step(name, "from the grave") for name in list(zombie.flying)[:1]),
            *(lambda name=name: zombie.complete(name) for name in list(zombie.flying)[:1]),
            lambda: zombie.advance(operations),
        ):
            with suppress(errors.LeaseLost, errors.LeaseHeld):
                act()
        zombie.crash()
        zombie.database.owner.held.clear()
        zombie.database.close()
        assert self.everything() == before, "a runner that had lost its lease wrote"

    def everything(self) -> list[Any]:
        tables = ("tasks", "subtasks", "steps", "questions", "events", "results", "leases")
        return [self.database.read(lambda db, t=t: db.execute(f"SELECT * FROM {t}").fetchall()) for t in tables]

    def bring_to_an_end(self) -> None:
        """Whatever was done before, a person who lets everything go on gets the task to its end."""
        for _ in range(60):
            self.holds()
            s = self.seen
            if s.ended:
                break
            if s.state == "PAUSED":
                self.resume()
            for name, sub in s.subs.items():
                if "person" in sub.stops and sub.state in spec.HOLDABLE and not self.snap().ended:
                    task, now = self.task or "", self.now()
                    self.does(lambda db, name=name: control.release(db, task, name, now), spec.release, name)  # noqa: B023
            for question in self.snap().pending():
                if not self.snap().ended and self.snap().questions[question].open:
                    kind = self.snap().questions[question].kind
                    self.give(question, {"failure": "skip", "approval": "approve", "input": 1}[kind])
            self.clock.move(100.0)
            if self.runner:
                self.runner.loop.tick()
            self.settles()
            for name in list(self.runner.flying) if self.runner else []:
                self.runner.complete(name)
        self.holds()
        s = self.seen
        assert s.ended, f"it cannot be brought to an end: {s}"
        self.check_results()

    def check_results(self) -> None:
        """The result of a subtask proves that it had those of its dependencies."""
        task, s = self.task or "", self.seen
        results = self.database.read(lambda db: _results(db, task))
        for name, sub in s.subs.items():
            if sub.state == "completed":
                assert results[name] == digest(name, [results[need] for need in sub.needs])


def _results(db: Any, task_id: str) -> dict[str, str]:
    rows = db.execute(
        "SELECT s.id, r.body FROM subtasks s JOIN results r ON r.number = s.result JOIN tasks t ON t.number = s.task "
        "WHERE t.id = ?",
        (task_id,),
    )
    return {name: json.loads(body)["digest"] for name, body in rows}


Model.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=False,
    database=None,
    print_blob=True,
    phases=[Phase.generate, *([] if os.environ.get("HOLDFAST_NO_SHRINK") else [Phase.shrink])],
    suppress_health_check=list(HealthCheck),
)


def test_any_order_of_calls_crashes_and_time_leaves_what_the_model_says(seed):
    """Prints the seed; ``HOLDFAST_SEED`` repeats it, ``HOLDFAST_EXAMPLES`` and ``HOLDFAST_STEPS`` set the size."""
    from hypothesis import seed as seeded
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(seeded(seed)(Model), settings=Model.TestCase.settings)
