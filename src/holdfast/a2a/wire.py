"""Holdfast's words in A2A's: states, messages, questions and artifacts.  The only effect is that files are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from a2a.types import a2a_pb2 as pb
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from holdfast.a2a.extension import URI, paused
from holdfast.checkpoints.files import Files
from holdfast.checkpoints.messages import Message
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs.view import View

INLINE_BYTES = 32 * 1024  # of a file that stands in a Task; larger ones are fetched by their URL
CHUNK_BYTES = 256 * 1024  # of a file in one artifact update
LINK = "text/uri-list"  # RFC 2483: the artifact is what its content points to
RESULTS = "results"
OURS = "holdfast"  # our own key in metadata: {"seq": the event this tells}


_STATES: dict[TaskState, Any] = {
    one: pb.TaskState.Value(f"TASK_STATE_{one}") for one in TaskState if one != TaskState.PAUSED
}


def state(row: TaskState, *, begun: bool) -> pb.TaskState:
    """The state on the wire: a paused task is at work, or submitted if it never began."""
    if row == TaskState.PAUSED:
        row = TaskState.WORKING if begun else TaskState.SUBMITTED
    made: pb.TaskState = _STATES[row]
    return made


def timestamped(state_: pb.TaskState, at: datetime, message: pb.Message | None = None) -> pb.TaskStatus:
    """A status with its time."""
    status = pb.TaskStatus(state=state_, message=message)
    status.timestamp.FromDatetime(at)
    return status


def task(seen: View, files: Files, base: str) -> pb.Task:
    """The whole task; ``base`` is the URL under which its files are fetched."""
    row = seen.row
    at = datetime.fromtimestamp(row.updated_at, UTC)
    return pb.Task(
        id=row.id,
        context_id=row.context_id,
        status=timestamped(state(row.state, begun=seen.begun), at, status_message(seen)),
        artifacts=artifacts(seen, files, base),
        history=[message(one, row.id, row.context_id) for one in seen.messages],
        metadata=metadata(row.last_seq, paused(row.stops, seen.in_flight) if row.state == TaskState.PAUSED else None),
    )


def metadata(seq: int, paused_: Mapping[str, Any] | None, **more: Any) -> struct_pb2.Struct:
    """The seq that this tells of and, while a task is paused, what the extension says."""
    return _struct({OURS: {"seq": seq, **more}, **({URI: paused_} if paused_ else {})})


def status_message(seen: View) -> pb.Message | None:
    """What a task says of where it stands: its open questions, or why it failed."""
    if seen.questions:
        return asked(seen.questions, seen.row.id, seen.row.context_id)
    return failed(seen.row.error, seen.row.id, seen.row.context_id) if seen.row.error else None


def failed(error: str, task_id: str, context_id: str) -> pb.Message:
    """Why a task ended without completing."""
    return _agent(f"{task_id}/error", task_id, context_id, [pb.Part(text=error)])


def asked(questions: Sequence[Question], task_id: str, context_id: str) -> pb.Message:
    """Questions as a message: in words, and as data with their ids and schemas."""
    words = [one.prompt if len(questions) == 1 else f"{one.id}: {one.prompt}" for one in questions]
    forms = {"questions": [one.to_json() for one in questions]}
    parts = [pb.Part(text="\n\n".join(words)), pb.Part(data=_value(forms), media_type="application/json")]
    return _agent(f"{task_id}/{'+'.join(one.id for one in questions)}", task_id, context_id, parts)


def message(said: Message, task_id: str, context_id: str) -> pb.Message:
    """A message that was kept; its files are named by their hash."""
    role = pb.Role.ROLE_USER if said.role == "user" else pb.Role.ROLE_AGENT
    parts = [_part(part) for part in said.parts]
    return pb.Message(message_id=said.id, task_id=task_id, context_id=context_id, role=role, parts=parts)


def parts_of(said: pb.Message, hashes: Sequence[str]) -> list[dict[str, Any]]:
    """A message's parts as they are kept; ``hashes`` are those of its files, in order."""
    left, kept = iter(hashes), list[dict[str, Any]]()
    for part in said.parts:
        match part.WhichOneof("content"):
            case "text":
                kept.append({"text": part.text})
            case "data":
                kept.append({"data": plain(part.data)})
            case "raw":
                kept.append({"filename": part.filename, "mediaType": part.media_type, "sha256": next(left)})
    return kept


