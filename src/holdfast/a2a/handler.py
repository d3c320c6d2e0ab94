"""A2A's methods over Holdfast: every answer is read from the file, and every change is on disk before it is answered.

Nothing is remembered here between two requests, so a server that was killed is as good as new after its restart, and
any number of them may serve one database.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event as Streamed
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.task import validate_history_length, validate_page_size
from google.protobuf.message import Message as Protobuf

from holdfast.a2a import extension, incoming, wire
from holdfast.a2a.card import card, extended
from holdfast.a2a.errors import translated
from holdfast.a2a.incoming import Incoming
from holdfast.a2a.reading import Readable, edits_resolved
from holdfast.a2a.telling import Teller
from holdfast.a2a.turns import Turns
from holdfast.checkpoints import events, tasks
from holdfast.checkpoints.errors import BadInput, HoldfastError, LeaseHeld
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.prune import uploads
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import TaskRow
from holdfast.graphs.holdfast import Holdfast, Sender
from holdfast.graphs.live import Live
from holdfast.graphs.view import View, Wanted
from holdfast.nodes import replies

WAITS = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})
PAGE = 50
WHO = "holdfast_who"  # in the scope of a request and the state of a call: who is to be counted for it
HALF_A_MICROSECOND = 5e-7  # by which a time that was told may be later than the one that it tells
FULL = Wanted(history=100, characters=4 << 20)  # what a task is told with where its history may be asked for
SHORT = Wanted(history=10, characters=1 << 18)  # and where it may not
KEPT = "I kept this. The built-in engine plans and analyses by rules, so it cannot act on it."
ON_THE_WIRE: dict[int, list[tuple[TaskState, bool | None]]] = {
    pb.TaskState.TASK_STATE_SUBMITTED: [(TaskState.SUBMITTED, None), (TaskState.PAUSED, False)],
    pb.TaskState.TASK_STATE_WORKING: [(TaskState.WORKING, None), (TaskState.PAUSED, True)],
    **{pb.TaskState.Value(f"TASK_STATE_{one}"): [(one, None)] for one in TERMINAL | WAITS},
}
_BEFORE = re.compile("_([a-z])")
_TOKEN = re.compile(r"\[(\d{1,12}(?:\.\d{1,12})?), (\d{1,18})\]", re.ASCII)


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
    turns: Turns = field(default_factory=Turns)

    def card(self, base: str) -> pb.AgentCard:
        """The public card of a server that is reached at ``base``."""
        at = urlsplit(base)
        grpc = f"{at.netloc.removesuffix(f':{at.port}')}:{self.grpc}" if self.grpc else None
        return card(base, pausable=self.hf.pause_resume, keys=self.keyed, grpc=grpc)

    @property
    def uploads(self) -> Path:
        """Where files that came with messages lie, a folder for each task."""
        return uploads(self.hf.database)

    def readable(self, task_id: str, given: Sequence[str] = ()) -> Readable:
        """The files that a client may name for its task, which was ``given`` those when it began."""
        return Readable([self.uploads / task_id, *self.data, *map(Path, given)], frozenset(given))

    async def answer(self, row: TaskRow, given: Mapping[str, Any], said: Sequence[Message] = ()) -> None:
        """Answers a client's task; an edited plan may read what the task was given, and what clients may name."""
        readable = self.readable(row.id, row.options.get("data", ()))
        checked = await asyncio.to_thread(edits_resolved, given, readable, self.hf.services.registry)
        await self.hf.answer_all(row.id, checked, said)


