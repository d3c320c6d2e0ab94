"""What a client's message says: a goal with its files, plan and options, answers, or just something to keep in mind."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import ContentTypeNotSupportedError

from holdfast.a2a import wire
from holdfast.a2a.reading import Readable, resolved
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.files import write_whole
from holdfast.checkpoints.messages import Message
from holdfast.nodes.registry import Registry

FILE_TYPES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".ndjson",
    "application/vnd.apache.parquet": ".parquet",
    "application/octet-stream": "",
}
OPTIONS = ("workers", "on_question", "on_failure", "approve", "yes", "data", "budget")
KEYS = ("plan", "options", "answers")
MOST_PARTS = 100
LONGEST_NAME = 200  # bytes of an upload's name; a file system takes 255, and a draft of it some more
_UNSAFE = re.compile(r"[^\w. ()+@=,-]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a message."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message taken apart; ``data`` is that of data parts which are neither plan nor options nor answers."""

    id: str
    text: str
    plan: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] | None = None
    data: Any = None
    uploads: list[Upload] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> Message:
        """The message as the task's history keeps it."""
        return Message(self.id, "user", self.parts, about=self.about)


def require_few(message: pb.Message) -> None:
    """Raises BadInput for a message with more parts than are taken."""
    if len(message.parts) > MOST_PARTS:
        raise BadInput(f"the message has {len(message.parts):,} parts, and at most {MOST_PARTS} can be taken")


def read(message: pb.Message) -> Incoming:
    """Takes a message apart; raises BadInput, or ContentTypeNotSupportedError for a part that is not read here."""
    texts, data, uploads, json = list[str](), list[Any](), list[Upload](), wire.Json()
    for part in message.parts:
        match part.WhichOneof("content"):
            case "text":
                _require_type(part, ("text/",))
                texts.append(part.text)
            case "data":
                _require_type(part, ("application/json",))
                data.append(json.value(part.data))
            case "raw":
                uploads.append(_upload(part, {one.name for one in uploads}))
            case "url":
                raise BadInput("a file part has to bring its content as raw bytes; no URL is fetched here")
            case _:
                raise BadInput("a part has to have text, data or raw content")
    known = [one for one in data if isinstance(one, dict) and one and set(one) <= set(KEYS)]
    merged = {key: value for one in known for key, value in one.items()}
    others = [one for one in data if one not in known]
    for key in KEYS:
        if key in merged and not isinstance(merged[key], dict):
            raise BadInput(f"{key} in a data part has to be an object")
    return Incoming(
        message.message_id,
        "\n\n".join(texts),
        merged.get("plan"),
        merged.get("options", {}),
        merged.get("answers"),
        others[0] if len(others) == 1 else others or None,
        uploads,
        wire.parts_of(message, [one.sha256 for one in uploads], data, json),
        wire.about(message, json),
    )


def fields(said: Incoming, folder: Path, readable: Readable, registry: Registry) -> dict[str, Any]:
    """What ``Holdfast.start`` takes for a new task, its uploads being in ``folder``; raises BadInput."""
    if said.answers is not None:
        raise BadInput("answers are for a task that has asked; send them with its taskId")
    if said.data is not None:
        raise BadInput(f"a data part that begins a task has to have one of {', '.join(KEYS)}")
    if unknown := set(said.options) - set(OPTIONS):
        raise BadInput(f"the option {sorted(unknown)[0]!r} is not one of {', '.join(OPTIONS)}")
    options = dict(said.options)
    data = [str(folder / one.name) for one in said.uploads] + readable.find(options.pop("data", []))
    plan = said.plan if said.plan is None else resolved(said.plan, readable, registry)
    return {"data": data, "plan": plan, **options}


def save(uploads: Iterable[Upload], folder: Path) -> None:
    """Writes uploads, each whole, into a task's folder; raises StoreError."""
    for one in uploads:
        write_whole(folder / one.name, one.content)


def _upload(part: pb.Part, taken: Collection[str]) -> Upload:
    kind = part.media_type.partition(";")[0].strip().lower() or "application/octet-stream"
    if kind not in FILE_TYPES:
        raise ContentTypeNotSupportedError(message=f"files of type {kind} are not read here; send CSV, JSON or Parquet")
    name = _UNSAFE.sub("_", part.filename.replace("\\", "/").rpartition("/")[2])
    name = name.encode()[-LONGEST_NAME:].decode(errors="ignore").lstrip(".") or f"data{FILE_TYPES[kind]}"
    return Upload(_free(name, taken), part.raw)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number before it if another file has it, in whatever case."""
    others, number, free = {one.casefold() for one in taken}, 1, name
    while free.casefold() in others:
        number += 1
        free = f"{number}-{name}"
    return free


def _require_type(part: pb.Part, kinds: tuple[str, ...]) -> None:
    if part.media_type and not part.media_type.lower().startswith((*kinds, "application/json")):
        raise ContentTypeNotSupportedError(message=f"a part of type {part.media_type} is not read here")
