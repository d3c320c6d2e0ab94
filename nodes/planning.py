"""The task type behind ``@plan``: it decomposes a goal into subtasks, by the model if one is set, else by rules."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdfast.checkpoints.errors import Rejected
from holdfast.nodes.context import TaskContext
from holdfast.nodes.decomposer import decompose
from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.registry import task_type


class PlanParams(BaseModel):
    """The goal, and the data files that the work may read."""

    model_config = ConfigDict(extra="forbid")

    goal: str
    data: list[str] = []
    feedback: list[str] = []  # why earlier plans were rejected; the rules have no other plan to offer


@task_type("plan", files="data")
async def plan(params: PlanParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Decompose a goal into subtasks with dependencies, or say why it is not for this planner."""
    if ctx.model:
        return await decompose(params.goal, params.data, params.feedback, ctx)
    try:
        made = await asyncio.to_thread(make_plan, params.goal, params.data)
    except Rejected as why:
        return {"rejected": str(why)}
    return {"subtasks": made, "by": {"by": "rules"}}
