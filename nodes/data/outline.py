"""What a planner may know of data files: names, sizes, columns with roles and an example each; never the rows."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.nodes.data.files import TRIAL_BYTES
from holdfast.nodes.data.profile import opened, understand
from holdfast.nodes.data.reading import collect
from holdfast.nodes.data.sources import inspect

EXAMPLE = 60  # characters
MOST_COLUMNS = 100


def outline(files: Mapping[str, str], goal: str = "") -> dict[str, Any]:
    """The outline of files, whose paths are given by the names to call them by; blocks, and raises nothing.

    Small files are read and understood together as one table, as a report would; of larger ones only the head is.
    """
    told: dict[str, Any] = {"files": [_file(name, Path(path)) for name, path in files.items()]}
    if files and sum(one.get("bytes", 0) for one in told["files"]) <= TRIAL_BYTES:
        try:
            told["table"] = _table([Path(path) for path in files.values()], goal)
        except HoldfastError as why:
            told["no_table"] = functools.reduce(lambda text, one: text.replace(one[1], one[0]), files.items(), str(why))
    return told


def _file(name: str, path: Path) -> dict[str, Any]:
    """Name, size, and the columns of a file with columns."""
    try:
        told: dict[str, Any] = {"name": name, "bytes": path.stat().st_size}
    except OSError:
        return {"name": name, "missing": True}
    try:
        source = inspect(path)
    except BadInput:
        return told
    return {**told, "format": source.format, **({"columns": source.columns[:MOST_COLUMNS]} if source.columns else {})}


def _table(paths: list[Path], goal: str) -> dict[str, Any]:
    """What the profile says of the table that the files make together; raises BadInput if they make none."""
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        target = Path(folder) / "data.parquet"
        collected = collect(paths, target)
        with opened(target, write=[target.parent]) as engine:
            profile, _ = understand(engine, collected, target.with_name("cells.parquet"), goal=goal)
    measure, entity = profile.roles.measure, profile.roles.entity
    columns = [one.model_dump() for one in profile.roles.columns[:MOST_COLUMNS]]
    return {
        "rows": profile.rows,
        "periods": profile.periods,
        "first": profile.first,
        "last": profile.last,
        "grain": profile.roles.time.grain,
        "measure": measure.column,
        "kind_of_measure": measure.kind,
        "compared": entity.column if entity else None,
        "columns": [{**one, "example": str(one["example"])[:EXAMPLE]} for one in columns],
    }
