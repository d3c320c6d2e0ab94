"""``run``, ``resume`` and ``pause``: exit codes, signals, and what is printed where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.cli_process import Cli, end, interrupt, lines, one_sentence, read_until, sleep, started, wait_for


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_a_plan_that_completes_exits_0_and_says_what_to_type_next(cli: Cli) -> None:
    done = cli("run", "Try it", "--plan", cli.plan(sleep("a"), sleep("b", 0, "a")))
    assert done.returncode == 0
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("engine: built-in rules, no AI; task ")
    assert "completed after" in done.stdout
    assert "2 of 2" in done.stdout
    assert last.split()[:3] == ["next", "holdfast", "show"]
    assert "✓ a completed in" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_json_on_stdout_is_every_event_from_1_and_last_the_show_object(cli: Cli) -> None:
    done = cli("run", "Try it", "--plan", cli.plan(sleep("a"), sleep("b", 0, "a")), "--json")
    *events, shown = lines(done.stdout)
    assert done.returncode == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "task.completed"
    assert (shown["state"], shown["goal"]) == ("COMPLETED", "Try it")
    assert [one["state"] for one in shown["plan"]["subtasks"]] == ["completed", "completed"]
    assert done.stderr.startswith("engine: built-in rules, no AI; task ")
    assert lines(cli("show", shown["id"][:6], "--json").stdout) == [shown]
    assert lines(cli("events", shown["id"], "--json").stdout) == events


def test_what_a_task_type_prints_never_gets_between_the_json_lines(cli: Cli) -> None:
    (cli.folder / "own.py").write_text(
        "import os\nfrom holdfast import task_type\n\n"
        '@task_type("loud")\nasync def loud(params: dict, inputs: dict, ctx) -> str:\n'
        '    """Makes noise."""\n    print("noise", flush=True)\n    os.system("echo more noise")\n    return "done"\n'
    )
    done = cli("run", "Noise", "--plan", cli.plan({"id": "a", "type": "loud"}), "--types", "own.py", "--json")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[-1]["state"] == "COMPLETED"
    assert "more noise" in done.stderr


def test_a_failed_task_exits_1_and_names_what_failed(cli: Cli) -> None:
    (cli.folder / "own.py").write_text(
        "from holdfast import task_type\n\n"
        '@task_type("bad")\nasync def bad(params: dict, inputs: dict, ctx) -> str:\n'
        '    """Fails."""\n    raise ValueError("the shop is shut")\n'
    )
    plan = cli.plan({"id": "a", "type": "bad", "retries": 0}, sleep("b", 0, "a"))
    done = cli("run", "Fail", "--plan", plan, HOLDFAST_TYPES="own.py")
    assert done.returncode == 1
    assert "✗ a: ValueError: the shop is shut" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_failed_task_is_one_sentence_on_stderr_for_a_program_too(cli: Cli) -> None:
    plan = cli.plan({"id": "a", "type": "agent", "params": {"goal": "g"}}, sleep("b", 0, "a"))
    failed = cli("run", "Fail", "--plan", plan, "--json")
    task = lines(failed.stdout)[-1]
    assert (failed.returncode, task["state"]) == (1, "FAILED")
    told = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert told == [f"error: {task['error']}"]


def test_ctrl_c_pauses_after_the_step_and_resume_finishes_what_is_left(cli: Cli) -> None:
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 1.0), sleep("b", 0, "a")), "--json")
    read_until(run, started("a"))
    interrupt(run)
    code, rest, err = end(run)
    assert code == 3, err
    assert rest[-1]["state"] == "PAUSED"
    assert [one["state"] for one in rest[-1]["plan"]["subtasks"]] == ["completed", "ready"]
    assert "holdfast resume" in err

    resumed = cli("resume", rest[-1]["id"][:8], "--json")
    assert resumed.returncode == 0, resumed.stderr
    events = lines(resumed.stdout)[:-1]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert sum(started("a")(event) for event in events) == 1
    assert "is COMPLETED" in one_sentence(cli("resume", rest[-1]["id"][:8]))


def test_ctrl_c_twice_pauses_at_once(cli: Cli) -> None:
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 600)), "--json")
    read_until(run, started("a"))
    interrupt(run)
    read_until(run, lambda event: event["type"] == "task.paused")
    interrupt(run)
    began = time.monotonic()
    code, rest, err = end(run)
    assert code == 3, err
    assert time.monotonic() - began < 20
    assert rest[-1]["plan"]["subtasks"][0]["state"] == "ready"


def test_sigterm_hands_over_and_the_task_goes_on_elsewhere(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 0.2), sleep("b", 1, "a"), sleep("c", 0, "b"))
    run = cli.begin("run", "Long", "--plan", plan, "--json")
    read_until(run, started("b"))
    interrupt(run, signal.SIGTERM)
    code, rest, err = end(run)
    assert code == 6, err
    assert rest[-1]["state"] == "WORKING"
    assert rest[-1]["in_flight"] == 0
    resumed = cli("resume", rest[-1]["id"])
    assert resumed.returncode == 0, resumed.stderr
    assert "a started" not in resumed.stderr


def test_a_pause_from_another_process_ends_the_run_with_3(cli: Cli) -> None:
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 600)), "--json")
    task = read_until(run, started("a"))[0]["task"]
    assert "is being worked on by process" in one_sentence(cli("resume", task))
    paused = cli("pause", task[:8], "--mode", "now", "--reason", "too dear", "--json")
    assert paused.returncode == 0, paused.stderr
    assert lines(paused.stdout)[0]["state"] == "PAUSED"
    code, rest, err = end(run)
    assert code == 3, err
    assert (rest[-1]["paused_by"], rest[-1]["pause_reason"]) == ("person", "too dear")
    assert "too dear" in cli("show", task).stdout


def test_a_killed_run_is_taken_up_by_resume_without_repeating_anything(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 0.1), sleep("b", 1.5, "a"))
    run = cli.begin("run", "Long", "--plan", plan, "--json")
    task = read_until(run, started("b"))[0]["task"]
    run.kill()
    run.communicate()
    resumed = cli("resume", task, "--json")
    assert resumed.returncode == 0, resumed.stderr
    events = lines(resumed.stdout)[:-1]
    assert sum(started("a")(event) for event in events) == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["  ", "--plan", "good.json"], "the goal is empty"),
        (["x", "--plan", "none.json"], "none.json cannot be read"),
        (["x", "--plan", "text.json"], "is not JSON"),
        (["x", "--plan", "good.json", "--workers", "-1"], "--workers"),
        (["x", "--plan", "good.json", "--data", "none.csv"], "none.csv"),
        (["x", "--data", "empty.csv"], "empty.csv is empty"),
        (["x", "--plan", "good.json", "--out", "good.json/report"], "output folder good.json/report cannot be written"),
        (["x", "--plan", "good.json", "--types", "no_such_module"], "no_such_module"),
        (["x", "--plan", "good.json", "--types", "broken.py"], "broken.py, line 1"),
        (["x", "--no-such-option"], "--no-such-option"),
    ],
)
def test_bad_usage_exits_2_with_one_sentence_and_leaves_nothing(cli: Cli, words: list[str], wanted: str) -> None:
    cli.plan(sleep("a"), name="good.json")
    (cli.folder / "text.json").write_text("hello")
    (cli.folder / "empty.csv").write_text("")
    (cli.folder / "broken.py").write_text("def (")
    before = sorted(path.name for path in cli.folder.iterdir())
    refused = cli("run", *words)
    assert refused.returncode == 2
    assert wanted in one_sentence(refused)
    assert sorted(path.name for path in cli.folder.iterdir() if path.name != "__pycache__") == before


def test_an_invalid_plan_lists_its_faults_one_to_a_line_and_at_most_twenty(cli: Cli) -> None:
    faulty = [sleep(f"s{i}", 0, "ghost") for i in range(30)]
    refused = cli("run", "x", "--plan", cli.plan(*faulty))
    assert refused.returncode == 2
    head, *faults, more = refused.stderr.splitlines()
    assert head == "error: the plan cannot run:"
    assert len(faults) == 20
    assert all("depends on 'ghost'" in fault for fault in faults)
    assert more.strip() == "… and 10 more"
    assert cli.nothing_there()


def test_a_task_whose_types_are_not_loaded_is_left_alone_with_a_sentence(cli: Cli) -> None:
    (cli.folder / "own.py").write_text(
        "import asyncio\nfrom holdfast import task_type\n\n"
        '@task_type("mine")\nasync def mine(params: dict, inputs: dict, ctx) -> str:\n'
        '    """Waits."""\n    await asyncio.sleep(600)\n    return "done"\n'
    )
    run = cli.begin("run", "Own", "--plan", cli.plan({"id": "a", "type": "mine"}), "--types", "own.py", "--json")
    task = read_until(run, started("a"))[0]["task"]
    run.kill()
    run.communicate()
    assert "needs the task types 'mine'" in one_sentence(cli("resume", task))


def test_the_live_view_fits_the_terminal_and_leaves_the_plan_standing(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 0.6, name="First part"), sleep("b", 0, "a"))
    code, received = cli.in_terminal("run", "Look at it", "--plan", plan, NO_COLOR="1")
    assert code == 0
    assert "after First part" in received
    assert "2/2 subtasks" in received
    assert "\x1b[32m" not in received  # NO_COLOR
    plain = received.replace("\r", "").split("\n")
    assert any(line.startswith("✓ First part") for line in plain[-10:])


def test_ctrl_c_in_a_terminal_pauses_with_exit_3(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 600))

    def press(pid: int) -> None:
        wait_for((cli.folder / ".holdfast/holdfast.db").exists)
        wait_for(lambda: any(one["in_flight"] for one in cli.tasks()))
        os.kill(pid, signal.SIGINT)
        wait_for(lambda: cli.tasks()[0]["state"] == "PAUSED")
        os.kill(pid, signal.SIGINT)

    code, received = cli.in_terminal("run", "Look at it", "--plan", plan, during=press)
    assert code == 3
    assert "holdfast resume" in received.splitlines()[-1]


def test_a_reader_that_goes_away_ends_the_run_with_a_hand_over_and_no_traceback(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 1.5), sleep("b", 60, "a"))
    run = cli.begin("run", "x", "--plan", plan, "--json")
    read_until(run, started("a"))
    assert run.stdout
    assert run.stderr
    run.stdout.close()
    err = run.stderr.read()
    run.stderr.close()
    assert run.wait(timeout=60) == 6, err
    assert "Traceback" not in err
    assert cli.tasks()[0]["state"] == "WORKING"


def test_a_disk_that_fills_up_pauses_with_3_and_a_sentence_and_resume_finishes(cli: Cli) -> None:
    fat = [
        {"id": f"s{i}", "type": "sleep", "params": {"seconds": 0.05, "payload_bytes": 200_000 + i}} for i in range(40)
    ]
    limited = ["sh", "-c", 'ulimit -f 5000; exec "$@"', "sh"]  # blocks of 512 bytes
    run = cli.begin("run", "Fat", "--plan", cli.plan(*fat), "--json", within=limited)
    code, told, err = end(run)
    assert code == 3, err
    assert told[-1]["state"] == "PAUSED"
    assert told[-1]["paused_by"] == "system"
    assert "then resume" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert cli("resume", told[-1]["id"]).returncode == 0


def test_output_to_a_closed_pipe_is_no_error(cli: Cli) -> None:
    done = cli("run", "x", "--plan", cli.plan(*(sleep(f"s{i}") for i in range(400))), "--json")
    task = json.loads(done.stdout.splitlines()[-1])["id"]
    for form in ([], ["--json"]):
        events = cli.begin("events", task, *form, stderr=subprocess.PIPE)
        assert events.stdout
        assert events.stderr
        events.stdout.readline()
        events.stdout.close()
        assert events.stderr.read() == ""
        events.stderr.close()
        assert events.wait(timeout=60) == 0
