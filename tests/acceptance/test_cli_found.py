"""What newcomers and reviewers stumbled over, each as short as it can be shown; all of it has been mended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, TaskContext, TaskState, task_type
from holdfast.checkpoints import questions, tasks
from holdfast.checkpoints.errors import BadInput, InvalidAnswer, StoreError
from holdfast.checkpoints.questions import Asked
from holdfast.checkpoints.tasks import LONGEST_GOAL
from tests.acceptance.cli_process import (
    TYPES,
    Cli,
    lines,
    one_sentence,
    prepared,
    read_until,
    sleep,
    started,
)

OLD = 2 * 3600


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.env["HOLDFAST_TYPES"] = TYPES
    return made


@task_type("found_artifact")
async def hand_out(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
    """Hands out a file."""
    await ctx.artifact(params["name"], "some text")
    return "handed out"


def asks(id_: str, **params: Any) -> dict[str, Any]:
    return {"id": id_, "type": "cli_ask", "params": params}


def plain(received: str) -> list[str]:
    """The lines that a terminal shows."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", received).replace("\r", "").splitlines()


async def pause_it(hf: Holdfast, task: str) -> None:
    await hf.pause(task, mode="now", reason="lunch")


def killed(cli: Cli) -> str:
    """The id of a task whose runner was killed while a subtask was under way."""
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a"), sleep("b", 600, "a", name="The slow part")), "--json")
    task = read_until(run, started("b"))[0]["task"]
    run.kill()
    run.communicate()
    return str(task)


def test_show_has_ids_results_and_what_was_answered_in_80_columns(cli: Cli) -> None:
    async def answer(hf: Holdfast, task: str) -> None:
        while not (asked := (await hf.get(task)).questions):
            await asyncio.sleep(0.01)
        await hf.answer(task, asked[0].id, "forty-two crates")

    steps = {"id": "count_them", "name": "Count them all", "type": "cli_steps", "params": {"steps": 2}}
    made = {"id": "made", "type": "found_artifact", "params": {"name": "notes/made.txt"}}
    long = sleep("long", name="A result that is cut") | {"params": {"payload_bytes": 300}}
    task = prepared(
        cli, asks("who"), steps, made, long, sleep("huge") | {"params": {"payload_bytes": 9000}}, then=answer
    )
    code, received = cli.in_terminal("show", task)
    shown = plain(received)
    assert code == 0
    assert any(line.startswith("✓ count_them Count them all: cli_steps ") for line in shown)
    assert "  q1  who asked: What does who need?" in shown
    assert '      "forty-two crates"  by person' in shown
    assert '  who         "forty-two crates"' in shown
    assert "  count_them  2" in shown
    assert next(line for line in shown if line.startswith("  long ")).endswith("…")
    assert "  and 1 more or larger" in shown
    at = next(number for number, line in enumerate(shown) if line.endswith("notes/made.txt"))
    path = "".join(shown[at + 1 :]).strip()
    assert (cli.folder / path).read_text() == "some text"
    assert [line for line in shown[: at + 1] if len(line) > 80] == []


def test_an_id_is_never_cut(cli: Cli) -> None:
    task = prepared(cli, sleep("x" * 90), sleep("b", 0, "x" * 90))
    assert f"✓ {'x' * 90}" in cli("show", task).stdout


def test_a_task_that_lost_its_runner_is_marked_and_its_clocks_stand(cli: Cli) -> None:
    task = killed(cli)
    page = cli("show", task).stdout
    assert f"● working, but nobody works on it; go on with: holdfast resume {task[:8]}\n" in page
    row = next(line for line in page.splitlines() if "The slow part" in line)
    assert row.rstrip().endswith("The slow part: broken off; runs again"), "it has no clock"
    listed = cli("tasks").stdout.splitlines()
    assert listed[1].startswith(f"{task[:8]}  ! working")
    assert listed[2] == "! nobody works on it; go on with: holdfast resume TASK"
    shown = lines(cli("show", task, "--json").stdout)[0]
    assert (shown["state"], shown["runner"], shown["in_flight"]) == ("WORKING", None, 0)


