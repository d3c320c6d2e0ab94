"""The list of subtasks that ``cache warm`` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.plan import Plan


def read(path: Path) -> Plan:
    """The plan of a list: a plan, a JSON list of subtasks, or one to a line; raises BadInput or InvalidPlan."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"the list {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"the list {path} is not UTF-8 text; save it as UTF-8") from None
    value = _parsed(text, path)
    if isinstance(value, dict) and "subtasks" in value:
        return Plan.parse(value)
    entries = value if isinstance(value, list) else [value]
    return Plan.parse({"subtasks": [_named(entry, number) for number, entry in enumerate(entries, 1)]})


def _parsed(text: str, path: Path) -> Any:
    """The JSON value of a text, or the list of the values on its lines."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    values = []
    for number, line in lines:
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise BadInput(f"the list {path} is not JSON, line {number} column {error.colno}: {error.msg}") from None
    return values


def _named(entry: Any, number: int) -> Any:
    return {"id": f"entry-{number}", **entry} if isinstance(entry, dict) else entry
