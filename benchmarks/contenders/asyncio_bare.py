"""asyncio and nothing else: not durable, what the machine itself allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.work import Work

Body = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, str]]]


async def run(work: Work) -> dict[str, Any]:
    return await flow(work, work.do)


async def flow(work: Work, body: Body, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Runs what is not ``known`` as soon as its inputs are there, first come, first served."""
    results = dict(known or {})
    missing = {id_: sum(n not in results for n in node.needs) for id_, node in work.nodes.items() if id_ not in results}
    users: dict[str, list[str]] = {id_: [] for id_ in work.nodes}
    for id_ in missing:
        for need in work.nodes[id_].needs:
            users[need].append(id_)
    free = asyncio.Semaphore(work.limit)

    async def one(id_: str) -> None:
        async with free:
            results[id_] = await body(id_, {need: results[need] for need in work.nodes[id_].needs})
        for user in users[id_]:
            missing[user] -= 1
            if not missing[user]:
                group.create_task(one(user))

    async with asyncio.TaskGroup() as group:
        for id_ in [id_ for id_, count in missing.items() if not count]:
            group.create_task(one(id_))
    return results
