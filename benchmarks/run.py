"""``python -m benchmarks.run``: measures, and prints a Markdown table.

Contenders alternate within each repetition, so that whatever else the machine does meets them all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.race import OUT, Failed, sync_seconds
from benchmarks.table import Row, markdown
from benchmarks.workloads import LEAN, WORKLOADS, Workload

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
LIBRARIES = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langchain-core", "aiosqlite")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what the arguments name."""
    options = _options(arguments)
    chosen = _chosen(options)
    facts = machine()
    rows: list[Row] = []
    begun = time.monotonic()
    for rep in range(1, options.reps + 1):
        for workload in chosen:
            if rep <= workload.reps:
                rows += _round(workload, rep, LEAN if options.quick else workload.contenders, begun)
        taken = time.monotonic() - begun
        if taken * (rep + 1) / rep > 60 * options.minutes:
            break  # the machine is too slow, or too busy, for another one
    text = f"{facts} {_times(rep)}\n\n{markdown(rows)}\n"
    print(text)
    OUT.mkdir(exist_ok=True)
    (OUT / "rows.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), "utf-8")
    if options.write:
        write(RESULTS, text)


def machine() -> str:
    """What the figures were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {libraries}. Syncing 4 KB takes {1e3 * sync_seconds():.2f} ms (median); "
        f"load average at the start {load:.1f}."
    )


def write(path: Path, text: str) -> None:
    """Puts what was measured between the marks of the file, and leaves the words round them alone."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def _round(workload: Workload, rep: int, contenders: Sequence[str], begun: float) -> list[Row]:
    """One repetition of one workload."""
    rows = []
    for contender in workload.contenders:
        if contender not in contenders:
            continue
        try:
            row = Row(workload.name, contender, rep, workload.measure(contender, rep))
        except Failed as error:
            row = Row(workload.name, contender, rep, {}, str(error))
        rows.append(row)
        told = row.failed or " ".join(f"{key}={value:.4g}" for key, value in row.figures.items())
        print(f"{time.monotonic() - begun:5.0f} s  {rep} {workload.name} {contender}: {told}", file=sys.stderr)
    return rows


def _times(reps: int) -> str:
    return "One repetition." if reps == 1 else f"Medians of {reps} repetitions."


def _chosen(options: argparse.Namespace) -> list[Workload]:
    names = {workload.name for workload in WORKLOADS}
    only = set(options.only.split(",")) if options.only else names
    if unknown := only - names:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(w.name for w in WORKLOADS)}")
    return [w for w in WORKLOADS if w.name in only and (w.quick or options.only or not options.quick)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measures how fast Holdfast is.")
    parser.add_argument("--quick", action="store_true", help="a choice of workloads and contenders, once")
    parser.add_argument("--only", default="", metavar="A,B", help=", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--reps", type=int, default=0, metavar="N", help="repetitions (3; with --quick 1)")
    parser.add_argument("--write", action="store_true", help=f"update {RESULTS.name}")
    parser.add_argument(
        "--minutes", type=float, default=11, metavar="M", help="begin no repetition that would end later"
    )
    options = parser.parse_args(arguments)
    options.reps = options.reps or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