def test_show_tells_who_works_on_a_task(cli: Cli) -> None:
    run = cli.begin("run", "Long", "--plan", cli.plan(sleep("a", 600)), "--json")
    task = read_until(run, started("a"))[0]["task"]
    assert lines(cli("show", task, "--json").stdout)[0]["runner"].startswith(f"process {run.pid} on ")
    assert "nobody works on it" not in cli("show", task).stdout + cli("tasks").stdout
    run.kill()
    run.communicate()


def test_every_stop_is_shown_with_its_reason_and_its_end(cli: Cli) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)

    async def stop(hf: Holdfast, task: str) -> None:
        await hf.hold(task, "b", reason="wait for Ann", mode="drain")
        await hf.pause(task, mode="now", reason="night", until=until)

    task = prepared(cli, sleep("a", 600), sleep("b", 0, "a"), then=stop)
    page = cli("show", task).stdout
    assert f"by person until {until.astimezone():%Y-%m-%d %H:%M:%S}: night" in page
    assert "b is held by person (wait for Ann)" in page
    shown = lines(cli("show", task, "--json").stdout)[0]
    end = f"{until:%Y-%m-%dT%H:%M:%S}.000Z"
    assert shown["paused_until"] == end
    stopped = shown["stopped_by"]["person"]
    assert (stopped["mode"], stopped["reason"], stopped["until"]) == ("now", "night", end)
    held = {one["id"]: one["stopped_by"] for one in shown["plan"]["subtasks"]}
    assert held["a"] == {}
    assert (held["b"]["person"]["mode"], held["b"]["person"]["reason"]) == ("drain", "wait for Ann")


def test_the_hint_after_an_answer_repeats_the_types(cli: Cli) -> None:
    task = prepared(cli, asks("a"))
    del cli.env["HOLDFAST_TYPES"]
    told = cli("answer", task, "enough", "--types", TYPES).stdout
    assert told.rstrip().endswith(f"carry on with: holdfast resume {task[:8]} --types {TYPES}")


def test_an_unknown_type_says_how_own_types_are_loaded(cli: Cli) -> None:
    refused = cli("run", "x", "--plan", cli.plan({"id": "a", "type": "sleeep"}, {"id": "b", "type": "my_own"}))
    assert refused.returncode == 2
    assert "'sleeep'; did you mean sleep? Types of your own are loaded with --types or HOLDFAST_TYPES" in refused.stderr
    assert "'my_own'; types of your own are loaded with --types or HOLDFAST_TYPES" in refused.stderr


