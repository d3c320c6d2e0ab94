"""The task type behind ``@replan-N``: a model decides whether what has not run is still the way to the goal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdfast.checkpoints.errors import InvalidPlan
from holdfast.nodes.context import TaskContext
from holdfast.nodes.decomposer import TRIES, Brief, Message, judged, schema_of, sent_back, types_told, user
from holdfast.nodes.models import structured
from holdfast.nodes.models.prompting import fenced, prompt
from holdfast.nodes.models.types import Fault
from holdfast.nodes.plan import Subtask
from holdfast.nodes.registry import task_type

LONGEST_WHY = 500  # characters


class ReplanParams(BaseModel):
    """What the task is for, and what has happened since its plan was made."""

    model_config = ConfigDict(extra="forbid")

    goal: str
    data: list[str] = []
    failed: dict[str, str] = {}
    answers: dict[str, str] = {}
    open: list[dict[str, Any]] = []  # subtasks that have not run and may change
    kept: list[dict[str, Any]] = []  # those that have to stay as they are
    spent: list[str] = []  # ids of those that ended without a result


@task_type("replan", files="data")
async def replan(params: ReplanParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Revise what has not run of a plan, or keep it: ``{"why", "subtasks", "by"}``, without subtasks to keep it."""
    if not ctx.model or not ctx.registry:
        return {"why": "no model is set"}
    by = {"by": "model", "model": ctx.model.name}
    brief = await asyncio.to_thread(Brief.of, params.goal, params.data, ctx.registry)
    kept = [Subtask.model_validate(spec) for spec in params.kept]
    told: list[Message] = [user(await _told(params, brief, ctx))]
    schema = schema_of(brief, keep={"type": "boolean"}, why={"type": "string"})
    fault = ""
    for number in range(1, TRIES + 1):
        try:
            answer = await structured.ask(ctx.model, f"replan {number}", prompt("replan"), told, schema)
        except Fault as why:
            return {"why": f"{ctx.model.name} gave no answer: {why}", "by": by}
        given = answer.object or {}
        if answer.object is not None and (given.get("keep") is True or not given.get("subtasks")):
            return {"why": _why(given), "by": by}
        try:
            return {"why": _why(given), "by": by, "subtasks": judged(answer, brief, kept, params.spent)}
        except InvalidPlan as wrong:
            fault = "; ".join(wrong.faults[:3])
            told += [answer.message, user(sent_back(wrong.faults))]
    return {"why": f"{ctx.model.name} gave no plan that can run: {fault}", "by": by}


async def _told(params: ReplanParams, brief: Brief, ctx: TaskContext) -> str:
    """All that the model hears: what has happened, what is kept, what is open, files, types, what people said."""
    keys = ("id", "name", "description", "type", "dependencies")
    kept = [{key: spec[key] for key in keys if key in spec} for spec in params.kept]
    parts = [fenced("GOAL", params.goal)]
    if params.failed:
        parts.append(fenced("FAILED FOR GOOD", _lines(params.failed)))
    if params.answers:
        parts.append(fenced("ANSWERED BY A PERSON", "\n".join(params.answers.values())))
    parts.append(fenced("COMPLETED OR UNDER WAY", _listed(kept)))
    parts.append(fenced("OPEN", _listed(brief.shelf.named(params.open))))
    parts.append(fenced("DATA FILES", "\n".join(brief.shelf.paths)))
    parts.append(fenced("TYPES", types_told(brief)))
    if said := await ctx.messages():
        parts.append(fenced("WHAT ITS AUTHOR SAID SINCE", "\n\n".join(said)))
    return "\n\n".join(parts)


def _lines(failed: Mapping[str, str]) -> str:
    return "\n".join(f"{id_}: {error}" for id_, error in failed.items())


def _listed(specs: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(json.dumps(spec, ensure_ascii=False) for spec in specs)


def _why(given: Mapping[str, Any]) -> str:
    """The reason in one line, as the history keeps it."""
    return " ".join(str(given.get("why") or "it did not say").split())[:LONGEST_WHY]
