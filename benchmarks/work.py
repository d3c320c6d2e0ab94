"""One contender in a process of its own: ``python -m benchmarks.work CONTENDER GRAPH FOLDER WORKERS [resume]``.

The process tells its story in FOLDER/log, a line at a time, each one ``write`` to a file opened for appending, so that
nothing of it is lost by ``kill -9``: ``R`` the imports are done, ``S id`` a body starts, ``E id proof`` it has ended;
each with CLOCK_MONOTONIC, which all processes share.  Its last line on stdout is what the run cost.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import dag


class Work:
    """What a contender is given: the graph, where to keep its state, and the body of every subtask."""

    def __init__(self, nodes: list[dag.Node], folder: Path, workers: int, resuming: bool) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.workers, self.resuming = workers, resuming
        self.path = folder / "state" / "db"
        self._log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @property
    def limit(self) -> int:
        """The number of workers where no limit has to be a number too."""
        return self.workers or len(self.nodes)

    async def do(self, id_: str, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The body of a subtask; ``inputs`` are the results of what it needs."""
        node = self.nodes[id_]
        self.tell(f"S {id_}")
        if node.seconds:
            await asyncio.sleep(node.seconds)
        value = dag.result(node, inputs)
        self.tell(f"E {id_} {value['proof']}")
        return value

    def tell(self, line: str) -> None:
        """Appends a line to the log."""
        os.write(self._log, f"{time.monotonic():.6f} {line}\n".encode())

    def wrong(self, results: Mapping[str, Mapping[str, str]]) -> int:
        """How many results are missing or are not what the hash chain says."""
        return sum(results.get(id_, {}).get("proof") != proof for id_, proof in dag.proofs(self.nodes.values()).items())


def peak_bytes() -> int:
    """Peak resident memory of this process; getrusage's figure would count what it was forked from."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main(contender: str, graph: str, folder: str, workers: str, *resume: str) -> None:
    """Runs the contender and prints what it cost from the end of the imports until its state is closed."""
    module = importlib.import_module(f"benchmarks.contenders.{contender}")
    work = Work(dag.load(Path(graph)), Path(folder), int(workers), bool(resume))
    work.path.parent.mkdir(exist_ok=True)
    work.tell("R")
    begun, spent = time.monotonic(), time.process_time()
    results = asyncio.run(module.run(work))
    cost = {"cpu": time.process_time() - spent, "closed": time.monotonic(), "seconds": time.monotonic() - begun}
    print(json.dumps({**cost, "rss": peak_bytes(), "wrong": work.wrong(results)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
