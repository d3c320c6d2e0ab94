"""The task type ``write_section``: prose by a model, every figure of which the analyses before it have computed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market.prose import compose, ground_of, sections_in, text_of
from holdfast.nodes.models.prompting import prompt
from holdfast.nodes.registry import task_type
from holdfast.nodes.report.document import Section
from holdfast.nodes.report.text import slug


class WriteParams(BaseModel):
    """What to write."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=200, description="heading of the section")
    brief: str = Field("", max_length=2000, description="what it is to say, and for whom")


@task_type("write_section")
async def write_section(params: WriteParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Let a model write a section of the report on what its dependencies (analyses, not agents) have computed."""
    if ctx.model is None:
        raise BadInput("write_section needs a model: set HOLDFAST_MODEL, and OPENAI_API_KEY or OPENAI_BASE_URL")
    sections = sections_in(inputs)
    ground = ground_of(sections, profile_among(inputs))
    if not ground.facts:
        raise BadInput("write_section needs an analysis with figures among its dependencies")
    told = {"TITLE": params.title, "BRIEF": params.brief, "WHAT THE ANALYSES SAY": text_of(sections)}
    prose = await compose(ctx, prompt("write"), told, ground)
    section = Section(id=f"by_{slug(ctx.subtask_id)}", title=params.title, blocks=prose.blocks, facts=list(prose.facts))
    return {**section.model_dump(mode="json"), "written": prose.written}


def profile_among(inputs: dict[str, Any]) -> Profile | None:
    """The profile, if a ``profile_data`` is among the dependencies."""
    found = (value["profile"] for value in inputs.values() if isinstance(value, dict) and "profile" in value)
    return next((Profile.model_validate(one) for one in found), None)
