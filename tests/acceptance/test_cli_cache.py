"""``holdfast cache``: what is kept, forgetting it, and warming from a list."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.checkpoints import cache
from holdfast.checkpoints.cache import Entry
from holdfast.checkpoints.database import Database
from tests.acceptance.cli_process import Cli, lines, one_sentence


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A folder whose database keeps three answers, one of them stale; of the first, two uses saved something."""
    with closing(Database(tmp_path / ".holdfast" / "holdfast.db")) as database:
        now = time.time()
        for name, kind, stale_at in (("a", "one", None), ("b", "two", now + 1000), ("c", "two", now - 1)):
            entry = Entry(name.encode() * 32, kind, "m", b'{"text":"x"}', 0.5, 30, now, stale_at)
            tags = [f"type:{kind}", f"file:{tmp_path}/data/{name}.csv"]
            database.write(lambda db, entry=entry, tags=tags: cache.put(db, entry, tags))
        database.write(lambda db: [cache.hit(db, Entry(b"a" * 32, "one", "m", b"", 0, 0, now)) for _ in range(2)])
    return Cli(tmp_path)


def test_stats_tell_each_type_and_what_was_saved(cli: Cli) -> None:
    assert cli("cache", "stats").stdout.splitlines() == [
        "all: 3 answers (1 stale), 36 B, 2 hits, 60 tokens and $1.0000 saved",
        "  two: 2 answers (1 stale), 24 B, 0 hits",
        "  one: 1 answer, 12 B, 2 hits, 60 tokens and $1.0000 saved",
    ]
    (told,) = lines(cli("cache", "stats", "--json").stdout)
    assert (told["entries"], told["stale"], told["hits"], told["saved"], told["saved_tokens"]) == (3, 1, 2, 1.0, 60)
    assert [one["type"] for one in told["types"]] == ["two", "one"]


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ([], 3),
        (["--stale"], 1),
        (["--type", "two"], 2),
        (["--tag", "type:one"], 1),
        (["--key", "616161616161"], 1),
        (["--from", "data/b.csv"], 1),
        (["--from", "data"], 3),
        (["--from", "elsewhere/b.csv"], 0),
        (["--from", "0123/b"], 0),
    ],
)
def test_clear_forgets_what_is_named_and_says_how_many(cli: Cli, options: list[str], gone: int) -> None:
    assert cli("cache", "clear", *options).stdout == f"{gone} answer{'' if gone == 1 else 's'} forgotten\n"
    assert lines(cli("cache", "stats", "--json").stdout)[0]["entries"] == 3 - gone


def test_warm_runs_a_list_of_subtasks_in_each_form(cli: Cli) -> None:
    one = {"type": "sleep", "params": {"seconds": 0}}
    forms = [json.dumps([one, one]), f"{json.dumps(one)}\n\n{json.dumps(one)}\n", json.dumps({"subtasks": [
        {"id": "a", **one}, {"id": "b", **one, "dependencies": ["a"]}]})]  # fmt: skip
    for form in forms:
        (cli.folder / "list.json").write_text(form, "utf-8")
        done = cli("cache", "warm", "list.json", "--json")
        assert done.returncode == 0, done.stderr
        task = lines(done.stdout)[-1]
        assert (task["goal"], task["state"]) == ("Warm the cache from list.json", "COMPLETED")
        assert len(task["plan"]["subtasks"]) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stats", "--db", "none.db"], "there is no database"),
        (["stats", "--server", "http://127.0.0.1:9"], "works on a database here, not on the server"),
        (["clear", "--server", "http://127.0.0.1:9"], "works on a database here, not on the server"),
        (["warm", "list", "--server", "http://127.0.0.1:9"], "works on a database here, not on the server"),
        (["clear", "--key", "xyz"], "has to be hexadecimal digits"),
        (["clear", "--stale", "--type", "a"], "give one of"),
        (["clear", "--key", ""], "--key is given without a value"),
        (["clear", "--type", ""], "--type is given without a value"),
        (["clear", "--tag", ""], "--tag is given without a value"),
        (["clear", "--from", ""], "--from is given without a value"),
        (["warm", "none"], "cannot be read: No such file"),
        (["warm", "bad"], "is not JSON, line 2 column 1"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(cli: Cli, words: list[str], sentence: str) -> None:
    (cli.folder / "bad").write_text('{"type": "sleep"}\nx\n', "utf-8")
    assert sentence in one_sentence(cli("cache", *words))


@pytest.mark.parametrize(
    ("entry", "fault"),
    [('{"type": "slee"}', "has the unknown type 'slee'; did you mean sleep?"), ("[5]", "subtask number 1: input")],
)
def test_a_list_that_cannot_run_is_refused_with_its_faults_and_nothing_is_started(
    cli: Cli, entry: str, fault: str
) -> None:
    (cli.folder / "list").write_text(entry, "utf-8")
    refused = cli("cache", "warm", "list")
    assert (refused.returncode, fault in refused.stderr, cli.tasks()) == (2, True, [])
