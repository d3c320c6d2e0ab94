"""Kills runs at random times and at named points, and looks after each death at what is on disk.

``python -m tests.torture.crash --runs 1000 --seed 1``.  Each run is a process of its own, forked from this one, which
has imported everything and has a single thread (it looks, and refuses else), so a run costs a tenth of a second and not
the two seconds of a new interpreter.  This process also plays the person: it answers, pauses and resumes in between,
and while a run is at work, each a transaction of its own on the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import secrets
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.checkpoints import control, tasks
from holdfast.checkpoints.states import TaskState
from tests.integration.runner import digest
from tests.torture import victim
from tests.torture.watched import Watched, fork

LIMIT = 60.0  # seconds for one run: more is stuck
KILLS = 6  # of one plan
KINDS = ("chain", "fan", "diamond", "asking", "paused", "undone")
CHECKS = (
    "lost",
    "re-run",
    "step repeated",
    "effect doubled",
    "wrong result",
    "falsely completed",
    "stuck",
    "history",
    "order",
)


@dataclass
class Tally:
    """What was done, and what went wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    plans: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    undoing: int = 0  # kills in the middle of a rollback
    drafts: int = 0  # half-written files that a kill left; they are in nobody's way and are counted only


def subtask(name: str, chance: random.Random, *needs: str, **params: Any) -> dict[str, Any]:
    given = {"ms": chance.choice([0, 1, 4]), **params}
    return {"id": name, "type": "t_work", "params": given, "dependencies": list(needs), "retries": 0}


def plan(kind: str, chance: random.Random) -> dict[str, Any]:
    """A small plan of that kind, with the options of its task."""
    width = chance.randint(3, 6)
    some = [f"f{i}" for i in range(width)]
    if kind in ("chain", "paused"):
        made = [subtask(name, chance, *some[max(0, i - 1) : i]) for i, name in enumerate(some)]
    elif kind in ("diamond", "undone"):
        made = [
            subtask("top", chance),
            *(subtask(name, chance, "top") for name in some),
            subtask("join", chance, *some),
            subtask("low", chance, "join", "top"),
        ]
    else:
        asking = kind == "asking"
        made = [
            *(subtask(name, chance, asks=asking and i % 2 == 0) for i, name in enumerate(some)),
            subtask("sum", chance, *some),
        ]
    made[-1]["params"]["hands_out"] = made[0]["params"]["hands_out"] = True
    options = {"on_question": chance.choice(["pause", "continue"]), "workers": chance.choice([0, 1, 3])}
    if kind == "undone":
        made.append({**subtask("bad", chance, "low"), "type": "t_fail"})
        options["on_failure"] = "rollback"
    return {"plan": {"subtasks": made}, "options": options}


