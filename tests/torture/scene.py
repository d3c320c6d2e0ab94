"""A scene seen from the test: played by processes of ``arrows``, each of which may be killed at an event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from holdfast.checkpoints import tasks
from tests.integration.racer import Racer
from tests.torture.arrows import history
from tests.torture.watched import Watched

ANSWER = 1200


class Scene(Watched):
    """A scene in a folder of its own."""

    def __init__(self, folder: Path, runner: Racer, what: dict[str, Any]) -> None:
        folder.mkdir()
        super().__init__(folder)
        (folder / "scene.json").write_text(json.dumps(what))
        self.runner, self.what = runner, what
        self.agents = {one["id"]: one for one in what["task"]["plan"]["subtasks"]}
        self.continues = what["task"].get("on_question") == "continue"

    def run(self, event: int | str = 0, when: str = "") -> bool:
        """Whether the process was killed."""
        meanwhile = {"meanwhile": ANSWER} if self.continues else {}
        self.runner.order(folder=str(self.folder), event=event, when=when, **meanwhile)
        exit_ = self.runner.hear()["exit"]
        assert exit_ in ((0, -9) if event else (0,)), f"{exit_}: {self.shown()} {(self.folder / 'err').read_text()}"
        return bool(exit_)

    def play(self, event: int | str = 0, when: str = "") -> list[str] | None:
        """Plays it to its end, with one kill at that event; the history as the kill left it, None without one."""
        left: list[str] | None = None
        for _ in range(6):
            killed = self.run(event if left is None else 0, when)
            if killed:
                left = self.history()
            self.look()
            if self.ended():
                return left
            if not killed and "answer" not in self.what:
                self.answer(lambda _: ANSWER)
        raise AssertionError(f"it does not end: {self.shown()}")

    def check(self) -> None:
        """What has to be true at the end, wherever it was killed."""
        raise NotImplementedError

    def history(self) -> list[str]:
        return self.transact(history) or []

    def commits(self) -> list[int]:
        """The first event of each commit that told any."""
        return sorted(int(line[1]) for line in self.lines() if line[0] == "commit")

    def plan_steps(self) -> dict[str, list[str]]:
        """The steps of each agent that have an effect."""
        return {
            name: [step for step in one["params"].get("steps", ()) if step != "ask"]
            for name, one in self.agents.items()
            if one["type"] == "k_agent"
        }

    def check_history(self, *once: str) -> list[str]:
        """The history, which has no gap, and has these events once each, the last one at its end."""
        told = self.history()
        assert self.transact(_seqs) == list(range(1, len(told) + 1))
        for name in once:
            assert told.count(name) == 1, name
        assert told[-1] == once[-1]
        return told


def _seqs(db: Any, task: str) -> list[int]:
    rows = db.execute("SELECT seq FROM events WHERE task = ? ORDER BY seq", (tasks.get(db, task).number,))
    return [seq for (seq,) in rows]


def kill_at_each(
    events: Iterable[int | str], sides: Sequence[str], make: Callable[[str, Racer], Scene], runners: Sequence[Racer]
) -> list[list[str]]:
    """Plays a new scene for each of these events and sides; what the kill's commit told, of each that was killed."""
    free: SimpleQueue[Racer] = SimpleQueue()
    for one in runners:
        free.put(one)

    def kill(arrow: tuple[int | str, str]) -> list[str] | None:
        event, when = arrow
        runner = free.get()
        try:
            scene = make(f"{when} {event}", runner)
            left = scene.play(event, when)
            scene.check()
        finally:
            free.put(runner)
        if left is None:
            return None
        at = left.index(event) + 1 if event in left else event if isinstance(event, int) else len(left) + 1
        assert len(left) < at if when == "before" else len(left) >= at
        return left[at - 1 :]

    with ThreadPoolExecutor(len(runners)) as pool:
        ends = list(pool.map(kill, [(event, when) for event in events for when in sides]))
    return [left for left in ends if left is not None]