def plain(data: struct_pb2.Value) -> Any:
    """The JSON value; whole numbers are integers again, which protobuf's JSON has none of."""
    return _whole(MessageToDict(data))


def artifacts(seen: View, files: Files, base: str) -> list[pb.Artifact]:
    """What a task has handed out; large files as links, and the last subtasks' results once it has completed."""
    made = []
    for row in seen.artifacts:
        artifact = pb.Artifact(artifact_id=row.name, name=row.name)
        if row.bytes > INLINE_BYTES and not is_value(row):
            url = f"{base}/artifacts/{seen.row.id}/{quote(row.name)}"
            artifact.parts.append(pb.Part(url=url, filename=_filename(row), media_type=row.media_type))
        else:
            artifact.parts.append(_content(row, files.path(row.sha256).read_bytes()))
        made.append(artifact)
    return made + ([results(seen.results)] if seen.results else [])


def results(given: Mapping[str, Any]) -> pb.Artifact:
    """The results of a task's last subtasks, by id."""
    part = pb.Part(data=_value(given), media_type="application/json")
    return pb.Artifact(artifact_id=RESULTS, name=RESULTS, parts=[part])


def chunks(row: ArtifactRow, files: Files) -> Iterator[tuple[pb.Artifact, bool, bool]]:
    """(artifact, append, last chunk) for each part in which a file is streamed."""
    if row.bytes <= CHUNK_BYTES or is_value(row):
        part = _content(row, files.path(row.sha256).read_bytes())
        yield pb.Artifact(artifact_id=row.name, name=row.name, parts=[part]), False, True
        return
    with files.path(row.sha256).open("rb") as file:
        for start in range(0, row.bytes, CHUNK_BYTES):
            part = pb.Part(raw=file.read(CHUNK_BYTES), filename=_filename(row), media_type=row.media_type)
            artifact = pb.Artifact(artifact_id=row.name, name=row.name, parts=[part])
            yield artifact, start > 0, start + CHUNK_BYTES >= row.bytes


def is_value(row: ArtifactRow) -> bool:
    """Whether an artifact is a value rather than a file: its name has no suffix and its content is text or JSON."""
    return row.media_type == LINK or (
        not PurePosixPath(row.name).suffix and row.media_type in ("text/plain", "application/json")
    )


def _content(row: ArtifactRow, content: bytes) -> pb.Part:
    if row.media_type == LINK:
        return pb.Part(url=content.decode().strip(), filename=_filename(row), media_type=_kind(row.name))
    if is_value(row) and row.media_type == "text/plain":
        return pb.Part(text=content.decode(errors="replace"), media_type=row.media_type)
    if is_value(row):
        return pb.Part(data=_value(json.loads(content)), media_type=row.media_type)
    return pb.Part(raw=content, filename=_filename(row), media_type=row.media_type)


def _filename(row: ArtifactRow) -> str:
    return PurePosixPath(row.name).name


def _kind(name: str) -> str:
    import mimetypes  # noqa: PLC0415  reads the system's tables, which only a link needs

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _part(kept: Mapping[str, Any]) -> pb.Part:
    if "text" in kept:
        return pb.Part(text=kept["text"])
    if "data" in kept:
        return pb.Part(data=_value(kept["data"]), media_type="application/json")
    return pb.Part(url=f"urn:sha256:{kept['sha256']}", filename=kept["filename"], media_type=kept["mediaType"])


def _agent(id_: str, task_id: str, context_id: str, parts: list[pb.Part]) -> pb.Message:
    return pb.Message(message_id=id_, task_id=task_id, context_id=context_id, role=pb.Role.ROLE_AGENT, parts=parts)


def _value(value: Any) -> struct_pb2.Value:
    return ParseDict(value, struct_pb2.Value(), max_recursion_depth=1000)


def _struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return value
