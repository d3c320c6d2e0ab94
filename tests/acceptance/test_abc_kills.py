"""Agent A delegates to B and C, B asks, A pauses C, the answer comes, C goes on: killed at every arrow of it.

The arrows are the events of the history: the scene is played once, and then again for each commit that told any, with
the runner killed right before, and right after, that commit.  A fresh process takes the task up.  The scenes after the
first begin like it, so they are killed from the question on only, and after each commit; HOLDFAST_TORTURE=1 kills all.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from holdfast.checkpoints import questions, tasks
from tests.integration.racer import Racer
from tests.torture.scene import ANSWER, Scene, kill_at_each

TORTURE = os.environ.get("HOLDFAST_TORTURE") == "1"
B = {  # the steps of each agent, and the event after which a step ends
    "prepare": [],
    "wait": ["step.started", "c", "part 2"],
    "ask": [],
    "apply": ["step.completed", "c", "part 3"],
}
C = {
    "part 1": ["step.completed", "b", "prepare"],
    "part 2": ["question.asked", "b"],
    "part 3": ["step.started", "b", "apply"],
    "part 4": ["subtask.completed", "b"],
}
C_FIRST = {"apply": ["subtask.completed", "c"]}, {"part 4": []}
ON = {"part 3": ["question.answered", "b", "person"]}


def scene(b: dict[str, Any], c: dict[str, Any], *others: str, **options: Any) -> dict[str, Any]:
    plan = [
        *({"id": name, "type": "k_agent", "params": {"steps": {"only": []}}} for name in others),
        {"id": "b", "type": "k_agent", "params": {"steps": b}},
        {"id": "c", "type": "k_agent", "params": {"steps": c}},
        {"id": "a", "type": "k_agent", "params": {"steps": {"sum up": []}}, "dependencies": ["b", "c"]},
    ]
    subtasks = [{**one, "retries": 0} for one in plan]
    return {"task": {"plan": {"subtasks": subtasks}, **options}}


SCENES = {
    "B returns first": {**scene(B, C), "answer": ANSWER},
    "C returns first, nobody is there to answer": scene(B | C_FIRST[0], C | C_FIRST[1]),
    "a person holds D": {**scene(B, C, "d"), "answer": ANSWER, "held": "d"},
    "C goes on while B waits": scene(B, C | ON, on_question="continue"),
}
ARROWS = {  # of which none may be missing
    "task.submitted",
    "subtask.running b",
    "subtask.running c",
    "question.asked b",
    "question.answered b person",
    "step.started b apply",
    "step.completed c part 3",
    "subtask.completed b",
    "subtask.completed c",
    "step.started a sum up",
    "subtask.completed a",
    "task.completed",
}
PAUSED = {"control c hold parent", "task.input_required", "subtask.held c", "control c release parent"}
ANSWERING = {"question.answered b person", "control c release parent"}


class Abc(Scene):
    """The scene of A, B and C."""

    def check(self) -> None:
        state, asked = self.transact(_summary)
        assert (state, set(self.results)) == ("COMPLETED", set(self.agents))
        of = {name: json.loads(body) for name, body in self.results.items()}
        assert of["a"]["inputs"] == {"b": of["b"], "c": of["c"]}
        assert (of["b"]["answer"], of["c"]["answer"]) == (ANSWER, None)
        completed = [f"subtask.completed {agent}" for agent in self.agents]
        told = self.check_history("question.asked b", "question.answered b person", *completed, "task.completed")
        assert asked == [("b", str(ANSWER))]
        heard = {tuple(line[:2]) for line in self.lines() if line[0] in ("knows", "answered")}
        assert heard == {("knows", "b"), ("answered", "b")}
        steps = self.plan_steps()
        self.look_at_effects(f"{name}/{step}".replace(" ", "_") for name, of in steps.items() for step in of)
        for name, known in steps.items():  # with a step repeated at most where its receipt was lost
            did = [what.partition("/")[2].replace("_", " ") for what in self.effects() if what.startswith(f"{name}/")]
            assert sorted(did, key=known.index) == did, f"{name} went back"
        if held := self.what.get("held"):
            released = told.index(f"control {held} release person")
            assert told.index("subtask.completed a") < released < told.index(f"subtask.running {held}")

    def effects(self) -> list[str]:
        return [line[1] for line in self.lines() if line[0] == "effect"]


def _summary(db: Any, task: str) -> tuple[str, list[tuple[str, str | None]]]:
    row = tasks.get(db, task)
    return row.state.value, [(one.subtask, one.answer) for one in questions.load(db, row.number)]


@pytest.mark.parametrize("name", SCENES)
def test_a_kill_at_any_arrow_of_the_scene_changes_nothing_of_how_it_ends(tmp_path, runners, name):
    def make(folder: str, runner: Racer) -> Abc:
        return Abc(tmp_path / folder, runner, SCENES[name])

    whole = make("whole", runners[0])
    whole.play()
    whole.check()
    whole_scene = TORTURE or name == next(iter(SCENES))  # the others begin like it: from the question on
    begins = 1 if whole_scene else whole.history().index("question.asked b")
    commits = [event for event in whole.commits() if event >= begins]
    sides = ("before", "after") if whole_scene else ("after",)
    wanted = (ARROWS | (set() if whole.continues else PAUSED)) & set(whole.history()[begins - 1 :])
    if "answer" not in SCENES[name]:
        wanted -= ANSWERING  # which another process commits
    arrows: list[int | str] = [*commits]
    if whole.continues:  # B and C are at work at once, so an event has a name that lasts and a number that does not
        arrows = sorted({whole.history()[event - 1] for event in commits} - ANSWERING | wanted)
    kills = kill_at_each(arrows, sides, make, runners)
    print(f"{name}: {len(whole.history())} events in {len(commits)} commits, {len(kills)} kills")
    assert len(kills) >= len(arrows) - (0 if whole.continues else 1)
    assert wanted <= {arrow for told in kills for arrow in told}
