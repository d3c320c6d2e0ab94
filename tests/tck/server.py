"""The server that the TCK tests: the real one, but for the plan, which the beginning of a message's id chooses.

The TCK's ``scenarios/*.feature`` say which beginning stands for what.  ``python -m tests.tck.server`` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.types import a2a_pb2 as pb

from holdfast import TaskContext, task_type
from holdfast.a2a.handler import Handler
from holdfast.a2a.incoming import Incoming
from holdfast.nodes import builtin
from holdfast.server.serve import serve
from holdfast.server.settings import Settings

STREAMING_SECONDS = float(os.environ.get("TCK_STREAMING_TIMEOUT", "2"))
OUTPUT = {"name": "output.txt", "content": "the file's content", "media_type": "text/plain"}


@task_type("tck_say")
async def say(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
    """Completes with a text."""
    return "Hello from TCK"


@task_type("tck_hand_out")
async def hand_out(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> None:
    """Hands out one artifact: a value if its name has no suffix, else a file, or a link."""
    await ctx.artifact(params["name"], params["content"].encode(), params["media_type"])


@task_type("tck_ask")
async def ask(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Asks again and again, until a message says something else than ``tck-input-required``."""
    turn = 0
    while (said := await ctx.ask("What next?", key=f"turn {turn}")).startswith("tck-input-required"):
        turn += 1
    return str(said)


def text(content: str) -> dict[str, Any]:
    """The parameters of a text artifact."""
    return {"name": "text", "content": content, "media_type": "text/plain"}


# The first that a message's id begins with; (type, parameters), or None for what the server's own planner says.
SCENARIOS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "tck-reject-task": None,  # a goal without data, which the built-in planner refuses
    "tck-input-required": ("tck_ask", {}),
    "tck-artifact-text": ("tck_hand_out", text("Generated text content")),
    "tck-artifact-file-url": (
        "tck_hand_out",
        {"name": "output.txt", "content": "https://example.com/output.txt", "media_type": "text/uri-list"},
    ),
    "tck-artifact-file": ("tck_hand_out", OUTPUT),
    "tck-artifact-data": (
        "tck_hand_out",
        {"name": "data", "content": '{"key": "value", "count": 42}', "media_type": "application/json"},
    ),
    "tck-stream-001": ("tck_hand_out", text("Stream hello from TCK")),
    "tck-stream-003": ("tck_hand_out", text("Stream task lifecycle")),
    "tck-stream-ordering-001": ("tck_hand_out", text("Ordered output")),
    "tck-stream-artifact-text": ("tck_hand_out", text("Streamed text content")),
    "tck-stream-artifact-file": ("tck_hand_out", OUTPUT),
    "tck-stream-artifact-chunked": (  # files are streamed in chunks; a text is one part
        "tck_hand_out",
        {"name": "chunked.txt", "content": "chunk-1 " * 50_000, "media_type": "text/plain"},
    ),
    "test-resubscribe-message-id": ("sleep", {"seconds": 2 * STREAMING_SECONDS}),
    "": ("tck_say", {}),
}


def plan_for(message_id: str) -> dict[str, Any] | None:
    """The plan that a message's id stands for."""
    scenario = next(told for prefix, told in SCENARIOS.items() if message_id.startswith(prefix))
    return scenario and {"subtasks": [{"id": "tck", "type": scenario[0], "params": scenario[1]}]}


class TckHandler(Handler):
    """The server's handler, which takes the plan for a message from its id."""

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task | pb.Message:
        if params.message.message_id.startswith("tck-message-response"):
            said = [pb.Part(text="Direct message response")]
            return pb.Message(message_id=f"{params.message.message_id}/reply", role=pb.ROLE_AGENT, parts=said)
        return await super().on_message_send(params, context)

    async def _receive(self, params: pb.SendMessageRequest, context: ServerCallContext) -> str:
        """As the real one, but each message has an id of its own: the TCK sends different messages under one id."""
        own = pb.SendMessageRequest()
        own.CopyFrom(params)
        own.message.message_id += f"/{uuid.uuid4()}"
        return await super()._receive(own, context)

    async def _begin(self, message: pb.Message, said: Incoming, owner: str) -> str:
        return await super()._begin(message, replace(said, plan=plan_for(message.message_id)), owner)

    async def _follow_up(self, message: pb.Message, said: Incoming, context: ServerCallContext) -> str:
        """As the real one, but the answer to a question is the message's id, which says what happens next."""
        return await super()._follow_up(message, replace(said, text=message.message_id), context)


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--db", type=Path, required=True)
    given = parser.parse_args()
    builtin.register()
    asyncio.run(serve(given.db, Settings(port=given.port, grpc_port=given.grpc_port), TckHandler))


if __name__ == "__main__":
    main()
