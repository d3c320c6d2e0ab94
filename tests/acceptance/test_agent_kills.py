"""An agent is killed (kill -9) between any two of its steps: no call that is on disk is made again.

The scene is played once, and then again for each step, with its process killed right before, and right after, the
commit that records it; a fresh process takes the task up.  A server counts the calls of the model, and a tool writes
down each of its own.  HOLDFAST_TORTURE=1 kills at every commit that tells an event.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.racer import Racer
from tests.models.server import ModelServer
from tests.torture.scene import Scene, kill_at_each

TORTURE = os.environ.get("HOLDFAST_TORTURE") == "1"
TURNS: list[dict[str, Any]] = [
    {"tools": [{"name": "k_effect", "arguments": {"name": name}} for name in ("one", "two")]},
    {"tools": [{"name": "ask", "arguments": {"question": "Which unit?"}}]},
    {"tools": [{"name": "read", "arguments": {"file": "notes.md"}}]},
    {"text": "All is done [1.1] [1.2] [2.1] [3.1]."},
]
STEP_OF = {"one": "tool 1.1 k_effect", "two": "tool 1.2 k_effect"}
STEPS = len(TURNS) + 3


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """The n-th turn; the request names its task, so that calls are counted for each."""
    return TURNS[sum(one["role"] == "assistant" for one in body["messages"])]


class AgentScene(Scene):
    """One task with an agent, whose server is shared."""

    def __init__(self, folder: Path, runner: Racer, server: ModelServer) -> None:
        self.server, self.name = server, folder.name
        notes = folder.with_name("notes.md")
        notes.write_text("# Notes\n\nAll figures are in pieces.\n")
        params = {"goal": f"Scene ({folder.name}).", "files": [str(notes)], "tools": ["k_effect", "ask", "read"]}
        plan = {"subtasks": [{"id": "a", "type": "agent", "params": params, "retries": 0}]}
        super().__init__(folder, runner, {"task": {"plan": plan}, "url": server.url, "answer": "itself"})
        self.before: Counter[int] = Counter()

    def calls(self) -> Counter[int]:
        """How often each turn was called."""
        mine = [one.body["messages"] for one in list(self.server.calls)]
        mine = [said for said in mine if f"Scene ({self.name})." in said[1]["content"]]
        return Counter(1 + sum(one["role"] == "assistant" for one in said) for said in mine)

    def look(self) -> None:
        """What is on disk stays as it is."""
        results, steps, _ = self.transact(self.stored) or ({}, {}, set())
        assert self.steps.items() <= steps.items()
        assert self.results.items() <= results.items()
        self.results, self.steps = results, steps

    def play(self, event: int | str = 0, when: str = "") -> list[str] | None:
        self.left = super().play(event, when)
        return self.left

    def check(self) -> None:
        calls, effects = self.calls(), Counter(what for word, what, *_ in self.lines() if word == "effect")
        assert sorted(calls) == list(range(1, len(TURNS) + 1))
        assert sorted(effects) == sorted(STEP_OF)
        again = [f"call {turn}" for turn, times in calls.items() if times > 1]
        again += [name for name, times in effects.items() if times > 1]
        assert len(again) <= 1, f"more than the call in flight was repeated: {again}"
        assert max([*calls.values(), *effects.values()]) <= 2
        for name in again:
            done = f"step.completed a {STEP_OF.get(name, name)}"
            assert done not in (self.left or []), f"{name} was on disk and was made again"
        told = self.check_history("subtask.completed a", "task.completed")
        steps = [one for one in told if one.startswith("step.completed a ")]
        assert len(steps) == len(set(steps)) == STEPS


@pytest.fixture(scope="module")
def workers():
    started = [Racer("tests.torture.agents"), Racer("tests.torture.agents")]
    yield started
    for one in started:
        one.close()


def test_no_finished_call_is_made_again_wherever_an_agent_is_killed(tmp_path, workers):
    with ModelServer(script=answer) as server:

        def make(name: str, runner: Racer) -> AgentScene:
            return AgentScene(tmp_path / name.replace(" ", "-"), runner, server)

        first = make("first", workers[0])
        first.play()
        first.check()
        told = first.history()
        assert told[-1] == "task.completed"
        commits = [at for at in first.commits() if at > told.index("subtask.running a")]
        kept = [at for at in commits if told[at - 1].startswith("step.completed")]
        assert len(kept) == STEPS
        ends = kill_at_each(commits if TORTURE else kept, ["before", "after"], make, workers)
        assert len(ends) >= 2 * len(kept)
        doubled = sum(times - 1 for times in Counter(json.dumps(one.body) for one in server.calls).values())
        print(f"{len(ends)} kills, {doubled} calls in flight were repeated")
