"""The tool ``query``: SQL over the tables that the agent was given."""

from __future__ import annotations

import csv
import io
from typing import Any

from pydantic import BaseModel, Field

from holdfast.nodes.agent.confined import confined
from holdfast.nodes.agent.tools import Desk, ToolRefused, tool

SECONDS = 30.0


class Query(BaseModel):
    """What is asked."""

    sql: str = Field(min_length=1, max_length=20_000, description="one SELECT in DuckDB's SQL")


@tool("query")
async def query(arguments: Query, desk: Desk) -> str:
    """Runs one SELECT over the tables and returns up to 200 rows as CSV; `DESCRIBE name` shows a table's columns."""
    tables = {given.table: str(given.path) for given in desk.files.tables}
    if not tables:
        raise ToolRefused("there are no tables among the files")
    told = await confined("holdfast.nodes.agent.sql", {"sql": arguments.sql, "tables": tables}, SECONDS)
    return _as_csv(told)


def _as_csv(told: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(told["columns"])
    writer.writerows(["NULL" if cell is None else cell for cell in row] for row in told["rows"])
    more = " and there are more; ask for fewer, or for a sum" if told["more"] else ""
    return f"{text.getvalue()}({len(told['rows'])} rows{more})"
