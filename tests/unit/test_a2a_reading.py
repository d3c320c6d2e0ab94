"""Which files a client may name: pure but for the files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from holdfast.a2a.reading import MOST_NAMES, Readable, edits_resolved, resolved
from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.context import TaskContext
from holdfast.nodes.registry import Registry, task_type


class Paths(BaseModel):
    """Parameters of the types below."""

    inside: dict[str, str] = {}
    files: list[str] = []


@pytest.fixture
def types() -> Registry:
    registry, looked_at = Registry(), []

    async def body(params: Paths, inputs: dict[str, Any], ctx: TaskContext) -> None:
        """Does nothing."""

    def reads(params: Paths) -> list[Path]:
        looked_at.append(params)
        return [Path(one) for one in (*params.files, *params.inside.values())]

    task_type("lists", files="files", registry=registry)(body)
    task_type("reads", reads=reads, registry=registry)(body)
    task_type("neither", registry=registry)(body)
    registry.looked_at = looked_at  # type: ignore[attr-defined]
    return registry


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "a.csv").touch()
    (tmp_path / "secret.csv").touch()
    return folder


def plan(type_: Any, **params: Any) -> dict[str, Any]:
    return {"subtasks": [{"id": "a", "type": type_, "params": params}]}


def test_names_become_full_paths(own: Path, types: Registry) -> None:
    full = str((own / "a.csv").resolve())
    readable = Readable([own])
    for name in ("a.csv", full, "./a.csv", f"{own}/../own/a.csv"):
        assert resolved(plan("lists", files=[name]), readable, types) == plan("lists", files=[full])
    edited = edits_resolved({"q1": {"edit": plan("lists", files=["a.csv"])}, "q2": {"a": 1}, "q3": 4}, readable, types)
    assert edited == {"q1": {"edit": plan("lists", files=[full])}, "q2": {"a": 1}, "q3": 4}


def test_what_a_task_was_given_stays_as_it_is(own: Path, types: Registry) -> None:
    given = [str(own), str(own / "*.csv")]
    readable = Readable(list(map(Path, given)), frozenset(given))
    assert resolved(plan("lists", files=given), readable, types) == plan("lists", files=given)
    assert readable.find([str(own / "a.csv")]) == [str((own / "a.csv").resolve())], (
        "a file in a folder that it was given"
    )
    with pytest.raises(BadInput):
        readable.find([str(own.parent / "*.csv")])


@pytest.mark.parametrize(
    "files",
    [["../secret.csv"], ["*.csv"], ["."], ["a.csv", "[a].csv"], ["a\0"], [1], "a.csv", ["a.csv"] * (MOST_NAMES + 1)],
)
def test_what_is_refused(own: Path, types: Registry, files: Any) -> None:
    with pytest.raises(BadInput):
        resolved(plan("lists", files=files), Readable([own]), types)


def test_a_plan_names_so_many_files_and_no_more(own: Path, types: Registry) -> None:
    half = plan("lists", files=["a.csv"] * (MOST_NAMES // 2))["subtasks"]
    assert resolved({"subtasks": half * 2}, Readable([own]), types)
    with pytest.raises(BadInput, match="more than 1,000 files"):
        resolved({"subtasks": [*half * 2, *plan("lists", files=["a.csv"])["subtasks"]]}, Readable([own]), types)


def test_a_type_that_lists_no_files_is_not_asked_about_names_outside(own: Path, types: Registry) -> None:
    readable, looked_at = Readable([own]), types.looked_at  # type: ignore[attr-defined]
    for params in ({"files": ["*.csv"]}, {"inside": {"deep": str(own.parent / "secret.csv")}}, {"files": ["/\0"]}):
        with pytest.raises(BadInput):
            resolved(plan("reads", **params), readable, types)
    assert looked_at == []
    good = plan("reads", files=[str(own / "a.csv")])
    assert resolved(good, readable, types) == good
    assert len(looked_at) == 1


@pytest.mark.parametrize(
    "malformed",
    [{}, {"subtasks": 5}, {"subtasks": [5, {"type": []}, {"type": "none"}]}, plan({}), plan("neither", files=["*"]),
     {"subtasks": [{"type": "lists", "params": 5}]}, plan("reads", files=5)],
)  # fmt: skip
def test_what_is_malformed_is_left_to_the_plans_own_check(own: Path, types: Registry, malformed: Any) -> None:
    assert resolved(malformed, Readable([own]), types) == malformed
