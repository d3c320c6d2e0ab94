"""Races: one contender on one graph in a fresh process, judged by the log that its subtasks wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import dag

ROOT = Path(__file__).parent.parent
OUT = Path(__file__).parent / "out"
LIMIT_SECONDS = 120.0
LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log: R imports done, S started, E ended."""

    at: float
    what: str
    id: str = ""
    proof: str = ""


class Failed(Exception):
    """A run broke off, took too long or gave wrong results; the text says which."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that the checkout is on, gone afterwards."""
    OUT.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=OUT))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Race:
    """A graph in a folder, and the runs of one contender on it."""

    def __init__(self, path: Path, contender: str, nodes: Sequence[dag.Node], workers: int) -> None:
        self.path, self.nodes = path, nodes
        self._command = [sys.executable, "-m", "benchmarks.work", contender, str(path / "graph"), str(path)]
        self._command.append(str(workers))
        dag.save(nodes, path / "graph")

    def run(self, *resume: str) -> dict[str, Any]:
        """Runs to the end; returns what the process said of itself.  Raises Failed."""
        with self._start(*resume) as process:
            try:
                out, errors = process.communicate(timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise Failed(f"not done after {LIMIT_SECONDS:.0f} s") from None
        if process.returncode:
            raise Failed(_last(errors) or f"exit {process.returncode}")
        cost: dict[str, Any] = json.loads(out.splitlines()[-1])
        self._judge(cost)
        return cost

    def run_until(self, ended: int) -> None:
        """Runs until that many subtasks have ended, then ``kill -9``; raises Failed if it was over before."""
        with self._start() as process:
            until = time.monotonic() + LIMIT_SECONDS
            while process.poll() is None and time.monotonic() < until and self._count() < ended:
                time.sleep(LOOK_SECONDS)
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise Failed(f"it ended before it was killed: {_last(errors) or 'all was done'}")

    def log(self) -> list[Line]:
        """All that has been logged, over all runs."""
        rows = [row.split() for row in (self.path / "log").read_text("ascii").splitlines()]
        return [Line(float(at), what, *rest) for at, what, *rest in rows]

    def state_bytes(self) -> int:
        """What lies on the disk, write-ahead logs and side folders included."""
        return sum(file.stat().st_size for file in (self.path / "state").rglob("*") if file.is_file())

    def _start(self, *resume: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*self._command, *resume], cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    def _count(self) -> int:
        log = self.path / "log"
        return log.read_bytes().count(b" E ") if log.exists() else 0

    def _judge(self, cost: dict[str, Any]) -> None:
        expected = dag.proofs(self.nodes)
        ended = {line.id for line in self.log() if line.what == "E"}
        false = {line.id for line in self.log() if line.what == "E" and expected[line.id] != line.proof}
        if cost["wrong"] or false or ended != expected.keys():
            raise Failed("wrong results")


def whole_process(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> tuple[float, int]:
    """(seconds, peak bytes) of a command from its start to its end; raises Failed with its last words.

    It finds its modules compiled, as whoever has installed them does, whatever the environment says of that.
    """
    env = {name: value for name, value in (env or os.environ).items() if name != "PYTHONDONTWRITEBYTECODE"}
    begun = time.monotonic()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=words, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            raise Failed(_last(words.read().decode(errors="replace")) or f"exit {process.returncode}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def sync_seconds(times: int = 40) -> float:
    """Median seconds that this disk takes to sync 4 KB."""
    taken = []
    with folder() as path, (path / "probe").open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _last(words: str) -> str:
    """The last line that was said."""
    return next(iter(reversed(words.strip().splitlines())), "")
