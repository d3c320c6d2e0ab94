"""kill -9 at random times and at named points: a sample of what ``make torture`` does a thousand times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.crash import CHECKS

ROOT = Path(__file__).parents[2]
KILLS = 25  # of each sort
TORTURE = os.environ.get("HOLDFAST_TORTURE") == "1"


@pytest.mark.parametrize("aim", ["random", "named"])
def test_a_kill_at_any_moment_loses_nothing_and_repeats_nothing(aim, seed):
    command = [sys.executable, "-m", "tests.torture.crash", "--aim", aim, "--seed", str(seed)]
    made = subprocess.run(
        [*command, "--runs", str(1000 if TORTURE else KILLS)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=None if TORTURE else 200,
    )
    print(made.stdout)
    assert made.returncode == 0, made.stdout
    counted = json.loads(made.stdout.splitlines()[-1])
    assert counted["runs"] >= KILLS
    assert all(f"0 {check}" in made.stdout for check in CHECKS)
