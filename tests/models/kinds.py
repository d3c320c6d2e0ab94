"""Task types that call the model, for tests; ``--types`` reads this file too."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from holdfast import TaskContext, task_type
from holdfast.nodes.models.types import Request


class Say(BaseModel):
    text: str = "hello"
    calls: int = 1
    most: int = 256


@task_type("m_say", keeps=0)
async def m_say(params: Say, inputs: dict[str, Any], ctx: TaskContext) -> list[str]:
    """Has the model answer a text, a few times."""
    assert ctx.model
    said = []
    for number in range(params.calls):
        request = Request([{"role": "user", "content": f"{params.text} {number}"}], most=params.most)
        said.append((await ctx.model.complete(f"say {number}", request)).text)
    return said
