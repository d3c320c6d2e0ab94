"""What a client's message says: a goal with its files, plan and options, answers, or just something to keep in mind.

Nothing of the server's disk is read for a client but what its operator named: uploads, and the folders of ``data``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import ContentTypeNotSupportedError
from pydantic import ValidationError

from holdfast.a2a import wire
from holdfast.checkpoints.errors import BadInput, HoldfastError
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
OPTIONS = ("workers", "on_question", "on_failure", "approve", "yes", "data")
KEYS = ("plan", "options", "answers")
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

    @property
    def kept(self) -> Message:
        """The message as the task's history keeps it."""
        return Message(self.id, "user", self.parts)


def read(message: pb.Message) -> Incoming:
    """Takes a message apart; raises BadInput, or ContentTypeNotSupportedError for a part that is not read here."""
    texts, data, uploads = list[str](), list[Any](), list[Upload]()
    for part in message.parts:
        match part.WhichOneof("content"):
            case "text":
                _require_type(part, ("text/",))
                texts.append(part.text)
            case "data":
                _require_type(part, ("application/json",))
                data.append(wire.plain(part.data))
            case "raw":
                uploads.append(_upload(part, len(uploads)))
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
        wire.parts_of(message, [one.sha256 for one in uploads]),
    )


def fields(said: Incoming, folder: Path, allowed: Sequence[Path], registry: Registry) -> dict[str, Any]:
    """What ``Holdfast.start`` takes for a new task, its uploads to be in ``folder``; raises BadInput."""
    if said.answers is not None:
        raise BadInput("answers are for a task that has asked; send them with its taskId")
    if said.data is not None:
        raise BadInput(f"a data part that begins a task has to have one of {', '.join(KEYS)}")
    if unknown := set(said.options) - set(OPTIONS):
        raise BadInput(f"the option {sorted(unknown)[0]!r} is not one of {', '.join(OPTIONS)}")
    options = dict(said.options)
    named = options.pop("data", [])
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise BadInput("options.data has to be a list of file names")
    data = [str(folder / one.name) for one in said.uploads] + [str(_found(one, allowed)) for one in named]
    if said.plan is not None:
        require_allowed(said.plan, [*allowed, folder], registry)
    return {"data": data, "plan": said.plan, **options}


def require_allowed(plan: Mapping[str, Any], allowed: Iterable[Path], registry: Registry) -> None:
    """Raises BadInput if a subtask of a client's plan would read a file that is not in one of those folders."""
    roots = [root.resolve() for root in allowed]
    for spec in plan.get("subtasks") or ():
        if not isinstance(spec, Mapping) or spec.get("type") not in registry:
            continue  # the plan's own check says so
        kind = registry.get(str(spec["type"]))
        if kind.reads is None:
            continue
        try:
            paths = list(kind.reads(kind.validate(spec.get("params") or {})))
        except ValidationError:
            continue
        except (HoldfastError, OSError):
            paths = [Path("/")]  # it says what there is on this disk, which is not for a client to learn
        for path in paths:
            if not any(path.resolve().is_relative_to(root) for root in roots):
                raise BadInput(f"subtask {spec.get('id')!r} reads files that this server does not hand out to clients")


def require_edits_allowed(answers: Mapping[str, Any], allowed: Sequence[Path], registry: Registry) -> None:
    """As ``require_allowed`` for the plans that are handed in as answers to an approval."""
    for given in answers.values():
        if isinstance(given, Mapping) and isinstance(given.get("edit"), Mapping):
            require_allowed(given["edit"], allowed, registry)


def save(uploads: Iterable[Upload], folder: Path) -> None:
    """Writes uploads, each whole, into a task's folder; raises StoreError."""
    for one in uploads:
        write_whole(folder / one.name, one.content)


def _upload(part: pb.Part, count: int) -> Upload:
    kind = part.media_type.partition(";")[0].strip().lower() or "application/octet-stream"
    if kind not in FILE_TYPES:
        raise ContentTypeNotSupportedError(message=f"files of type {kind} are not read here; send CSV, JSON or Parquet")
    name = _UNSAFE.sub("_", part.filename.replace("\\", "/").rpartition("/")[2]).lstrip(".")[-100:]
    name = name or f"data{FILE_TYPES[kind]}"
    return Upload(f"{count + 1}-{name}" if count else name, part.raw)


def _require_type(part: pb.Part, kinds: tuple[str, ...]) -> None:
    if part.media_type and not part.media_type.lower().startswith((*kinds, "application/json")):
        raise ContentTypeNotSupportedError(message=f"a part of type {part.media_type} is not read here")


def _found(name: str, allowed: Sequence[Path]) -> Path:
    for root in allowed:
        path = (root / name).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path
    raise BadInput(f"there is no file {name!r} among those that this server hands out to clients")
