"""The task type ``profile_data``: what each column is for, which periods are complete, how good the data are."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.models import Collected, Profile, Question
from holdfast.nodes.data.profile import opened, understand
from holdfast.nodes.data.questions import BEST_GUESS, DEPENDENT, LONGEST_UNIT, NOT_STATED
from holdfast.nodes.market import constant_parts, quality, scope_words, words
from holdfast.nodes.market.findings import result_with
from holdfast.nodes.registry import task_type
from holdfast.nodes.scratch import scratch_folder

MOSTLY = 0.8  # of the steps between first and last year are there: a census may have been missed


class ProfileParams(BaseModel):
    """What the report is to be about."""

    model_config = ConfigDict(extra="forbid")

    goal: str = Field("", description="if it names values of a category column, only rows with them are used")


@task_type("profile_data")
async def profile_data(params: ProfileParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Decide what each column is for, ask what the values cannot prove, and write the section "Data quality"."""
    collected = Collected.model_validate(result_with(inputs, "collected"))
    async with scratch_folder() as folder:
        target = folder / "cells.parquet"
        profile, section = await _understood(collected, params.goal, ctx, target)
        profile.cells = await ctx.store(target)
    about = [list(pair) for pair in title_block(profile)]
    return {**section, "profile": profile.model_dump(mode="json"), "about": about, "banner": banner(profile)}


async def _understood(
    collected: Collected, goal: str, ctx: TaskContext, target: Path
) -> tuple[Profile, dict[str, Any]]:
    """Profile and section when every question has its answer; an answer may lead to another question.

    What is asked is recorded as a step, so that the body, which starts again with each answer, reads the rows once more
    at the end and not once per answer.
    """
    answers: dict[str, str] = {}
    found: list[tuple[Profile, dict[str, Any]]] = []

    async def look() -> list[dict[str, Any]]:
        found[:] = [await asyncio.to_thread(_profiled, collected, goal, ctx.stored(collected.data), target, answers)]
        return [question.model_dump() for question in found[0][0].questions if question.key not in answers]

    for number in itertools.count(1):
        found.clear()
        questions = await ctx.step(f"questions {number}", look)
        if not questions:
            break
        known = [Question.model_validate(question) for question in questions]
        for question in [one for one in known if one.key not in DEPENDENT] or known:
            answers[question.key] = await ask(ctx, question)
    if not found:
        await look()
    return found[0]


async def ask(ctx: TaskContext, question: Question) -> str:
    """The answer of whoever runs the task; the default leaves the decision to the rules, which then say "assumed"."""
    if not question.options:
        schema: dict[str, Any] = {"type": "string", "maxLength": LONGEST_UNIT}
        return str(await ctx.ask(question.prompt, schema, default=NOT_STATED, key=question.key))
    prompt = f"{question.prompt} The best guess is: {question.options[0]}."
    schema = {"enum": [BEST_GUESS, *question.options]}
    return str(await ctx.ask(prompt, schema, default=BEST_GUESS, key=question.key))


def _profiled(
    collected: Collected, goal: str, data: Path, target: Path, answers: dict[str, str]
) -> tuple[Profile, dict[str, Any]]:
    with opened(data, write=[target.parent]) as engine:
        profile, window = understand(engine, collected, target, answers, goal)
        bounds = (window.after, window.through)
        parts = constant_parts.settle(engine, profile, target, *bounds)
        engine.run(f"CREATE TABLE cells AS {profile.cells_sql} SELECT * FROM cells")
        return profile, quality.write_section(profile, window, engine, parts)


def title_block(profile: Profile) -> list[tuple[str, str]]:
    """What stands under the title: source, rows, period, unit, engine."""
    sources = words.listed([file.name for file in profile.files[:3]])
    if len(profile.files) > 3:
        sources = f"{profile.files[0].name} and {len(profile.files) - 1} more files"
    measure, grain = profile.roles.measure, profile.roles.time.grain
    unit = words.quoted(measure.column)
    if not measure.unit:
        unit += ", unit not stated in the file"
    elif measure.unit.casefold() != measure.column.casefold():
        unit += f", in {measure.unit}"
    if parts := constant_parts.over(profile):
        unit += f"\nunweighted mean over {parts}"
    years = int(profile.last[:4]) - int(profile.first[:4])
    every = profile.step > 1 and profile.step * (profile.periods - 1) >= MOSTLY * years
    apart = f", {words.spelled(profile.step)} years apart" if every else ""
    span = f"{words.period(profile.first, grain)} to {words.period(profile.last, grain)}"
    return [
        ("Source", f"{sources}\nsha256 {profile.files[0].sha256[:12]}…"),
        ("Rows", words.number(profile.rows) + scope_words.rows(profile)),
        ("Period", f"{span}\n{words.counted(profile.periods, grain)}{apart}"),
        ("Measure", unit),
        *scope_words.title_block(profile),
        ("Written by", "built-in rules, no AI\nno outside source was read"),
    ]


def banner(profile: Profile) -> str:
    """Comment lines at the top of the files, which say what a reader has to know first."""
    return " ".join(profile.notes)
