"""Plain LangGraph, functional API: one entrypoint, a ``@task`` for each subtask, AsyncSqliteSaver.

A resumed entrypoint finds results again by the order of calls, so all are called at once in the graph's order and each
waits for its own inputs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task

from benchmarks.work import Work

CONFIG: Any = {"configurable": {"thread_id": "benchmark"}, "recursion_limit": 100_000}


async def run(work: Work) -> dict[str, Any]:
    free = asyncio.Semaphore(work.limit)
    called: dict[str, Any] = {}

    @task
    async def subtask(id_: str) -> dict[str, str]:
        inputs = {need: await called[need] for need in work.nodes[id_].needs}
        async with free:
            return await work.do(id_, inputs)

    async with AsyncSqliteSaver.from_conn_string(str(work.path)) as saver:

        @entrypoint(checkpointer=saver)
        async def flow(_: Any) -> dict[str, Any]:
            for id_ in work.nodes:
                called[id_] = subtask(id_)
            return dict(zip(called, await asyncio.gather(*called.values()), strict=True))

        return await flow.ainvoke(None if work.resuming else "go", CONFIG)
