"""The subtask graph: START → one node per task type → END.  It keeps no checkpoint: a subtask's truth is its rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    """The graph for the types that are registered now; compiled without a checkpointer to run, with any to be drawn."""
    types = [kind.name for kind in registry]
    builder = StateGraph(Subtask, context_schema=Flight)
    for name in types:
        builder.add_node(name, _work)
        builder.add_edge(name, END)
    builder.add_conditional_edges(START, _route, types)
    return builder


def flier(registry: Registry) -> Callable[[Flight], Awaitable[None]]:
    """What supervise calls to run one subtask: one invocation of the graph, visible under supervise by its id.

    The type is known, so the input goes straight to what triggers its node: routing inside the graph would be a
    superstep of its own and cost half as much again.
    """
    graph: Graph = build(registry).compile(checkpointer=False, name="subtask")
    triggers = {name: graph.nodes[name].triggers[0] for name in graph.nodes if name != START}
    direct = graph.copy({"input_channels": list(triggers.values())})

    async def fly(flight: Flight) -> None:
        await direct.ainvoke(
            cast(Subtask, {triggers[flight.kind.name]: None}),
            {"run_name": f"subtask_{flight.id}", "metadata": {"subtask": flight.id}},
            context=flight,
        )

    return fly


async def _work(state: Subtask, runtime: Runtime[Flight]) -> Subtask:
    flight = runtime.context
    await flight.run()
    return {"subtask": flight.id, "outcome": type(flight.outcome).__name__.lower()}


def _route(state: Subtask) -> str:
    raise AssertionError("a subtask goes straight to the node of its type")