class Handler(RequestHandler):
    """A2A's methods, and PauseTask and ResumeTask."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.hf = desk, desk.hf

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task | pb.Message:
        """Sends a message; waits until the task has ended or asks, unless told to return at once."""
        with translated():
            _require_fields(params)
            wanted = _wanted(params.configuration, FULL)
            task_id = await self._receive(params, context)
            if not params.configuration.return_immediately:
                await self._turn_over(task_id)
            return await self._task(task_id, context, wanted)

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Streamed, None]:
        """Sends a message and tells what becomes of the task, until it has ended or it is the client's turn."""
        with translated():
            _require_fields(params)
            wanted = _wanted(params.configuration, SHORT)
            task_id = await self._receive(params, context)
            async for update in self._updates(task_id, context, wanted, turn=True):
                yield update

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Streamed, None]:
        """The task as it is now, then every change until it has ended."""
        with translated():
            _require_fields(params)
            async for update in self._updates(params.id, context, SHORT, turn=False):
                yield update

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """The task as it is now."""
        with translated():
            _require_fields(params)
            return await self._task(params.id, context, _wanted(params, FULL))

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's tasks, the last changed first, a page at a time."""
        with translated():
            _require_fields(params)
            size = params.page_size if params.HasField("page_size") else PAGE
            validate_page_size(size)
            if params.status and params.status not in ON_THE_WIRE:
                raise BadInput(f"there is no task state {params.status}")
            after = _position(params.page_token) if params.page_token else None
            which = {
                "context_id": params.context_id or None,
                "states": ON_THE_WIRE[params.status] if params.status else (),
                "since": _since(params),
                "after": after,
            }
            asked = _wanted(params, SHORT)
            wanted = replace(asked, artifacts=params.include_artifacts, characters=(FULL.characters or 0) // size)
            found, total = await self.hf.page(_owner(context), size + 1, wanted, **which)
            shown = await self._shown(found[:size], context)
            more = len(found) > size
            token = _token(after[0] if after else found[0].row.updated_at, found[size - 1].row.number) if more else ""
            return pb.ListTasksResponse(tasks=shown, next_page_token=token, page_size=size, total_size=total)

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Ends a task for good."""
        with translated(illegal=TaskNotCancelableError):
            _require_fields(params)
            await self._mine(params.id, context)
            await self.hf.cancel(params.id)
            return await self._task(params.id, context, SHORT)

    async def on_pause_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Stops a task so that it can go on later; once this returns nothing of it starts."""
        with translated():
            _require_fields(params)
            self._require_switch()
            await self._mine(params.id, context)
            asked = extension.request(_said_to(extension.URI, params))
            await self.hf.pause(params.id, mode=asked.mode, reason=asked.reason, until=asked.until)
            return await self._task(params.id, context, SHORT)

    async def on_resume_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Lets a paused task go on from where it stopped."""
        with translated():
            _require_fields(params)
            self._require_switch()
            seen = await self._mine(params.id, context)
            if seen.row.state == TaskState.SUBMITTED:
                raise UnsupportedOperationError(
                    message=f"task {params.id} is SUBMITTED: it cannot be resumed", data={"state": "SUBMITTED"}
                )
            if seen.row.state != TaskState.WORKING:
                with suppress(LeaseHeld):  # somebody else has resumed it since it was read
                    await self.hf.resume(params.id)
            return await self._task(params.id, context, SHORT)

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

    async def require_task(self, task_id: str, context: ServerCallContext) -> None:
        """Raises TaskNotFoundError unless the caller has a task of exactly that id."""
        with translated():
            await self._mine(task_id, context)

    def _require_switch(self) -> None:
        if not self.hf.pause_resume:
            raise UnsupportedOperationError(message="pause and resume are switched off at this agent")

    async def _receive(self, params: pb.SendMessageRequest, context: ServerCallContext) -> str:
        """Takes a message in; returns the id of its task.  A message that came before changes nothing."""
        if params.configuration.HasField("task_push_notification_config"):
            raise PushNotificationNotSupportedError
        owner = _owner(context)
        said = await self.desk.turns.make(whose(context), params.ByteSize(), incoming.read, params.message)
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
        if (list(known.parts), known.about) != (said.parts, said.about) or message.task_id not in ("", task_id):
            raise BadInput(f"the message id {said.id!r} was used before, for another message")
        return task_id

    async def _begin(self, message: pb.Message, said: Incoming, owner: str) -> str:
        task_id = str(uuid.uuid4())
        folder, registry = self.desk.uploads / task_id, self.hf.services.registry
        goal = said.text or ("Carry out the given plan" if said.plan is not None else "")
        sender = Sender(owner, message.context_id or None, said.kept, task_id)
        try:
            await asyncio.to_thread(incoming.save, said.uploads, folder)
            read = partial(incoming.fields, said, folder, self.desk.readable(task_id), registry)
            given = await asyncio.to_thread(read)
            if message.reference_task_ids:
                given["reuse"] = (await self._seen(message.reference_task_ids[0], owner)).row.id
            await self.hf.start(goal, **given, sender=sender)
        except Exception:
            await self._remove(folder, task_id)
            raise
        return task_id

    async def _remove(self, folder: Path, task_id: str) -> None:
        """Removes the uploads of a task that there is not; what is left where that is not known, ``prune`` removes."""
        with suppress(HoldfastError):
            if await self.hf.database.aread(partial(tasks.find, task_id=task_id)) is None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

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
        return await self._seen(task_id, _owner(context))

    async def _seen(self, task_id: str, owner: str) -> View:
        return await self.hf.view(owner, task_id, Wanted(history=0, artifacts=False))

    async def _task(self, task_id: str, context: ServerCallContext, wanted: Wanted) -> pb.Task:
        (shown,) = await self._shown([await self.hf.view(_owner(context), task_id, wanted)], context)
        return shown

    async def _shown(self, seen: Sequence[View], context: ServerCallContext) -> list[pb.Task]:
        """Tasks for the wire, made off the event loop: they may be large, and files are read."""
        base, files = context.state.get("base") or self.desk.base, self.hf.database.files
        return await asyncio.to_thread(lambda: [wire.task(one, files, f"{base}/a2a") for one in seen])

    async def _turn_over(self, task_id: str) -> None:
        """Waits until the task has ended or asks; a paused one is waited for."""
        while (row := await self.hf.services.task(task_id)).state not in TERMINAL | WAITS:
            await self.hf.feed.changed(task_id, row.last_seq)

    async def _updates(
        self, task_id: str, context: ServerCallContext, wanted: Wanted, *, turn: bool
    ) -> AsyncGenerator[Streamed, None]:
        """A snapshot, then every later event; with ``turn`` it ends when the task waits for its client."""
        seen = await self.hf.view(_owner(context), task_id, wanted)
        if not turn and seen.row.state in TERMINAL:
            raise UnsupportedOperationError(
                message=f"task {task_id} is {seen.row.state}: nothing more will be told of it",
                data={"state": seen.row.state.value},
            )
        (shown,) = await self._shown([seen], context)
        yield shown
        ends = TERMINAL | WAITS if turn else TERMINAL
        teller, after = Teller.of(self.hf, seen), seen.row.last_seq
        with Live(self.hf, task_id, {"token"}) as live:
            while teller.state not in ends:
                for news in live.take():
                    yield teller.live(news["subtask"], news["data"]["text"], after)
                batch = await self.hf.database.aread(partial(events.read, task_id=task_id, after=after))
                for event in batch:
                    async for update in teller.tell(event):
                        yield update
                    after = event.seq
                    if teller.state in ends:
                        return
                if not batch:
                    await live.something(self.hf.feed.changed(task_id, after))


def whose(context: ServerCallContext) -> str:
    """Who is to be counted for a call: its owner, or where there is none whoever it comes from."""
    return str(context.state.get(WHO) or _owner(context))


def _owner(context: ServerCallContext) -> str:
    return context.user.user_name if context.user.is_authenticated else ""


def _wanted(params: Any, usual: Wanted) -> Wanted:
    """How much of a task is asked for, else what is usual; raises InvalidParamsError."""
    validate_history_length(params)
    return replace(usual, history=params.history_length) if params.HasField("history_length") else usual


def _require_fields(params: Protobuf) -> None:
    """Raises InvalidParamsError if a required field is missing, BadInput for too many parts.

    JSON of the client's own has no required fields, and it would take long to look for them in it.
    """
    if isinstance(params, pb.SendMessageRequest):
        incoming.require_few(params.message)
    bare = type(params)()
    bare.CopyFrom(params)
    _empty(bare)
    try:
        validate_proto_required_fields(bare)
    except InvalidParamsError as error:
        missing = ", ".join(sorted(_camel(one["field"]) for one in (error.data or {})["errors"]))
        raise InvalidParamsError(message=f"this is required and missing: {missing}", data=error.data) from None


def _camel(path: str) -> str:
    """The path of a field with its names as they are in JSON."""
    return _BEFORE.sub(lambda found: found[1].upper(), path)


def _empty(message: Protobuf) -> None:
    """Takes free JSON out of a message."""
    for about, value in message.ListFields():
        if about.message_type is None:
            continue
        for one in [value] if isinstance(value, Protobuf) else value:
            if one.DESCRIPTOR.full_name.startswith("google.protobuf."):
                one.Clear()
            else:
                _empty(one)


def _said_to(uri: str, params: pb.CancelTaskRequest) -> dict[str, Any]:
    """What a request's metadata says to one extension; other keys are not looked into."""
    fields = params.metadata.fields
    return {uri: wire.plain(fields[uri])} if uri in fields else {}


def _since(params: pb.ListTasksRequest) -> float | None:
    if not params.HasField("status_timestamp_after"):
        return None
    try:
        return params.status_timestamp_after.ToDatetime(UTC).timestamp() - HALF_A_MICROSECOND
    except (ValueError, OverflowError):
        raise BadInput("statusTimestampAfter is no time that there is") from None


def _token(top: float, number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([top, number]).encode()).decode().rstrip("=")


def _position(token: str) -> tuple[float, int]:
    try:
        found = _TOKEN.fullmatch(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    except ValueError:
        found = None
    if found is None:
        raise InvalidParamsError(message="pageToken is not one of this server's")
    return float(found[1]), int(found[2])
