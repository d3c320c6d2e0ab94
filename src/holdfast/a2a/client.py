"""A small client for Holdfast's server, over a2a-sdk's: ``async with connect(url) as agent``.

It adds what the SDK has no word for: PauseTask and ResumeTask, files from paths, answers by question id, and streams
that go on after a lost connection.  What the server refuses is raised as the SDK's errors (``a2a.utils.errors``).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import ClientCallContext
from a2a.client.errors import A2AClientError
from a2a.client.transports.jsonrpc import JsonRpcTransport
from a2a.extensions.common import HTTP_EXTENSION_HEADER
from a2a.types import a2a_pb2 as pb
from a2a.utils.constants import PROTOCOL_VERSION_1_0, VERSION_HEADER
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from holdfast.a2a import wire
from holdfast.a2a.card import API_KEY_HEADER
from holdfast.a2a.extension import URI
from holdfast.a2a.incoming import FILE_TYPES
from holdfast.a2a.key import own_key
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.events import timestamp

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 60.0  # a server says something on an open stream every 15 seconds
PATIENCE_SECONDS = 30.0  # for which a lost server is looked for again
AGAIN_SECONDS = (0.1, 2.0)  # the first and the longest pause between two attempts
PASSING = frozenset({429, 502, 503, 504})  # HTTP statuses that may be over soon
ENDS = frozenset(
    {
        pb.TaskState.TASK_STATE_COMPLETED,
        pb.TaskState.TASK_STATE_FAILED,
        pb.TaskState.TASK_STATE_CANCELED,
        pb.TaskState.TASK_STATE_REJECTED,
    }
)
TURNS = ENDS | {pb.TaskState.TASK_STATE_INPUT_REQUIRED, pb.TaskState.TASK_STATE_AUTH_REQUIRED}
TYPES = {suffix: kind for kind, suffix in reversed(FILE_TYPES.items())}
Files = Sequence[str | Path]


class KeyFor(httpx.Auth):
    """Shows an API key to one server only, whatever other addresses its answers name."""

    def __init__(self, url: str, key: str) -> None:
        self._origin, self._key = _origin(httpx.URL(url)), key

    def auth_flow(self, request: httpx.Request) -> Any:
        """Adds the header."""
        if self._key and _origin(request.url) == self._origin:
            request.headers[API_KEY_HEADER] = self._key
        yield request


class Transport(JsonRpcTransport):
    """The SDK's, with the extension's two methods."""

    async def call(self, method: str, params: pb.CancelTaskRequest) -> pb.Task:
        """PauseTask or ResumeTask."""
        context = ClientCallContext(service_parameters={HTTP_EXTENSION_HEADER: URI})
        body = {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": method, "params": MessageToDict(params)}
        answer = await self._send_request(body, context)
        return ParseDict(answer["result"], pb.Task(), ignore_unknown_fields=True)


def connect(url: str, key: str | None = None) -> Agent:
    """The agent at ``url``, to be entered with ``async with``; ``key`` is its API key, else ``HOLDFAST_API_KEY``."""
    return Agent(url, key)


class Agent:
    """One agent that is reached over HTTP; every method may raise ``a2a.utils.errors.A2AError``."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._key = own_key(key)

    async def __aenter__(self) -> Agent:
        self._http = httpx.AsyncClient(
            auth=KeyFor(self.url, self._key),
            headers={VERSION_HEADER: PROTOCOL_VERSION_1_0},
            timeout=httpx.Timeout(CONNECT_SECONDS, read=SILENT_SECONDS),
        )
        try:
            self.card = await A2ACardResolver(self._http, self.url).get_agent_card()
            self._rpc = Transport(self._http, self.card, _endpoint(self.card))
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def send(self, text: str = "", *, wait: bool = True, **said: Any) -> pb.Task:
        """Begins a task, or says something in one, and returns it; ``said`` is what ``message`` takes.

        With ``wait`` it returns once the task has ended or asks; a paused task is waited for.
        """
        if wait:
            task_id = ""
            async for update in self.stream(text, **said):
                task_id = task_id or update.task.id
            return await self.get(task_id)
        return await self._send(message(text, **said))

    async def stream(self, text: str = "", **said: Any) -> AsyncIterator[pb.StreamResponse]:
        """As ``send``, and tells what becomes of the task: first the task, then each change, until it is our turn."""
        request = pb.SendMessageRequest(message=message(text, **said))
        following = _Following(TURNS)
        async for update in following.over(lambda: self._rpc.send_message_streaming(request), self._joined):
            yield update

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        """The task as it is, then each change until it has ended; of a task that has ended only the first."""
        following = _Following(ENDS, task_id)
        async for update in following.over(lambda: self._joined(task_id), self._joined):
            yield update

    async def get(self, task_id: str) -> pb.Task:
        """The task as it is now."""
        return await self._rpc.get_task(pb.GetTaskRequest(id=task_id))

    async def list(self, **which: Any) -> list[pb.Task]:
        """All our tasks, the last changed first; ``which`` are fields of ListTasksRequest, such as context_id."""
        found, request = list[pb.Task](), pb.ListTasksRequest(page_size=100, **which)
        while True:
            page = await self._rpc.list_tasks(request)
            found += page.tasks
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def pause(
        self, task_id: str, *, mode: str = "step", reason: str | None = None, until: datetime | None = None
    ) -> pb.Task:
        """Pauses a task: once this returns nothing of it starts.  ``until`` is when it goes on by itself."""
        if until is not None and until.tzinfo is None:
            raise BadInput("until has to have a time zone; make it with datetime.now().astimezone() or UTC")
        over = timestamp(until.astimezone(UTC)) if until else None
        wanted = {"mode": mode, "reason": reason, "until": over}
        request = pb.CancelTaskRequest(id=task_id)
        request.metadata.update({URI: {name: value for name, value in wanted.items() if value is not None}})
        return await self._rpc.call("PauseTask", request)

    async def resume(self, task_id: str) -> pb.Task:
        """Lets a paused task go on from where it stopped."""
        return await self._rpc.call("ResumeTask", pb.CancelTaskRequest(id=task_id))

    async def answer(self, task_id: str, answers: Mapping[str, Any]) -> pb.Task:
        """Answers open questions by their ids, all or none; the task goes on unless it is paused."""
        return await self._send(message(task_id=task_id, answers=answers))

    async def cancel(self, task_id: str) -> pb.Task:
        """Ends a task for good."""
        return await self._rpc.cancel_task(pb.CancelTaskRequest(id=task_id))

    async def _send(self, said: pb.Message) -> pb.Task:
        at_once = pb.SendMessageConfiguration(return_immediately=True)
        return (await self._rpc.send_message(pb.SendMessageRequest(message=said, configuration=at_once))).task

    async def _joined(self, task_id: str) -> AsyncGenerator[pb.StreamResponse]:
        """SubscribeToTask, which is refused for a task that has ended: then only that."""
        try:
            async for update in self._rpc.subscribe(pb.SubscribeToTaskRequest(id=task_id)):
                yield update
        except UnsupportedOperationError:
            yield pb.StreamResponse(task=await self.get(task_id))


