"""A2A's methods over Holdfast: every answer is read from the file, and every change is on disk before it is answered.

Nothing is remembered here between two requests, so a server that was killed is as good as new after its restart, and
any number of them may serve one database.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import shutil
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event as Streamed
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    UnsupportedOperationError,
)
from a2a.utils.task import validate_history_length, validate_page_size
from google.protobuf.json_format import MessageToDict

from holdfast.a2a import extension, incoming, wire
from holdfast.a2a.card import card, extended
from holdfast.a2a.errors import translated
from holdfast.a2a.incoming import Incoming
from holdfast.a2a.telling import Teller
from holdfast.checkpoints import events
from holdfast.checkpoints.errors import AlreadyHeard, BadInput, HoldfastError, LeaseHeld
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import TaskRow
from holdfast.graphs.holdfast import Holdfast, Sender
from holdfast.graphs.view import View, Wanted
from holdfast.nodes import replies

WAITS = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})
PAGE = 50
KEPT = "I kept this. The built-in engine plans and analyses by rules, so it cannot act on it."
ON_THE_WIRE: dict[int, list[tuple[TaskState, bool | None]]] = {
    pb.TaskState.TASK_STATE_SUBMITTED: [(TaskState.SUBMITTED, None), (TaskState.PAUSED, False)],
    pb.TaskState.TASK_STATE_WORKING: [(TaskState.WORKING, None), (TaskState.PAUSED, True)],
    **{pb.TaskState.Value(f"TASK_STATE_{one}"): [(one, None)] for one in TERMINAL | WAITS},
}


@dataclass(slots=True)
class Desk:
    """What requests are served with: the open Holdfast, and how the server is reached.

    ``data`` are folders whose files clients may name; ``base`` is the server's URL, for links where the request does
    not tell it; ``grpc`` is the gRPC port, if there is one; ``keyed`` says whether keys are asked for
    now, which the server keeps up to date.
    """

    hf: Holdfast
    data: Sequence[Path] = ()
    base: str = ""
    grpc: int | None = None
    keyed: bool = False

    def card(self, base: str) -> pb.AgentCard:
        """The public card of a server that is reached at ``base``."""
        at = urlsplit(base)
        grpc = f"{at.netloc.removesuffix(f':{at.port}')}:{self.grpc}" if self.grpc else None
        return card(base, pausable=self.hf.pause_resume, keys=self.keyed, grpc=grpc)

    @property
    def uploads(self) -> Path:
        """Where files that came with messages lie, a folder for each task."""
        return self.hf.database.path.with_name(self.hf.database.path.name + ".d") / "uploads"

    async def answer(self, row: TaskRow, given: Mapping[str, Any], said: Sequence[Message] = ()) -> None:
        """Answers a client's task; an edited plan may read what the task was given, and what clients may name."""
        allowed = [*self.data, self.uploads / row.id, *map(Path, row.options.get("data", ()))]
        registry = self.hf.services.registry
        await asyncio.to_thread(incoming.require_edits_allowed, given, allowed, registry)
        await self.hf.answer_all(row.id, given, said)


