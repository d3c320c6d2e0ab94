"""The workloads, and the figures that each yields for one contender in one repetition."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dag, ideal
from benchmarks.models import cached_report, model_plan
from benchmarks.pauses import pauses
from benchmarks.race import ROOT, Line, Race, folder, whole_process
from benchmarks.serving import pause_calls, paused_many, requests, streams

HOLDFAST, FUNC, SEND, SQLITE, BARE = "holdfast", "langgraph_func", "langgraph_send", "asyncio_sqlite", "asyncio_bare"
ALL = (HOLDFAST, FUNC, SEND, SQLITE, BARE)
DURABLE = (HOLDFAST, FUNC, SEND, SQLITE)
LEAN = (HOLDFAST, FUNC, SQLITE)
WORKERS = 8
REPORT_ROWS = 100_000
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Workload:
    """``measure(contender, repetition)`` gives one value for each figure; repetitions are numbered from 1."""

    name: str
    what: str
    measure: Callable[[str, int], Figures]
    contenders: tuple[str, ...] = ALL
    reps: int = 99  # no more than this many, as it takes long
    quick: bool = False


def cost(nodes: list[dag.Node]) -> Callable[[str, int], Figures]:
    """No-op subtasks: all that is spent is the contender's own."""

    def measure(contender: str, rep: int) -> Figures:
        with folder() as path:
            race = Race(path, contender, nodes, WORKERS)
            ended = race.run()
            first = min(line.at for line in race.log() if line.what == "S")
            return {
                "cpu": 1e3 * ended["cpu"] / len(nodes),
                "wall": 1e3 * (ended["closed"] - first) / len(nodes),
                "bytes": race.state_bytes() / len(nodes),
                "rss": ended["rss"] / 1e6,
            }

    return measure


def schedule(size: int, workers: int) -> Callable[[str, int], Figures]:
    """Sleeping subtasks, another graph in each repetition: how close the makespan comes to the ideal one."""

    def measure(contender: str, rep: int) -> Figures:
        nodes = dag.layered(size, seed=rep, width=max(2, round(size**0.5)))
        best, fifo = (ideal.makespan(nodes, workers, longest_first=longest) for longest in (True, False))
        with folder() as path:
            race = Race(path, contender, nodes, workers)
            race.run()
            lines = race.log()
        makespan = max(line.at for line in lines if line.what == "E") - min(
            line.at for line in lines if line.what == "S"
        )
        return {
            "to_path": makespan / dag.critical_path(nodes),
            "to_longest": makespan / best,
            "to_bound": makespan / dag.lower_bound(nodes, workers),
            "fifo": fifo / best,
        }

    return measure


def killed(at: int, size: int, seconds: float) -> Callable[[str, int], Figures]:
    """``kill -9`` once ``at`` of ``size`` have ended, then a fresh process finishes."""

    def measure(contender: str, rep: int) -> Figures:
        nodes = dag.layered(size, seed=rep, width=25, seconds=seconds)
        with folder() as path:
            race = Race(path, contender, nodes, WORKERS)
            race.run_until(at)
            before = race.log()
            race.run("resume")
            return lost(nodes, before, race.log()[len(before) :])

    return measure


def lost(nodes: Iterable[dag.Node], before: list[Line], after: list[Line]) -> Figures:
    """What a crash cost: finished subtasks that ran again, and how soon something new began."""
    finished = {line.id for line in before if line.what == "E"}
    started = {line.id for line in before if line.what == "S"}
    again = finished & {line.id for line in after if line.what == "S"}
    used = {need for node in nodes if node.id in started for need in node.needs}
    imported = next(line.at for line in after if line.what == "R")
    fresh = [line.at for line in after if line.what == "S" and line.id not in finished]
    return {
        "again_used": len(again & used),
        "again_other": len(again - used),
        "first_start": min(fresh) - imported if fresh else 0.0,
    }


def help_page(contender: str, rep: int) -> Figures:
    """The command line's first answer, as the shell sees it."""
    seconds, peak = whole_process([str(Path(sys.executable).with_name("holdfast")), "--help"], ROOT)
    return {"seconds": seconds, "rss": peak / 1e6}


