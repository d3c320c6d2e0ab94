"""A task's plan, or LangGraph's own drawing of a graph, as a picture of nodes and edges; and a plan as Mermaid text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.states import SubtaskState
from holdfast.cli.layout import Edge, Node, Picture
from holdfast.cli.text import SYMBOLS, clean, duration, words
from holdfast.graphs.task import SubtaskView, Task

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph

# state: (fill, stroke); every node also says its state in a symbol and a word
COLOURS: dict[str, tuple[str, str]] = {
    "waiting": ("#f6f7f9", "#9aa3af"),
    "ready": ("#f6f7f9", "#4b5563"),
    "running": ("#e3f1fb", "#1f77b4"),
    "held": ("#f3eafa", "#7e57a8"),
    "input_required": ("#f3eafa", "#7e57a8"),
    "completed": ("#e5f4ea", "#2e7d4f"),
    "failed": ("#fce8e6", "#b3261e"),
    "skipped": ("#fdf1e3", "#b26a00"),
    "canceled": ("#fdf1e3", "#b26a00"),
    "rolled_back": ("#fdf1e3", "#b26a00"),
}


def plan_picture(task: Task) -> Picture:
    """The plan with the state of each subtask; raises BadInput while there is none."""
    if not task.plan.subtasks:
        raise BadInput(f"task {task.id[:8]} has no plan yet; draw it once it has been planned")
    nodes = [Node(one.id, clean(one.name), _note(one), one.state.value) for one in task.plan.subtasks]
    edges = [Edge(d, one.id) for one in task.plan.subtasks for d in one.dependencies]
    return Picture(clean(task.goal), nodes, edges)


def graph_picture(graph: Graph, order: Sequence[str]) -> Picture:
    """LangGraph's drawing as a picture, its nodes in the given order; a name inside a subgraph has that as its note."""
    place = {name: i for i, name in enumerate(("__start__", *order, "__end__"))}

    def key(id_: str) -> tuple[int, int]:
        outer, _, inner = id_.partition(":")
        return place.get(outer, len(place)), {"__start__": 0, "__end__": 2}.get(inner, 1)

    nodes = []
    for id_ in sorted(graph.nodes, key=key):
        inside, _, name = id_.rpartition(":")
        nodes.append(Node(id_, name.strip("_"), f"in {inside}" if inside else "", None))
    pairs = {(one.source, one.target) for one in graph.edges}
    edges = [
        Edge(one.source, one.target, dashed=one.conditional, both=(one.target, one.source) in pairs)
        for one in graph.edges
        if (one.target, one.source) not in pairs or key(one.source) < key(one.target)
    ]
    return Picture("Holdfast", nodes, edges)


def mermaid(picture: Picture) -> str:
    """The picture as a Mermaid flowchart."""
    number = {node.id: f"n{i}" for i, node in enumerate(picture.nodes)}
    lines = ["flowchart TD"]
    for node in picture.nodes:
        sign = SYMBOLS[node.state][0] if node.state else ""
        label = f"{sign} {_quoted(node.label)}<br/><small>{_quoted(node.note)}</small>"
        lines.append(f'    {number[node.id]}["{label}"]:::{node.state}')
    lines += [f"    {number[edge.source]} --> {number[edge.target]}" for edge in picture.edges]
    used = [state for state in SubtaskState if any(node.state == state for node in picture.nodes)]
    lines += [
        f"    classDef {state} fill:{COLOURS[state][0]},stroke:{COLOURS[state][1]},color:#1f2937" for state in used
    ]
    return "\n".join(lines)


def _note(one: SubtaskView) -> str:
    took = ""
    if one.started_at and one.ended_at:
        took = f" · {duration((one.ended_at - one.started_at).total_seconds())}"
    return f"{words(one.state)}{took}"


def _quoted(text: str) -> str:
    """Text that Mermaid shows as it is."""
    return "".join(f"#{ord(c)};" if c in '"#<>&`\\[]{}|' else c for c in text)
