"""What all tests share: seeds that are printed, plans, and runs in processes of their own."""

from __future__ import annotations

import os
import random
import secrets
import sys
from pathlib import Path

import pytest

import holdfast  # noqa: F401  before anything of LangGraph, whose strictness it sets

HERE = Path(__file__).parent


@pytest.fixture
def seed(request):
    """A seed for this test: ``HOLDFAST_SEED``, else a new one; pytest shows it when the test fails."""
    value = int(os.environ.get("HOLDFAST_SEED") or secrets.randbelow(2**32))
    print(f"HOLDFAST_SEED={value}  # repeats {request.node.nodeid}", file=sys.stderr)
    return value


@pytest.fixture
def chance(seed):
    """Random numbers that the printed seed repeats."""
    return random.Random(seed)


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """No test sees the developer's own database, settings or working folder."""
    for name in list(os.environ):
        if name.startswith(("HOLDFAST_", "OPENAI_")) and name not in ("HOLDFAST_SEED", "HOLDFAST_DRAW"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def runners():
    """Two processes that play scenes of tests/torture/arrows.py and are killed in them."""
    from tests.integration.racer import Racer

    started = [Racer("tests.torture.arrows"), Racer("tests.torture.arrows")]
    yield started
    for one in started:
        one.close()


def chain(*ids: str, type_: str = "sleep", **fields: object) -> dict[str, list[dict[str, object]]]:
    """A plan in which each subtask needs the one before."""
    return {
        "subtasks": [
            {"id": id_, "type": type_, "dependencies": [ids[i - 1]] if i else [], **fields} for i, id_ in enumerate(ids)
        ]
    }


def layered(
    size: int, chance: random.Random, type_: str, params: dict[str, object], width: int = 25
) -> dict[str, list]:
    """A random plan: each subtask needs up to three of the ``width`` before it."""
    subtasks = []
    for i in range(size):
        before = range(max(0, i - width), i)
        needs = sorted({chance.choice(before) for _ in range(chance.randrange(4))}) if before else []
        subtasks.append(
            {"id": f"t{i}", "type": type_, "params": params, "dependencies": [f"t{j}" for j in needs], "retries": 0}
        )
    return {"subtasks": subtasks}
