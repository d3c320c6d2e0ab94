"""Where the nodes of a picture lie: layers by longest path, few crossings, edges that go round nodes.

The method of Sugiyama, Tagawa and Toda (1981): edges that close a circle are left out of the layering; long edges get
a bend in every layer they cross; the order inside a layer follows the mean place of the neighbours (barycentre), swept
down and up a few times.  Linear in nodes, edges and bends for each sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 6
MOST_BENDS = 20_000
MOST_BESIDE = 5  # a picture with wider layers runs from left to right


@dataclass(frozen=True, slots=True)
class Node:
    """A box; ``state`` is None where there is none to show."""

    id: str
    label: str
    note: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow."""

    source: str
    target: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be drawn."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]


@dataclass(slots=True)
class Layout:
    """Layers of node ids and bends; ``routes`` has every edge's places from its source to its target."""

    layers: list[list[str]]
    routes: list[tuple[Edge, list[str]]]
    across: bool
    bends: set[str] = field(default_factory=set)


def arrange(picture: Picture) -> Layout:
    """Puts every node into a layer, and into a place within it."""
    forward, backward = _split(picture)
    layer = _layers(picture.nodes, forward)
    count = max(layer.values(), default=-1) + 1
    layers: list[list[str]] = [[] for _ in range(count)]
    for node in picture.nodes:
        layers[layer[node.id]].append(node.id)
    layout = Layout(layers, [], max(map(len, layers), default=0) > MOST_BESIDE)
    _route(layout, forward, layer)
    layout.routes += [(edge, [edge.source, edge.target]) for edge in backward]
    _sort(layout)
    return layout


def _split(picture: Picture) -> tuple[list[Edge], list[Edge]]:
    """(edges that make an acyclic graph, edges that go back), by a walk from the first nodes on."""
    known = {node.id for node in picture.nodes}
    leaving: dict[str, list[Edge]] = defaultdict(list)
    for edge in picture.edges:
        if edge.source in known and edge.target in known and edge.source != edge.target:
            leaving[edge.source].append(edge)
    back: set[int] = set()
    done: dict[str, bool] = {}  # False: on the path
    for node in picture.nodes:
        walk = [(node.id, iter(leaving[node.id]))] if node.id not in done else []
        done.setdefault(node.id, False)
        while walk:
            here, rest = walk[-1]
            for edge in rest:
                if edge.target not in done:
                    done[edge.target] = False
                    walk.append((edge.target, iter(leaving[edge.target])))
                    break
                if not done[edge.target]:
                    back.add(id(edge))
            else:
                done[here] = True
                walk.pop()
    edges = [edge for some in leaving.values() for edge in some]
    return [edge for edge in edges if id(edge) not in back], [edge for edge in edges if id(edge) in back]


def _layers(nodes: Iterable[Node], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest path to each node."""
    leaving: dict[str, list[str]] = defaultdict(list)
    missing = {node.id: 0 for node in nodes}
    for edge in edges:
        leaving[edge.source].append(edge.target)
        missing[edge.target] += 1
    layer = dict.fromkeys(missing, 0)
    order = [id_ for id_, count in missing.items() if not count]
    for id_ in order:  # grows while it is walked
        for target in leaving[id_]:
            layer[target] = max(layer[target], layer[id_] + 1)
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return layer


def _route(layout: Layout, edges: Sequence[Edge], layer: Mapping[str, int]) -> None:
    """Gives long edges a bend in each layer they cross, unless that would be very many."""
    bends = sum(layer[edge.target] - layer[edge.source] - 1 for edge in edges)
    for number, edge in enumerate(edges):
        between = range(layer[edge.source] + 1, layer[edge.target]) if bends <= MOST_BENDS else range(0)
        names = [f"\0{number}.{at}" for at in between]
        for at, name in zip(between, names, strict=True):
            layout.layers[at].append(name)
        layout.bends.update(names)
        layout.routes.append((edge, [edge.source, *names, edge.target]))


def _sort(layout: Layout) -> None:
    """Orders each layer by the mean place of its neighbours in the layer before, then after, and so on."""
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for _, route in layout.routes:
        for one, other in pairwise(route):
            above[other].append(one)
            below[one].append(other)
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        layers = layout.layers[::-1] if sweep % 2 else layout.layers
        place: dict[str, float] = {}
        for names in layers:
            middle = (len(names) - 1) / 2
            here = {name: i - middle for i, name in enumerate(names)}
            mean = {name: _mean([place[n] for n in neighbours[name] if n in place], here[name]) for name in names}
            names.sort(key=mean.__getitem__)
            place.update({name: i - middle for i, name in enumerate(names)})


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise
