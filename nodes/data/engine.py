"""The only place that knows DuckDB: a connection that reads what it was given and nothing else.

Every connection is in memory, has a memory limit, two threads and no network, and may touch only the paths handed in.
What a query means is left to the callers; what goes wrong in one comes out as ``QueryFailed``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput, HoldfastError

MADE_WITH = ("holdfast", "duckdb")  # what figures and their wording depend on
MEMORY_LIMIT = "400MB"
THREADS = 2


class QueryFailed(HoldfastError):
    """DuckDB refused a query; the text is DuckDB's."""


class Engine:
    """One connection; queries go in as SQL, rows come out as dicts of plain values."""

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection, self._error = connection, error

    def run(self, sql: str) -> None:
        """Executes a statement whose rows nobody wants."""
        self._execute(sql)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """All rows; meant for results that a person could read."""
        cursor = self._execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def table(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows as they come, whatever the columns are called."""
        cursor = self._execute(sql)
        return [str(column[0]) for column in cursor.description], cursor.fetchall()

    def kinds(self, sql: str) -> list[str]:
        """The kind of each statement in a text, such as SELECT; nothing is run."""
        try:
            return [str(one.type.name) for one in self._connection.extract_statements(sql)]
        except self._error as error:
            raise QueryFailed(str(error)) from None

    def row(self, sql: str) -> dict[str, Any]:
        """The first row, which has to exist."""
        return self.rows(sql)[0]

    def value(self, sql: str) -> Any:
        """The first cell of the first row."""
        return next(iter(self.row(sql).values()))

    def _execute(self, sql: str) -> Any:
        try:
            return self._connection.execute(sql)
        except self._error as error:
            raise QueryFailed(str(error)) from None


@contextmanager
def connect(read: Iterable[Path] = (), write: Iterable[Path] = ()) -> Iterator[Engine]:
    """A connection that may read the files ``read`` and use the folders ``write``; raises BadInput without DuckDB."""
    try:
        import duckdb  # noqa: PLC0415  only reports need it
    except ImportError:
        raise BadInput("reports need the extra: pip install 'holdfast[report]'") from None
    with tempfile.TemporaryDirectory(prefix="holdfast-") as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "threads": THREADS,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # SQL sees no variable of this program
        }
        connection = duckdb.connect(":memory:", config=settings)
        try:
            engine = Engine(connection, duckdb.Error)
            _fence(engine, list(read), [*write, Path(spill)])
            yield engine
        finally:
            connection.close()


def _fence(engine: Engine, files: list[Path], folders: list[Path]) -> None:
    engine.run(f"SET allowed_paths = [{', '.join(literal(str(path)) for path in files)}]")
    engine.run(f"SET allowed_directories = [{', '.join(literal(f'{path}/') for path in folders)}]")
    engine.run("SET enable_external_access = false")
    engine.run("SET lock_configuration = true")


def quoted(name: str) -> str:
    """A column's name as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
