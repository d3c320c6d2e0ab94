"""The rules planner: a goal and data files become the subtasks of a market research report.

Deterministic: the same goal and paths give the same plan.  No model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import Rejected

_OPENING = re.compile(
    r"^\s*(please\s+)?((write|make|create|prepare|produce|generate|give me)\s+)?(an?\s+|the\s+)?"
    r"(short\s+|brief\s+|full\s+|detailed\s+)?((market|industry|competitor|competitive|trend)\w*\s+)?"
    r"(research|analysis|overview|study|report)(\s+(report|study|analysis))?\s+(on|about|of|for|into)\s+",
    re.IGNORECASE,
)
ANALYSES = ("market_overview", "competitor_analysis", "trends_analysis", "forecast")
_FOUND = ("profile_data", *ANALYSES)
# id and type, name, description, dependencies, minutes (0: as long as reading takes); the last depends on all
STEPS: list[tuple[str, str, str, tuple[str, ...], float]] = [
    ("collect_data", "Collect data", "Read the data files once and keep their rows", (), 0),
    ("profile_data", "Profile data", "Decide what each column is for and check the data", ("collect_data",), 0),
    ("market_overview", "Market overview", "Size, growth and course", ("profile_data",), 0.05),
    ("competitor_analysis", "Competitor analysis", "Shares, gains and losses, concentration", ("profile_data",), 0.05),
    ("trends_analysis", "Trends analysis", "Direction, seasons, highs and lows", ("profile_data",), 0.05),
    ("forecast", "Forecast", "The next year by back-test, or why none is given", ("profile_data",), 0.05),
    ("recommendations", "Recommendations", "Advice that the figures bear out", _FOUND, 0.02),
    ("summary", "Executive summary", "Five findings with their confidence", (*_FOUND, "recommendations"), 0.02),
    ("method", "Method", "How each figure was made", _FOUND, 0.02),
    ("compile_report", "Compile report", "Put the sections together as Markdown, HTML and PDF", (), 0.1),
]
_MEGABYTE = 1 << 20


def make_plan(goal: str, data: Sequence[str | Path], profile: Any = None) -> list[dict[str, Any]]:
    """The subtasks in an order in which they can run, as a plan file has them; raises Rejected without data files.

    ``profile`` is what is known of the data already, if anything; the plan does not depend on it yet.
    """
    if not data:
        raise Rejected("a market research report needs data: name files with --data, or attach them to the message")
    paths = [str(Path(path).absolute()) for path in data]
    reading = _reading_minutes(paths)
    params: dict[str, dict[str, Any]] = {
        "collect_data": {"paths": paths},
        "profile_data": {"goal": goal},
        "compile_report": {"title": title_of(goal), "subtitle": _subtitle(paths), "goal": goal},
    }
    subtasks: list[dict[str, Any]] = []
    for kind, name, description, dependencies, minutes in STEPS:
        subtasks.append(_subtask(kind, name, description, dependencies, minutes or reading, params.get(kind, {})))
        if kind in ANALYSES:
            subtasks.append(_chart(kind))
    subtasks[-1]["dependencies"] = [subtask["id"] for subtask in subtasks[:-1]]
    return subtasks


def _subtask(
    kind: str, name: str, description: str, dependencies: Sequence[str], minutes: float, params: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": kind,
        "name": name,
        "description": description,
        "type": kind,
        "params": params,
        "dependencies": list(dependencies),
        "estimated_time": minutes,
    }


def _chart(analysis: str) -> dict[str, Any]:
    words = analysis.replace("_", " ")
    return {
        "id": f"charts_{analysis}",
        "name": f"Charts: {words}",
        "description": f"Draw the figures of the {words}",
        "type": "chart",
        "params": {"section": analysis},
        "dependencies": [analysis],
        "estimated_time": 0.1,
    }


def _reading_minutes(paths: list[str]) -> float:
    """About one second per ten megabytes, at least a second."""
    size = sum(file.stat().st_size for path in map(Path, paths) for file in ([path] if path.is_file() else []))
    return round(max(1.0, size / (10 * _MEGABYTE)) / 60, 3)


def title_of(goal: str) -> str:
    """The subject of a goal: "Market research report on Norway's new car market" → "Norway's new car market"."""
    text = " ".join(goal.split())
    subject = _OPENING.sub("", text).rstrip(" .!?") or text
    return subject[:1].upper() + subject[1:] if subject else "Market research"


def _subtitle(paths: list[str]) -> str:
    names = [Path(path).name for path in paths]
    if len(names) > 2:
        return f"What {names[0]} and {len(names) - 1} more say about size, shares and direction"
    return f"What {' and '.join(names)} {'says' if len(names) == 1 else 'say'} about size, shares and direction"
