"""What a reader runs to see it: ``demo --crash`` and the example of the agents A, B and C."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from holdfast.cli.crash import account
from holdfast.cli.store import Store
from tests.acceptance.cli_process import Cli, lines

ABC = Path(__file__).parents[2] / "examples" / "abc.py"


def test_the_crash_demo_kills_resumes_and_accounts_for_every_subtask(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    done = cli("demo", "--crash", "--out", "shown", "--json")
    assert done.returncode == 0, done.stderr
    [told] = lines(done.stdout)
    assert (told["state"], told["finished_twice"]) == ("COMPLETED", [])
    assert told["reused"]
    assert len(told["reused"]) + len(told["ran_again"]) + len(told["first_run"]) == 14
    assert "killed (kill -9) when" in done.stderr
    assert f"--seed {told['seed']}" in done.stderr
    assert (tmp_path / "shown/report/report.pdf").read_bytes().startswith(b"%PDF")
    store = Store(tmp_path / "shown/holdfast.db")
    again = [event.to_json() for event in store.events(told["task"])]
    store.close()
    found = account(told["task"], again, told["killed_after"])
    assert (found.reused, found.ran_again, found.first_run) == (told["reused"], told["ran_again"], told["first_run"])


def test_the_account_finds_what_ran_again_after_it_had_finished() -> None:
    story = [
        ("subtask.running", "a", {}),
        ("step.started", "a", {"step": "x"}),
        ("step.completed", "a", {"step": "x"}),
        ("subtask.completed", "a", {}),
        ("subtask.running", "b", {}),
        ("subtask.running", "a", {}),  # the crash came before this
        ("step.started", "a", {"step": "x"}),
        ("subtask.running", "b", {}),
        ("subtask.completed", "b", {}),
        ("subtask.running", "c", {}),
    ]
    told = [{"seq": seq, "type": kind, "subtask": who, "data": data} for seq, (kind, who, data) in enumerate(story, 1)]
    found = account("t", told, 5)
    assert (found.reused, found.reused_steps) == (["a"], 1)
    assert (found.ran_again, found.first_run) == (["b"], ["c"])
    assert found.finished_twice == ["a", "a/x"]


def test_the_abc_example_tells_the_story_in_its_order(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ABC)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    story = [
        *("A working", "B running", "B ends 'prepare'", "B asks", "A pauses C", "A input required"),
        *("B gets its answer", "A resumes C", "B running", "B completed", "C completed", "A sums up", "A completed"),
    ]
    places = []
    for part in story:
        places.append(done.stdout.index(part, places[-1] if places else 0))
    assert places == sorted(places)
    for number in range(1, 7):
        assert done.stdout.count(f"C ends 'part {number}'") == 1
    between = done.stdout[done.stdout.index("A input required") : done.stdout.index("B gets its answer")]
    assert between.count("C ends") <= 1
