"""How much longer a plan will take: its longest chain, or its work shared among the workers, whichever is more.

Estimates are scaled by how true they have proved so far; a subtask without one is expected to take what its type, or
any subtask, has taken.  While nothing is known at all, nothing is said.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from holdfast.checkpoints.states import SETTLED, SubtaskState
from holdfast.cli.board import Board, Entry
from holdfast.nodes.scheduler import Job, Scheduler

REST = 30  # a computation that took t is not repeated before 30 t, so forecasting costs 3 % at most


class Forecast:
    """Seconds to the end of a board's plan, computed no more often than it is worth."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._ends: float | None = None
        self._due = 0.0

    def remaining(self, now: float) -> float | None:
        """Expected seconds from ``now`` to the end; None while unknown."""
        if now >= self._due:
            began = time.perf_counter()
            left = ahead(list(self._board.entries.values()), self._board.workers, now)
            self._ends = None if left is None else now + left
            self._due = now + max(REST * (time.perf_counter() - began), 0.2)
        return None if self._ends is None else max(self._ends - now, 0.0)


def ahead(entries: list[Entry], workers: int, now: float) -> float | None:
    """Expected seconds from ``now`` until all of ``entries``, in the order of the plan, are settled."""
    weights = expected(entries)
    if weights is None:
        return None
    elapsed = {one.id: min(now - (one.started or now), weights[one.id]) for one in entries if one.state == "running"}
    chain = Scheduler(
        [Job(one.id, tuple(one.dependencies), weights[one.id]) for one in entries],
        completed=[one.id for one in entries if one.state == SubtaskState.COMPLETED],
        dead={one.id: "" for one in entries if one.state in SETTLED - {SubtaskState.COMPLETED}},
    ).remaining(elapsed)
    work = sum(weights[one.id] - elapsed.get(one.id, 0.0) for one in entries if one.state not in SETTLED)
    return max(chain, work / workers if workers else 0.0)


def expected(entries: Iterable[Entry]) -> Mapping[str, float] | None:
    """Expected seconds of each subtask; None if neither an estimate nor an experience is there."""
    entries = list(entries)
    taken: dict[str, list[float]] = defaultdict(list)
    estimated = measured = 0.0
    for one in entries:
        if one.state == SubtaskState.COMPLETED and one.seconds is not None:
            taken[one.type].append(one.seconds)
            if one.minutes:
                estimated, measured = estimated + one.minutes * 60, measured + one.seconds
    scale = measured / estimated if estimated else 1.0
    given = [one.minutes * 60 * scale for one in entries if one.minutes is not None]
    known = [seconds for some in taken.values() for seconds in some] or given
    if not known:
        return None
    usual = sum(known) / len(known)
    typical = {kind: sum(some) / len(some) for kind, some in taken.items()}
    return {
        one.id: one.minutes * 60 * scale if one.minutes is not None else typical.get(one.type, usual) for one in entries
    }
