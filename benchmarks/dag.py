"""Seeded graphs of subtasks to race on, and the arithmetic that a race is judged by.

Only ``Random.random`` is drawn from: it is the one method that Python promises never to change for a seed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import NormalDist

RESULT_BYTES = 1024
SHORTEST, LONGEST = 0.020, 0.400  # seconds that a sleeping subtask takes
SLEEP = NormalDist(mu=-2.41, sigma=0.75)  # of the logarithm of seconds: a median of 90 ms


@dataclass(frozen=True, slots=True)
class Node:
    """One subtask: the ids it needs and how long it sleeps.  A graph is a list with each after what it needs."""

    id: str
    needs: tuple[str, ...] = ()
    seconds: float = 0.0


def chain(size: int) -> list[Node]:
    """Each needs the one before."""
    return [Node(f"n{i}", (f"n{i - 1}",) if i else ()) for i in range(size)]


def fan(size: int) -> list[Node]:
    """One, then ``size`` that need it, then one that needs them all."""
    middle = tuple(f"n{i}" for i in range(1, size + 1))
    return [Node("n0"), *(Node(id_, ("n0",)) for id_ in middle), Node(f"n{size + 1}", middle)]


def layered(size: int, seed: int, width: int, seconds: float | None = None) -> list[Node]:
    """Layers of random width (``width`` on average); each subtask needs one to three of the two layers above its own.

    ``seconds`` None draws log-normal sleeps.
    """
    random = Random(seed * 1_000_003 + size).random
    nodes: list[Node] = []
    above: list[Node] = []
    last: list[Node] = []
    while len(nodes) < size:
        above, reach = last, above + last
        last = []
        for _ in range(min(1 + int(random() * (2 * width - 1)), size - len(nodes))):
            needs = {reach[int(random() * len(reach))].id for _ in range(1 + int(random() * 3))} if reach else set()
            sleep = _sleep(random()) if seconds is None else seconds
            last.append(Node(f"n{len(nodes)}", tuple(sorted(needs, key=_position)), sleep))
            nodes.append(last[-1])
    return nodes


def critical_path(nodes: Iterable[Node]) -> float:
    """Seconds of the slowest chain."""
    return max(remaining(list(nodes)).values(), default=0.0)


def remaining(nodes: Sequence[Node]) -> dict[str, float]:
    """Seconds from each subtask's start to the end along its slowest chain of successors."""
    longest: dict[str, float] = {node.id: 0.0 for node in nodes}
    for node in reversed(nodes):
        longest[node.id] += node.seconds
        for need in node.needs:
            longest[need] = max(longest[need], longest[node.id])
    return longest


def lower_bound(nodes: Sequence[Node], workers: int) -> float:
    """No schedule is shorter than the critical path, nor than all work shared evenly; ``workers`` 0 is no limit."""
    shared = sum(node.seconds for node in nodes) / workers if workers else 0.0
    return max(critical_path(nodes), shared)


def result(node: Node, inputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What a subtask returns: a kilobyte with a hash over its id and its inputs' hashes, so a wrong input shows."""
    proof = link(node, [inputs[need]["proof"] for need in node.needs])
    frame = len(json.dumps({"proof": proof, "text": ""}, separators=(",", ":")))
    return {"proof": proof, "text": (proof * (RESULT_BYTES // len(proof)))[: RESULT_BYTES - frame]}


def link(node: Node, proofs: Sequence[str]) -> str:
    """One link of the hash chain."""
    return hashlib.sha256(" ".join([node.id, *proofs]).encode()).hexdigest()[:20]


def proofs(nodes: Iterable[Node]) -> dict[str, str]:
    """The hash that each subtask's result has to carry."""
    known: dict[str, str] = {}
    for node in nodes:
        known[node.id] = link(node, [known[need] for need in node.needs])
    return known


def save(nodes: Sequence[Node], path: Path) -> None:
    """Writes a graph for other processes to load."""
    path.write_text(json.dumps([asdict(node) for node in nodes]), "utf-8")


def load(path: Path) -> list[Node]:
    """A graph that was saved."""
    return [Node(one["id"], tuple(one["needs"]), one["seconds"]) for one in json.loads(path.read_text("utf-8"))]


def _sleep(u: float) -> float:
    """The ``u`` quantile of the sleeps, in whole tenths of a millisecond."""
    drawn = math.exp(SLEEP.inv_cdf(min(max(u, 1e-9), 1 - 1e-9)))
    return round(min(max(drawn, SHORTEST), LONGEST), 4)


def _position(id_: str) -> int:
    return int(id_[1:])
