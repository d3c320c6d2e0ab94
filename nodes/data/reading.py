"""From source files to one Parquet file of text cells: stack what has the same columns, join what shares a key.

Every cell stays as the source wrote it; what it means is decided in ``roles``.  DuckDB streams, so that memory stays
flat whatever the file's size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import sources as data_sources
from holdfast.nodes.data.engine import Engine, QueryFailed, connect, literal, quoted
from holdfast.nodes.data.models import Collected, FileInfo
from holdfast.nodes.data.sources import Source

MAX_CELLS = 50_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Files with the same columns; ``of`` gives the SELECT that stacks them, for a way of naming their paths."""

    sources: tuple[Source, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names as the first file writes them."""
        return self.sources[0].columns

    @property
    def label(self) -> str:
        """The files in a sentence."""
        return (
            self.sources[0].name
            if len(self.sources) == 1
            else f"{self.sources[0].name} and {len(self.sources) - 1} more"
        )

    def of(self, naming: Callable[[Source], str]) -> str:
        """The rows of all its files, columns in the order of the first."""
        columns = ", ".join(quoted(name) for name in self.columns)
        return " UNION ALL ".join(f"SELECT {columns} FROM {_reader(source, naming(source))}" for source in self.sources)


def collect(paths: Sequence[str | Path], target: Path, max_cells: int = MAX_CELLS) -> Collected:
    """Writes all rows of the files to the Parquet file ``target``; ``data`` of the result is left empty.

    Raises BadInput with one sentence for anything that cannot be read, stacked or joined.
    """
    sources = data_sources.find_sources(paths)
    prints = [data_sources.fingerprint(source) for source in sources]
    for source, mark in zip(sources, prints, strict=True):
        _limit(source.name, mark.lines, len(source.columns), max_cells)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        local = {source.path: _as_utf8(source, Path(folder)) for source in sources}
        with connect(read=local.values(), write=[target.parent]) as engine:
            known = [_with_columns(engine, source, local[source.path]) for source in sources]
            counts = [_count(engine, source, local[source.path]) for source in known]
            for source, rows in zip(known, counts, strict=True):
                _limit(source.name, rows, len(source.columns), max_cells)
            private, public, how = _combine(engine, known, counts, local)
            engine.run(f"COPY ({private}) TO {literal(str(target))} (FORMAT parquet)")
            rows = int(engine.value(f"SELECT count(*) FROM read_parquet({literal(str(target))})"))
            columns = _described(engine, f"read_parquet({literal(str(target))})")
    infos = [
        FileInfo(
            name=source.name,
            path=str(source.path),
            sha256=mark.sha256,
            bytes=mark.bytes,
            rows=count,
            columns=list(source.columns),
        )
        for source, mark, count in zip(known, prints, counts, strict=True)
    ]
    notes = list(dict.fromkeys(note for source in known for note in source.notes))
    sql = f"CREATE VIEW data AS {public}"
    return Collected(data="", rows=rows, columns=columns, files=infos, notes=notes, how=how, sql=sql)


def _limit(name: str, rows: int, columns: int, most: int) -> None:
    if rows * columns > most:
        raise BadInput(
            f"{name} has about {rows * columns:,} cells, more than the limit of {most:,}; leave out columns or rows"
        )


def _as_utf8(source: Source, folder: Path) -> Path:
    if source.encoding != "utf-16":
        return source.path
    copy = folder / f"{len(list(folder.iterdir()))}-{source.name}"
    with source.path.open(encoding="utf-16", newline="") as old, copy.open("w", encoding="utf-8", newline="") as new:
        while text := old.read(1 << 20):
            new.write(text)
    return copy


def _reader(source: Source, path: str) -> str:
    where = literal(path)
    if source.format == "parquet":
        return f"(SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet({where}))"
    if source.format == "json":
        return f"(SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_json({where}))"
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in source.columns)
    skip = f", skip = {source.skip}" if source.skip else ""
    return (
        f"read_csv({where}, auto_detect = false, delim = {literal(source.delimiter)}, quote = '\"', escape = '\"', "
        f"header = true{skip}, columns = {{{columns}}})"
    )


def _with_columns(engine: Engine, source: Source, path: Path) -> Source:
    if source.format == "csv":
        return source
    try:
        columns = _described(engine, _reader(source, str(path)))
    except QueryFailed as error:
        raise BadInput(f"{source.name} cannot be read as {source.format}: {_first_sentence(error)}") from None
    if source.format == "json" and columns == ["json"]:
        raise BadInput(f"{source.name} holds no table; give a JSON array of objects, or one object per line")
    return replace(source, columns=tuple(columns))


def _described(engine: Engine, relation: str) -> list[str]:
    return [str(row["column_name"]) for row in engine.rows(f"DESCRIBE SELECT * FROM {relation}")]


def _count(engine: Engine, source: Source, path: Path) -> int:
    """Rows of a file, every one of them parsed."""
    last = quoted(source.columns[-1])
    try:
        row = engine.row(f"SELECT count(*) AS n, count({last}) AS filled FROM {_reader(source, str(path))}")
    except QueryFailed as error:
        uneven = data_sources.first_ragged(source) if source.format == "csv" else None
        raise uneven or BadInput(f"{source.name} cannot be read: {_first_sentence(error)}") from None
    if not row["n"]:
        raise BadInput(f"{source.name} has no rows; give a file with data")
    return int(row["n"])


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0].split(": ", 1)[-1].strip().rstrip(".")


def _combine(engine: Engine, sources: list[Source], counts: list[int], local: dict[Path, Path]) -> tuple[str, str, str]:
    """The SELECT over local paths, the one over file names, and in words what was done."""
    groups: dict[frozenset[str], list[tuple[Source, int]]] = {}
    for source, count in zip(sources, counts, strict=True):
        groups.setdefault(frozenset(name.casefold() for name in source.columns), []).append((source, count))
    ordered = sorted(groups.values(), key=lambda group: -sum(count for _, count in group))
    base, *others = [Part(tuple(source for source, _ in group)) for group in ordered]

    def private(source: Source) -> str:
        return str(local[source.path])

    def public(source: Source) -> str:
        return source.name

    keys = [_shared_key(engine, base, other, private) for other in others]
    how = "; ".join(
        [
            "one file" if len(base.sources) == 1 else f"{len(base.sources)} files stacked",
            *(f"joined with {other.label} on {', '.join(key)}" for other, key in zip(others, keys, strict=True)),
        ]
    )
    return _joined(base, others, keys, private), _joined(base, others, keys, public), how


def _shared_key(engine: Engine, base: Part, other: Part, naming: Callable[[Source], str]) -> list[str]:
    """The columns that both have, if they are unique in ``other``; else BadInput names both files and their columns."""
    theirs = {name.casefold() for name in other.columns}
    key = [name for name in base.columns if name.casefold() in theirs]
    named = (
        f"{base.label} (columns {', '.join(base.columns)}) and {other.label} (columns {', '.join(other.columns)}) "
        "cannot be put together"
    )
    if not key:
        raise BadInput(f"{named}: they share no column; give files with the same columns or with a common key")
    columns = ", ".join(quoted(name) for name in key)
    repeated = f"SELECT count(*) FROM (SELECT {columns} FROM ({other.of(naming)}) GROUP BY ALL HAVING count(*) > 1)"
    if engine.value(repeated):
        raise BadInput(
            f"{named}: {', '.join(key)} repeats in {other.label}, so rows would multiply; make it unique there"
        )
    return key


def _joined(base: Part, others: list[Part], keys: list[list[str]], naming: Callable[[Source], str]) -> str:
    if not others:
        return base.of(naming)
    seen = {name.casefold() for name in base.columns}
    columns = [f"b.{quoted(name)}" for name in base.columns]
    joins = []
    for number, (other, key) in enumerate(zip(others, keys, strict=True), 1):
        columns += [f"j{number}.{quoted(name)}" for name in other.columns if name.casefold() not in seen]
        seen |= {name.casefold() for name in other.columns}
        match = " AND ".join(f"b.{quoted(name)} = j{number}.{quoted(name)}" for name in key)
        joins.append(f"LEFT JOIN ({other.of(naming)}) AS j{number} ON {match}")
    return f"SELECT {', '.join(columns)} FROM ({base.of(naming)}) AS b {' '.join(joins)}"