class Case(Watched):
    """One plan, killed again and again."""

    def __init__(self, kind: str, chance: random.Random, tally: Tally, aim: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="holdfast-torture-")))
        self.kind, self.chance, self.tally, self.aim = kind, chance, tally, aim
        self.given = plan(kind, chance)
        self.undoes = kind == "undone"
        self.subtasks = {one["id"]: one for one in self.given["plan"]["subtasks"] if one["type"] != "t_fail"}
        (self.folder / "plan.json").write_text(json.dumps(self.given))
        self.faults = 0

    def fault(self, what: str, how: str) -> None:
        self.faults += 1
        self.tally.faults.append((what, f"{self.kind} in {self.folder}: {how}"))

    def run(self, kills: int) -> int:
        """Until the task has ended; how often its run was killed."""
        done, rounds = 0, 0
        while not self.ended():
            rounds += 1
            armed = done < kills
            died = self.one_run(armed)
            done += died
            self.look()
            if died is None or rounds > 20 * (kills + 5):
                self.fault("stuck", f"after {rounds} runs, {done} of them killed: {self.shown()}")
                return done
            self.act()
        self.look_at_the_end()
        self.tally.plans[self.kind] += 1
        if not self.faults:
            shutil.rmtree(self.folder, ignore_errors=True)
        return done

    def one_run(self, armed: bool) -> int | None:
        """Whether the run was killed; None if it did not end in time."""
        seed, kill, when, opening = self.chance.randrange(2**32), None, 0.0, True
        size = self.log.stat().st_size
        if armed and self.aim == "named":
            kill = (
                self.chance.choice(victim.POINTS),
                self.chance.choice(["before", "after"]),
                self.chance.randint(1, 9),
            )
        elif armed:
            opening = self.chance.random() < 0.2  # else while bodies are at work
            when = self.chance.uniform(0.01, 0.2) if opening else self.chance.uniform(0.001, 0.06)
        undoing = self.undoes and self.chance.random() < 0.8
        pause = self.chance.uniform(0.05, 0.4) if self.kind == "paused" and self.chance.random() < 0.6 else None
        child = fork(lambda: victim.main(self.folder, seed, kill, undoing), self.folder / "err")
        began, killed, fast = time.monotonic(), False, time.monotonic() + LIMIT
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            passed = time.monotonic() - began
            if pid:
                break
            if not opening and self.log.stat().st_size > size:
                opening, when = True, passed + when
            if when and opening and passed > when and not killed:
                killed = True
                os.kill(child, signal.SIGKILL)
            if pause and passed > pause:
                pause = None
                self.transact(lambda db, task: control.pause(db, task, time.time(), mode=self.mode()))
            if time.monotonic() > fast:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.001)
        if os.WIFSIGNALED(status):
            self.tally.kills[" ".join(kill[:2][::-1]) if kill else "at random"] += 1
            self.tally.undoing += bool(self.transact(lambda db, task: tasks.get(db, task).rollback))
            return 1
        if os.WEXITSTATUS(status):
            self.fault("stuck", f"a run failed: {(self.folder / 'err').read_text()[-1500:]}")
        return 0

    def mode(self) -> str:
        return self.chance.choice(control.MODES)

    def act(self) -> None:
        """What a person does between runs."""
        if self.chance.random() < 0.8:
            self.answer(len)
        state = self.transact(lambda db, task: tasks.get(db, task).state)
        if state == TaskState.PAUSED:
            self.transact(lambda db, task: control.resume(db, task, time.time()))
        elif state == TaskState.INPUT_REQUIRED:
            self.answer(len)

    def look_at_the_end(self) -> None:
        self.look()
        known: dict[str, str] = {}
        for name, one in self.subtasks.items():
            known[name] = digest(name, [known[need] for need in one["dependencies"]])
            got = json.loads(self.results.get(name, b"{}")).get("digest")
            if got != known[name]:
                self.fault("wrong result", f"{name}: {got}, and not {known[name]}")
        state, seqs, completions, artifacts, sound = self.transact(self.summary)
        if state != (TaskState.FAILED if self.undoes else TaskState.COMPLETED):
            self.fault("falsely completed" if self.results.keys() != self.subtasks.keys() else "lost", f"ended {state}")
        if seqs != list(range(1, len(seqs) + 1)):
            self.fault("history", f"the events are numbered {seqs}")
        if sorted(completions) != sorted(self.subtasks):
            self.fault("re-run", f"completed: {Counter(completions)}")
        if sound != "ok":
            self.fault("lost", f"the file is damaged: {sound}")
        if self.undone != (self.subtasks.keys() if self.undoes else set()):
            self.fault("lost", f"undone: {self.undone}")
        steps = [*victim.STEPS, *(f"@undo_{step}" for step in victim.UNDOING if self.undoes)]
        self.look_at_effects(f"{name}/{step}" for name in self.subtasks for step in steps)
        self.look_at_order_of_undoing({name: one["dependencies"] for name, one in self.subtasks.items()})
        for one in artifacts:
            path = Path(one.path)
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
                self.fault("lost", f"the artifact {one.name} is not whole")
        if {one.name for one in artifacts} != {
            f"{n}.txt" for n, one in self.subtasks.items() if "hands_out" in one["params"]
        }:
            self.fault("lost", f"artifacts: {artifacts}")
        self.tally.drafts += sum(1 for path in self.folder.rglob(".*") if path.is_file())

    @staticmethod
    def summary(db: sqlite3.Connection, task: str) -> tuple[Any, ...]:
        row = tasks.get(db, task)
        lines = db.execute(
            "SELECT seq, type, subtask FROM events WHERE task = ? ORDER BY seq", (row.number,)
        ).fetchall()
        (sound,) = db.execute("PRAGMA integrity_check").fetchone()
        completed = [name for _, type_, name in lines if type_ == "subtask.completed"]
        return row.state, [seq for seq, *_ in lines], completed, tasks.artifacts(db, row.number), sound


def torture(runs: int, seed: int, aim: str, minutes: float = 1e9) -> Tally:
    """``runs`` kills; ``aim`` is 'random' (any time) or 'named' (before or after a point)."""
    chance, tally, began = random.Random(f"{seed} {aim}"), Tally(), time.monotonic()
    number = 0
    while tally.kills.total() < runs and time.monotonic() - began < 60 * minutes and len(tally.faults) < 50:
        Case(KINDS[number % len(KINDS)], chance, tally, aim).run(min(KILLS, runs - tally.kills.total()))
        number += 1
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="kills of each sort (1000)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="repeats the choices of a run")
    parser.add_argument("--aim", choices=["random", "named", "both"], default="both")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    bad = 0
    for aim in ("random", "named") if options.aim == "both" else (options.aim,):
        began = time.monotonic()
        tally = torture(options.runs, options.seed, aim)
        bad += len(tally.faults)
        found = Counter(what for what, _ in tally.faults)
        print(
            f"{aim}: {tally.kills.total()} kills in {tally.plans.total()} plans "
            f"({', '.join(f'{count} {kind}' for kind, count in sorted(tally.plans.items()))}), "
            f"{time.monotonic() - began:.0f} s: {', '.join(f'{found[check]} {check}' for check in CHECKS)}; "
            f"{tally.undoing} killed in a rollback, {tally.drafts} drafts left"
        )
        print("  killed " + ", ".join(f"{point} {count}" for point, count in sorted(tally.kills.items())))
        for what, how in tally.faults[:20]:
            print(f"  {what}: {how}")
        print(json.dumps({"what": f"kill -9, {aim}", "runs": tally.kills.total(), "violations": len(tally.faults)}))
        sys.stdout.flush()
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
