"""The task type ``profile_data``: what each column is for, which periods are complete, how good the data are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.models import Collected, Profile
from holdfast.nodes.data.profile import opened, understand
from holdfast.nodes.market import quality, words
from holdfast.nodes.market.findings import result_with
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.scratch import scratch_folder


@task_type("profile_data")
async def profile_data(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Decide what each column is for, check the quality of the data and write the section "Data quality"."""
    collected = Collected.model_validate(result_with(inputs, "collected"))
    async with scratch_folder() as folder:
        target = folder / "cells.parquet"
        profile, section = await asyncio.to_thread(_profiled, collected, ctx.stored(collected.data), target)
        profile.cells = await ctx.store(target)
    about = [list(pair) for pair in title_block(profile)]
    return {**section, "profile": profile.model_dump(mode="json"), "about": about, "banner": banner(profile)}


def _profiled(collected: Collected, data: Path, target: Path) -> tuple[Profile, dict[str, Any]]:
    with opened(data, write=[target.parent]) as engine:
        profile, window = understand(engine, collected, target)
        engine.run(f"CREATE TABLE cells AS {profile.cells_sql} SELECT * FROM cells")
        return profile, quality.write_section(profile, window, engine)


def title_block(profile: Profile) -> list[tuple[str, str]]:
    """What stands under the title: source, rows, period, unit, engine."""
    names = words.listed([file.name for file in profile.files[:3]])
    if len(profile.files) > 3:
        names = f"{profile.files[0].name} and {len(profile.files) - 1} more files"
    measure, grain = profile.roles.measure, profile.roles.time.grain
    unit = f"{words.quoted(measure.column)}, " + (
        f"in {measure.unit}" if measure.unit else "unit not stated in the file"
    )
    span = f"{words.period(profile.first, grain)} to {words.period(profile.last, grain)}"
    return [
        ("Source", f"{names}\nsha256 {profile.files[0].sha256[:12]}…"),
        ("Rows", words.number(profile.rows)),
        ("Period", f"{span}\n{words.counted(profile.periods, grain)}"),
        ("Measure", unit),
        ("Written by", "built-in rules, no AI\nno outside source was read"),
    ]


def banner(profile: Profile) -> str:
    """Comment lines at the top of the files, which say what a reader has to know first."""
    return " ".join(profile.notes)