def first_report(write: Callable[[Path, int, int], None]) -> Callable[[str, int], Figures]:
    """The whole ``holdfast run`` on a file that it has never seen."""

    def measure(contender: str, rep: int) -> Figures:
        with folder() as path:
            write(path / "market.csv", REPORT_ROWS, rep)
            command = [sys.executable, "-m", "holdfast", "run", "Market research report on the synthetic market"]
            command += ["--data", "market.csv", "--out", "report", "--db", "holdfast.db", "--yes"]
            seconds, peak = whole_process(command, path)
        return {"seconds": seconds, "rss": peak / 1e6}

    return measure


def write_market(path: Path, rows: int, seed: int) -> None:
    """A synthetic table of sales: month, maker, model, region, units, revenue."""
    chance = random.Random(seed)
    makers = [f"Maker {letter}" for letter in "ABCDEFGHIJKLMNOPQRST"]
    strength = [1 / (i + 1) for i in range(len(makers))]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["month", "maker", "model", "region", "units", "revenue"])
        for i in range(rows):
            month = i * 120 // rows
            maker = chance.choices(makers, strength)[0]
            units = 1 + int(chance.expovariate(1 / (20 + month / 4)))
            table.writerow(
                [
                    f"{2014 + month // 12}-{1 + month % 12:02d}-01",
                    maker,
                    f"Model {maker[-1]}{chance.randrange(1, 9)}",
                    f"Region {chance.randrange(1, 13)}",
                    units,
                    f"{units * chance.uniform(180, 420):.2f}",
                ]
            )


def write_levels(path: Path, rows: int, seed: int) -> None:
    """A synthetic table of prices: 200 series of months, each a walk of its own."""
    chance, series = random.Random(seed), 200
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["month", "name", "price"])
        for i in range(series):
            price = chance.uniform(10, 200)
            for month in range(rows // series):
                price *= 1 + chance.gauss(0.002, 0.04)
                table.writerow([f"{1980 + month // 12}-{1 + month % 12:02d}-01", f"Name {i:03d}", f"{price:.2f}"])


def noop(size: int) -> list[dag.Node]:
    """A layered graph, the same in every repetition, of subtasks that do nothing."""
    return dag.layered(size, seed=1, width=25, seconds=0.0)


WORKLOADS = (
    Workload("chain200", "200 no-op subtasks in a row", cost(dag.chain(200))),
    Workload("fan200", "1, then 200, then 1 no-op subtasks", cost(dag.fan(200))),
    Workload("lay60", "60 sleeping subtasks, no worker limit", schedule(60, 0), quick=True),
    Workload("lay60w8", "the same, 8 workers", schedule(60, WORKERS), quick=True),
    Workload("lay200", "200 sleeping subtasks, no worker limit", schedule(200, 0)),
    Workload("lay200w8", "the same, 8 workers", schedule(200, WORKERS)),
    Workload("noop100", "100 no-op subtasks in layers", cost(noop(100)), quick=True),
    Workload("noop1000", "1,000 of them", cost(noop(1000)), quick=True),
    Workload("noop5000", "5,000 of them", cost(noop(5000)), LEAN, reps=2),
    Workload("kill500", "kill -9 at 500 of 1,000 subtasks of 5 ms", killed(500, 1000, 0.005), DURABLE, quick=True),
    Workload("resume600", "a fresh process, 600 of 1,000 done", killed(600, 1000, 0.005), LEAN),
    Workload("pauses", "a task with eight subtasks in a step, paused and resumed", pauses, (HOLDFAST,), quick=True),
    Workload("requests", "the A2A server: SendMessage and GetTask", requests, (HOLDFAST,), quick=True),
    Workload("streams", "the A2A server: many open streams", streams, (HOLDFAST,)),
    Workload("pause_calls", "the A2A server: PauseTask while many tasks work", pause_calls, (HOLDFAST,)),
    Workload("paused_many", "the A2A server: its start with many paused tasks", paused_many, (HOLDFAST,)),
    Workload("model_plan", "30 calls of a model, 6 wide and 5 deep", model_plan, (HOLDFAST,), quick=True),
    Workload("cached_report", "a report by a model, run again", cached_report, (HOLDFAST,), quick=True),
    Workload("help", "holdfast --help", help_page, (HOLDFAST,), quick=True),
    Workload("report", "a first report on a CSV of 100,000 rows", first_report(write_market), (HOLDFAST,), quick=True),
    Workload("levels", "the same of 200 series of prices", first_report(write_levels), (HOLDFAST,), quick=True),
)
