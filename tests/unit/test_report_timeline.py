"""The appendix on the run: what the stored events say of subtasks, waits, pauses and results taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast.nodes.report.document import Section, Table
from holdfast.nodes.report.text import plain
from holdfast.nodes.report.timeline import write_timeline
from holdfast.nodes.report.types import ReportParams, compile_report
from tests.unit.fakes_report import context, inputs

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
PLAN = [{"id": "@plan"}, {"id": "read", "name": "Read"}, {"id": "count", "name": "Count"}, {"id": "later"}]


Told = tuple[float, str, str | None] | tuple[float, str, str | None, dict[str, Any]]


def events(*told: Told) -> list[dict[str, Any]]:
    """Events as every interface shows them: (seconds after the start, type, subtask[, data])."""
    return [
        {
            "seq": number,
            "at": (START + timedelta(seconds=one[0])).isoformat().replace("+00:00", "Z"),
            "type": one[1],
            "subtask": one[2],
            "data": one[3] if len(one) > 3 else {},
        }
        for number, one in enumerate(told, 1)
    ]


WHOLE = events(
    (0, "task.submitted", None),
    (0, "task.working", None),
    (0.1, "subtask.running", "@plan"),
    (0.2, "subtask.completed", "@plan"),
    (1, "subtask.running", "read"),
    (3.5, "question.asked", "read", {"question": "q1"}),
    (3.5, "subtask.input_required", "read"),
    (3.5, "task.input_required", None),
    (63.5, "question.answered", "read", {"question": "q1", "by": "user"}),
    (63.5, "subtask.waiting", "read"),
    (63.5, "task.working", None),
    (64, "subtask.running", "read"),
    (65, "subtask.completed", "read"),
    (65, "cache.hit", "count", {"from": "other"}),
    (65, "subtask.running", "count"),
    (66, "task.paused", None),
    (3666, "task.working", None),
    (3667, "subtask.completed", "count"),
)


def tables(section: Section | None) -> list[Table]:
    assert section
    return [block for block in section.blocks if isinstance(block, Table)]


def sentence(section: Section | None) -> str:
    assert section
    block = section.blocks[0]
    assert block.type == "paragraph"
    return plain(block.spans).replace("\u00a0", " ")


def test_each_subtask_has_its_start_its_end_and_the_time_at_work():
    rows = [[cell.replace("\u00a0", " ") for cell in row] for row in tables(write_timeline(PLAN, WHOLE))[0].rows]
    assert rows == [
        ["Read", "0:01.0", "1:05.0", "3.5 s", "2 times at work; asked a question; answered"],
        ["Count", "1:05.0", "1:01:07", "1 h 0 min", "reused from an earlier task"],
    ]


def test_pauses_and_waits_for_answers_are_told_with_their_length():
    section = write_timeline(PLAN, WHOLE)
    rows = [[cell.replace("\u00a0", " ") for cell in row] for row in tables(section)[1].rows]
    assert rows == [
        ["waited for an answer", "0:03.5", "1:03.5", "60 s"],
        ["paused", "1:06.0", "1:01:06", "1 h 0 min"],
    ]
    assert "It stood still 2 times, 1 h 1 min in all." in sentence(section)
    assert "1 result was taken over from an earlier task." in sentence(section)


def test_a_run_without_a_stop_says_so_and_a_subtask_under_way_has_no_end():
    history = events((0, "task.submitted", None), (2, "subtask.running", "read"), (2.5, "artifact.added", "read"))
    section = write_timeline(PLAN, history)
    assert tables(section)[0].rows == [["Read", "0:02.0", "at work", "–", ""]]
    assert len(tables(section)) == 1
    assert "began on 2026-01-31 at 12:00:00 UTC; 2.5 s later" in sentence(section)
    assert "It was not interrupted. Nothing was taken over." in sentence(section)


def test_without_a_history_there_is_no_appendix():
    assert write_timeline(PLAN, []) is None


async def test_the_appendix_stands_last_in_the_text_and_nowhere_in_the_evidence(tmp_path: Path):
    texts = {}
    for name, history in (("without", []), ("with", WHOLE)):
        ctx, effects = context(tmp_path / name)
        effects.history = history
        await compile_report(ReportParams(title="T"), inputs(), ctx)
        texts[name] = {file: (tmp_path / name / "out" / file).read_bytes() for file in effects.handed_out}
    assert texts["with"]["evidence.json"] == texts["without"]["evidence.json"]
    before, _, appendix = texts["with"]["report.md"].decode().partition("\n## Appendix: timeline of the run\n")
    assert before == texts["without"]["report.md"].decode()
    assert "| Read | 0:01.0 | 1:05.0 |" in appendix
    page = texts["with"]["report.html"].decode()
    section = page[page.index('<section id="timeline"') :]
    section = section[: section.index("</section>") + len("</section>\n")]
    link = '<li><a href="#timeline">Appendix: timeline of the run</a></li>\n'
    assert page.replace(section, "").replace(link, "") == texts["without"]["report.html"].decode()
    assert {name: data for name, data in texts["with"].items() if name.startswith("charts/")} == {
        name: data for name, data in texts["without"].items() if name.startswith("charts/")
    }
