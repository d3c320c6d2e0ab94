"""What was measured, as Markdown: medians, ratios within one repetition, and the limits that they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.workloads import ALL, FUNC, HOLDFAST, SQLITE

NONE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one workload in one repetition."""

    workload: str
    contender: str
    rep: int
    figures: dict[str, float]
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table.  ``limit`` is Holdfast's; ``rival`` instead a limit on its ratio to langgraph_func."""

    workload: str
    key: str
    title: str
    digits: int = 2
    limit: float | None = None
    rival: float | None = None
    worst: bool = False  # the worst repetition counts, not the median
    floor: float | None = None  # it has to be at least this


FIGURES = (
    *(
        Figure(name, key, f"{title}, {unit}", digits)
        for name, title in (("chain200", "chain of 200"), ("fan200", "fan of 200"))
        for key, unit, digits in (("wall", "ms per subtask", 2), ("cpu", "CPU ms per subtask", 2))
    ),
    Figure("lay60", "to_path", "60 sleeping, no worker limit: makespan ÷ critical path", 3, 1.03),
    Figure("lay200", "to_path", "200 sleeping, no worker limit: makespan ÷ critical path", 3, 1.03),
    *(
        figure
        for name, size in (("lay60w8", 60), ("lay200w8", 200))
        for figure in (
            Figure(name, "to_longest", f"{size} sleeping, 8 workers: makespan ÷ ideal longest-path schedule", 3, 1.03),
            Figure(name, "to_bound", f"{size} sleeping, 8 workers: makespan ÷ max(critical path, total ÷ 8)", 3),
        )
    ),
    Figure("noop100", "cpu", "no-op, N = 100: CPU ms per subtask", 2, 1.3, 1.8),
    Figure("noop1000", "cpu", "no-op, N = 1,000: CPU ms per subtask", 2, 1.0, 1.0),
    Figure("noop5000", "cpu", "no-op, N = 5,000: CPU ms per subtask", 2, 1.0, 0.48),
    Figure("noop100", "wall", "no-op, N = 100: wall ms per subtask"),
    Figure("noop1000", "wall", "no-op, N = 1,000: wall ms per subtask"),
    Figure("noop5000", "wall", "no-op, N = 5,000: wall ms per subtask"),
    Figure("noop100", "bytes", "N = 100: database bytes per subtask", 0, 4096),
    Figure("noop1000", "bytes", "N = 1,000: database bytes per subtask", 0, 3072),
    Figure("noop5000", "bytes", "N = 5,000: database bytes per subtask", 0, 3072),
    Figure("noop100", "rss", "N = 100: peak RSS, MB", 0),
    Figure("noop1000", "rss", "N = 1,000: peak RSS, MB", 0),
    Figure("noop5000", "rss", "N = 5,000: peak RSS, MB", 0),
    Figure(
        "kill500", "again_used", "killed at 500 of 1,000: run again though a successor had started", 0, 0, worst=True
    ),
    Figure("kill500", "again_other", "killed at 500 of 1,000: others run again", 0, 8, worst=True),
    Figure("resume600", "first_start", "600 of 1,000 done: imports done → first new subtask, s", 3, 0.1),
    Figure("pauses", "here", "pause `now` acknowledged → nothing running, in process, ms", 1, 20),
    Figure("pauses", "here_p99", "the same, 99th percentile of 100", 1, 100),
    Figure("pauses", "there", "pause `now` from another connection → nothing running, ms", 1, 150),
    Figure("pauses", "there_p99", "the same, 99th percentile of 100", 1, 750),
    Figure("pauses", "resume", "resume → first step, in process, ms", 1, 50),
    Figure("pauses", "resume_p99", "the same, 99th percentile of 200", 1, 250),
    Figure("requests", "sends", "SendMessage (`returnImmediately`, durable), per second", 0, floor=40),
    Figure("requests", "send_p99", "the same, 99th percentile, ms", 0, 500),
    Figure("requests", "gets", "GetTask, per second", 0, floor=150),
    Figure("streams", "first_p95", "100 streams opened at once: first event, 95th percentile, s", 2, 2),
    Figure("streams", "lossy", "300 streams of which 10 % reconnect: streams that lost an event", 0, 0, worst=True),
    Figure("pause_calls", "pause", "PauseTask acknowledged, 100 tasks working, ms", 1),
    Figure("pause_calls", "pause_p99", "the same, 99th percentile of 200, ms", 1, 100),
    Figure("paused_many", "start", "server start with 10,000 paused tasks, s", 2, 5),
    Figure("paused_many", "rss", "the same, memory, MB", 0, 300),
    Figure("model_plan", "to_path", "30 calls of 200 ms, 6 wide and 5 deep: makespan ÷ critical path", 3, 1.1),
    Figure("model_plan", "alone", "the same calls by langchain-openai alone, nothing kept: the same ratio", 3),
    Figure("model_plan", "faster", "the same: times faster than one call after the other", 2, floor=3.7),
    Figure("model_plan", "overhead", "one call after the other: overhead per subtask, ms", 1),
    Figure("cached_report", "calls", "a report by a model run again: calls", 0, 0, worst=True),
    Figure("cached_report", "seconds", "the same: whole process, s", 2, 3.0),
    Figure("help", "seconds", "`holdfast --help`, s", 2, 0.3),
    Figure("report", "seconds", "first report on 100,000 rows, whole process, s", 1, 8.0),
    Figure("report", "rss", "first report on 100,000 rows, peak RSS, MB", 0, 600),
    Figure("levels", "seconds", "first report on 100,000 prices of 200 series, whole process, s", 1, 10.0),
    Figure("levels", "rss", "the same, peak RSS, MB", 0, 600),
)