class Handler(RequestHandler):
    """A2A's methods, and PauseTask and ResumeTask."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.hf = desk, desk.hf

    @validate_request_params
    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task | pb.Message:
        """Sends a message; waits until the task has ended or asks, unless told to return at once."""
        with translated():
            validate_history_length(params.configuration)
            task_id = await self._receive(params, context)
            if not params.configuration.return_immediately:
                await self._turn_over(task_id)
            return await self._task(task_id, context, params.configuration)

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Streamed, None]:
        """Sends a message and tells what becomes of the task, until it has ended or it is the client's turn."""
        with translated():
            validate_history_length(params.configuration)
            task_id = await self._receive(params, context)
            async for update in self._updates(task_id, context, turn=True):
                yield update

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Streamed, None]:
        """The task as it is now, then every change until it has ended."""
        with translated():
            async for update in self._updates(params.id, context, turn=False):
                yield update

    @validate_request_params
    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """The task as it is now."""
        with translated():
            validate_history_length(params)
            return await self._task(params.id, context, params)

    @validate_request_params
    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's tasks, the last changed first, a page at a time."""
        with translated():
            validate_history_length(params)
            size = params.page_size if params.HasField("page_size") else PAGE
            validate_page_size(size)
            if params.status and params.status not in ON_THE_WIRE:
                raise BadInput(f"there is no task state {params.status}")
            after = _position(params.page_token) if params.page_token else None
            which = {
                "context_id": params.context_id or None,
                "states": ON_THE_WIRE[params.status] if params.status else (),
                "since": params.status_timestamp_after.ToDatetime(UTC).timestamp()
                if params.HasField("status_timestamp_after")
                else None,
                "after": after,
            }
            history = params.history_length if params.HasField("history_length") else None
            wanted = Wanted(history, params.include_artifacts)
            found, total = await self.hf.page(_owner(context), size + 1, wanted, **which)
            shown = [await self._shown(one, context) for one in found[:size]]
            more = len(found) > size
            token = _token(after[0] if after else found[0].row.updated_at, found[size - 1].row.number) if more else ""
            return pb.ListTasksResponse(tasks=shown, next_page_token=token, page_size=size, total_size=total)

    @validate_request_params
    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Ends a task for good."""
        with translated(illegal=TaskNotCancelableError):
            await self._mine(params.id, context)
            await self.hf.cancel(params.id)
            return await self._task(params.id, context)

    @validate_request_params
    async def on_pause_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Stops a task so that it can go on later; once this returns nothing of it starts."""
        with translated():
            self._require_switch()
            await self._mine(params.id, context)
            asked = extension.request(MessageToDict(params.metadata))
            await self.hf.pause(params.id, mode=asked.mode, reason=asked.reason, until=asked.until)
            return await self._task(params.id, context)

    @validate_request_params
    async def on_resume_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Lets a paused task go on from where it stopped."""
        with translated():
            self._require_switch()
            seen = await self._mine(params.id, context)
            if seen.row.state == TaskState.SUBMITTED:
                raise UnsupportedOperationError(
                    message=f"task {params.id} is SUBMITTED: it cannot be resumed", data={"state": "SUBMITTED"}
                )
            if seen.row.state != TaskState.WORKING:
                with suppress(LeaseHeld):  # somebody else has resumed it since it was read
                    await self.hf.resume(params.id)
            return await self._task(params.id, context)

    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> pb.AgentCard:
        """The card with every task type that plans may use."""
        with translated():
            return extended(self.desk.card(context.state.get("base") or self.desk.base), self.hf.services.registry)

    async def on_create_task_push_notification_config(self, params: Any, context: ServerCallContext) -> Any:
        """Not supported."""
        raise PushNotificationNotSupportedError

    async def on_get_task_push_notification_config(self, params: Any, context: ServerCallContext) -> Any:
        """Not supported."""
        raise PushNotificationNotSupportedError

    async def on_list_task_push_notification_configs(self, params: Any, context: ServerCallContext) -> Any:
        """Not supported."""
        raise PushNotificationNotSupportedError

    async def on_delete_task_push_notification_config(self, params: Any, context: ServerCallContext) -> None:
        """Not supported."""
        raise PushNotificationNotSupportedError

    def _require_switch(self) -> None:
        if not self.hf.pause_resume:
            raise UnsupportedOperationError(message="pause and resume are switched off at this agent")

    async def _receive(self, params: pb.SendMessageRequest, context: ServerCallContext) -> str:
        """Takes a message in; returns the id of its task.  A message that came before changes nothing."""
        if params.configuration.HasField("task_push_notification_config"):
            raise PushNotificationNotSupportedError
        said, owner = incoming.read(params.message), _owner(context)
        if task_id := await self._heard(params.message, said, owner):
            return task_id
        try:
            if params.message.task_id:
                return await self._follow_up(params.message, said, context)
            return await self._begin(params.message, said, owner)
        except (A2AError, HoldfastError):
            if task_id := await self._heard(params.message, said, owner):  # it came twice at once
                return task_id
            raise

    async def _heard(self, message: pb.Message, said: Incoming, owner: str) -> str | None:
        """The task of a message that came before, None for a new one; raises BadInput if it said something else."""
        before = await self.hf.heard(owner, said.id)
        if before is None:
            return None
        task_id, known = before
        if list(known.parts) != said.parts or message.task_id not in ("", task_id):
            raise BadInput(f"the message id {said.id!r} was used before, for another message")
        return task_id

    async def _begin(self, message: pb.Message, said: Incoming, owner: str) -> str:
        task_id = str(uuid.uuid4())
        folder = self.desk.uploads / task_id
        check = partial(incoming.fields, said, folder, self.desk.data, self.hf.services.registry)
        given = await asyncio.to_thread(check)
        if message.reference_task_ids:
            given["reuse"] = (await self.hf.view(owner, message.reference_task_ids[0])).row.id
        goal = said.text or ("Carry out the given plan" if said.plan is not None else "")
        sender = Sender(owner, message.context_id or None, said.kept, task_id)
        try:
            await asyncio.to_thread(incoming.save, said.uploads, folder)
            await self.hf.start(goal, **given, sender=sender)
        except (BadInput, AlreadyHeard):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return task_id

    async def _follow_up(self, message: pb.Message, said: Incoming, context: ServerCallContext) -> str:
        """A message to a task that there is: it answers what is open, or is kept.  Returns the task's id."""
        seen = await self._mine(message.task_id, context)
        row = seen.row
        if message.context_id not in ("", row.context_id):
            raise BadInput(f"task {row.id} is in another context than {message.context_id!r}")
        if row.state in TERMINAL:
            raise UnsupportedOperationError(
                message=f"task {row.id} is {row.state}: it takes no more messages", data={"state": row.state.value}
            )
        if said.plan is not None or said.options or said.uploads:
            raise BadInput("a plan, options and files are for the message that begins a task")
        if said.answers is not None:
            given = said.answers
        elif row.state in WAITS:
            given = replies.answers_in(said.text if said.data is None else said.data, seen.questions)
        else:
            reply = Message(f"{said.id}/kept", "agent", [{"text": KEPT}])
            await self.hf.say(row.id, said.kept, *([] if self.hf.has_model else [reply]))
            return row.id
        await self.desk.answer(row, given, [said.kept])
        return row.id

    async def _mine(self, task_id: str, context: ServerCallContext) -> View:
        """The caller's task; a foreign one is as unknown as one that never was."""
        return await self.hf.view(_owner(context), task_id, Wanted(history=0, artifacts=False))

    async def _task(self, task_id: str, context: ServerCallContext, limits: Any = None) -> pb.Task:
        history = limits.history_length if limits is not None and limits.HasField("history_length") else None
        return await self._shown(await self.hf.view(_owner(context), task_id, Wanted(history)), context)

    async def _shown(self, seen: View, context: ServerCallContext) -> pb.Task:
        base = context.state.get("base") or self.desk.base
        show = partial(wire.task, seen, self.hf.database.files, f"{base}/a2a")
        return await asyncio.to_thread(show) if seen.artifacts else show()

    async def _turn_over(self, task_id: str) -> None:
        """Waits until the task has ended or asks; a paused one is waited for."""
        while (row := await self.hf.services.task(task_id)).state not in TERMINAL | WAITS:
            await self.hf.feed.changed(task_id, row.last_seq)

    async def _updates(self, task_id: str, context: ServerCallContext, *, turn: bool) -> AsyncGenerator[Streamed, None]:
        """A snapshot, then every later event; with ``turn`` it ends when the task waits for its client."""
        seen = await self.hf.view(_owner(context), task_id)
        if not turn and seen.row.state in TERMINAL:
            raise UnsupportedOperationError(
                message=f"task {task_id} is {seen.row.state}: nothing more will be told of it",
                data={"state": seen.row.state.value},
            )
        yield await self._shown(seen, context)
        ends = TERMINAL | WAITS if turn else TERMINAL
        teller, after = Teller.of(self.hf, seen), seen.row.last_seq
        while teller.state not in ends:
            batch = await self.hf.database.aread(partial(events.read, task_id=task_id, after=after))
            for event in batch:
                async for update in teller.tell(event):
                    yield update
                after = event.seq
                if teller.state in ends:
                    return
            if not batch:
                await self.hf.feed.changed(task_id, after)


def _owner(context: ServerCallContext) -> str:
    return context.user.user_name if context.user.is_authenticated else ""


def _token(top: float, number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([top, number]).encode()).decode().rstrip("=")


def _position(token: str) -> tuple[float, int]:
    try:
        top, number = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return float(top), int(number)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidParamsError(message="pageToken is not one of this server's") from None