class _Following:
    """One stream over as many connections as it takes; remembers what was told, so that nothing is told twice."""

    def __init__(self, ends: frozenset[Any], task_id: str = "") -> None:
        self._ends, self._task_id = ends, task_id
        self._seq, self._whole, self._over = -1, True, False

    async def over(self, first: Any, again: Any) -> AsyncIterator[pb.StreamResponse]:
        """The updates of ``first()`` and, after a lost connection, of ``again(task id)``; see ``_is_new``."""
        begin, until, pause = first, time.monotonic() + PATIENCE_SECONDS, AGAIN_SECONDS[0]
        while True:
            try:
                async with aclosing(begin()) as connection:
                    async for update in connection:
                        until, pause = time.monotonic() + PATIENCE_SECONDS, AGAIN_SECONDS[0]
                        if self._is_new(update):
                            yield update
                        if self._over:
                            return
            except A2AClientError as error:
                if not is_lost(error) or time.monotonic() > until:
                    raise
            if time.monotonic() > until:
                raise A2AClientError("the connection is lost again and again, and the task has not ended")
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_SECONDS[1])
            if self._task_id:  # else nothing came; the same message sent twice is taken once
                begin = lambda: again(self._task_id)  # noqa: E731

    def _is_new(self, update: pb.StreamResponse) -> bool:
        """Takes note of an update; whether it tells anything new.

        After a lost connection the server begins with the task as it is, which has all that was missed: that is new if
        something happened meanwhile, or if what was told last was told in part.
        """
        kind = update.WhichOneof("payload")
        told = update.task if kind == "task" else update.status_update if kind == "status_update" else None
        about: Any = getattr(update, str(kind))
        number = seq(about)
        new = kind != "task" or number > self._seq or not self._whole
        self._seq = max(self._seq, number)
        self._whole = kind != "artifact_update" or (about.last_chunk and about.artifact.artifact_id != wire.RESULTS)
        if told is not None:
            self._task_id = self._task_id or (update.task.id if kind == "task" else update.status_update.task_id)
            self._over = told.status.state in self._ends
        return new


