"""The appendix on the run: when each subtask worked, what it waited for, and what was taken over from another task.

Its figures come from the task's stored history and not from the data: they differ from run to run, so they stand in
one section of their own, at the end, which evidence and ``holdfast verify`` leave out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.nodes.report.document import Block, Paragraph, Section, Table, say

SECTION = "timeline"
TITLE = "Appendix: timeline of the run"
_OVER = ("subtask.completed", "subtask.failed", "subtask.skipped", "subtask.canceled")
_AT_REST = ("task.paused", "task.input_required")
Span = tuple[datetime, datetime]


@dataclass
class Course:
    """One subtask as its events tell it; the last attempt may still be under way."""

    name: str
    work: list[Span] = field(default_factory=list)
    began: datetime | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> datetime | None:
        """When it first began to work."""
        return self.work[0][0] if self.work else self.began

    @property
    def worked(self) -> float:
        """Seconds at work, attempts together."""
        return sum((end - start).total_seconds() for start, end in self.work)


def write_timeline(plan: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]) -> Section | None:
    """The section; None without a history, as in a test."""
    if not events:
        return None
    names = {spec["id"]: spec.get("name") or spec["id"] for spec in plan if not spec["id"].startswith("@")}
    start = _at(events[0])
    courses = _courses(names, events)
    rests = _rests(events)
    blocks: list[Block] = [Paragraph(spans=say(_sentences(start, _at(events[-1]), courses, rests, events)))]
    blocks.append(_table(start, courses))
    if rests:
        blocks.append(_rest_table(start, rests))
    return Section(id=SECTION, title=TITLE, blocks=blocks)


def _courses(names: dict[str, str], events: Iterable[dict[str, Any]]) -> list[Course]:
    """In the order in which they began; what has not begun is left out."""
    known = {id_: Course(name) for id_, name in names.items()}
    for event in events:
        course, kind = known.get(event["subtask"] or ""), event["type"]
        if course is None:
            continue
        if kind == "subtask.running":
            course.began = _at(event)
        elif kind.startswith("subtask.") and course.began:
            course.work.append((course.began, _at(event)))
            course.began = None
        if kind == "cache.hit" and "from" in event["data"]:  # else it was an answer of the model
            course.notes.append("reused from an earlier task")
        elif kind == "question.asked":
            course.notes.append("asked a question")
        elif kind == "question.answered":
            course.notes.append("default taken" if event["data"].get("by") == "default" else "answered")
        elif kind == "subtask.held":
            course.notes.append("held")
        elif kind in _OVER[1:]:
            course.notes.append(kind.removeprefix("subtask."))
    begun = [(course.first, course) for course in known.values() if course.first]
    return [course for _, course in sorted(begun, key=lambda pair: pair[0])]


def _rests(events: Iterable[dict[str, Any]]) -> list[tuple[str, Span]]:
    """Times at which the whole task stood still: paused, or waiting for an answer."""
    result: list[tuple[str, Span]] = []
    since: tuple[str, datetime] | None = None
    for event in events:
        if event["type"] in _AT_REST or event["type"] == "task.working":
            if since:
                result.append((since[0], (since[1], _at(event))))
            since = None
        if event["type"] in _AT_REST:
            since = ("paused" if event["type"] == "task.paused" else "waited for an answer", _at(event))
    return result


def _sentences(
    start: datetime, end: datetime, courses: list[Course], rests: list[tuple[str, Span]], events: Any
) -> str:
    at_rest = sum((after - before).total_seconds() for _, (before, after) in rests)
    reused = sum(event["type"] == "cache.hit" and "from" in event["data"] for event in events)
    text = (
        f"The run began on {start:%Y-%m-%d at %H:%M:%S} UTC; {_length((end - start).total_seconds())} later this report"
        f" was put together, as the work of {len(courses)} subtasks."
    )
    times = "once" if len(rests) == 1 else f"{len(rests)} times"
    results = "result was" if reused == 1 else "results were"
    text += f" It stood still {times}, {_length(at_rest)} in all." if rests else " It was not interrupted."
    text += f" {reused} {results} taken over from an earlier task." if reused else " Nothing was taken over."
    return text + " These times come from the stored history of the run, not from the data."


def _table(start: datetime, courses: list[Course]) -> Table:
    rows = []
    for course in courses:
        done = course.work and not course.began
        attempts = len(course.work) + bool(course.began)
        notes = [*([f"{attempts} times at work"] if attempts > 1 else []), *dict.fromkeys(course.notes)]
        rows.append(
            [
                course.name,
                _since(start, course.first),
                _since(start, course.work[-1][1]) if done else "at work",
                _length(course.worked) if done else "–",
                "; ".join(notes),
            ]
        )
    return Table(
        caption="Subtasks of the run: minutes and seconds since its beginning",
        columns=["Subtask", "Began", "Ended", "At work", "Remarks"],
        numeric=[False, True, True, True, False],
        rows=rows,
    )


def _rest_table(start: datetime, rests: list[tuple[str, Span]]) -> Table:
    return Table(
        caption="When the whole run stood still",
        columns=["What", "Began", "Ended", "Lasted"],
        numeric=[False, True, True, True],
        rows=[
            [what, _since(start, before), _since(start, after), _length((after - before).total_seconds())]
            for what, (before, after) in rests
        ],
    )


def _at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])


def _since(start: datetime, at: datetime | None) -> str:
    """``0:04.7``, ``2:03:11``: minutes and seconds, with hours when there are some."""
    tenths = round((at - start).total_seconds() * 10) if at else 0
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths // 10:02d}" if hours else f"{minutes}:{tenths / 10:04.1f}"


def _length(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min``, ``2 h 5 min``, with no-break spaces."""
    if seconds < 10:
        text = f"{seconds:.1f} s"
    elif seconds < 120:
        text = f"{seconds:.0f} s"
    else:
        hours, minutes = divmod(round(seconds / 60), 60)
        text = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return text.replace(" ", "\u00a0")
