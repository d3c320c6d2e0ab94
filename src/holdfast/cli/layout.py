"""Where the nodes of a picture lie: layers by longest path, few crossings, edges that go round nodes.

The method of Sugiyama, Tagawa and Toda (1981): an edge against the order of the nodes is laid as if it ran forward;
long edges get a bend in every layer they cross; the order inside a layer follows the mean place of the neighbours
(barycentre), swept down and up a few times.  Linear in nodes, edges and bends for each sweep.
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
    """An arrow; ``both`` has a head at either end."""

    source: str
    target: str
    dashed: bool = False
    both: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be drawn; nodes in the order in which they run."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]


@dataclass(slots=True)
class Layout:
    """Layers of node ids and bends; ``routes`` has every edge's places, from the earlier to the later node."""

    layers: list[list[str]]
    routes: list[tuple[Edge, list[str]]]
    across: bool
    bends: set[str] = field(default_factory=set)


def arrange(picture: Picture) -> Layout:
    """Puts every node into a layer, and into a place within it."""
    ends = _ends(picture)
    layer = _layers(picture.nodes, [(first, last) for _, first, last in ends])
    count = max(layer.values(), default=-1) + 1
    layers: list[list[str]] = [[] for _ in range(count)]
    for node in picture.nodes:
        layers[layer[node.id]].append(node.id)
    layout = Layout(layers, [], max(map(len, layers), default=0) > MOST_BESIDE)
    _route(layout, ends, layer)
    _sort(layout)
    return layout


def essential(picture: Picture) -> Picture:
    """The picture without edges that a longer way says as well; its edges follow the order of its nodes."""
    number = {node.id: i for i, node in enumerate(picture.nodes)}
    entering: dict[str, list[Edge]] = defaultdict(list)
    for edge in picture.edges:
        entering[edge.target].append(edge)
    before: dict[str, int] = {}  # a bit for each node from which one gets here
    kept = []
    for node in picture.nodes:
        implied = 0
        for edge in entering[node.id]:
            implied |= before.get(edge.source, 0)
        kept += [edge for edge in entering[node.id] if not implied >> number[edge.source] & 1]
        before[node.id] = implied | sum(1 << number[source] for source in {e.source for e in entering[node.id]})
    return Picture(picture.title, picture.nodes, kept)


def _ends(picture: Picture) -> list[tuple[Edge, str, str]]:
    """Each edge with its earlier and its later end."""
    number = {node.id: i for i, node in enumerate(picture.nodes)}
    return [
        (
            edge,
            min(edge.source, edge.target, key=number.__getitem__),
            max(edge.source, edge.target, key=number.__getitem__),
        )
        for edge in picture.edges
        if edge.source != edge.target and edge.source in number and edge.target in number
    ]


def _layers(nodes: Iterable[Node], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest path to each node."""
    leaving: dict[str, list[str]] = defaultdict(list)
    missing = {node.id: 0 for node in nodes}
    for first, last in edges:
        leaving[first].append(last)
        missing[last] += 1
    layer = dict.fromkeys(missing, 0)
    order = [id_ for id_, count in missing.items() if not count]
    for id_ in order:  # grows while it is walked
        for target in leaving[id_]:
            layer[target] = max(layer[target], layer[id_] + 1)
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return layer


def _route(layout: Layout, ends: Sequence[tuple[Edge, str, str]], layer: Mapping[str, int]) -> None:
    """Gives long edges a bend in each layer they cross, unless that would be very many."""
    bends = sum(layer[last] - layer[first] - 1 for _, first, last in ends)
    for number, (edge, first, last) in enumerate(ends):
        between = range(layer[first] + 1, layer[last]) if bends <= MOST_BENDS else range(0)
        names = [f"\0{number}.{at}" for at in between]
        for at, name in zip(between, names, strict=True):
            layout.layers[at].append(name)
        layout.bends.update(names)
        layout.routes.append((edge, [first, *names, last]))


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
