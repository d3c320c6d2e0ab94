"""A run in a terminal that a person talks to: questions answered in place, the plan's approval, the keys p and q."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli_process import TYPES, Cli, sleep

KEYS = "p or Ctrl-C pauses   q hands over"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.env |= {"HOLDFAST_TYPES": TYPES, "NO_COLOR": "1"}
    return made


def asks(id_: str, **params: Any) -> dict[str, Any]:
    return {"id": id_, "type": "cli_ask", "params": params}


def test_a_question_is_answered_in_place_after_a_reason_why_not_and_enter_takes_the_default(cli: Cli) -> None:
    plan = cli.plan(asks("a", schema={"type": "integer", "minimum": 1}, default=5), asks("b", schema={"enum": [1, 2]}))
    code, received = cli.talk(
        *("run", "Ask me", "--plan", plan, "--workers", "1"),
        say=[
            ("a asks: ", ""),
            ("a whole number of 1 or more", ""),
            ("[5] > ", "none\n"),
            ('"none" is not of type', ""),
            ("[5] > ", "\n"),
            ("b asks: ", ""),
            ("1 or 2", ""),
            ("> ", "\n"),
            ("an answer is needed", ""),
            ("> ", "2\n"),
        ],
    )
    assert code == 0, received
    assert "2 of 2 subtasks completed" in received


def test_ctrl_c_leaves_a_question_open_with_4_and_the_command_that_answers_it(cli: Cli) -> None:
    plan = cli.plan(asks("a"), sleep("b", 0, "a"))
    code, received = cli.talk("run", "Ask me", "--plan", plan, say=[("a asks:", ""), ("> ", "\x03")])
    assert code == 4, received
    task = cli.tasks()[0]["id"]
    assert "left open" in received
    assert f"holdfast answer {task[:8]} --question q1 VALUE" in received


def test_under_continue_the_others_go_on_behind_the_question_and_another_process_may_answer_it(cli: Cli) -> None:
    plan = cli.plan(asks("a"), sleep("b", 1.0))
    words = ("run", "Ask me", "--plan", plan, "--on-question", "continue")
    answering: list[int] = []

    def answer_elsewhere(seen: str) -> None:
        answering.append(cli("answer", cli.tasks()[0]["id"], "from elsewhere").returncode)

    code, received = cli.talk(*words, say=[("a asks:", ""), ("> ", answer_elsewhere)])
    assert (code, answering) == (0, [0]), received
    assert "it was settled elsewhere" in received


def test_a_question_answered_in_another_terminal_lets_this_one_carry_on(cli: Cli) -> None:
    answering: list[int] = []

    def answer_elsewhere(seen: str) -> None:
        answering.append(cli("answer", cli.tasks()[0]["id"], "from elsewhere").returncode)

    code, received = cli.talk("run", "Ask me", "--plan", cli.plan(asks("a")), say=[("> ", answer_elsewhere)])
    assert (code, answering) == (0, [0]), received


def test_yes_never_asks_even_in_a_terminal(cli: Cli) -> None:
    code, received = cli.talk("run", "Ask me", "--plan", cli.plan(asks("a")), "--yes", say=[])
    assert code == 4, received
    assert "--question q1 VALUE" in received


def test_the_key_p_pauses_and_the_key_q_hands_over(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 1.0), sleep("b", 2.0, "a"), sleep("c", 0, "b"))
    code, received = cli.talk("run", "Keys", "--plan", plan, say=[(KEYS, ""), ("1/8 at work", "xp")])
    assert code == 3, received
    task = cli.tasks()[0]
    assert (task["state"], task["pause_reason"]) == ("PAUSED", "key p")
    code, received = cli.talk("resume", task["id"], say=[(KEYS, ""), ("1/8 at work", "q")])
    assert code == 6, received
    assert cli.tasks()[0]["state"] == "WORKING"


def test_an_approval_shows_the_plan_and_tells_how_to_edit_it(cli: Cli) -> None:
    plan = cli.plan(sleep("a", 600, name="A long sleep"), sleep("b", 0, "a"))
    cli.plan({"id": "x", "type": "no_such_type"}, name="bad.json")
    changed = json.dumps({"subtasks": [sleep("short")]})

    def edit(seen: str) -> str:
        [path] = cli.folder.glob("plan-*.json")
        assert [one["id"] for one in json.loads(path.read_text())["subtasks"]] == ["a", "b"]
        path.write_text(changed)
        return f"@{path.name}\n"

    code, received = cli.talk(
        *("run", "Approve it", "--plan", plan, "--approve"),
        say=[
            ("○ A long sleep", ""),
            ("The plan has 2 subtasks. Run it?", ""),
            ("[approve] > ", "hm\n"),
            ("say approve, reject REASON", ""),
            ("[approve] > ", "@bad.json\n"),
            ("the unknown type 'no_such_type'", ""),
            ("[approve] > ", "edit\n"),
            ("or leave this open and type: holdfast answer", ""),
            ("[approve] > ", edit),
        ],
    )
    assert code == 0, received
    assert "1 of 1 subtask completed" in received
