"""The tool ``ask``: a question to whoever runs the task, which waits for the answer."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from holdfast.nodes.agent.tools import Desk, tool


class Question(BaseModel):
    """What is asked."""

    question: str = Field(min_length=1, max_length=2000, description="one question, with what is needed to answer it")
    options: list[str] = Field(default=[], max_length=20, description="the possible answers, if there are few")
    answer_schema: dict[str, Any] | None = Field(default=None, description="a JSON schema that the answer has to fit")
    default: Any = Field(default=None, description="the answer to go on with if nobody is there")


@tool("ask", outside=False, asks=True)
async def ask(arguments: Question, desk: Desk) -> str:
    """Asks the person who runs the task and waits, for hours if need be; only for what no file can tell."""
    options = list(dict.fromkeys(arguments.options))
    schema = arguments.answer_schema or ({"enum": options} if options else {"type": "string"})
    answer = await desk.ask(arguments.question, schema, arguments.default)
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
