"""SQL over the files of an agent, run by ``confined``: one SELECT, which can read those files and nothing else.

Three fences, each of which would do: the statement has to be a single SELECT; DuckDB has no access to files, networks
or extensions beyond the files given, and its settings are locked; the process has limits and no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data import sources
from holdfast.nodes.data.engine import Engine, QueryFailed, connect, literal, quoted

ROWS, CELL = 200, 500  # rows of an answer, characters of a cell


def work(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"columns", "rows", "more"}`` of ``sql`` over ``tables`` (name → path), every cell as text or None."""
    tables = {name: Path(path) for name, path in request["tables"].items()}
    sql = str(request["sql"]).rstrip("; \t\r\n")
    with connect(read=tables.values()) as engine:
        for name, path in tables.items():
            _add(engine, name, path)
        _require_one_select(engine, sql)
        try:
            columns, rows = engine.table(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({sql}\n) LIMIT {ROWS + 1}")
        except QueryFailed as error:
            raise BadInput(_without_paths(str(error), tables)) from None
    cells = [[_cell(value, tables) for value in row] for row in rows[:ROWS]]
    return {"columns": columns, "rows": cells, "more": len(rows) > ROWS}


def _add(engine: Engine, name: str, path: Path) -> None:
    source = sources.inspect(path)
    if source.encoding == "utf-16":
        raise BadInput(f"{path.name} is UTF-16; save it as UTF-8 and give that file")
    where = literal(str(path))
    reader = {
        "parquet": f"read_parquet({where})",
        "json": f"read_json_auto({where})",
        "csv": f"read_csv({where}, delim = {literal(source.delimiter)}, quote = '\"', escape = '\"', header = true, "
        f"skip = {source.skip})",
    }[source.format]
    try:
        engine.run(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {reader}")
    except QueryFailed as error:
        raise BadInput(f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}") from None


def _require_one_select(engine: Engine, sql: str) -> None:
    try:
        kinds = engine.kinds(sql)
    except QueryFailed as error:
        raise BadInput(str(error)) from None
    if kinds != ["SELECT"]:
        raise BadInput(f"one SELECT is allowed, and this is {' and '.join(kinds) or 'nothing'}")


def _cell(value: Any, tables: Mapping[str, Path]) -> str | None:
    if value is None:
        return None
    text = str(value)
    return _without_paths(text if len(text) <= CELL else text[:CELL] + "…", tables)


def _without_paths(text: str, tables: Mapping[str, Path]) -> str:
    """A text without the folders of this machine in it."""
    for path in tables.values():
        text = text.replace(f"{path.parent}/", "")
    return text


if __name__ == "__main__":
    from holdfast.nodes.agent.confined import serve

    serve(work)
