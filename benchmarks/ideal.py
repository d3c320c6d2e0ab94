"""The schedule that costs nothing: what a makespan is compared with."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count

from benchmarks.dag import Node, remaining


def makespan(nodes: Sequence[Node], workers: int = 0, *, longest_first: bool = True) -> float:
    """Seconds of list scheduling without overhead: by longest remaining path, or first come, first served."""
    path, arrival = remaining(nodes), count()
    by_id = {node.id: node for node in nodes}
    missing = {node.id: len(node.needs) for node in nodes}
    users: dict[str, list[str]] = {node.id: [] for node in nodes}
    for node in nodes:
        for need in node.needs:
            users[need].append(node.id)
    now, running, fresh = 0.0, list[tuple[float, str]](), [node.id for node in nodes if not node.needs]
    ready: list[tuple[float, int, str]] = []
    while True:
        for id_ in fresh:
            heapq.heappush(ready, (-path[id_] if longest_first else 0.0, next(arrival), id_))
        while ready and not 0 < workers <= len(running):
            id_ = heapq.heappop(ready)[-1]
            heapq.heappush(running, (now + by_id[id_].seconds, id_))
        if not running:
            return now
        now, fresh = running[0][0], []
        while running and running[0][0] == now:  # all that end at one moment end before anything starts
            for user in users[heapq.heappop(running)[1]]:
                missing[user] -= 1
                if not missing[user]:
                    fresh.append(user)
