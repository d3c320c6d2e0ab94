"""Which of the server's files a client may name: what came with its message, what its task has, what is handed out.

A name is judged before anything is looked up on the disk, and a file that may be read is from then on named by its full
path, so that what is read later is what was allowed.  Patterns and folders are for people at the server's own machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.nodes.registry import Registry, TaskType
from holdfast.nodes.shelf import texts

PATTERN = frozenset("*?[")
MOST_NAMES = 1000
LONGEST_NAME = 1000  # characters


@dataclass(frozen=True, slots=True)
class Readable:
    """What one client may read: files below ``folders``, and the very paths that its task was ``given``."""

    folders: Sequence[Path]
    given: frozenset[str] = frozenset()

    def find(self, names: Any) -> list[str]:
        """The full path of each file named, by a path below one of the folders or its full path; raises BadInput."""
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise BadInput("files have to be a list of their names")
        if len(names) > MOST_NAMES:
            raise BadInput(f"{len(names):,} files are named, and at most {MOST_NAMES:,} can be")
        return [self._find(name) for name in names]

    def covers(self, path: str) -> bool:
        """Whether a path leads into one of the folders, or is one that the task was given; it is not opened."""
        return path in self.given or ("\0" not in path and any(_below(folder, Path(path)) for folder in self.folders))

    def name(self, path: str) -> str:
        """The name by which a client names a file, from which ``find`` makes this path; without one the path."""
        for number, folder in enumerate(self.folders):
            try:
                name = str(Path(path).relative_to(folder.resolve()))
            except (ValueError, OSError, RuntimeError):
                continue
            if name != "." and not any((before / name).is_file() for before in self.folders[:number]):
                return name
        return path

    def _find(self, name: str) -> str:
        if name in self.given:
            return name
        if PATTERN.intersection(name):
            raise BadInput(f"{_short(name)} is a pattern; name each file")
        if len(name) <= LONGEST_NAME and "\0" not in name:
            for folder in self.folders:
                path = _below(folder, folder / name)
                with suppress(OSError):  # no file has such a name
                    if path and path.is_file():
                        return str(path)
        raise BadInput(f"there is no file {_short(name)} among those that this server hands out to clients")


def resolved(plan: Mapping[str, Any], readable: Readable, registry: Registry) -> dict[str, Any]:
    """A client's plan, the files that it reads named by their full paths; raises BadInput for any it may not read.

    What is malformed is left as it is: the plan's own check says so.
    """
    subtasks = plan.get("subtasks")
    if not isinstance(subtasks, list):
        return dict(plan)
    if sum(_named(spec, registry) for spec in subtasks) > MOST_NAMES:
        raise BadInput(f"the plan names more than {MOST_NAMES:,} files")
    return {**plan, "subtasks": [_resolved(spec, readable, registry) for spec in subtasks]}


def edits_resolved(answers: Mapping[str, Any], readable: Readable, registry: Registry) -> dict[str, Any]:
    """Answers, with the plans among them, which stand in for one that was to be approved, as ``resolved`` has them."""
    return {
        id_: {**value, "edit": resolved(value["edit"], readable, registry)}
        if isinstance(value, Mapping) and isinstance(value.get("edit"), Mapping)
        else value
        for id_, value in answers.items()
    }


def named(plan: Mapping[str, Any], readable: Readable, registry: Registry) -> dict[str, Any]:
    """A plan as ``resolved`` takes it: its files by the names that a client has for them."""
    return {**plan, "subtasks": [_renamed(spec, readable, registry) for spec in plan["subtasks"]]}


def edit_named(answer: Any, readable: Readable, registry: Registry) -> Any:
    """An answer that was given, with the plan that may be in it as ``named`` has it."""
    if not isinstance(answer, Mapping) or not isinstance(plan := answer.get("edit"), Mapping):
        return answer
    return {**answer, "edit": named(plan, readable, registry)} if isinstance(plan.get("subtasks"), list) else answer


def _renamed(spec: Any, readable: Readable, registry: Registry) -> Any:
    if not _named(spec, registry):
        return spec
    files = registry.get(spec["type"]).files
    names = [readable.name(one) if isinstance(one, str) else one for one in spec["params"][files]]
    return {**spec, "params": {**spec["params"], files: names}}


def _named(spec: Any, registry: Registry) -> int:
    """How many files a subtask lists."""
    params = spec.get("params") if isinstance(spec, Mapping) else None
    if not isinstance(params, Mapping) or not isinstance(spec.get("type"), str) or spec["type"] not in registry:
        return 0
    names = params.get(registry.get(spec["type"]).files or "")
    return len(names) if isinstance(names, list) else 0


def _resolved(spec: Any, readable: Readable, registry: Registry) -> Any:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str) or spec["type"] not in registry:
        return spec
    kind, params = registry.get(spec["type"]), spec.get("params")
    if not isinstance(params, Mapping) or not (kind.reads or kind.files):
        return spec
    try:
        if kind.files is None:
            _require_readable(kind, params, readable)
        elif params.get(kind.files):
            return {**spec, "params": {**params, kind.files: readable.find(params[kind.files])}}
    except BadInput:
        raise BadInput(
            f"subtask {_short(str(spec.get('id')))} reads files that this server does not hand out to clients; "
            "name each file, without patterns and folders"
        ) from None
    return spec


def _require_readable(kind: TaskType, params: Mapping[str, Any], readable: Readable) -> None:
    """For a type that does not say in which parameter it names files, only what these are; any text may be one."""
    assert kind.reads
    refused = BadInput("it reads files that are not handed out")
    try:
        typed = kind.validate(params)
    except ValidationError:
        return
    found = list(texts(params))
    if any(map(PATTERN.intersection, found)) or not all(map(readable.covers, filter(os.path.isabs, found))):
        raise refused
    try:
        paths = list(kind.reads(typed))
    except (HoldfastError, OSError, ValueError):
        raise refused from None  # it says what there is on this disk, which is not for a client to learn
    if not all(readable.covers(str(path)) for path in paths):
        raise refused


def _below(folder: Path, path: Path) -> Path | None:
    """Where a path below the folder leads; None if that is outside.  Nothing outside is looked at."""
    folder, path = Path(os.path.abspath(folder)), Path(os.path.abspath(path))
    if not path.is_relative_to(folder) and not path.is_relative_to(folder.resolve()):
        return None
    try:
        there = path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return None
    return there if there.is_relative_to(folder.resolve()) else None


def _short(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:100] + "…")
