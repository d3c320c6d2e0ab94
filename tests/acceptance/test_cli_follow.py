"""``resume`` of a task that a server on the same database works on: it follows to the end, as if it worked itself."""

from __future__ import annotations

import json
from pathlib import Path

from holdfast.a2a.extension import URI
from tests.acceptance.cli_process import Cli, end, interrupt, read_until, started
from tests.acceptance.serving import Server, nap


def test_a_resume_of_what_a_server_works_on_follows_to_the_end(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        task = server.run(nap("a", 8), nap("b", 0.1, "a"))  # longer than a command takes to begin
        shown = Cli(tmp_path)("resume", task, "--db", str(server.db), "--json")
    assert shown.returncode == 0, shown.stderr
    last = json.loads(shown.stdout.splitlines()[-1])
    assert (last["id"], last["state"]) == (task, "COMPLETED")


def test_ctrl_c_in_a_resume_that_follows_pauses_what_the_server_works_on(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        task = server.run(nap("a", 1.5), nap("b", 30, "a"))
        follower = Cli(tmp_path).begin("resume", task, "--db", str(server.db), "--json")
        read_until(follower, started("b"))
        interrupt(follower)
        interrupt(follower)
        code, events, _ = end(follower)
        assert (code, events[-1]["state"]) == (3, "PAUSED")
        assert server.task(task)["metadata"][URI]["initiatedBy"] == "person"
