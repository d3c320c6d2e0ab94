"""``--server URL``: every command against a running server does and says what it does on a database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.graphs.holdfast import Sender
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
from tests.acceptance.serving import Server
from tests.ports import free_port

SAMPLE = Path(__file__).parents[2] / "examples/sample/market.csv"
FAR = "2999-01-01T00:00:00Z"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Then = Callable[[Holdfast, str], Any]


@dataclass
class Place:
    """Where commands are typed, and the words that lead them to the tasks."""

    cli: Cli
    words: tuple[str, ...]
    home: Cli  # in whose folder the database is

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.cli(*words, *self.words, **env)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return self.cli.begin(*words, *self.words)

    def show(self, task: str) -> dict[str, Any]:
        return lines(self("show", task, "--json").stdout)[0]


def cli_in(folder: Path) -> Cli:
    folder.mkdir(parents=True, exist_ok=True)
    made = Cli(folder)
    made.env["HOLDFAST_TYPES"] = TYPES
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home") / ".holdfast"
    with Server(home, types=(Path(TYPES),)) as running:
        yield running


@pytest.fixture
def there(server: Server, tmp_path: Path) -> Place:
    return Place(cli_in(tmp_path / "away"), ("--server", server.url), Cli(server.folder.parent))


@pytest.fixture
def here(tmp_path: Path) -> Place:
    made = cli_in(tmp_path / "here")
    return Place(made, (), made)


def to_its_end(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """(exit code, the JSON lines that were left) of one whose first lines were read."""
    with process:
        assert process.stdout
        rest = [json.loads(line) for line in process.stdout]
    return process.returncode, rest


def asks(id_: str, **params: Any) -> dict[str, Any]:
    return {"id": id_, "type": "cli_ask", "params": params}


def fails(id_: str, *dependencies: str) -> dict[str, Any]:
    return {"id": id_, "type": "cli_fail", "retries": 0, "dependencies": list(dependencies)}


async def pause_it(hf: Holdfast, task: str) -> None:
    await hf.pause(task, mode="now", reason="lunch")


async def pause_once_asked(hf: Holdfast, task: str) -> None:
    async for event in hf.events(task):
        if event.type == "question.asked":
            break
    await hf.pause(task, mode="now")


async def pause_once_failed(hf: Holdfast, task: str) -> None:
    async for event in hf.events(task):
        if event.type == "subtask.failed":
            break
    await hf.pause(task, mode="now")


async def hold_b_and_pause(hf: Holdfast, task: str) -> None:
    await hf.hold(task, "b", reason="not yet")
    await hf.pause(task, mode="now")


async def pause_after_a(hf: Holdfast, task: str) -> None:
    async for event in hf.events(task):
        if event.type == "subtask.completed" and event.subtask == "a":
            break
    await hf.pause(task, mode="now")


TASKS: dict[str, tuple[list[dict[str, Any]], Then | None, dict[str, Any]]] = {
    "completed": ([sleep("a"), sleep("b", 0, "a")], None, {}),
    "failed": ([fails("a"), sleep("b", 0, "a")], None, {}),
    "paused": ([sleep("a", 600), sleep("b", 0, "a")], pause_it, {}),
    "asked": ([asks("a"), sleep("b", 0, "a")], None, {}),
    "paused and asked": (
        [asks("a", schema={"type": "integer"}), sleep("b", 600)],
        pause_once_asked,
        {"on_question": "continue"},
    ),
    "paused and failed": ([fails("a"), sleep("b", 600), sleep("c", 0, "a")], pause_once_failed, {}),
    "paused and held": ([sleep("a", 600), sleep("b", 600)], hold_b_and_pause, {}),
    "paused and half done": ([{"id": "a", "type": "cli_steps"}, sleep("b", 600, "a")], pause_after_a, {}),
}
SAME: list[tuple[str, int, tuple[str, ...]]] = [
    ("completed", 0, ("show", "TASK")),
    ("paused", 0, ("show", "TASK")),
    ("asked", 0, ("show", "TASK")),
    ("paused and held", 0, ("show", "TASK")),
    ("failed", 0, ("show", "TASK", "--json")),
    ("paused and asked", 0, ("show", "TASK", "--json")),
    ("completed", 0, ("events", "TASK")),
    ("completed", 0, ("events", "TASK", "--json", "--after", "2", "--follow")),
    ("completed", 0, ("events", "TASK", "--json", "--after", "9999")),
    ("paused", 0, ("pause", "TASK", "--reason", "night", "--until", FAR, "--json")),
    ("paused", 0, ("pause", "TASK", "--mode", "now")),
    ("completed", 2, ("pause", "TASK")),
    ("paused", 0, ("pause", "TASK", "--subtask", "b", "--reason", "no")),
    ("paused", 2, ("pause", "TASK", "--subtask", "nobody", "--json")),
    ("paused and held", 3, ("resume", "TASK", "--subtask", "b")),
    ("paused and held", 2, ("resume", "TASK", "--subtask", "a")),
    ("completed", 2, ("resume", "TASK")),
    ("asked", 2, ("resume", "TASK", "--json")),
    ("paused and half done", 0, ("resume", "TASK", "--explain")),
    ("paused and half done", 0, ("resume", "TASK", "--explain", "--json")),
    ("paused and asked", 0, ("answer", "TASK", "7")),
    ("paused and asked", 0, ("answer", "TASK", "7", "--question", "q1", "--json")),
    ("paused and asked", 2, ("answer", "TASK", "seven")),
    ("paused and asked", 2, ("answer", "TASK", "7", "--question", "q9")),
    ("completed", 2, ("answer", "TASK", "7")),
    ("paused", 0, ("cancel", "TASK")),
    ("asked", 0, ("cancel", "TASK", "--json")),
    ("failed", 2, ("cancel", "TASK")),
    ("paused and failed", 0, ("retry", "TASK", "a")),
    ("paused and failed", 2, ("retry", "TASK", "b", "--json")),
    ("paused", 0, ("skip", "TASK", "b", "--json")),
    ("completed", 2, ("skip", "TASK", "b")),
    ("failed", 0, ("graph", "TASK")),
    ("completed", 0, ("graph", "TASK", "--format", "svg", "--json")),
]


@pytest.mark.parametrize(("task", "code", "words"), SAME, ids=lambda value: "-".join(value) if value is tuple else None)
def test_a_command_says_and_ends_as_on_a_database(
    here: Place, there: Place, task: str, code: int, words: tuple[str, ...]
) -> None:
    plan, then, how = TASKS[task]
    both = []
    for place in (here, there):
        id_ = prepared(place.home, *plan, then=then, **how)
        both.append((place, [word.replace("TASK", id_) for word in words]))
    with ThreadPoolExecutor(2) as pool:
        local, remote = pool.map(lambda one: one[0](*one[1]), both)
    assert (local.returncode, remote.returncode) == (code, code), remote.stderr
    assert told(remote, "--json" in words) == told(local, "--json" in words)


def told(result: subprocess.CompletedProcess[str], as_json: bool) -> Any:
    """What a command has said, but for ids, times, and how the place is named."""
    says = [plain(result.stdout), plain(result.stderr)]
    if as_json:
        return [[without_times(one) for one in lines(result.stdout)], says[1]]
    return says


def plain(text: str) -> str:
    text = ID.sub("ID", text)
    text = re.sub(r" --server \S+", "", text)
    text = re.sub(r"\b[0-9a-f]{8}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
    text = re.sub(r"[\d.]+ m?s\b", "SECONDS", text)
    return re.sub(r"[ ]{2,}", "  ", text)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: plain(one)
            if key in ("id", "context_id", "task", "text") or (key.endswith("at") and one)
            else without_times(one)
            for key, one in value.items()
            if key not in ("last_seq",)
        }
    if isinstance(value, list):
        return [without_times(one) for one in value]
    return value


RUNS: list[tuple[int, list[dict[str, Any]], tuple[str, ...]]] = [
    (0, [sleep("a"), sleep("b", 0, "a")], ()),
    (0, [sleep("a")], ("--json",)),
    (1, [fails("a")], ()),
    (1, [fails("a")], ("--json", "--on-failure", "fail_fast")),
    (4, [asks("a")], ()),
    (0, [asks("a", default="tea")], ("--json", "--yes")),
    (4, [sleep("a")], ("--json", "--approve", "--workers", "2")),
]


@pytest.mark.parametrize(("code", "plan", "more"), RUNS)
def test_a_run_ends_and_tells_as_on_a_database(
    here: Place, there: Place, code: int, plan: list[dict[str, Any]], more: tuple[str, ...]
) -> None:
    both = [(place, ("run", "A goal", "--plan", place.cli.plan(*plan), *more)) for place in (here, there)]
    with ThreadPoolExecutor(2) as pool:
        local, remote = pool.map(lambda one: one[0](*one[1]), both)
    assert (local.returncode, remote.returncode) == (code, code), remote.stderr
    if "--json" not in more:
        assert plain(remote.stdout).splitlines()[1:] == plain(local.stdout).splitlines()[1:]
        return
    *events, last = lines(remote.stdout)
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert without_times(last) == without_times(lines(local.stdout)[-1])
    kinds = [one["type"] for one in events if not one["type"].startswith("task.message")]
    assert kinds == [one["type"] for one in lines(local.stdout)[:-1]]


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("run", "  "), "the goal is empty"),
    (("run", "goal", "--plan", "none.json"), "cannot be read"),
    (("run", "goal", "--data", "none.csv"), "there is no file none.csv"),
    (("run", "goal", "--plan", "unknown.json"), "unknown type 'nonesuch'"),
    (("run", "goal", "--data", "server:none.csv"), "no file 'none.csv' among those"),
    (("run", "goal", "--data", "large.csv"), "holdfast serve --data DIR"),
    (("show", "nope"), "there is no task 'nope'"),
    (("show", "../../healthz"), "there is no task '../../healthz'"),
    (("cancel", ""), "there is no task ''"),
    (("resume", "aaaa", "--json"), "'aaaa' fits 2 tasks"),
    (("show", "x", "--db", "y"), "--db and --server name two places"),
    (("prune",), "works on a database here"),
    (("serve",), "works on a database here"),
    (("demo",), "works on a database here"),
    (("keys", "list"), "works on a database here"),
    (("keys", "add", "ann"), "works on a database here"),
]


@pytest.fixture(scope="module")
def _alike(server: Server) -> None:
    import asyncio

    async def two() -> None:
        async with Holdfast.open(server.db) as hf:
            for number in (1, 2):
                task_id = f"aaaa{number}000-0000-4000-8000-000000000000"
                plan = {"subtasks": [sleep("a")]}
                await hf.start("alike", plan=plan, sender=Sender(task_id=task_id))
                await hf.wait(task_id)

    asyncio.run(two())


@pytest.mark.usefixtures("_alike")
@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_what_cannot_be_done_is_told_in_a_sentence(there: Place, words: tuple[str, ...], sentence: str) -> None:
    there.cli.plan({"id": "a", "type": "nonesuch"}, name="unknown.json")
    (there.cli.folder / "large.csv").write_text("month,units\n" + "2026-01,1\n" * 200_000)
    refused = there(*words)
    assert refused.returncode == 2
    assert sentence in one_sentence(refused)


def test_tasks_are_listed_newest_first_by_pages_and_by_state(here: Place, there: Place) -> None:
    local, remote = (
        [prepared(place.home, sleep("a"), goal=f"number {number}") for number in range(3)] for place in (here, there)
    )
    listed = lines(there("tasks", "--json", "--limit", "3").stdout)
    assert [one["id"] for one in listed] == remote[::-1]
    everything = [one["id"] for one in lines(there("tasks", "--json").stdout)]
    assert everything[:3] == remote[::-1]
    assert len(everything) == len(set(everything))
    page = there("tasks", "--limit", "1").stdout
    assert "number 2" in page
    assert "older; --limit" in page
    assert [one["state"] for one in lines(there("tasks", "--json", "--state", "working").stdout)] == []
    assert len(local) == 3


def test_ctrl_c_pauses_on_the_server_and_resume_carries_on_there(there: Place) -> None:
    plan = there.cli.plan({"id": "a", "type": "cli_steps", "params": {"steps": 40, "seconds": 0.1}}, sleep("b", 0, "a"))
    running = there.begin("run", "A goal", "--plan", plan, "--json")
    seen = read_until(running, started("a"))
    interrupt(running)
    code, _, _ = end(running)
    task = seen[0]["task"]
    assert code == 3
    known = there.show(task)
    assert (known["state"], known["pause_reason"], known["in_flight"]) == ("PAUSED", "Ctrl-C", 0)
    resumed = there("resume", task[:8], "--json")
    assert resumed.returncode == 0, resumed.stderr
    *events, last = lines(resumed.stdout)
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert last["state"] == "COMPLETED"
    done = [one["data"]["step"] for one in events if one["type"] == "step.completed"]
    assert sorted(done) == sorted(set(done)), "a step was repeated"


def test_ctrl_c_twice_stops_at_once(there: Place) -> None:
    running = there.begin("run", "A goal", "--plan", there.cli.plan(sleep("a", 600)), "--json")
    seen = read_until(running, started("a"))
    interrupt(running)
    read_until(running, lambda one: one["type"] == "task.paused")
    interrupt(running)
    code, _, _ = end(running)
    assert code == 3
    assert there.show(seen[0]["task"])["in_flight"] == 0


def test_who_goes_away_leaves_the_task_at_work(there: Place) -> None:
    running = there.begin("run", "A goal", "--plan", there.cli.plan(sleep("a", 600)), "--json")
    seen = read_until(running, started("a"))
    running.terminate()
    code, told_, _ = end(running)
    assert code == 6
    assert told_[-1]["state"] == "WORKING"
    assert there.show(seen[0]["task"])["state"] == "WORKING"
    assert there("cancel", seen[0]["task"]).returncode == 0


def test_a_run_goes_on_over_a_server_that_was_killed(tmp_path: Path) -> None:
    with Server(tmp_path / "there", types=(Path(TYPES),)) as server:
        cli = cli_in(tmp_path / "away")
        plan = cli.plan({"id": "a", "type": "cli_steps", "params": {"steps": 30, "seconds": 0.05}}, sleep("b", 0, "a"))
        running = cli.begin("run", "A goal", "--plan", plan, "--json", "--server", server.url)
        seen = read_until(running, lambda one: one["type"] == "step.completed")
        server.kill()
        assert running.stderr
        assert any("does not answer; looking for it" in line for line in running.stderr)
        server.start()
        assert any("the server is back" in line for line in running.stderr)
        code, [*rest, last] = to_its_end(running)
    assert code == 0
    events = [*seen, *rest]
    assert last["state"] == "COMPLETED"
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))


def test_a_server_that_stays_away_leaves_the_task_to_it(there: Place, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    for words in (("show", "x"), ("run", "goal", "--plan", there.cli.plan(sleep("a"))), ("events", "x")):
        refused = there.cli(*words, "--server", away)
        assert refused.returncode == 2
        assert "cannot be reached" in one_sentence(refused)
    assert there.cli("doctor", "--server", away).returncode == 2
    for wrong in ("localhost", "http://", "http://localhost:99999", "http://ann:secret@localhost:1"):
        refused = there.cli("show", "x", "--server", wrong)
        assert refused.returncode == 2
        assert "named by its URL" in one_sentence(refused)
        assert "secret" not in refused.stderr


def test_who_gives_a_server_up_is_told_how_to_carry_on(tmp_path: Path) -> None:
    with Server(tmp_path / "there", types=(Path(TYPES),)) as server:
        cli = cli_in(tmp_path / "away")
        patience = "import holdfast.cli.remote as r; r.PATIENCE_SECONDS = 1.0; from holdfast.cli import main; main()"
        words = ["run", "A goal", "--plan", cli.plan(sleep("a", 60)), "--json", "--server", server.url]
        running = subprocess.Popen(
            [sys.executable, "-c", patience, *words],
            cwd=cli.folder, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        [*_, started_] = read_until(running, lambda one: one["type"] == "subtask.running" and one["subtask"] == "a")
        server.kill()
        _, told = running.communicate(timeout=30)
    assert running.returncode == 6
    assert "cannot be reached" in told
    assert f"carry on with: holdfast resume {started_['task'][:8]} --server {server.url}\n" in told
    assert "Traceback" not in told


def test_the_report_is_brought_here(there: Place) -> None:
    (there.cli.folder / "sales.csv").write_bytes(SAMPLE.read_bytes())
    ran = there("run", "Market report", "--data", "sales.csv", "--out", "report", "--json")
    assert ran.returncode == 0, ran.stderr
    last = lines(ran.stdout)[-1]
    assert {"report.md", "report.html", "report.pdf", "evidence.json"} <= {one["name"] for one in last["artifacts"]}
    for one in last["artifacts"]:
        path = there.cli.folder / "report" / one["name"]
        assert Path(one["path"]) == Path("report") / one["name"]
        assert path.stat().st_size == one["bytes"]
    known = there.show(last["id"])
    assert all(one["path"].startswith("http://127.0.0.1:") for one in known["artifacts"])
    assert str(there.home.folder) not in json.dumps(lines(there("events", last["id"], "--json").stdout)[1:])


def test_a_file_that_the_server_has_is_named(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/sales.csv").write_bytes(SAMPLE.read_bytes())
    with Server(tmp_path / "there", "--data", str(tmp_path / "files")) as server:
        cli = cli_in(tmp_path / "away")
        ran = cli("run", "Market report", "--data", "server:sales.csv", "--server", server.url)
        assert ran.returncode == 0, ran.stderr
        assert list((cli.folder / "reports").glob("*/report.md"))


def test_a_question_is_asked_and_answered_in_the_terminal(there: Place) -> None:
    plan = there.cli.plan(asks("a", default="tea"), sleep("b", 0, "a"))
    code, shown = there.cli.talk(
        "run", "A goal", "--plan", plan, *there.words, say=[("What does a need?", ""), ("> ", "milk\n")]
    )
    assert code == 0, shown
    task = ID.search(shown)
    assert task
    assert '"milk"' in there("show", task[0]).stdout


def test_a_plan_is_written_out_to_be_edited_and_approved_in_the_terminal(there: Place) -> None:
    plan = there.cli.plan(sleep("a"))
    code, shown = there.cli.talk(
        "run", "A goal", "--plan", plan, "--approve", *there.words,
        say=[("> ", "edit\n"), ("or leave this open", ""), ("> ", "approve\n")],
    )  # fmt: skip
    assert code == 0, shown
    (written,) = there.cli.folder.glob("plan-*.json")
    assert [one["id"] for one in json.loads(written.read_text())["subtasks"]] == ["a"]


def test_a_plan_is_edited_in_an_answer(there: Place) -> None:
    ran = there("run", "A goal", "--plan", there.cli.plan(sleep("a")), "--approve", "--json")
    assert ran.returncode == 4, ran.stderr
    task = lines(ran.stdout)[-1]["id"]
    foreign = {"id": "c", "type": "collect_data", "params": {"paths": ["/etc/passwd"]}}
    there.cli.plan(foreign, name="foreign.json")
    refused = there("answer", task, "@foreign.json")
    assert refused.returncode == 2
    assert "does not hand out" in one_sentence(refused)
    there.cli.plan(sleep("b"), sleep("c"), name="edited.json")
    assert there("answer", task, "@edited.json").returncode == 0
    followed = there("events", task, "--json", "--follow")
    assert followed.returncode == 0
    assert [one["id"] for one in there.show(task)["plan"]["subtasks"]] == ["b", "c"]


def test_a_rollback_is_followed_to_its_end(here: Place, there: Place) -> None:
    plan, then, how = TASKS["paused and half done"]
    for place in (here, there):
        canceled = place("cancel", prepared(place.home, *plan, then=then, **how), "--rollback", "--json")
        assert canceled.returncode == 0, canceled.stderr
        last = lines(canceled.stdout)[-1]
        assert (last["state"], last["plan"]["subtasks"][0]["state"]) == ("CANCELED", "rolled_back")


def test_follow_goes_on_until_the_task_has_ended(there: Place) -> None:
    task = prepared(there.home, sleep("a"), sleep("b", 600, "a"), then=pause_after_a)
    following = there.begin("events", task, "--json", "--follow")
    seen = read_until(following, lambda one: one["type"] == "task.paused")
    assert there("cancel", task).returncode == 0
    code, rest = to_its_end(following)
    assert code == 0
    assert rest[-1]["type"] == "task.canceled"
    assert [one["seq"] for one in [*seen, *rest]] == list(range(1, len(seen) + len(rest) + 1))


def test_the_server_may_be_named_by_the_environment(there: Place) -> None:
    url = there.words[1]
    task = prepared(there.home, sleep("a"))
    named = there.cli("show", task, HOLDFAST_SERVER=url)
    assert named.returncode == 0, named.stderr
    asked = prepared(there.home, asks("a"))
    hint = there.cli("show", asked, HOLDFAST_SERVER=url).stdout
    assert "--server" not in hint, "the environment names it in the next command too"
    own = there.cli("tasks", "--db", "own.db", HOLDFAST_SERVER=url)
    assert "there is no database" in own.stderr
    pruned = there.cli("prune", HOLDFAST_SERVER=url)
    assert pruned.returncode == 2
    assert "unset HOLDFAST_SERVER" in pruned.stderr


def test_a_key_shows_its_owners_tasks_and_is_never_printed(tmp_path: Path) -> None:
    home, cli = cli_in(tmp_path / "there"), cli_in(tmp_path / "away")
    keys = {who: home("keys", "add", who, "--db", "holdfast.db").stdout.strip() for who in ("ann", "bob")}
    with Server(home.folder, types=(Path(TYPES),)) as server:
        to = ("--server", server.url)
        plan = cli.plan(sleep("a"))
        ran = cli("run", "hers", "--plan", plan, "--json", *to, HOLDFAST_API_KEY=keys["ann"])
        assert ran.returncode == 0, ran.stderr
        task = lines(ran.stdout)[-1]["id"]
        outcomes = {
            "hers": cli("show", task[:8], *to, HOLDFAST_API_KEY=keys["ann"]),
            "another's": cli("show", task, *to, HOLDFAST_API_KEY=keys["bob"]),
            "wrong": cli("run", "x", "--plan", plan, *to, HOLDFAST_API_KEY="hf_wrong"),
            "none": cli("tasks", *to),
        }
        assert {name: one.returncode for name, one in outcomes.items()} == {
            "hers": 0, "another's": 2, "wrong": 2, "none": 2
        }  # fmt: skip
        assert "there is no task" in outcomes["another's"].stderr
        assert "does not know the key" in outcomes["wrong"].stderr
        assert "asks for a key" in outcomes["none"].stderr
        doctor = cli("doctor", *to, "--json", HOLDFAST_API_KEY=keys["ann"])
        assert {one["check"]: one["status"] for one in lines(doctor.stdout)} == {
            "server": "ok", "key": "ok", "ready": "ok"
        }  # fmt: skip
        assert cli("doctor", *to).returncode == 2
        everything = "".join(one.stdout + one.stderr for one in [ran, doctor, *outcomes.values()]) + server.log()
        assert not any(key in everything for key in keys.values())


@pytest.mark.usefixtures("_alike")
@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "sentence"),
    [
        ("GET", "nope", None, 404, "there is no task 'nope'"),
        ("GET", "aaaa", None, 400, "fits 2 tasks"),
        ("GET", "aaaa1/questions/q9", None, 404, "no question 'q9'"),
        ("GET", "aaaa1/artifacts/none.csv", None, 404, "no artifact 'none.csv'"),
        ("GET", "aaaa1/events?after=-1", None, 422, "after: "),
        ("GET", "aaaa1/events?wait=3600", None, 422, "wait: "),
        ("GET", "none/live", None, 404, "no task"),
        ("POST", "aaaa1/pause", b"{", 400, "not JSON"),
        ("POST", "aaaa1/pause", b"[]", 422, "does not fit"),
        ("POST", "aaaa1/pause", b'{"mode": "soon"}', 422, "mode: "),
        ("POST", "aaaa1/pause", b'{"until": "2999-01-01T00:00:00"}', 422, "until: "),
        ("POST", "aaaa1/pause", b'{"moed": "now"}', 422, "moed: "),
        ("POST", "aaaa1/pause", b"", 409, "is COMPLETED: it cannot be paused"),
        ("POST", "aaaa1/resume", b"", 409, "is COMPLETED"),
        ("POST", "aaaa1/cancel", b'{"rollback": 1}', 422, "rollback: "),
        ("POST", "aaaa1/hold", b"{}", 422, "subtask: "),
        ("POST", "aaaa1/hold", b'{"subtask": "nobody"}', 404, "no subtask 'nobody'"),
        ("POST", "aaaa1/skip", b'{"subtask": "a"}', 409, "COMPLETED"),
        ("POST", "aaaa1/answer", b'{"answers": {}}', 422, "answers: "),
        ("POST", "aaaa1/answer", b'{"answers": {"q1": 1}}', 404, "no question 'q1'"),
    ],
)
def test_the_routes_refuse_with_a_status_and_a_sentence(
    server: Server, verb: str, path: str, body: bytes | None, status: int, sentence: str
) -> None:
    answer = server.http.request(verb, f"/api/tasks/{path}", content=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert sentence in answer.json()["error"]


def test_help_loads_no_client() -> None:
    said = "from holdfast.cli import main\ntry:\n    main(['run', '--help'])\nexcept SystemExit:\n    pass\n"
    check = "import sys\nassert not {'httpx', 'a2a', 'langgraph', 'pydantic'} & set(sys.modules), sorted(sys.modules)\n"
    ran = subprocess.run(
        [sys.executable, "-c", said + check], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert ran.returncode == 0, ran.stderr
    assert "--server" in ran.stdout
