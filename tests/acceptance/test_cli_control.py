"""The commands that change a task from outside: each of them, and each of their refusals."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.cli.store import Store
from tests.acceptance.cli_process import (
    TYPES,
    Cli,
    end,
    interrupt,
    lines,
    one_sentence,
    prepared,
    read_until,
    sleep,
    started,
)

SAMPLE = str(Path(__file__).parents[2] / "examples/sample/market.csv")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.env["HOLDFAST_TYPES"] = TYPES
    return made


def asks(id_: str, **params: Any) -> dict[str, Any]:
    return {"id": id_, "type": "cli_ask", "params": params}


def fails(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "cli_fail", "retries": 0, **fields}


def shown(cli: Cli, task: str) -> dict[str, Any]:
    """As ``show --json``; read in this process, because that is cheap."""
    store = Store(cli.folder / ".holdfast/holdfast.db")
    try:
        return store.get(task).to_json()
    finally:
        store.close()


def states(cli: Cli, task: str) -> dict[str, str]:
    return {one["id"]: one["state"] for one in shown(cli, task)["plan"]["subtasks"]}


async def pause_it(hf: Holdfast, task: str) -> None:
    await hf.pause(task, mode="now", reason="lunch")


async def hold_b(hf: Holdfast, task: str) -> None:
    await hf.hold(task, "b", reason="not yet")


def test_a_pause_tells_its_reason_and_when_it_ends_by_itself(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), then=pause_it)
    paused = cli("pause", task[:8], "--until", "2h30m", "--reason", "night", "--mode", "now")
    assert paused.returncode == 0, paused.stderr
    assert "it goes on at 20" in paused.stdout
    page = cli("show", task).stdout
    assert "paused by person until 20" in page
    assert "night" in page
    again = cli("pause", task, "--json", "--until", "2999-01-01T00:00:00Z")
    assert lines(again.stdout)[0]["state"] == "PAUSED"


REFUSALS = [
    (["pause", "TASK", "--until", "2001-01-01"], "is over"),
    (["pause", "TASK", "--until", "soon"], "2h30m"),
    (["pause", "TASK", "--subtask", "a", "--until", "2h"], "a hold of one subtask has no --until"),
    (["pause", "TASK", "--subtask", "zzz"], "has no subtask 'zzz'"),
    (["resume", "TASK", "--subtask", "a"], "no person holds it"),
    (["resume", "TASK", "--subtask", "zzz"], "has no subtask 'zzz'"),
    (["retry", "TASK", "a"], "is waiting: it cannot be retried"),
    (["retry", "TASK", "zzz"], "has no subtask 'zzz'"),
    (["skip", "TASK", "zzz"], "has no subtask 'zzz'"),
    (["answer", "TASK", "5"], "it has no open question"),
    (["answer", "TASK", "5", "--question", "q9"], "there is no question 'q9'; none is open"),
    (["prune", "--older-than", "old"], "give one such as 30d"),
    (["cancel", "zzz"], "there is no task 'zzz'"),
    (["run", "x", "--plan", "plan.json", "--from", "zzz"], "there is no task 'zzz'"),
]


def test_what_cannot_be_done_exits_2_with_a_sentence_and_changes_nothing(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), sleep("b", 0, "a"), then=pause_it)
    before = shown(cli, task)
    commands = [[task if word == "TASK" else word for word in words] for words, _ in REFUSALS]
    codes, done = in_one_process(cli, commands)
    assert codes == [2] * len(REFUSALS)
    assert done.stdout == ""
    told = done.stderr.splitlines()
    assert len(told) == len(REFUSALS), "one sentence each"
    for (words, wanted), sentence in zip(REFUSALS, told, strict=True):
        assert sentence.startswith("error: "), words
        assert wanted in sentence, words
    assert shown(cli, task) == before


def in_one_process(cli: Cli, commands: list[list[str]]) -> tuple[list[int], subprocess.CompletedProcess[str]]:
    """Exit codes and output of many commands, with one start of the interpreter; they must not load LangGraph."""
    code = (
        "import json, pathlib, sys\nfrom holdfast.cli import dispatch\n"
        f"codes = [dispatch(words) for words in {commands!r}]\n"
        "heavy = {'langgraph', 'langchain_core'} & set(sys.modules)\n"
        "pathlib.Path('codes.json').write_text(json.dumps(codes))\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((cli.folder / "codes.json").read_text()), done


def test_from_a_database_that_is_not_there_makes_none(cli: Cli) -> None:
    cli.plan(sleep("a"))
    assert "there is no database" in one_sentence(cli("run", "x", "--plan", "plan.json", "--from", "abc"))
    assert cli.nothing_there()


def test_with_the_switch_off_nobody_pauses_or_resumes_and_ctrl_c_hands_over(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), then=pause_it)
    off = {"HOLDFAST_PAUSE_RESUME": "off"}
    for words in (["pause", task], ["resume", task]):
        refused = cli(*words, **off)
        assert refused.returncode == 2
        assert "pause_resume is off" in one_sentence(refused)
    (cli.folder / "holdfast.toml").write_text("[holdfast]\npause_resume = false\n")
    assert "pause_resume is off" in one_sentence(cli("pause", task))
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 1), sleep("b", 60, "a")), "--json")
    read_until(run, started("a"))
    interrupt(run)
    code, rest, err = end(run)
    assert code == 6, err
    assert rest[-1]["state"] == "WORKING"
    assert "Ctrl-C hands over" in err


def test_a_held_subtask_is_shown_with_who_holds_it_and_released_by_resume(cli: Cli) -> None:
    task = prepared(cli, {"id": "a", "type": "cli_steps"}, {"id": "b", "type": "cli_steps"}, then=hold_b)
    page = cli("show", task).stdout
    assert "b is held by person (not yet)" in page
    assert "paused by holds" in page
    released = cli("resume", task, "--subtask", "b", "--json")
    assert released.returncode == 0, released.stderr
    assert lines(released.stdout)[-1]["state"] == "COMPLETED"
    assert "cannot be changed any more" in one_sentence(cli("pause", task, "--subtask", "b"))


def test_hold_and_release_of_a_task_that_runs_elsewhere_leave_the_work_there(cli: Cli) -> None:
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 2.5), sleep("b", 0, "a"), sleep("c", 600)), "--json")
    task = read_until(run, started("a"))[0]["task"]
    held = cli("pause", task[:8], "--subtask", "b", "--reason", "wait")
    assert f"release it with: holdfast resume {task[:8]} --subtask b" in held.stdout
    assert states(cli, task)["b"] == "held"
    released = cli("resume", task, "--subtask", "b")
    assert released.returncode == 6, released.stderr
    assert "process" in released.stdout
    assert "carries on" in released.stdout
    assert cli("cancel", task).returncode == 0
    code, rest, err = end(run)
    assert code == 5, err
    assert rest[-1]["state"] == "CANCELED"


def test_an_answer_is_checked_taken_once_and_left_to_resume(cli: Cli) -> None:
    task = prepared(cli, asks("a", schema={"type": "integer", "minimum": 1}), asks("b"), on_question="continue")
    several = cli("answer", task, "5")
    assert several.returncode == 2
    assert "has 2 open questions; choose with --question: q1 (What does" in one_sentence(several)
    for value, reason in (("few", "is not of type"), ("0", "less than the minimum"), ("@none.txt", "cannot be read")):
        refused = cli("answer", task, "--question", by(cli, task, "a"), value)
        assert refused.returncode == 2
        assert reason in one_sentence(refused)
    page = cli("show", task).stdout
    assert "a whole number of 1 or more" in page
    assert f"holdfast answer {task[:8]} --question {by(cli, task, 'a')} VALUE" in page
    assert "before it is answered: holdfast answer" in one_sentence(cli("resume", task))

    first = by(cli, task, "a")
    answered = cli("answer", task, "--question", first, "7")
    assert f"question {first} is answered; carry on with: holdfast resume {task[:8]}" in answered.stdout
    assert "the first answer stands" in one_sentence(cli("answer", task, "8", "--question", first))
    (cli.folder / "text.txt").write_text("plenty")
    assert f"carry on with: holdfast resume {task[:8]}" in cli("answer", task, "@text.txt").stdout
    assert shown(cli, task)["state"] == "WORKING"
    assert cli("cancel", task).returncode == 0
    assert "is CANCELED: it cannot be answered" in one_sentence(cli("answer", task, "9", "--question", first))


def by(cli: Cli, task: str, subtask: str) -> str:
    """The id of the question that a subtask asks."""
    return next(one["id"] for one in shown(cli, task)["questions"] if one["subtask"] == subtask)


def test_without_a_terminal_questions_end_the_run_with_4_and_the_commands_that_answer_them(cli: Cli) -> None:
    plan = cli.plan(asks("a", default="red", schema={"enum": ["red", "green"]}), fails("b"))
    waiting = cli("run", "Ask", "--plan", plan, "--on-question", "continue", "--on-failure", "ask")
    assert waiting.returncode == 4, waiting.stderr
    task = cli.tasks()[0]["id"]
    asked, failed = by(cli, task, "a"), by(cli, task, "b")
    assert "red or green; default red" in waiting.stdout
    assert f"holdfast answer {task[:8]} --question {asked} red" in waiting.stdout
    assert f"holdfast answer {task[:8]} --question {failed} fail" in waiting.stdout
    assert f"? {asked}: What does a need?" in waiting.stderr
    assert cli("answer", task, "skip", "--question", failed).returncode == 0
    assert states(cli, task)["b"] == "skipped"


def test_yes_approves_and_takes_defaults_and_results_of_another_task_are_reused(cli: Cli) -> None:
    parts = [{"id": "a", "type": "cli_steps", "params": {"steps": 2}}, asks("b", default=3)]
    first = prepared(cli, *parts, yes=True)
    done = cli("run", "x", "--plan", cli.plan(*parts), "--approve", "--yes", "--from", first[:8], "--json")
    assert done.returncode == 0, done.stderr
    *events, last = lines(done.stdout)
    assert last["state"] == "COMPLETED"
    assert [event["subtask"] for event in events if event["type"] == "cache.hit"] == ["a", "b"]


def test_an_edited_plan_from_a_file_is_checked_and_runs_in_place_of_the_first(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), approve=True)
    assert f"holdfast answer {task[:8]} --question q1 approve" in cli("show", task).stdout
    assert "say approve, reject REASON, or @FILE" in one_sentence(cli("answer", task, "perhaps"))
    cli.plan(sleep("quick"), name="good.json")
    edited = cli("answer", task, "--question", "q1", "@good.json")
    assert edited.returncode == 0, edited.stderr
    done = cli("resume", task, "--json")
    assert done.returncode == 0, done.stderr
    assert [one["id"] for one in lines(done.stdout)[-1]["plan"]["subtasks"]] == ["quick"]


def test_a_rejected_plan_is_made_again_and_the_list_does_not_count_built_in_subtasks(cli: Cli) -> None:
    task = prepared(cli, goal="Market research report on the sample", data=[SAMPLE], approve=True)
    assert lines(cli("events", task, "--json").stdout)[2]["subtask"] == "@plan"
    assert "0/14" in cli("tasks").stdout
    assert cli("answer", task, "reject too long").returncode == 0
    again = cli("resume", task, "--json")
    assert again.returncode == 4, again.stderr
    *events, last = lines(again.stdout)
    assert [event["data"].get("rejected") for event in events if event["type"] == "plan.revised"] == ["too long"]
    assert [one["id"] for one in last["questions"]] == ["q2"]


def test_retry_and_skip_change_a_subtask_and_leave_the_work_to_resume(cli: Cli) -> None:
    task = prepared(cli, fails("a"), sleep("b", 0, "a"), asks("c"), on_question="continue")
    assert states(cli, task) == {"a": "failed", "b": "skipped", "c": "input_required"}
    retried = cli("retry", task, "a")
    assert retried.returncode == 0, retried.stderr
    assert "subtask a will run again" in retried.stdout
    assert states(cli, task) == {"a": "ready", "b": "waiting", "c": "input_required"}
    skipped = cli("skip", task, "c", "--json")
    assert lines(skipped.stdout)[0]["questions"] == []
    assert states(cli, task)["c"] == "skipped"
    assert "it cannot be skipped" in one_sentence(cli("skip", task, "c"))


def test_cancel_is_final(cli: Cli) -> None:
    task = prepared(cli, asks("a"))
    canceled = cli("cancel", task[:8])
    assert (canceled.returncode, canceled.stdout) == (0, f"task {task[:8]} is canceled\n")
    for words in (["cancel", task], ["pause", task], ["resume", task, "--subtask", "a"], ["retry", task, "a"]):
        refused = cli(*words)
        assert refused.returncode == 2
        assert "is CANCELED" in one_sentence(refused)


def test_cancel_with_rollback_undoes_here_what_has_completed(cli: Cli) -> None:
    task = prepared(cli, {"id": "a", "type": "cli_steps"}, {**asks("b"), "dependencies": ["a"]})
    assert "needs the task types 'cli_steps'" in one_sentence(cli("cancel", task, "--rollback", HOLDFAST_TYPES=""))
    assert shown(cli, task)["state"] == "INPUT_REQUIRED"
    undone = cli("cancel", task, "--rollback", "--json")
    assert undone.returncode == 0, undone.stderr
    assert lines(undone.stdout)[-1]["state"] == "CANCELED"
    assert states(cli, task) == {"a": "rolled_back", "b": "canceled"}


def test_explain_tells_what_a_resume_would_do_and_does_nothing(cli: Cli) -> None:
    plan = cli.plan(sleep("a"), {"id": "b", "type": "cli_once", "dependencies": ["a"]}, sleep("c", 0, "b"))
    run = cli.begin("run", "Once", "--plan", plan, "--json")
    task = read_until(run, lambda one: one["type"] == "step.started" and one["data"]["step"] == "pay")[0]["task"]
    run.kill()
    run.communicate()
    before = shown(cli, task)
    told = lines(cli("resume", task, "--explain", "--json").stdout)[0]
    assert (told["reused"], told["run_again"], told["not_started"]) == (["a"], ["b"], ["c"])
    assert told["uncertain"] == [{"subtask": "b", "step": "pay", "policy": "ask"}]
    page = cli("resume", task, "--explain").stdout
    assert "reused as it is (1)" in page
    assert "1 step kept" in page
    assert "b/pay  asks a person first" in page
    assert "1 step uncertain" in cli("show", task).stdout
    assert shown(cli, task) == before


def test_prune_forgets_what_ended_long_ago_and_asks_on_a_terminal(cli: Cli) -> None:
    for goal in ("first", "second"):
        prepared(cli, sleep("a"), goal=goal)
    prepared(cli, asks("a"), goal="third")
    assert cli("prune").stdout.startswith("0 tasks forgotten")
    code, received = cli.talk("prune", "--older-than", "0s", say=[("Forget 2 tasks", "n\n")])
    assert code == 0
    assert "nothing was forgotten" in received
    assert lines(cli("prune", "--older-than", "0s", "--keep", "2", "--json").stdout)[0]["tasks"] == 1
    assert "1 task forgotten" in cli("prune", "--older-than", "0s", "--yes").stdout
    assert [one["goal"] for one in cli.tasks()] == ["third"]


def test_control_commands_are_quick_because_they_load_no_langgraph(cli: Cli) -> None:
    task = prepared(cli, fails("a"), asks("b"), on_question="continue")
    commands = [
        ["show", task],
        ["retry", task, "a"],
        ["skip", task, "a"],
        ["answer", task, "--question", "q1", "5"],
        ["pause", task, "--mode", "now"],
        ["pause", task, "--subtask", "b"],
        ["resume", task, "--subtask", "b"],
        ["cancel", task],
    ]
    began = time.monotonic()
    codes, _ = in_one_process(cli, commands)
    assert codes == [0, 0, 0, 0, 0, 0, 3, 0]  # 3: released, and the task stays paused
    assert time.monotonic() - began < 5
    assert shown(cli, task)["state"] == "CANCELED"
