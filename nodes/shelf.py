"""The data files of a task under short names: a model hears the names and not the paths, and may name nothing else."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from holdfast.checkpoints.errors import HoldfastError
from holdfast.nodes.registry import TaskType

MOST_FILES = 200  # of one folder or pattern that get names of their own
NAMED = 5  # names that one sentence lists


@dataclass(frozen=True, slots=True)
class Shelf:
    """``paths`` by name: each path given, and under a folder or a pattern each file that it stands for."""

    paths: Mapping[str, str]
    files: Sequence[str] = ()  # the names that stand for one file each

    @classmethod
    def of(cls, data: Iterable[str | Path]) -> Shelf:
        """The shelf of some files, folders and patterns; looks at the disk, and opens nothing."""
        paths: dict[str, str] = {}
        files: list[str] = []
        for given in dict.fromkeys(os.path.abspath(path) for path in data):
            name = _free(PurePath(given).name or "data", paths)
            paths[name] = given
            inside = list(_inside(Path(given)))
            files += [name] * (not inside)
            for path in inside[:MOST_FILES]:
                files.append(_free(f"{name}/{path.name}" if Path(given).is_dir() else path.name, paths))
                paths[files[-1]] = str(path)
        return cls(paths, files)

    def named(self, params: Any) -> Any:
        """A JSON value in which paths of the shelf are replaced by their names."""
        names = {path: name for name, path in reversed(list(self.paths.items()))}
        return _mapped(params, lambda text: names.get(text, text))

    def resolved(self, kind: TaskType, params: Mapping[str, Any]) -> dict[str, Any]:
        """A subtask's parameters with the files that it reads named by their full paths.

        Raises Unlisted for anything that is not on the shelf.
        """
        if kind.files and isinstance(names := params.get(kind.files), list):
            params = {**params, kind.files: [self._path(name) for name in names]}
        elif kind.reads:
            params = _mapped(params, lambda text: self.paths.get(text, text))
        for text in texts(params):
            if _is_path(text) and text not in self.paths.values():
                raise Unlisted(text, self)
        if kind.reads and not kind.files:
            self._require_known(kind, params)
        return dict(params)

    def _path(self, name: Any) -> str:
        path = self.paths.get(name.removesuffix("/")) if isinstance(name, str) else None
        if path is None:
            raise Unlisted(str(name), self)
        return path

    def _require_known(self, kind: TaskType, params: Mapping[str, Any]) -> None:
        """For a type that does not say in which parameter it names files, only what these are."""
        assert kind.reads
        try:
            read = [os.path.abspath(path) for path in kind.reads(kind.validate(params))]
        except (ValidationError, HoldfastError, OSError, ValueError):
            return  # the plan's own check, or the subtask, says what is wrong
        for path in read:
            if path not in self.paths.values():
                raise Unlisted(path, self)


class Unlisted(Exception):
    """A file that is not on the shelf."""

    def __init__(self, name: str, shelf: Shelf) -> None:
        more = "" if len(shelf.paths) <= NAMED else f" and {len(shelf.paths) - NAMED} more"
        known = ", ".join(map(repr, list(shelf.paths)[:NAMED])) + more if shelf.paths else "none"
        super().__init__(f"names the file {name[:100]!r}, which is not among the data files: {known}")


def _inside(path: Path) -> Iterator[Path]:
    """The files that a folder or a pattern stands for, by name."""
    if path.is_dir():
        found: Iterable[Path] = path.iterdir()
    elif not path.exists() and any(sign in str(path) for sign in "*?["):
        found = map(Path, glob.glob(str(path), recursive=True))
    else:
        return
    yield from sorted(one for one in found if one.is_file() and not one.name.startswith("."))


def _free(name: str, taken: Mapping[str, str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{number}-{name}"
    return free


def _is_path(text: str) -> bool:
    """Whether a text can only be meant as a place on this machine."""
    one_word = bool(text) and not any(map(str.isspace, text))
    return one_word and (text.startswith(("/", "~", "file:")) or ".." in PurePath(text.replace("\\", "/")).parts)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(one, change) for key, one in value.items()}
    return [_mapped(one, change) for one in value] if isinstance(value, list) else value


def texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from texts(one)
