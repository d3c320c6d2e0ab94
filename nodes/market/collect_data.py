"""The task type ``collect_data``: reads the sources once and keeps their rows for the subtasks that follow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.reading import MAX_CELLS, collect
from holdfast.nodes.data.sources import find_files
from holdfast.nodes.registry import task_type
from holdfast.nodes.scratch import scratch_folder


class CollectParams(BaseModel):
    """What to read."""

    model_config = ConfigDict(extra="forbid")

    paths: list[str] = Field(min_length=1, description="files, folders or patterns")
    max_cells: int = Field(MAX_CELLS, gt=0, description="refuse anything larger")


def _files(params: CollectParams) -> list[Path]:
    return find_files(params.paths)


@task_type("collect_data", reads=_files, files="paths")
async def collect_data(params: CollectParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Read data files (CSV, TSV, JSON, Parquet; files, folders, patterns) and keep their rows in one file."""
    async with scratch_folder() as folder:
        target = folder / "data.parquet"
        collected = await asyncio.to_thread(collect, params.paths, target, params.max_cells)
        kept = collected.model_copy(update={"data": await ctx.store(target)})
    return {"collected": kept.model_dump(mode="json")}