def message(
    text: str = "",
    *,
    plan: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    answers: Mapping[str, Any] | None = None,
    files: Files = (),
    task_id: str = "",
    context_id: str = "",
    references: Sequence[str] = (),
) -> pb.Message:
    """A message of ours: a goal with its plan, options and data files, or answers, or just text.

    ``references`` are ids of tasks whose results may be used again.  Raises BadInput for a file that cannot be read.
    """
    data = {"plan": plan, "options": options, "answers": answers}
    given = {name: value for name, value in data.items() if value is not None}
    parts = [pb.Part(text=text)] if text else []
    if given:
        parts.append(pb.Part(data=ParseDict(given, struct_pb2.Value(), max_recursion_depth=1000)))
    parts += [_file(Path(one)) for one in files]
    return pb.Message(
        message_id=str(uuid.uuid4()),
        role=pb.Role.ROLE_USER,
        parts=parts,
        task_id=task_id,
        context_id=context_id,
        reference_task_ids=references,
    )


def seq(told: pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent) -> int:
    """The number of the last event that a task or an update tells of; -1 if it does not say."""
    ours = _metadata(told).get(wire.OURS)
    return int(ours["seq"]) if isinstance(ours, dict) and "seq" in ours else -1


def paused(told: pb.Task | pb.TaskStatusUpdateEvent) -> dict[str, Any] | None:
    """What the pause extension says of a paused task: by whom, why, since when; None if it is not paused."""
    said = _metadata(told).get(URI)
    return said if isinstance(said, dict) and said.get("state") == "PAUSED" else None


def is_lost(error: BaseException) -> bool:
    """Whether the server could not be reached, or not now, so that trying again makes sense."""
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        return cause.response.status_code in PASSING
    return isinstance(cause, httpx.TransportError)


def _metadata(told: Any) -> dict[str, Any]:
    return wire.Json().struct(told.metadata)


def _file(path: Path) -> pb.Part:
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"the file {path} cannot be read ({(error.strerror or str(error)).lower()})") from None
    kind = TYPES.get(path.suffix.lower(), "application/octet-stream")
    return pb.Part(raw=content, filename=path.name, media_type=kind)


def _endpoint(card: pb.AgentCard) -> str:
    found = (one.url for one in card.supported_interfaces if one.protocol_binding == "JSONRPC")
    if url := next(found, None):
        return url
    raise A2AClientError(f"the agent {card.name!r} has no JSON-RPC interface")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
