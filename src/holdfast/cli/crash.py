"""The crash demo: a run in a process of its own is killed, another resumes it, and the event log is called to account.

Nothing here knows how Holdfast works: it types the commands that a person types, and reads what ``events`` tells.
"""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import HoldfastError
from holdfast.cli import sample
from holdfast.cli.common import emit
from holdfast.cli.exits import COMPLETED, FAILED
from holdfast.cli.store import Store
from holdfast.cli.text import count, duration, near

GOAL = "Market research report on the synthetic market"
TRIES = 5
LATEST_SECONDS = 0.25  # after the event at which the kill is due
Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """What the log says about the subtasks of a task whose runner was killed after event number ``killed_after``.

    ``reused`` had finished before; ``ran_again`` had begun and not finished; ``first_run`` had not begun.  Subtasks and
    steps that ran after they had finished are in ``finished_twice``.
    """

    task: str
    killed_after: int
    events: int
    reused: list[str]
    reused_steps: int
    ran_again: list[str]
    first_run: list[str]
    finished_twice: list[str]


def account(task: str, told: Iterable[Said], killed_after: int) -> Account:
    """Reads a task's whole history."""
    finished: dict[str, int] = {}
    begun: dict[str, int] = {}
    twice: list[str] = []
    seq = 0
    for event in told:
        seq, subtask = event["seq"], event["subtask"]
        kind, _, what = event["type"].partition(".")
        if subtask is None or kind not in ("subtask", "step"):
            continue
        name = subtask if kind == "subtask" else f"{subtask}/{event['data'].get('step')}"
        if what in ("running", "started"):
            begun.setdefault(name, seq)
            twice += [name] if name in finished else []
        elif what == "completed":
            begun.setdefault(name, seq)
            finished.setdefault(name, seq)
    parts = [name for name in begun if "/" not in name and not name.startswith("@")]
    before = [name for name in parts if finished.get(name, seq + 1) <= killed_after]
    again = [name for name in parts if name not in before and begun[name] <= killed_after]
    return Account(
        task,
        killed_after,
        seq,
        before,
        sum("/" in name and at <= killed_after for name, at in finished.items()),
        again,
        [name for name in parts if name not in before and name not in again],
        twice,
    )


class Demo:
    """One showing, in ``folder``."""

    def __init__(self, folder: Path, database: Path, seed: int, *, json: bool) -> None:
        self._folder, self._database, self._json = folder, database, json
        self._seed, self._chance = seed, random.Random(seed)  # noqa: S311  not a secret
        self._data = folder / "market.csv"
        sample.write(self._data)

    def report(self) -> int:
        """Only makes the report, in view."""
        words = self._run_words()
        self._say(f"$ {shlex.join(['holdfast', *words])}")
        return subprocess.call(_python([*words, *(["--json"] if self._json else [])]))  # noqa: S603  our own command

    def crash(self) -> int:
        """Runs, kills, resumes and accounts; 0 if all is well."""
        self._say(f"synthetic data: {near(str(self._data))}")
        task, killed_after = self._killed()
        words = ["resume", task[:8], "--db", str(self._database)]
        self._say(f"$ {shlex.join(['holdfast', *words])}")
        began = time.monotonic()
        resumed = subprocess.run(  # noqa: S603  our own command
            _python([*words, "--json"]), capture_output=True, text=True, check=False
        )
        if resumed.returncode != COMPLETED:
            raise HoldfastError(f"the resume did not complete: {_last(resumed.stderr)}")
        self._say(f"  completed in {duration(time.monotonic() - began)}")
        *told, shown = map(json.loads, resumed.stdout.splitlines())
        found = account(task, told, killed_after)
        good = not found.finished_twice and shown["state"] == "COMPLETED"
        if self._json:
            emit({**asdict(found), "state": shown["state"], "seed": self._seed, "folder": str(self._folder)})
        else:
            self._tell(found, [one["path"] for one in shown["artifacts"] if one["name"] == "report.pdf"])
        return COMPLETED if good else FAILED

    def _killed(self) -> tuple[str, int]:
        """(task, number of its last event) of a run that was killed in the middle."""
        for _ in range(TRIES):
            task = self._kill_one()
            store = Store(self._database)
            try:
                left = store.get(task)
            finally:
                store.close()
            if left.state == "WORKING":
                done = sum(one.state == "completed" for one in left.plan.subtasks)
                self._say(f"  killed (kill -9) when {done} of {count(len(left.plan.subtasks), 'subtask')} had finished")
                self._say(f"  the point was chosen by chance; the same again: --seed {self._seed}")
                return task, left.last_seq
            self._say("  it finished before it could be killed; once more")
        raise HoldfastError("the run was always too fast to be killed in the middle; try again")

    def _kill_one(self) -> str:
        """Starts a run and kills it some time after some subtask has finished; returns its task's id."""
        words = self._run_words()
        self._say(f"$ {shlex.join(['holdfast', *words])}")
        share, late = self._chance.random(), self._chance.uniform(0, LATEST_SECONDS)
        run = subprocess.Popen(  # noqa: S603  our own command
            _python([*words, "--json"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert run.stdout
        assert run.stderr
        task, due, finished = "", 0, 0
        try:
            for event in _events(run.stdout):
                task = event["task"]
                if event["type"] == "plan.made":
                    due = 1 + int(share * (event["data"]["subtasks"] - 1))
                if event["type"] == "subtask.completed" and not event["subtask"].startswith("@"):
                    finished += 1
                    if finished == due:
                        time.sleep(late)
                        break
        finally:
            run.kill()
            said = run.stderr.read()
            run.communicate()
        if not due:
            raise HoldfastError(f"the run did not begin: {_last(said)}")
        return task

    def _run_words(self) -> list[str]:
        report = str(self._folder / "report")
        return ["run", GOAL, "--data", str(self._data), "--out", report, "--yes", "--db", str(self._database)]

    def _tell(self, found: Account, reports: list[str]) -> None:
        steps = f" and {found.reused_steps} steps" if found.reused_steps else ""
        print()
        for title, names in (
            (f"reused      {len(found.reused):>2}{steps}", found.reused),
            (f"ran again   {len(found.ran_again):>2}", found.ran_again),
            (f"ran first   {len(found.first_run):>2}", found.first_run),
        ):
            print(f"{title}  {', '.join(names)}")
        if found.finished_twice:
            print(f"✗ ran again after it had finished: {', '.join(found.finished_twice)}")
        else:
            print(f"✓ nothing that had finished ran twice (read from {found.events} events)")
        for path in reports:
            print(f"report      {near(path)}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr if self._json else sys.stdout, flush=True)


def _python(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "holdfast", *words]


def _events(lines: Iterable[str]) -> Iterator[Said]:
    for line in lines:
        said = json.loads(line)
        if "seq" in said:
            yield said


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
