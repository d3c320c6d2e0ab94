"""The subtask graph: START → the node of its type → END.  It keeps no checkpoint: a subtask's truth is its rows."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias, TypedDict, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from holdfast.nodes.flight import Flight
from holdfast.nodes.registry import Registry


class Subtask(TypedDict, total=False):
    """What streams show of a subtask."""

    subtask: str
    outcome: str


Graph: TypeAlias = CompiledStateGraph[Subtask, Flight, Subtask, Subtask]


def build(registry: Registry) -> StateGraph[Subtask, Flight, Subtask, Subtask]:
    """All types in one graph, START → type → END each: what a drawing shows."""
    types = [kind.name for kind in registry]
    builder = StateGraph(Subtask, context_schema=Flight)
    for name in types:
        builder.add_node(name, _work)
        builder.add_edge(name, END)
    builder.add_conditional_edges(START, _route, types)
    return builder


async def fly(flight: Flight) -> None:
    """Runs one subtask: one invocation of its type's graph, visible under supervise by the subtask's id.

    What an invocation costs grows with the channels of its graph, and routing would be a superstep of its own; so each
    type has a graph of one node, and the input goes straight to the channel that triggers it.
    """
    graph, trigger = _one(flight.kind.name)
    await graph.ainvoke(
        cast(Subtask, {trigger: None}),
        {"run_name": f"subtask_{flight.id}", "metadata": {"subtask": flight.id}},
        context=flight,
        version="v2",  # the first version streams every update to itself, to look for interrupts
    )


@cache
def _one(name: str) -> tuple[Graph, str]:
    """The graph of one type, entered at its node, and that node's trigger."""
    builder = StateGraph(Subtask, context_schema=Flight)
    builder.add_node(name, _work)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    graph: Graph = builder.compile(checkpointer=False, name="subtask")
    trigger = graph.nodes[name].triggers[0]
    return graph.copy({"input_channels": [trigger]}), trigger


async def _work(state: Subtask, runtime: Runtime[Flight]) -> Subtask:
    flight = runtime.context
    await flight.run()
    return {"subtask": flight.id, "outcome": type(flight.outcome).__name__.lower()}


def _route(state: Subtask) -> str:
    raise AssertionError("a subtask goes straight to the node of its type")