@pytest.mark.parametrize(("module", "words"), [("click", ["tasks"]), ("sqlite3", ["tasks"]), ("rich", ["tasks"])])
def test_ctrl_c_while_a_command_loads_is_one_line_and_130(cli: Cli, module: str, words: list[str]) -> None:
    prepared(cli, sleep("a"))
    code = (
        "import importlib.abc, sys\nfrom holdfast.cli import main\n"
        "class Interrupts(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n            raise KeyboardInterrupt\n"
        f"sys.meta_path.insert(0, Interrupts())\nmain({words!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_where_nothing_can_be_raised_is_no_traceback_either(cli: Cli) -> None:
    code = (
        "import sys\nfrom holdfast.cli import main\n"
        "class Interrupts:\n    def __del__(self):\n        raise KeyboardInterrupt\n"
        "def trace(frame, *_):\n    if 'click' in str(frame.f_code):\n        sys.settrace(None)\n"
        "        Interrupts()\n"
        "sys.settrace(trace)\n"
        "main(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_watching_command_ends_on_ctrl_c_with_one_line(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), then=pause_it)
    watch = cli.begin("events", task, "--follow", "--json")
    assert watch.stdout
    watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=30)
    assert (watch.returncode, err) == (130, "interrupted\n")


MISUSES = [
    (["run", "x", "--workers", "-1"], "--workers: -1 is not a whole number of 0 or more; `holdfast run --help`"),
    (["events", "a", "--after", "few"], "--after: few is not a whole number of 0 or more; `holdfast events --help`"),
    (["prune", "--keep", "9" * 30], "is not a whole number of 0 or more; `holdfast prune --help`"),
    (["run", "x", "--worker", "2"], "no such option '--worker'; did you mean --workers? `holdfast run --help` says"),
    (["pause", "a", "--mode", "fast"], "--mode: 'fast' is not one of 'now', 'step', 'drain'; `holdfast pause --help`"),
    (["show"], "missing argument 'TASK'; `holdfast show --help`"),
]


@pytest.mark.parametrize(("words", "wanted"), MISUSES)
def test_a_misuse_is_one_clear_sentence(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    from holdfast.cli import dispatch

    assert dispatch(words) == 2
    told = capsys.readouterr().err
    assert wanted in told
    assert "?;" not in told
    assert told.count("\n") == 1


async def ended(hf: Holdfast, *subtasks: dict[str, Any], **how: Any) -> Any:
    task = await hf.start("x", plan={"subtasks": list(subtasks)}, **how)
    return await asyncio.wait_for(hf.wait(task.id), 30)


def artifact(id_: str, name: str) -> dict[str, Any]:
    return {"id": id_, "type": "found_artifact", "params": {"name": name}}


@pytest.mark.parametrize("out", [True, False])
async def test_an_artifact_whose_name_or_place_cannot_be_is_that_subtasks_failure(tmp_path: Path, out: bool) -> None:
    folder = tmp_path / "out"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_text("in the way")
    names = {"nul": "a\0b", "above": "../x"} | (
        {"long": "x" * 300, "below": "file/x.txt", "over": "folder"} if out else {}
    )
    async with Holdfast.open(tmp_path / "h.db") as hf:
        bad = [artifact(id_, name) for id_, name in names.items()]
        task = await ended(hf, *bad, artifact("good", "y" * 250), out=folder if out else None)
    assert task.state == TaskState.FAILED
    assert {one.id for one in task.plan.subtasks if one.state == "failed"} == set(names)
    assert task.plan["good"].state == "completed"
    assert task.plan["nul"].attempts == 1, "trying again would not help"
    if out:
        assert task.plan["long"].error.startswith(
            f"the artifact {'x' * 100!r} cannot be written to {folder}: file name"
        )
        assert (folder / ("y" * 250)).read_text() == "some text"
        assert [path.name for path in folder.rglob(".*")] == []


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
async def test_an_output_folder_that_may_not_be_written_fails_the_subtask(tmp_path, monkeypatch, fault) -> None:
    refuse_below(monkeypatch, tmp_path / "out", fault)
    async with Holdfast.open(tmp_path / "h.db") as hf:
        task = await ended(hf, artifact("a", "a.txt"), sleep("b"), out=tmp_path / "out")
    assert task.state == TaskState.FAILED
    assert "choose another name or output folder" in task.plan["a"].error
    assert task.plan["b"].state == "completed"


@pytest.mark.parametrize(("number", "below"), [(28, "out"), (5, "out"), (13, "h.db.d"), (30, "h.db.d")])
async def test_a_fault_of_the_disk_still_pauses_the_task(tmp_path, monkeypatch, number: int, below: str) -> None:
    refuse_below(monkeypatch, tmp_path / below / ("files" if below == "h.db.d" else ""), OSError(number, "no"))
    async with Holdfast.open(tmp_path / "h.db") as hf:
        with pytest.raises(StoreError):
            await ended(hf, artifact("a", "a.txt"), out=tmp_path / "out")
        (task,) = await hf.list()
        assert (task.state, task.paused_by) == (TaskState.PAUSED, "system")


def refuse_below(monkeypatch: pytest.MonkeyPatch, folder: Path, fault: OSError) -> None:
    replace = Path.replace

    def refuses(self: Path, target: Path) -> Path:
        if self.is_relative_to(folder):
            raise fault
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuses)


def test_prune_removes_what_killed_writers_left_and_nothing_else(cli: Cli) -> None:
    out = cli.folder / "out"
    prepared(cli, artifact("a", "notes/a.txt"), out=out)
    stored = next((cli.folder / ".holdfast/holdfast.db.d/files").glob("??/*"))
    ours = [stored.with_name(f".{stored.name}.0123abcd"), out / "notes/.a.txt.0123abcd"]
    others = [stored.with_name(".notes.0123abcd"), out / "notes/.b.txt.0123abcd", out / "notes/.a.txt.swp"]
    fresh = stored.with_name(f".{stored.name}.ffffffff")
    for path in [*ours, *others, fresh]:
        path.write_bytes(b"x" * 1500)
    for path in [*ours, *others]:
        os.utime(path, (time.time() - OLD, time.time() - OLD))
    told = cli("prune", "--yes").stdout
    assert told.startswith("0 tasks forgotten, 2 left half-written removed, ")
    assert [path.exists() for path in ours] == [False, False]
    assert all(path.exists() for path in [*others, fresh, stored, out / "notes/a.txt"])
    again = lines(cli("prune", "--json").stdout)[0]
    assert again["drafts"] == 0
    os.utime(fresh, (time.time() - OLD, time.time() - OLD))
    given_back = lines(cli("prune", "--json").stdout)[0]
    assert given_back["drafts"] == 1
    assert given_back["bytes"] >= 1500


async def test_no_list_is_cut_without_a_word(cli: Cli) -> None:
    (cli.folder / ".holdfast").mkdir()
    async with Holdfast.open(cli.folder / ".holdfast/holdfast.db") as hf:
        await hf.database.awrite(lambda db: [tasks.create(db, f"goal {i}", {}, 1.0) for i in range(1003)])
        assert len(await hf.list()) == 1003
        assert [task.goal for task in await hf.list(limit=2)] == ["goal 1002", "goal 1001"]
    told = cli("tasks").stdout.splitlines()
    assert len([line for line in told if "goal " in line and "submitted" in line]) == 1000
    assert told[-1] == "… and 3 older; --limit 1003 lists all"
    assert len(cli.tasks()) == 1003
    assert [one["goal"] for one in lines(cli("tasks", "--json", "--limit", "1").stdout)] == ["goal 1002"]
    assert "older" not in cli("tasks", "--limit", "1003").stdout


def test_following_a_paused_task_says_once_how_it_goes_on(cli: Cli) -> None:
    task = prepared(cli, sleep("a", 600), then=pause_it)
    said = follow(cli, task, 1.0)
    assert said == f"task {task[:8]} is paused; carry on with: holdfast resume {task[:8]}\ninterrupted\n"
    assert follow(cli, task, 1.0, "--json") == "interrupted\n"


def test_following_a_task_without_a_runner_says_so(cli: Cli) -> None:
    task = killed(cli)
    assert f"nobody works on task {task[:8]}; carry on with: holdfast resume {task[:8]}\n" in follow(cli, task, 0.5)


def follow(cli: Cli, task: str, seconds: float, *words: str) -> str:
    """What ``events --follow`` has said on stderr some seconds after all that there is was told."""
    last = len(cli("events", task).stdout.splitlines())
    watch = cli.begin("events", task, "--follow", *words)
    assert watch.stdout
    for _ in range(last):
        watch.stdout.readline()
    time.sleep(seconds)
    watch.send_signal(signal.SIGINT)
    return watch.communicate(timeout=30)[1]


def test_a_goal_of_any_length_is_not_taken(cli: Cli) -> None:
    refused = subprocess.run(
        [sys.executable, "-c", f"from holdfast.cli import main; main(['run', 'x' * {LONGEST_GOAL + 1}])"],
        cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "the goal has 100,001 characters, and 100,000 are allowed" in one_sentence(refused)
    assert cli.nothing_there()


async def test_goals_answers_and_questions_have_a_limit(tmp_path: Path) -> None:
    async with Holdfast.open(tmp_path / "h.db") as hf:
        with pytest.raises(BadInput, match="100,000 are allowed"):
            await hf.start("x" * (LONGEST_GOAL + 1), plan={"subtasks": [sleep("a")]})
        assert await hf.list() == []
        large = {"id": "large", "type": "cli_ask", "params": {"default": "x" * questions.LARGEST}}
        task = await ended(hf, asks("a"), large, on_question="continue")
        assert "and 1,000,000 are allowed" in task.plan["large"].error
        asked = task.questions[0].id
        with pytest.raises(
            InvalidAnswer, match=r"1,000,002 bytes of JSON, and 1,000,000 are allowed; the question stays"
        ):
            await hf.answer(task.id, asked, "x" * questions.LARGEST)
        await hf.answer(task.id, asked, "x" * (questions.LARGEST - 2))
    with pytest.raises(BadInput, match="put what is long into a file"):
        questions.require_sound(Asked("x" * questions.LARGEST, "key"))
