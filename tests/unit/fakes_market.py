"""Effects in a folder, and a plan run by hand: what the unit tests of data and market need of the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.nodes.context import Artifact, TaskContext
from holdfast.nodes.data.questions import BEST_GUESS
from holdfast.nodes.market import types  # noqa: F401  registers the task types
from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.registry import REGISTRY
from holdfast.nodes.report.document import Fact, Section

READING = ("collect_data", "profile_data")


class Decided(dict[str, Any]):
    """Answers to questions; whatever else is asked gets the rules' best guess, as with ``--yes``."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return BEST_GUESS


class FolderEffects:
    """Keeps what is stored as files named by their hash."""

    def __init__(self, folder: Path, answers: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.recorded: dict[str, Any] = {}
        self.answers = Decided(answers or {})
        self.uncertain: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def known_step(self, name: str) -> str:
        return name

    async def begin_step(self, name: str) -> None:
        """Nothing to note."""

    async def end_step(self, name: str, value: Any) -> Any:
        return value

    async def store(self, data: bytes | Path) -> str:
        content = data if isinstance(data, bytes) else data.read_bytes()
        name = hashlib.sha256(content).hexdigest()
        (self.folder / name).write_bytes(content)
        return name

    def stored(self, sha256: str) -> Path:
        return self.folder / sha256

    async def artifact(self, name: str, data: bytes | Path, media_type: str | None) -> Artifact:
        raise AssertionError("no type of data or market hands out an artifact")

    def progress(self, done: float, total: float) -> None:
        """Nobody watches."""


async def run_analyses(
    folder: Path,
    data: Sequence[str | Path],
    goal: str = "Market report on x",
    answers: Mapping[str, Any] | None = None,
    only: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """The results of all subtasks of the plan but charts and report, by id, each having been JSON on the way.

    ``only`` names the types to run beside the reading, if not all of them are needed.
    """
    effects = FolderEffects(folder / "store", answers)
    results: dict[str, dict[str, Any]] = {}
    for subtask in make_plan(goal, [str(path) for path in data]):
        if subtask["type"] in ("chart", "compile_report") or (only and subtask["type"] not in (*READING, *only)):
            continue
        kind = REGISTRY.get(subtask["type"])
        inputs = {name: results[name] for name in subtask["dependencies"] if name in results}
        effects.recorded = {}
        context = TaskContext("task", subtask["id"], 1, effects)
        result = await kind.body(kind.validate(subtask["params"]), inputs, context)
        results[subtask["id"]] = json.loads(json.dumps(result, allow_nan=False))
    return results


def section(results: dict[str, dict[str, Any]], name: str) -> Section:
    """The section of that id, as the renderers get it."""
    return next(Section.model_validate(value) for value in results.values() if value.get("id") == name)


def sections(results: dict[str, dict[str, Any]]) -> list[Section]:
    """All of them, in the order of the plan."""
    return [Section.model_validate(value) for value in results.values() if "blocks" in value]


def facts(results: dict[str, dict[str, Any]]) -> dict[str, Fact]:
    """Every fact of every section by its id."""
    return {fact.id: fact for part in sections(results) for fact in part.facts}


def text_of(results: dict[str, dict[str, Any]], name: str) -> str:
    """The sentences and table cells of a section as one text."""
    parts: list[str] = []
    for block in section(results, name).blocks:
        if block.type in ("paragraph", "note"):
            parts.append("".join(span.text for span in block.spans))
        elif block.type == "bullets":
            parts += ["".join(span.text for span in item.spans) for item in block.items]
        elif block.type == "table":
            parts += [" | ".join(row) for row in [block.columns, *block.rows]]
        elif block.type == "figure":
            parts += [block.title, block.subtitle, block.alt]
        else:
            parts.append(block.text)
    return "\n".join(parts)


def write(path: Path, text: str | bytes) -> Path:
    """A data file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


MARKET = {  # year: (Alpha, Beta, Gamma), one row per quarter of a twelfth each; see market_csv
    2019: (600, 300, 100),
    2020: (480, 360, 120),
    2021: (504, 420, 276),
    2022: (480, 480, 360),
}


def market_csv(extra: str = "") -> str:
    """Four complete years by month, a make each; every month holds a twelfth of the year."""
    lines = ["year,month,make,units"]
    for year, amounts in MARKET.items():
        for month in range(1, 13):
            for make, amount in zip(("Alpha", "Beta", "Gamma"), amounts, strict=True):
                part = amount // 12 + (1 if month <= amount % 12 else 0)
                lines.append(f"{year},{month},{make},{part}")
    return "\n".join(lines) + "\n" + extra
