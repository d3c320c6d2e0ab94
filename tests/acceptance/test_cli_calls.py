"""Whole processes and the calls that they make: cached re-runs, warming, and ``kill -9`` in a merged call."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli_process import Cli, lines, wait_for
from tests.models.server import ModelServer
from tests.models.together import items, together
from tests.unit.fakes_market import market_csv, write


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(script=together(lambda text: f"about {text[-2]}")) as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path, server: ModelServer) -> Cli:
    made = Cli(tmp_path)
    made.env |= server.env(HOLDFAST_BATCH_WINDOW_MS="1000")  # under load the four come one by one
    return made


def question(i: int) -> dict[str, Any]:
    return {"id": f"s{i}", "type": "ask_model", "params": {"question": f"What is {i}?", "max_tokens": 50}}


def ran(cli: Cli, *words: str) -> dict[str, Any]:
    done = cli(*words, "--json")
    assert done.returncode == 0, done.stderr
    return lines(done.stdout)[-1]


def test_a_report_that_is_run_again_makes_no_call_and_costs_nothing(cli: Cli, server: ModelServer) -> None:
    write(cli.folder / "market.csv", market_csv())
    server.script = None
    words = ("run", "Market research report on cars", "--data", "market.csv", "--yes")
    first = ran(cli, *words, "--out", "one")
    calls = server.count
    *events, second = lines(cli(*words, "--out", "two", "--json").stdout)
    assert (calls > 0, server.count) == (True, calls)
    assert first["usage"]["input_tokens"] > 0
    assert (second["usage"]["input_tokens"], second["usage"]["cost"]) == (0, 0.0)
    assert (cli.folder / "two" / "report.md").exists()
    taken = {one["data"]["from"] for one in events if one["type"] == "cache.hit" and "from" in one["data"]}
    assert taken >= {"market_overview", "competitor_analysis", "trends_analysis", "forecast", "charts_forecast"}


def test_what_was_warmed_is_found(cli: Cli, server: ModelServer) -> None:
    cli.plan(*map(question, range(3)), name="list.json")
    ran(cli, "cache", "warm", "list.json")
    assert server.count == 1
    task = ran(cli, "run", "g", "--plan", cli.plan(*map(question, range(3))))
    assert (server.count, task["usage"]["cost"]) == (1, 0.0)
    (told,) = lines(cli("cache", "stats", "--json").stdout)
    assert (told["entries"], told["hits"]) == (3, 3)


def test_killed_in_a_merged_call_nothing_that_was_finished_is_asked_again(cli: Cli, server: ModelServer) -> None:
    answer = together(lambda text: f"about {text[-2]}", lambda results: results[:2] + results[3:])
    server.script = lambda body: answer(body) if items(body) else {"text": "late", "delay": 60}
    plan = cli.plan(*map(question, range(4)))
    killed = cli.begin("run", "g", "--plan", plan, "--json")
    wait_for(lambda: server.count == 2)  # the missing part is asked for alone
    (task,) = cli.tasks()
    wait_for(lambda: sum(one["state"] == "completed" for one in shown(cli, task["id"])) == 3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    server.script = together(lambda text: f"about {text[-2]}")
    done = ran(cli, "resume", task["id"])
    assert [len(items(call.body)) for call in server.calls] == [4, 0, 0]
    assert done["state"] == "COMPLETED"


def test_killed_before_the_answer_each_is_asked_again_and_what_was_reserved_stays_counted(
    cli: Cli, server: ModelServer
) -> None:
    server.script = lambda body: {"text": "late", "delay": 60}
    killed = cli.begin("run", "g", "--plan", cli.plan(*map(question, range(4))), "--json")
    wait_for(lambda: server.count == 1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    (task,) = cli.tasks()
    server.script = together(lambda text: f"about {text[-2]}")
    done = ran(cli, "resume", task["id"])
    assert (done["state"], server.count, done["usage"]["estimated"]) == ("COMPLETED", 2, True)


def shown(cli: Cli, task: str) -> list[dict[str, Any]]:
    return lines(cli("show", task, "--json").stdout)[-1]["plan"]["subtasks"]
