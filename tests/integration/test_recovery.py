"""kill -9, again and again: nothing finished runs again once a successor has started, and every result is right."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.runner import digest

ROOT = Path(__file__).parents[2]
WORKERS = 8


class Killed:
    """A plan whose runner is killed and started again, with a log of what its bodies did."""

    def __init__(self, folder: Path, plan: dict) -> None:
        self.folder, self.plan = folder, plan
        self.needs = {one["id"]: one["dependencies"] for one in plan["subtasks"]}
        self.log = folder / "log"
        self.log.touch()
        (folder / "plan.json").write_text(json.dumps(plan))

    def start(self, act: str, *, reverse: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.runner", "h.db", "log", act, "plan.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"HOLDFAST_TEST_REVERSE": "1"} if reverse else {})}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()]

    def ended(self) -> int:
        return sum(event == "end" for event, _ in self.lines())

    def kill_at(self, process: subprocess.Popen[str], ended: int, timeout: float = 60) -> None:
        limit = time.monotonic() + timeout
        while process.poll() is None and self.ended() < ended and time.monotonic() < limit:
            time.sleep(0.002)
        process.kill()
        process.communicate()

    def finish(self, *, reverse: bool = False) -> dict:
        out, err = self.start("resume", reverse=reverse).communicate(timeout=120)
        assert out, err
        return json.loads(out.splitlines()[-1])

    def expected(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for one in self.plan["subtasks"]:
            known[one["id"]] = digest(one["id"], [known[d] for d in one["dependencies"]])
        return known

    def run_again(self) -> tuple[list[str], list[str]]:
        """(subtasks that had ended and started again, those of them one of whose successors had started before)."""
        started: set[str] = set()
        ended: set[str] = set()
        again: list[str] = []
        broken: list[str] = []
        for event, subtask in self.lines():
            if event == "start" and subtask in ended:
                again.append(subtask)
                broken += [user for user, needs in self.needs.items() if subtask in needs and user in started]
            (started if event == "start" else ended).add(subtask)
        return again, broken


def plan(size: int, chance: random.Random, type_: str = "test_logged", most: int = 20, width: int = 20) -> dict:
    subtasks = []
    for i in range(size):
        before = range(max(0, i - width), i)
        needs = sorted({f"t{chance.choice(before)}" for _ in range(chance.randrange(4))}) if before else []
        params = {"ms": chance.randrange(1, most), "most": most}
        subtasks.append({"id": f"t{i}", "type": type_, "params": params, "dependencies": needs, "retries": 0})
    return {"subtasks": subtasks}


def test_a_run_killed_twenty_times_ends_with_every_result_right_and_nothing_finished_repeated(tmp_path, chance):
    killed = Killed(tmp_path, plan(400, chance))
    points = sorted(chance.sample(range(10, 400), 20))
    for number, point in enumerate(points):
        act = "resume" if number else "start"
        killed.kill_at(killed.start(act, reverse=number % 2 == 1), point)
    done = killed.finish()
    again, broken = killed.run_again()
    assert done["state"] == "COMPLETED"
    assert done["results"] == killed.expected()
    assert done["seqs"] == list(range(1, len(done["seqs"]) + 1))
    assert broken == []
    assert len(again) <= 20 * WORKERS  # at most what was in flight, ended and not yet on disk


def test_completion_in_another_order_after_a_crash_changes_nothing(tmp_path, chance):
    killed = Killed(tmp_path, plan(60, chance, most=60))
    killed.kill_at(killed.start("start"), 25)
    done = killed.finish(reverse=True)
    assert done["results"] == killed.expected()
    assert killed.run_again()[1] == []


def test_a_step_on_disk_is_never_repeated(tmp_path, chance):
    killed = Killed(tmp_path, plan(12, chance, "test_logged_steps", most=15, width=4))
    total = 12 * 3
    for number, point in enumerate(sorted(chance.sample(range(1, total), 6))):
        killed.kill_at(killed.start("resume" if number else "start"), point)
    done = killed.finish()
    assert done["results"] == killed.expected()
    starts: dict[str, int] = {}
    for event, step in killed.lines():
        starts[step] = starts.get(step, 0) + (event == "start")
    ends = [step for event, step in killed.lines() if event == "end"]
    for step in ends:  # once a later step of the same subtask began, this one was on disk
        later = step.replace("/one", "/two") if "/one" in step else step.replace("/two", "/three")
        if later != step and starts.get(later):
            first_later = next(i for i, (event, name) in enumerate(killed.lines()) if (event, name) == ("start", later))
            assert ("start", step) not in [tuple(line) for line in killed.lines()[first_later:]]


@pytest.mark.parametrize("ended", [0, 1])
def test_a_run_killed_before_or_at_its_first_result_starts_over_cleanly(tmp_path, chance, ended):
    killed = Killed(tmp_path, plan(10, chance))
    process = killed.start("start")
    while process.poll() is None and (not (tmp_path / "h.db").exists() or killed.ended() < ended):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    if ended == 0 and not killed.lines():  # it may have died before the task was recorded
        out, err = killed.start("resume").communicate(timeout=60)
        if not out:
            assert "not enough values to unpack" in err
            return
    assert killed.finish()["results"] == killed.expected()
