"""Holdfast's words in A2A's: states, messages, questions and artifacts.  The only effect is that files are read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from a2a.types import a2a_pb2 as pb
from google.protobuf import struct_pb2
from google.protobuf.json_format import ParseDict

from holdfast.a2a.extension import URI, paused
from holdfast.checkpoints.errors import BadInput
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
MOST_VALUES = 50_000  # of free JSON in one message


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
    return pb.Message(
        message_id=said.id,
        task_id=task_id,
        context_id=context_id,
        role=pb.Role.ROLE_USER if said.role == "user" else pb.Role.ROLE_AGENT,
        parts=[_part(part) for part in said.parts],
        metadata=_free(said.about.get("metadata")),
        extensions=said.about.get("extensions"),
        reference_task_ids=said.about.get("referenceTaskIds"),
    )


def parts_of(said: pb.Message, hashes: Sequence[str], data: Sequence[Any], json_: Json) -> list[dict[str, Any]]:
    """A message's parts as they are kept; ``hashes`` are those of its files, ``data`` its data, in order."""
    files, values, kept = iter(hashes), iter(data), list[dict[str, Any]]()
    for part in said.parts:
        content: dict[str, Any] = {}
        match part.WhichOneof("content"):
            case "text":
                content = {"text": part.text}
            case "data":
                content = {"data": next(values)}
            case "raw":
                content = {"sha256": next(files)}
        more = {"filename": part.filename, "mediaType": part.media_type, "metadata": json_.struct(part.metadata)}
        kept.append(content | {name: one for name, one in more.items() if one})
    return kept


def about(said: pb.Message, json_: Json) -> dict[str, Any]:
    """What else is kept of a message."""
    made = {
        "metadata": json_.struct(said.metadata),
        "extensions": list(said.extensions),
        "referenceTaskIds": list(said.reference_task_ids),
    }
    return {name: one for name, one in made.items() if one}


class Json:
    """Plain values of protobuf's JSON, up to so many in all; whole numbers are integers again, which it has none of."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = self._left = most

    def value(self, given: struct_pb2.Value) -> Any:
        """The value; raises BadInput if there are too many, or for a number that is not finite."""
        self._left -= 1
        if self._left < 0:
            raise BadInput(f"a message can carry at most {self._most:,} JSON values; send what is large as a file")
        match given.WhichOneof("kind"):
            case "string_value":
                return given.string_value
            case "number_value":
                return _number(given.number_value)
            case "bool_value":
                return given.bool_value
            case "list_value":
                return [self.value(one) for one in given.list_value.values]
            case "struct_value":
                return self.struct(given.struct_value)
        return None

    def struct(self, given: struct_pb2.Struct) -> dict[str, Any]:
        """The object; raises what ``value`` does."""
        return {name: self.value(one) for name, one in given.fields.items()}


def plain(data: struct_pb2.Value) -> Any:
    """The plain value of one that stands alone; raises BadInput, see ``Json``."""
    return Json().value(data)


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
    made = pb.Part(
        filename=kept.get("filename"), media_type=kept.get("mediaType"), metadata=_free(kept.get("metadata"))
    )
    if "text" in kept:
        made.text = kept["text"]
    elif "data" in kept:
        made.data.CopyFrom(_value(kept["data"]))
    else:
        made.url = f"urn:sha256:{kept['sha256']}"
    return made


def _free(metadata_: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    return None if metadata_ is None else _struct(metadata_)


def _agent(id_: str, task_id: str, context_id: str, parts: list[pb.Part]) -> pb.Message:
    return pb.Message(message_id=id_, task_id=task_id, context_id=context_id, role=pb.Role.ROLE_AGENT, parts=parts)


def _value(value: Any) -> struct_pb2.Value:
    return ParseDict(value, struct_pb2.Value(), max_recursion_depth=1000)


def _struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


def _number(value: float) -> int | float:
    if not math.isfinite(value):
        raise BadInput("a number in the message is not finite: JSON has no NaN and no Infinity")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
