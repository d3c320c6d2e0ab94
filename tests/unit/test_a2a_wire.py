"""The extension's words and Holdfast's words in A2A's: pure functions, no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from holdfast.a2a import extension, incoming, wire
from holdfast.a2a.extension import URI, PauseRequest
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.files import Files
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TaskState
from holdfast.checkpoints.tasks import ArtifactRow

NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, PauseRequest()),
        ({"urn:other": {"mode": "never"}}, PauseRequest()),
        ({URI: {}}, PauseRequest("step", None, None)),
        ({URI: {"mode": "now"}}, PauseRequest("now")),
        ({URI: {"mode": "drain", "reason": "r" * 1000}}, PauseRequest("drain", "r" * 1000)),
        ({URI: {"reason": None, "until": None}}, PauseRequest()),
        ({URI: {"until": "2031-01-31T12:00:00Z"}}, PauseRequest(until=NOON)),
        ({URI: {"until": "2031-01-31T14:30:00+02:30"}}, PauseRequest(until=NOON)),
    ],
    ids=str,
)
def test_what_a_pause_request_says(given: dict[str, Any], wanted: PauseRequest) -> None:
    assert extension.request(given) == wanted


def test_until_is_kept_in_utc() -> None:
    until = extension.request({URI: {"until": "2031-01-31T14:30:00+02:30"}}).until
    assert until is not None
    assert until.tzinfo is UTC


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({URI: []}, "object"),
        ({URI: None}, "object"),
        ({URI: {"modes": "now"}}, "object with mode, reason and until"),
        ({URI: {"mode": "NOW"}}, "drain, step, now"),
        ({URI: {"mode": {}}}, "drain, step, now"),
        ({URI: {"reason": "r" * 1001}}, "1,000"),
        ({URI: {"until": "2031-01-31"}}, "time zone"),
        ({URI: {"until": "2031-02-31T12:00:00Z"}}, "2026-01-31T12:00:00Z"),
        ({URI: {"until": "0001-01-01T00:00:00+23:59"}}, "2026-01-31T12:00:00Z"),
        ({URI: {"until": True}}, "2026-01-31T12:00:00Z"),
    ],
    ids=str,
)
def test_what_a_pause_request_may_not_say(given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        extension.request(given)


def stop(reason: str | None = None, until: datetime | None = None, at: datetime = NOON) -> dict[str, Any]:
    return {"mode": "step", "reason": reason, "at": at.timestamp(), "until": until.timestamp() if until else None}


def test_what_a_paused_task_says() -> None:
    said = extension.paused({"person": stop("lunch", NOON + timedelta(hours=1))}, 2)
    assert said == {
        "state": "PAUSED",
        "initiatedBy": "person",
        "reason": "lunch",
        "pausedAt": "2031-01-31T12:00:00.000Z",
        "pausedUntil": "2031-01-31T13:00:00.000Z",
        "in_flight": 2,
    }
    assert "reason" not in extension.paused({"person": stop()}, 0)


def test_a_pause_with_several_causes_ends_when_the_last_one_does() -> None:
    early, late = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    both = extension.paused({"system": stop("disk full", late), "person": stop(until=early)}, 0)
    assert (both["initiatedBy"], both["reason"]) == ("system", "disk full")
    assert both["pausedUntil"] == "2031-01-31T14:00:00.000Z"
    open_ended = extension.paused({"system": stop("disk full"), "person": stop(until=early)}, 0)
    assert "pausedUntil" not in open_ended, "nobody can say when it ends"


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("begun", [True, False])
def test_every_state_has_a_name_on_the_wire(state: TaskState, begun: bool) -> None:
    name = pb.TaskState.Name(wire.state(state, begun=begun))
    if state == TaskState.PAUSED:
        assert name == ("TASK_STATE_WORKING" if begun else "TASK_STATE_SUBMITTED")
    else:
        assert name == f"TASK_STATE_{state}"


def test_the_extensions_key_is_there_only_while_paused() -> None:
    assert MessageToDict(wire.metadata(7, None)) == {"holdfast": {"seq": 7.0}}
    said = MessageToDict(wire.metadata(7, {"state": "PAUSED"}, subtask="a", event="subtask.held"))
    assert said == {"holdfast": {"seq": 7.0, "subtask": "a", "event": "subtask.held"}, URI: {"state": "PAUSED"}}


def test_whole_numbers_come_back_whole() -> None:
    data = {"plan": {"subtasks": [{"retries": 2, "estimated_time": 1.5, "big": 2**60, "ok": True, "none": None}]}}
    part = ParseDict({"data": data}, pb.Part())
    plain = wire.plain(part.data)
    assert plain["plan"]["subtasks"][0] == {
        "retries": 2,
        "estimated_time": 1.5,
        "big": float(2**60),
        "ok": True,
        "none": None,
    }
    assert type(plain["plan"]["subtasks"][0]["retries"]) is int


def test_a_message_keeps_its_parts_and_its_files_by_their_hash() -> None:
    said = pb.Message(message_id="m", role=pb.Role.ROLE_USER)
    said.parts.add(text="go")
    said.parts.add().data.struct_value.update({"options": {"yes": True}})
    said.parts.add(raw=b"a,b\n", filename="x/y/../../../.s.csv", media_type="text/csv; charset=utf-8")
    read = incoming.read(said)
    assert (read.text, read.options, [one.name for one in read.uploads]) == ("go", {"yes": True}, ["s.csv"])
    assert read.parts[2] == {
        "filename": "x/y/../../../.s.csv",
        "mediaType": "text/csv; charset=utf-8",
        "sha256": read.uploads[0].sha256,
    }
    again = MessageToDict(wire.message(read.kept, "t", "c"))
    assert again["parts"][2]["url"] == f"urn:sha256:{read.uploads[0].sha256}"
    assert (again["taskId"], again["contextId"], again["role"]) == ("t", "c", "ROLE_USER")


def test_questions_are_told_in_words_and_as_data() -> None:
    def question(id_: str, prompt: str) -> Question:
        return Question(id_, "a", "k", "input", prompt, {"type": "integer"}, "4", None, 0.0, None, False, None)

    one = MessageToDict(wire.asked([question("q1", "How many?")], "t", "c"))
    assert one["parts"][0]["text"] == "How many?"
    asked = one["parts"][1]["data"]["questions"]
    assert asked == [{"id": "q1", "subtask": "a", "prompt": "How many?", "schema": {"type": "integer"}, "default": 4.0}]
    two = MessageToDict(wire.asked([question("q1", "How many?"), question("q2", "Of what?")], "t", "c"))
    assert two["parts"][0]["text"] == "q1: How many?\n\nq2: Of what?"
    assert one["messageId"] != two["messageId"]


@pytest.mark.parametrize("size", [0, 1, wire.CHUNK_BYTES, wire.CHUNK_BYTES + 1, 3 * wire.CHUNK_BYTES])
def test_a_file_in_chunks_is_the_file(tmp_path: Path, size: int) -> None:
    files, content = Files(tmp_path), bytes(251) * (size // 251) + bytes(range(size % 251))
    sha256, _ = files.put(content)
    row = ArtifactRow("a/b.bin", "application/octet-stream", "", sha256, size)
    chunks = list(wire.chunks(row, files))
    assert b"".join(one.parts[0].raw for one, _, _ in chunks) == content
    assert [append for _, append, _ in chunks] == [False] + [True] * (len(chunks) - 1)
    assert [last for _, _, last in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {one.parts[0].filename for one, _, _ in chunks} == {"b.bin"}


@pytest.mark.parametrize(
    ("name", "media_type", "value"),
    [
        ("note", "text/plain", True),
        ("figures", "application/json", True),
        ("paper.pdf", wire.LINK, True),
        ("note.txt", "text/plain", False),
        ("figures.json", "application/json", False),
        ("raw", "application/octet-stream", False),
    ],
)
def test_what_is_a_value_and_what_a_file(name: str, media_type: str, value: bool) -> None:
    assert wire.is_value(ArtifactRow(name, media_type, "", "0" * 64, 1)) is value


def test_times_are_told_in_utc() -> None:
    status = wire.timestamped(pb.TaskState.TASK_STATE_WORKING, NOON.astimezone(timezone(timedelta(hours=9))))
    assert MessageToDict(status)["timestamp"] == "2031-01-31T12:00:00Z"
