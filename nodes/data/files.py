"""Whether data files can be used at all, told before a task is started."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Sequence
from pathlib import Path

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.profile import opened, understand
from holdfast.nodes.data.reading import collect
from holdfast.nodes.data.sources import find_sources

TRIAL_BYTES = 4 << 20  # up to this size all together the files are read on trial: a fraction of a second


def check_there(paths: Sequence[str | Path]) -> None:
    """Raises BadInput for a path at which there is nothing, and for a pattern that no file fits."""
    for path in paths:
        if not Path(path).exists() and not glob.glob(str(path), recursive=True):
            raise BadInput(f"there is no file {path}; check the path")


def check_inputs(paths: Sequence[str | Path], *, for_report: bool = True) -> None:
    """Raises BadInput with one sentence if the files cannot become a report; blocks, and starts nothing.

    Large files are judged by their first megabyte (existence, encoding, header, first rows); small ones are read, put
    together and understood on trial, so that a missing time column is told here too.  Without ``for_report`` (the
    files are for a plan of one's own, which may not need a time) only the first megabyte counts.
    """
    sources = find_sources(paths)
    if not for_report or sum(source.path.stat().st_size for source in sources) > TRIAL_BYTES:
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        target = Path(folder) / "data.parquet"
        collected = collect(paths, target)
        with opened(target, write=[target.parent]) as engine:
            understand(engine, collected, target.with_name("cells.parquet"))
