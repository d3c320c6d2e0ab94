"""A process that is killed while a model plans or revises: what was answered is on disk and is not asked again."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.acceptance.cli_process import Cli
from tests.models.server import ModelServer

TYPES = str(Path(__file__).with_name("cli_types.py"))
PLAN = {"subtasks": [{"id": "shop", "type": "cli_fail", "retries": 0}, {"id": "pack", "type": "cli_steps"}]}
WRONG = {"subtasks": [{"id": "shop", "type": "no_such_type"}]}
KEEP = {"keep": True, "why": "The shop is shut.", "subtasks": []}
HANGS = {"text": "never heard", "delay": 600}


def turn(body: dict[str, Any]) -> tuple[str, int]:
    """What a request is for, and how often it has been answered before."""
    said = sum(one["role"] == "assistant" for one in body["messages"])
    return "revise" if "since the plan was made" in body["messages"][0]["content"] else "plan", said


class Script:
    """A wrong answer to begin with; the one to the correction is never heard by the first process that asks for it."""

    right = {"plan": PLAN, "revise": KEEP}  # noqa: RUF012  never changed

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, int]] = Counter()

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = turn(body)
        self.heard[asked] += 1
        if asked[1] == 0:
            return {"json": WRONG}
        return HANGS if self.heard[asked] == 1 else {"json": self.right[asked[0]]}


def killed_at(process: Any, script: Script, asked: tuple[str, int]) -> None:
    """Kills a process as soon as it waits for that answer."""
    until = time.monotonic() + 60
    while not script.heard[asked]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_process_killed_while_a_model_plans_and_revises_repeats_at_most_the_call_in_flight(tmp_path):
    script, cli = Script(), Cli(tmp_path)
    with ModelServer(script=script) as server:
        cli.env |= server.env(HOLDFAST_TYPES=TYPES)
        killed_at(cli.begin("run", "Pack it"), script, ("plan", 1))
        (task,) = (json.loads(line)["id"] for line in cli("tasks", "--json").stdout.splitlines())
        killed_at(cli.begin("resume", task), script, ("revise", 1))
        ended = cli("resume", task, "--json")
    assert ended.returncode == 1, ended.stderr
    assert script.heard == {("plan", 0): 1, ("plan", 1): 2, ("revise", 0): 1, ("revise", 1): 2}
    shown = json.loads(ended.stdout.splitlines()[-1])
    assert {one["id"]: one["state"] for one in shown["plan"]["subtasks"]} == {"shop": "failed", "pack": "completed"}
    told = [json.loads(line) for line in cli("events", task, "--json").stdout.splitlines()]
    assert [(one["type"], one["data"].get("by")) for one in told if one["type"].startswith("plan.")] == [
        ("plan.made", "model"),
        ("plan.kept", "model"),
    ]
