"""The files that an agent was given, by the names under which its model knows them.

A model never sees or writes a path: it names files by their own names, and two of one name are told apart by a number.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoints.errors import BadInput

TABLES = frozenset({".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq"})
TEXTS = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".log", ".html", ".htm", ".xhtml", ".pdf"})
MOST = 200


@dataclass(frozen=True, slots=True)
class Given:
    """One file: its ``name`` for the model, where it lies, and the ``table`` that SQL knows it by, if it is one."""

    name: str
    path: Path
    table: str | None


@dataclass(frozen=True, slots=True)
class Files:
    """All files of one agent."""

    files: tuple[Given, ...] = ()

    def find(self, name: str) -> Given:
        """The file of that name; raises BadInput with the nearest one."""
        known = {given.name: given for given in self.files}
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, known)) or 'none'}"
        raise BadInput(f"there is no file {name[:100]!r}; {hint}")

    @property
    def tables(self) -> list[Given]:
        """Those that SQL can read."""
        return [given for given in self.files if given.table]

    def __str__(self) -> str:
        """One line for each, as its model reads it."""
        return "\n".join(
            f"- {given.name}, {given.path.stat().st_size:,} bytes"
            + (f", in SQL the table {given.table}" if given.table else "")
            for given in self.files
        )


def paths(names: Iterable[str]) -> list[Path]:
    """Each file named and each readable one in a folder named, in order, none twice; raises BadInput."""
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in TABLES | TEXTS)
            if not inside:
                raise BadInput(f"the folder {path} has no files that an agent can read")
            found.update(dict.fromkeys(one.resolve() for one in inside))
        elif path.is_file():
            found[path.resolve()] = None
        else:
            raise BadInput(f"there is no file {path}; check the path")
    if len(found) > MOST:
        raise BadInput(f"an agent can be given {MOST} files, and these are {len(found):,}")
    return list(found)


def given(names: Sequence[str]) -> Files:
    """The files, each under a name of its own; raises BadInput for one that is not there."""
    taken: set[str] = set()
    made = list[Given]()
    for path in paths(names):
        table = _free(_word(path.stem), taken, "_") if path.suffix.lower() in TABLES else None
        name = _free(path.name, {one.name for one in made}, " ")
        taken |= {table} if table else set()
        made.append(Given(name, path, table))
    return Files(tuple(made))


def _word(name: str) -> str:
    word = re.sub(r"\W+", "_", name.casefold()).strip("_") or "data"
    return f"t_{word}" if word[0].isdigit() else word


def _free(name: str, taken: set[str], between: str) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}{between}{number}"
    return free
