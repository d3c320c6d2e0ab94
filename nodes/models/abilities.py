"""What an endpoint can do: answer by a JSON schema, call tools, or only write JSON into its text.

It is found out once and remembered in the database, by address and model: by the first call that uses it, so that no
call is made only to see (``Model.lacks`` tells what is refused), or by ``holdfast doctor``, which asks (``probe``).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass, replace

from holdfast.checkpoints.database import Database
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.types import Endpoint, Fault, Kind, Reply, Request

READY = {
    "title": "ready",
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "ready", "description": "Says it is ready.", "parameters": READY}}
SMALL = 256  # tokens of an answer to a probe
BY_SCHEMA = Request(
    [{"role": "user", "content": 'Answer with the JSON object {"ready": true}.'}], schema=READY, most=SMALL
)
BY_TOOL = Request([{"role": "user", "content": "Call the tool `ready` with true."}], tools=[TOOL], most=SMALL)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint takes; neither: JSON is asked for in the text."""

    schema: bool = False
    tools: bool = False

    def without(self, request: Request) -> Abilities:
        """As it turns out after a request was refused."""
        return replace(self, schema=self.schema and request.schema is None, tools=self.tools and not request.tools)

    def __str__(self) -> str:
        can = [name for name, able in (("JSON schemas", self.schema), ("tools", self.tools)) if able]
        return " and ".join(can) or "JSON in its text only"


ALL = Abilities(schema=True, tools=True)  # until it turns out otherwise


async def abilities(calls: Calls, database: Database) -> Abilities:
    """What is known of the endpoint of ``calls``; all that there is where nothing is known yet."""
    if calls.abilities is None:
        calls.abilities = await database.aread(lambda db: recall(db, calls.settings)) or ALL
    return calls.abilities


async def note(calls: Calls, database: Database, refused: Request) -> None:
    """Remembers that the endpoint does not take such a request."""
    found = calls.abilities = (await abilities(calls, database)).without(refused)
    await database.awrite(lambda db: remember(db, calls.settings, found))


async def probe(endpoint: Endpoint) -> Abilities:
    """Finds out by two small calls, which are paid like any; raises Fault where there is no answer at all."""
    by_schema, by_tool = await _try(endpoint, BY_SCHEMA), await _try(endpoint, BY_TOOL)
    return Abilities(schema=by_schema is not None and _is_object(by_schema.text), tools=bool(by_tool and by_tool.calls))


def recall(db: sqlite3.Connection, settings: ModelSettings) -> Abilities | None:
    """What is remembered of a model at an address."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_key(settings),)).fetchone()
    return Abilities(**json.loads(row[0])) if row else None


def remember(db: sqlite3.Connection, settings: ModelSettings, found: Abilities) -> None:
    """Keeps what was found out."""
    db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (_key(settings), json.dumps(asdict(found))))


def _key(settings: ModelSettings) -> str:
    """An address and a model; the address is not written down, for some gateways have a key in its path."""
    return f"abilities {hashlib.sha256(settings.base_url.encode()).hexdigest()[:16]} {settings.name}"


async def _try(endpoint: Endpoint, request: Request) -> Reply | None:
    """The answer; None if such a request is refused."""
    for _ in range(3):
        try:
            return await endpoint.call(request, lambda text: None)
        except Fault as fault:
            if fault.kind in (Kind.BAD_REQUEST, Kind.EMPTY, Kind.DECLINED, Kind.TRUNCATED):
                return None
            if fault.kind is not Kind.ADAPTED:
                raise
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
