"""As ``arrows``, for a task with an agent: ``scene.json`` has the URL of the model's server beside the task.

The parent of the runs has imported all that they need; each opens connections of its own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import langchain_openai  # noqa: F401  so that no run has to
from pydantic import BaseModel

from holdfast import Desk, Holdfast, TaskState, tool
from holdfast.checkpoints.states import TERMINAL
from holdfast.nodes.models.abilities import Abilities
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.settings import ModelSettings
from tests.torture import arrows, victim

ANSWER = "pieces"


class Effect(BaseModel):
    """Which one."""

    name: str


@tool("k_effect")
async def effect(arguments: Effect, desk: Desk) -> str:
    """Has an effect that can be counted."""
    victim.log("effect", arguments.name)
    return f"did {arguments.name}"


async def play(folder: Path, trace: Callable[[sqlite3.Connection], None]) -> None:
    """Starts the task or takes it up, answers what is asked, and works until it has ended."""
    scene = json.loads((folder / "scene.json").read_text())
    settings = ModelSettings("scripted", base_url=scene["url"])
    endpoint = OpenAIEndpoint(settings)
    endpoint.abilities = Abilities(tools=True)  # type: ignore[attr-defined]
    async with Holdfast.open(folder / "h.db") as hf:
        hf.services.calls = Calls(endpoint, settings)
        trace(hf.database.connection)
        known = await hf.list()
        made = known[0] if known else await hf.start("An agent works", **scene["task"])
        while (task := await hf.get(made.id)).state not in TERMINAL:
            if task.state == TaskState.INPUT_REQUIRED:
                await hf.answer(task.id, task.questions[0].id, ANSWER)
            elif not hf.working_on(task.id):
                await hf.resume(task.id)
            while hf.working_on(task.id):
                await asyncio.sleep(0.003)
    await endpoint.close()


if __name__ == "__main__":
    arrows.main(play)
