"""The commands that only look, ``doctor``, ``graph`` and help."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from holdfast.cli import cli as commands
from tests.acceptance.cli_process import Cli, lines, one_sentence, sleep

COMMANDS = tuple(commands.commands)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, str]:
    """A folder with a completed task, and its id."""
    cli = Cli(tmp_path_factory.mktemp("done"))
    plan = cli.plan(sleep("a", name='A "part" <b>'), sleep("b", 0, "a"), sleep("c", 0, "a", "b"))
    return cli, lines(cli("run", "A goal", "--plan", plan, "--json").stdout)[-1]["id"]


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_is_quick_and_loads_neither_langgraph_nor_pydantic_nor_rich(words: list[str]) -> None:
    code = (
        "import sys\nfrom holdfast.cli import dispatch\n"
        f"code = dispatch({[*words, '--help']!r})\n"
        "heavy = {'langgraph', 'pydantic', 'rich', 'langchain_core', 'holdfast.graphs'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 3
    assert "Usage: holdfast" in done.stdout
    options = ("--data", "--json") if words == ["verify"] else ("--db", "--json")  # verify looks at no database
    assert all(command in done.stdout for command in (COMMANDS if not words else options))


def test_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("holdfast 0.")


@pytest.mark.parametrize(
    "words",
    [
        ["show", "abc"],
        ["tasks"],
        ["events", "abc"],
        ["graph", "abc"],
        ["pause", "abc"],
        ["resume", "abc"],
        ["answer", "abc", "1"],
    ],
)
def test_looking_at_a_database_that_is_not_there_says_so_and_makes_none(cli: Cli, words: list[str]) -> None:
    refused = cli(*words)
    assert refused.returncode == 2
    assert "there is no database" in one_sentence(refused)
    assert list(cli.folder.iterdir()) == []


def test_an_unknown_task_is_refused_with_a_sentence(done: tuple[Cli, str]) -> None:
    cli, _ = done
    for words in (["show", "zzz"], ["pause", "zzz"], ["resume", "zzz"]):
        refused = cli(*words)
        assert refused.returncode == 2
        assert "there is no task 'zzz'" in one_sentence(refused)


def test_a_state_that_does_not_exist_and_an_illegal_move_are_refused(done: tuple[Cli, str]) -> None:
    cli, task = done
    assert cli("tasks", "--state", "ASLEEP").returncode == 2
    refused = cli("pause", task)
    assert refused.returncode == 2
    assert "is COMPLETED: it cannot be paused" in one_sentence(refused)


def test_tasks_can_be_listed_by_state_in_any_case(done: tuple[Cli, str]) -> None:
    cli, task = done
    assert task[:8] in cli("tasks", "--state", "completed").stdout
    assert [one["id"] for one in lines(cli("tasks", "--state", "COMPLETED", "--json").stdout)] == [task]
    assert lines(cli("tasks", "--state", "PAUSED", "--json").stdout) == []


def test_the_db_option_names_another_database(done: tuple[Cli, str], cli: Cli) -> None:
    there, task = done
    database = str(there.folder / ".holdfast/holdfast.db")
    assert task in cli("show", task[:6], "--db", database).stdout
    assert task in cli("show", task[:6], HOLDFAST_DB=database).stdout
    refused = cli("--db", database, "show", task)
    assert "--db comes after the command" in one_sentence(refused)


def test_show_and_events_read_well(done: tuple[Cli, str]) -> None:
    cli, task = done
    page = cli("show", task).stdout
    assert "✓ completed" in page
    assert "3 of 3 completed" in page
    told = cli("events", task).stdout.splitlines()
    assert told[0].split()[0] == "1"
    assert "task.submitted" in told[0]
    assert cli("events", task, "--after", "3").stdout.splitlines() == told[3:]
    assert cli("events", task, "--follow").stdout.splitlines() == told


def test_the_orchestrator_graph_shows_its_nodes_and_the_task_types(cli: Cli) -> None:
    text = cli("graph").stdout
    assert all(name in text for name in ("plan", "review", "supervise", "finish", "gate", "sleep"))
    assert cli.nothing_there()
    svg = ET.fromstring(cli("graph", "--format", "svg").stdout)
    assert svg.tag.endswith("svg")


def test_a_plan_is_drawn_with_the_state_of_each_subtask(done: tuple[Cli, str]) -> None:
    cli, task = done
    mermaid = cli("graph", task).stdout
    assert mermaid.startswith("flowchart TD")
    assert mermaid.count("-->") == 3
    assert "A #34;part#34; #60;b#62;" in mermaid
    svg = cli("graph", task, "--format", "svg").stdout
    assert 'A "part" <b>' in "".join(ET.fromstring(svg).itertext())
    assert "completed" in svg
    png = subprocess.run(
        [sys.executable, "-m", "holdfast", "graph", task, "--format", "png"],
        cwd=cli.folder,
        env=cli.env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert png.stdout.startswith(b"\x89PNG"), png.stderr


def test_a_png_is_not_written_to_a_terminal(done: tuple[Cli, str]) -> None:
    cli, task = done
    code, received = cli.in_terminal("graph", task, "--format", "png")
    assert code == 2
    assert "> plan.png" in received


def test_doctor_checks_without_making_a_database(cli: Cli) -> None:
    checked = cli("doctor", "--json")
    findings = {one["check"]: one for one in lines(checked.stdout)}
    assert checked.returncode == 0, checked.stdout
    assert "will be created" in findings["database"]["detail"]
    assert "built-in" in findings["model"]["detail"]
    assert list(cli.folder.iterdir()) == []


def test_doctor_exits_2_for_what_cannot_work(cli: Cli) -> None:
    with sqlite3.connect(cli.folder / "other.db") as other:
        other.execute("CREATE TABLE x(y)")
    other.close()
    (cli.folder / "empty.db").touch()
    (cli.folder / "text.db").write_text("no database at all, but long enough to have a header of a hundred bytes " * 3)
    for name, wanted in (("other", "not one of Holdfast's"), ("empty", "is empty"), ("text", "not a SQLite database")):
        checked = cli("doctor", "--db", f"{name}.db")
        assert checked.returncode == 2
        assert any(line.startswith("✗ database") and wanted in line for line in checked.stdout.splitlines())
    assert cli("doctor", HOLDFAST_TYPES="no_such_module").returncode == 2


def test_an_unexpected_error_is_a_sentence_and_a_traceback_only_when_wanted(done: tuple[Cli, str]) -> None:
    cli, task = done
    copy = cli.folder / "bad.db"
    with sqlite3.connect(cli.folder / ".holdfast/holdfast.db") as good, sqlite3.connect(copy) as bad:
        good.backup(bad)
        bad.execute("UPDATE tasks SET options = 'not json'")
    good.close()
    bad.close()
    failed = cli("show", task, "--db", str(copy))
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert "Traceback" in cli("show", task, "--db", str(copy), HOLDFAST_DEBUG="1").stderr


def test_json_lines_are_utf8_whatever_the_locale(done: tuple[Cli, str]) -> None:
    cli, _ = done
    plan = cli.plan(sleep("a", name="Größe 漢字"), name="other.json")
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    ended = json.loads(cli("run", "x", "--plan", plan, "--json", "--db", "utf8.db", **env).stdout.splitlines()[-1])
    assert ended["plan"]["subtasks"][0]["name"] == "Größe 漢字"
    assert lines(cli("show", ended["id"], "--json", "--db", "utf8.db", **env).stdout) == [ended]
