"""asyncio and a table: a row per result, synced to the disk before a successor starts.

The least that durability costs: it commits on the event loop, one result at a time, and keeps no events, steps, lease,
states or times.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from benchmarks.contenders.asyncio_bare import flow
from benchmarks.work import Work


async def run(work: Work) -> dict[str, Any]:
    db = sqlite3.connect(work.path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS results(id TEXT PRIMARY KEY, value TEXT NOT NULL)")
    known = {id_: json.loads(value) for id_, value in db.execute("SELECT id, value FROM results")}

    async def body(id_: str, inputs: Mapping[str, Any]) -> dict[str, str]:
        value = await work.do(id_, inputs)
        db.execute("INSERT INTO results VALUES(?, ?)", (id_, json.dumps(value)))
        return value

    try:
        return await flow(work, body, known)
    finally:
        db.close()
