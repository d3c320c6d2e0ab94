"""``python -m tests.torture``: the model, the kills and the races at full size, and a table of what came of them.

``--runs`` sets how many kills of each sort and rounds of each race there are; the model gets ten times as many examples
of 80 steps.  Exit status 1 if anything was violated.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
RACES = "tests/integration/test_races.py"
MODEL = "tests/integration/test_model.py"
FAULTS = "tests/integration/test_model_faults.py"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="kills of each sort; half as many rounds of each race")
    parser.add_argument("--examples", type=int, help="examples of the model (ten times RUNS)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="repeats the choices")
    options = parser.parse_args()
    rounds, examples = max(options.runs // 2, 1), options.examples or 10 * options.runs
    size = {"HOLDFAST_ROUNDS": str(rounds), "HOLDFAST_EXAMPLES": str(examples), "HOLDFAST_STEPS": "80"}
    rows: list[tuple[str, str, str, float]] = []
    for aim in ("random", "named"):
        took, status, out = run(["tests.torture.crash", "--runs", str(options.runs), "--aim", aim], options.seed)
        bad = re.search(r'"violations": (\d+)', out)
        rows.append((f"kill -9, {aim}", str(options.runs), bad[1] if bad else f"broken off ({status})", took))
    for test in tests_of(RACES):
        took, status, out = run(["pytest", f"{RACES}::{test}"], options.seed, size)
        turns = "each turn of the loop" if "turn" in test else str(rounds)
        rows.append((test.removeprefix("test_").replace("_", " "), turns, verdict(status, out), took))
    took, status, out = run(["pytest", MODEL], options.seed, size)
    rows.append(("model", f"{examples} × 80", verdict(status, out), took))
    took, status, out = run(["pytest", FAULTS], options.seed)
    rows.append(("faults of a model's server", "20 of each", verdict(status, out), took))
    print("\n| what | runs | violations | seed | s |\n| --- | --- | --- | --- | --- |")
    for what, runs, violations, took in rows:
        print(f"| {what} | {runs} | {violations} | {options.seed} | {took:.0f} |")
    sys.exit(any(violations[0] not in "0k" for _, _, violations, _ in rows))


def verdict(status: int, out: str) -> str:
    """What a test stopped at: nothing, a fault that is known and marked in its file, or a new one."""
    if status:
        return "1 or more"
    return "known (xfail)" if "xfailed" in out else "0"


def run(module: Sequence[str], seed: int, size: Mapping[str, str] | None = None) -> tuple[float, int, str]:
    """(seconds, exit status, output) of ``python -m module``; the output is shown as well if it failed."""
    command = [sys.executable, "-m", *module, *(["--seed", str(seed)] if module[0] != "pytest" else ["-x"])]
    environment = {**os.environ, **(size or {}), "HOLDFAST_SEED": str(seed), "HOLDFAST_TORTURE": "1"}
    print(" ".join(command[1:]), flush=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    shown = done.stdout if module[0] != "pytest" or done.returncode else ""
    print(shown + (done.stderr if done.returncode else ""), flush=True)
    return time.monotonic() - began, done.returncode, done.stdout


def tests_of(path: str) -> list[str]:
    """The names of a file's tests."""
    return re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE)


if __name__ == "__main__":
    main()