def markdown(rows: Sequence[Row]) -> str:
    """The table of all figures for which something was measured."""
    head = ["", *ALL, f"÷ {FUNC}", f"÷ {SQLITE}", "limit", "holds"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [_line(_cells(figure, rows)) for figure in FIGURES if _values(rows, figure, HOLDFAST)]
    return "\n".join([*lines, *_remarks(rows)])


def ratio(rows: Iterable[Row], figure: Figure, other: str) -> float | None:
    """Holdfast's figure over another's: the median of the ratios within each repetition."""
    ours, theirs = ({row.rep: row.figures[figure.key] for row in _of(rows, figure, who)} for who in (HOLDFAST, other))
    pairs = [ours[rep] / theirs[rep] for rep in ours.keys() & theirs.keys() if theirs[rep]]
    return statistics.median(pairs) if pairs else None


def _cells(figure: Figure, rows: Sequence[Row]) -> list[str]:
    shown = [_number(_summary(_values(rows, figure, who), figure), figure.digits) for who in ALL]
    to_func, to_sqlite = (ratio(rows, figure, other) for other in (FUNC, SQLITE))
    ours = _summary(_values(rows, figure, HOLDFAST), figure)
    limits, verdicts = [], []
    if figure.limit is not None and ours is not None:
        limits.append(f"≤ {figure.limit:g}")
        verdicts.append("yes" if ours <= figure.limit else "**no**")
    if figure.floor is not None and ours is not None:
        limits.append(f"≥ {figure.floor:g}")
        verdicts.append("yes" if ours >= figure.floor else "**no**")
    if figure.rival is not None and to_func is not None:
        limits.append(f"≤ {figure.rival:g} × func")
        verdicts.append("yes" if to_func <= figure.rival else "**no**")
    ratios = [_number(value, 2) for value in (to_func, to_sqlite)]
    return [figure.title, *shown, *ratios, ", ".join(limits) or NONE, ", ".join(verdicts) or NONE]


def _remarks(rows: Sequence[Row]) -> list[str]:
    """What the columns cannot say: how much first-come order costs by itself, and what failed."""
    said = [""]
    for name, size in (("lay60w8", 60), ("lay200w8", 200)):
        if fifo := [row.figures["fifo"] for row in rows if row.workload == name and not row.failed]:
            said.append(
                f"- First come, first served on the same {size}-subtask graphs with 8 workers, simulated without any "
                f"overhead: {min(fifo):.3f} to {max(fifo):.3f} times the longest-path schedule."
            )
    return said + [
        f"- {row.contender} on {row.workload}, repetition {row.rep}: {row.failed}" for row in rows if row.failed
    ]


def _of(rows: Iterable[Row], figure: Figure, contender: str) -> list[Row]:
    return [row for row in rows if (row.workload, row.contender) == (figure.workload, contender) and not row.failed]


def _values(rows: Iterable[Row], figure: Figure, contender: str) -> list[float]:
    return [row.figures[figure.key] for row in _of(rows, figure, contender)]


def _summary(values: Sequence[float], figure: Figure) -> float | None:
    if not values:
        return None
    return max(values) if figure.worst else statistics.median(values)


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
