"""How a report came about, kept inside it, so that whoever has the data can compute it again.

A recipe names the subtasks behind the report with their parameters, and the answers that people gave.  Only our own
types of analysis are run again: they read the files that the caller names and do nothing else, whatever a report says.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdfast.nodes.context import Artifact, Record, TaskContext
from holdfast.nodes.models.recital import Recital
from holdfast.nodes.registry import REGISTRY, require_json

ANALYSES = "holdfast.nodes.market."  # the modules whose types are run again
CHART = "chart"  # drawn anew, not run


class Step(BaseModel):
    """One subtask; of the files that it reads only the names are kept."""

    model_config = ConfigDict(extra="forbid")

    id: str
    type: str
    params: dict[str, Any] = {}
    dependencies: list[str] = []


class Written(BaseModel):
    """What a model said in a subtask, by the names of its steps."""

    model_config = ConfigDict(extra="forbid")

    model: str
    said: dict[str, str] = {}


class Recipe(BaseModel):
    """What ``compile_report`` was given: ``inputs`` are the subtasks whose results it had, in their order.

    ``written`` has the subtasks in which a model wrote, ``planned`` the model that made the plan, if one did.
    """

    model_config = ConfigDict(extra="forbid")

    report: dict[str, Any]
    inputs: list[str]
    steps: list[Step]
    answers: dict[str, dict[str, Any]] = {}
    written: dict[str, Written] = {}
    planned: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the report keeps it: nothing of models where none had a part in it."""
        told = self.model_dump(mode="json")
        return {key: value for key, value in told.items() if value or key not in ("written", "planned")}

    @property
    def engine(self) -> str:
        """Who made the report, in words."""
        parts: dict[str, list[str]] = {}
        for what, model in [("plan", self.planned), *((name, one.model) for name, one in self.written.items())]:
            if model:
                parts.setdefault(model, []).append(what.replace("_", " "))
        return "; ".join(["built-in rules", *(f"{', '.join(made)} by {model}" for model, made in parts.items())])


def write_recipe(record: Record, params: BaseModel, inputs: Mapping[str, Any]) -> Recipe:
    """The recipe of a report that is compiled from ``inputs``; the same from run to run."""
    specs = {spec["id"]: spec for spec in record["plan"]}
    wanted = {name for name in inputs if name in specs}
    waiting = sorted(wanted)
    while waiting:
        new = set(_ran(specs, waiting.pop())["dependencies"]) - wanted
        wanted |= new
        waiting += sorted(new)
    steps = [_step(specs, name) for name in specs if name in wanted and specs[name]["type"] != CHART]
    ids = {step.id for step in steps}
    return Recipe(
        report=params.model_dump(mode="json"),
        inputs=[name for name in inputs if name in ids],
        steps=steps,
        answers={name: given for name, given in sorted(record["answers"].items()) if name in ids},
        written={
            name: Written.model_validate(value["written"])
            for name, value in inputs.items()
            if name in ids and isinstance(value, dict) and "written" in value
        },
        planned=_planner(record["events"]),
    )


def _planner(events: Sequence[Mapping[str, Any]]) -> str:
    """The model that made the plan, or revised it last."""
    plans = [event["data"] for event in events if event["type"] in ("plan.made", "plan.revised")]
    return next((str(data["model"]) for data in reversed(plans) if data.get("by") == "model"), "")


def _ran(specs: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The entry of the plan that gave the subtask's result: its own, or that of the fallback that stood in."""
    spec = specs[name]
    stood_in = str(spec.get("fallback", "")) if spec["state"] == "failed" else ""
    return {"dependencies": [], "params": {}, **specs.get(stood_in, spec), "id": name}


def _step(specs: Mapping[str, dict[str, Any]], name: str) -> Step:
    spec = _ran(specs, name)
    params = dict(spec["params"])
    if spec["type"] in REGISTRY and REGISTRY.get(spec["type"]).reads and "paths" in params:
        params["paths"] = [Path(path).name for path in params["paths"]]
    return Step(id=name, type=spec["type"], params=params, dependencies=spec["dependencies"])


def can_run(step: Step) -> bool:
    """Whether the step is one of our own analyses."""
    return step.type in REGISTRY and REGISTRY.get(step.type).body.__module__.startswith(ANALYSES)


async def follow(recipe: Recipe, files: Sequence[Path], folder: Path) -> dict[str, Any]:
    """The results of the steps that can be run, computed again from ``files``; what is stored lies in ``folder``.

    Raises what a step raises, and Unanswered where the recipe lacks an answer.
    """
    results: dict[str, Any] = {}
    for step in filter(can_run, recipe.steps):
        kind = REGISTRY.get(step.type)
        params = {**step.params, **({"paths": [str(path) for path in files]} if kind.reads else {})}
        inputs = {name: results[name] for name in step.dependencies if name in results}
        context = TaskContext("verify", step.id, 1, _Folder(folder, recipe.answers.get(step.id, {})))
        if wrote := recipe.written.get(step.id):
            context.model = Recital(wrote.model, wrote.said)
        result = await kind.body(kind.validate(params), inputs, context)
        results[step.id] = json.loads(require_json(result, f"what step {step.id!r} returns"))
    return {name: results[name] for name in recipe.inputs if name in results}


class _Folder:
    """Effects that end in one folder and are forgotten with it."""

    def __init__(self, folder: Path, answers: dict[str, Any]) -> None:
        self.folder, self.answers = folder, answers
        self.recorded: dict[str, Any] = {}
        self.uncertain: dict[str, float] = {}

    def known_step(self, name: str) -> str:
        return name

    async def begin_step(self, name: str) -> None:
        """Nothing is kept of a step that begins."""

    async def end_step(self, name: str, value: Any) -> Any:
        self.recorded[name] = json.loads(require_json(value, f"the value of step {name!r}"))
        return self.recorded[name]

    async def store(self, data: bytes | Path) -> str:
        if isinstance(data, bytes):
            sha256 = hashlib.sha256(data).hexdigest()
            self.stored(sha256).write_bytes(data)
            return sha256
        with data.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        shutil.copyfile(data, self.stored(sha256))
        return sha256

    def stored(self, sha256: str) -> Path:
        return self.folder / sha256

    async def artifact(self, name: str, data: bytes | Path, media_type: str | None) -> Artifact:
        raise NotImplementedError("an analysis hands out no files")

    def progress(self, done: float, total: float) -> None:
        """Nobody watches."""

    async def messages(self) -> list[str]:
        return []

    async def record(self) -> Record:
        return Record(plan=[], answers={}, events=[])
