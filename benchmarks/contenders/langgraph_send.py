"""Plain LangGraph, graph API: a node sends all that is ready to workers, superstep by superstep, AsyncSqliteSaver."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send

from benchmarks.work import Work


class State(TypedDict):
    results: Annotated[dict[str, Any], operator.or_]


class Order(TypedDict):
    id: str
    inputs: dict[str, Any]


async def run(work: Work) -> dict[str, Any]:
    def dispatch(state: State) -> Command[Literal["subtask", "__end__"]]:
        done = state["results"]
        ready = [
            Send("subtask", {"id": node.id, "inputs": {need: done[need] for need in node.needs}})
            for node in work.nodes.values()
            if node.id not in done and all(need in done for need in node.needs)
        ]
        return Command(goto=ready or "__end__")

    async def subtask(order: Order) -> State:
        return {"results": {order["id"]: await work.do(order["id"], order["inputs"])}}

    builder = StateGraph(State)
    builder.add_node("dispatch", dispatch)
    builder.add_node("subtask", subtask, input_schema=Order)
    builder.add_edge(START, "dispatch")
    builder.add_edge("subtask", "dispatch")
    config: Any = {
        "configurable": {"thread_id": "benchmark"},
        "recursion_limit": 100_000,
        "max_concurrency": work.limit,
    }
    async with AsyncSqliteSaver.from_conn_string(str(work.path)) as saver:
        ended = await builder.compile(checkpointer=saver).ainvoke(None if work.resuming else {"results": {}}, config)
    return ended["results"]
