"""What can be said to the server, and what it tells: messages, answers, history, lists, artifacts, files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast import Holdfast
from holdfast.nodes.orchestration import create_task
from tests.acceptance.a2a_types import large
from tests.acceptance.serving import (
    Json,
    RpcError,
    Server,
    body_of,
    data,
    meanwhile,
    message,
    nap,
    pause_of,
    planned,
    seq_of,
    state,
    subtask,
    text,
)

CSV = b"month,brand,units\n" + b"".join(
    f"2024-{month:02d},{brand},{100 * month + 10 * number}\n".encode()
    for month in range(1, 13)
    for number, brand in enumerate(("Alva", "Brix", "Cor"))
)
FILES = "a-folder-for-clients"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("messages")
    (folder / FILES).mkdir()
    (folder / FILES / "sales.csv").write_bytes(CSV)
    (folder / "secret.csv").write_bytes(CSV)
    with Server(folder, "--tasks", "500", "--data", str(folder / FILES), TZ="America/New_York") as running:
        yield running


def error_of(server: Server, said: Json, **configuration: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        server.rpc("SendMessage", {"message": said, "configuration": {"returnImmediately": True, **configuration}})
    return caught.value


def asking(server: Server, *ids: str, schema: Json | None = None, **options: Any) -> str:
    """A task whose subtasks have all asked."""
    chosen = {"on_question": "continue", **options}
    task_id = server.run(*(subtask(id_, "srv_ask", **({"schema": schema} if schema else {})) for id_ in ids), **chosen)
    server.until(task_id, lambda task: state(task) == "INPUT_REQUIRED" and len(questions(task)) == len(ids))
    return task_id


def questions(task: Json) -> list[Json]:
    return list(task["status"]["message"]["parts"][1]["data"]["questions"])


def results(task: Json) -> Json:
    (found,) = [one for one in task["artifacts"] if one["artifactId"] == "results"]
    return dict(found["parts"][0]["data"])


def history(task: Json) -> list[str]:
    return [part.get("text", "") for said in task.get("history", []) for part in said["parts"]]


# beginning a task


def test_sending_waits_for_the_end_unless_told_otherwise(server: Server) -> None:
    at_once = server.rpc(
        "SendMessage", {"message": planned(nap("n", 0.2)), "configuration": {"returnImmediately": True}}
    )
    assert state(at_once["task"]) in ("SUBMITTED", "WORKING")
    waited = server.rpc("SendMessage", {"message": planned(nap("n", 0.2))})
    assert state(waited["task"]) == "COMPLETED"
    assert results(waited["task"])["n"]["seconds"] == 0.2
    asked = server.rest("POST", "/message:send", {"message": planned(subtask("a", "srv_ask"))}).json()
    assert state(asked["task"]) == "INPUT_REQUIRED", "it waits no longer than until the client has to say something"


def test_the_same_message_again_is_the_same_task(server: Server) -> None:
    said = planned(nap("n", 0))
    first = server.rpc("SendMessage", {"message": said})["task"]
    again = server.rpc("SendMessage", {"message": said})["task"]
    assert again == first
    with server.stream("SendStreamingMessage", {"message": said}) as stream:
        assert [body_of(one)["id"] for one in stream] == [first["id"]], "of an ended task there is no more to tell"
    assert "before" in error_of(server, {**said, "parts": [text("something else")]}).message
    other = error_of(server, {**said, "taskId": server.run(nap("n", 0))})
    assert other.code == -32602


def uploaded() -> Json:
    plan = {"subtasks": [nap("n", 0)]}
    return message(
        data(plan=plan), {"raw": base64.b64encode(CSV).decode(), "filename": "s.csv", "mediaType": "text/csv"}
    )


@pytest.mark.parametrize("make", [lambda: planned(nap("n", 0)), uploaded], ids=["a plan", "with a file"])
def test_the_same_message_many_times_at_once_is_one_task(server: Server, make: Any) -> None:
    for _ in range(5):
        said = make()
        with meanwhile(*[lambda said=said: server.rpc("SendMessage", {"message": said})] * 6) as answers:
            tasks = [one()["task"] for one in answers]
        assert len({one["id"] for one in tasks}) == 1
        assert {state(one) for one in tasks} == {"COMPLETED"}
        found = [one["id"] for one in everything(server) if one["history"][0]["messageId"] == said["messageId"]]
        assert found == [tasks[0]["id"]]
    folder = server.db.with_name("holdfast.db.d") / "uploads"
    known = {one["id"] for one in everything(server)}
    assert not folder.exists() or {one.name for one in folder.iterdir()} <= known, "no file of a message that lost"


def test_one_id_for_two_messages_at_once_is_one_task_and_an_error(server: Server) -> None:
    one = planned(nap("one", 0))
    other = {**planned(nap("other", 0)), "messageId": one["messageId"]}
    with meanwhile(
        *(lambda said=said: server.post("SendMessage", {"message": said}).json() for said in (one, other))
    ) as two:
        answers = [answer() for answer in two]
    assert sorted("error" in answer for answer in answers) == [False, True]
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == [-32602]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], -32602),
        ([text("   ")], -32602),
        ([data(answers={"q1": 1})], -32602),
        ([data(some="thing")], -32602),
        ([data(plan=[])], -32602),
        ([data(plan={"subtasks": []})], -32602),
        ([data(plan={"subtasks": [{"id": "a", "type": "there_is_none"}]})], -32602),
        ([data(plan={"subtasks": [nap("a", 0, "b"), nap("b", 0, "a")]})], -32602),
        ([data(plan={"subtasks": [nap("a", -1)]})], -32602),
        ([text("go"), data(options={"speed": 9})], -32602),
        ([text("go"), data(options={"workers": "many"})], -32602),
        ([text("go"), data(options={"on_question": "perhaps"})], -32602),
        ([text("go"), data(options={"data": "sales.csv"})], -32602),
        ([text("go"), data(options={"data": ["../secret.csv"]})], -32602),
        ([text("go"), data(options={"data": ["/etc/passwd"]})], -32602),
        ([text("go"), data(options={"out": "/tmp/there"})], -32602),
        ([text("go"), {"url": "https://example.org/sales.csv", "mediaType": "text/csv"}], -32602),
        ([text("go"), {"raw": "AAAA", "mediaType": "image/png"}], -32005),
        ([{"text": "go", "mediaType": "video/mp4"}], -32005),
    ],
    ids=str,
)
def test_what_no_task_can_begin_with(server: Server, parts: list[Json], code: int) -> None:
    before = len(everything(server))
    assert error_of(server, message(*parts)).code == code
    assert len(everything(server)) == before


def test_options_are_those_of_the_task(server: Server) -> None:
    plan = {"subtasks": [subtask("a", "srv_ask", default=41)]}
    yes = server.rpc("SendMessage", {"message": message(data(plan=plan), data(options={"yes": True}))})["task"]
    assert (state(yes), results(yes)) == ("COMPLETED", {"a": 41})
    naps = [nap(f"n{number}", 0.05) for number in range(4)]
    one = server.rpc("SendMessage", {"message": planned(*naps, workers=1)})["task"]
    told = [event["type"] for event in server.events(one["id"]) if event["type"].startswith("subtask.")]
    assert told == ["subtask.running", "subtask.completed"] * 4, "one at a time"
    approved = server.rpc("SendMessage", {"message": planned(nap("n", 0), approve=True)})["task"]
    assert (state(approved), questions(approved)[0]["default"]) == ("INPUT_REQUIRED", "approve")
    done = server.rpc("SendMessage", {"message": message(text("approve"), taskId=approved["id"])})["task"]
    assert state(done) == "COMPLETED"


# follow-ups


def test_a_question_is_answered_by_its_id(server: Server) -> None:
    task_id = asking(server, "a", "b")
    first = server.send(message(data(answers={"q2": "two"}), taskId=task_id))
    assert [one["id"] for one in questions(first)] == ["q1"]
    server.until(task_id, "INPUT_REQUIRED")  # while b goes on, data without `answers` is only kept
    done = server.rpc("SendMessage", {"message": message(data(q1="one"), taskId=task_id)})["task"]
    asked = {
        event["data"]["question"]: event["subtask"]
        for event in server.events(task_id)
        if event["type"] == "question.asked"
    }
    assert results(done) == {asked["q1"]: "one", asked["q2"]: "two"}
    late = error_of(server, message(data(answers={"q1": "three"}), taskId=task_id))
    assert late.code == -32004, "it has ended"


def test_text_answers_when_one_question_is_open(server: Server) -> None:
    task_id = asking(server, "a", "b")
    unclear = error_of(server, message(text("seven"), taskId=task_id))
    assert unclear.code == -32602
    assert all(word in unclear.message for word in ("q1", "q2", "What does a need?", "What does b need?"))
    server.send(message(data(answers={"q1": 1}), taskId=task_id))
    server.until(task_id, "INPUT_REQUIRED")
    done = server.rpc("SendMessage", {"message": message(text("seven"), taskId=task_id)})["task"]
    assert list(results(done).values()) in ([1, "seven"], ["seven", 1])


def test_a_wrong_answer_is_refused_with_the_reason_and_the_question_stays(server: Server) -> None:
    task_id = asking(server, "a", schema={"type": "integer", "minimum": 3})
    before = server.task(task_id)
    for wrong, why in ((text("2"), "minimum"), (text("many"), "integer"), (data(answers={"q1": None}), "integer")):
        refused = error_of(server, message(wrong, taskId=task_id))
        assert refused.code == -32602
        assert why in refused.message
        assert "stays open" in refused.message
    for unknown in (data(answers={"q9": 5}), data(answers={"q1": 5, "q9": 5})):
        assert error_of(server, message(unknown, taskId=task_id)).code == -32602
    assert server.task(task_id) == before, "all or none, and nothing of it in the history"
    done = server.rpc("SendMessage", {"message": message(text("5"), taskId=task_id)})["task"]
    assert results(done) == {"a": 5}


def test_the_same_answer_many_times_at_once_is_taken_once(server: Server) -> None:
    for _ in range(3):
        task_id = asking(server, "a")
        said = message(data(answers={"q1": 5}), taskId=task_id)
        with meanwhile(*[lambda said=said: server.rpc("SendMessage", {"message": said})] * 6) as answers:
            tasks = [one()["task"] for one in answers]
        assert {(one["id"], state(one)) for one in tasks} == {(task_id, "COMPLETED")}
        assert [one["messageId"] for one in tasks[0]["history"]].count(said["messageId"]) == 1
        assert [one["type"] for one in server.events(task_id)].count("question.answered") == 1


def test_two_different_answers_at_once(server: Server) -> None:
    task_id = asking(server, "a")
    both = [message(data(answers={"q1": number}), taskId=task_id) for number in (1, 2)]
    with meanwhile(*(lambda said=said: server.post("SendMessage", {"message": said}).json() for said in both)) as two:
        answers = [answer() for answer in two]
    (won,) = [number for number, answer in enumerate(answers, 1) if "result" in answer]
    (lost,) = [answer["error"] for answer in answers if "error" in answer]
    assert lost["code"] in (-32602, -32004), "answered already, or even ended"
    assert results(server.task(task_id)) == {"a": won}
    assert len(server.task(task_id)["history"]) == 2


def test_answers_are_taken_while_others_work_and_text_is_kept(server: Server) -> None:
    ask, hear = subtask("a", "srv_ask"), subtask("h", "srv_hear", count=2)
    task_id = server.run(ask, hear, on_question="continue")
    server.until(task_id, lambda task: "message" in task["status"])
    server.send(message(text("blue"), taskId=task_id))
    assert questions(server.task(task_id)), "text is no answer while the task is at work"
    server.send(message(data(answers={"q1": "red"}), taskId=task_id))
    server.send(message(text("green"), taskId=task_id))
    done = server.until(task_id, "COMPLETED")
    assert results(done) == {"a": "red", "h": ["blue", "green"]}


def test_a_message_to_a_task_at_work_is_kept_told_and_heard(server: Server) -> None:
    task_id = server.run(subtask("h", "srv_hear", count=2))
    with server.stream("SubscribeToTask", {"id": task_id}) as stream:
        first, second = (message(text(said), taskId=task_id) for said in ("mind the gap", "and the door"))
        kept = server.send(first)
        assert server.send(first)["history"] == kept["history"], "the same message again is not kept again"
        roles = [(one["role"], part.get("text", "")[:11]) for one in kept["history"] for part in one["parts"]]
        assert roles[1] == ("ROLE_USER", "mind the ga")
        assert roles[2] == ("ROLE_AGENT", "I kept this"), "the built-in engine says that it cannot act on it"
        server.rest("POST", "/message:send", {"message": second, "configuration": {"returnImmediately": True}})
        done = server.until(task_id, "COMPLETED")
        said = [body_of(one)["status"].get("message", {}).get("parts") for one in stream if "statusUpdate" in one]
    assert results(done) == {"h": ["mind the gap", "and the door"]}
    assert [one[0]["text"][:11] for one in said if one] == ["I kept this"] * 2
    assert [one["role"] for one in done["history"]] == ["ROLE_USER"] + ["ROLE_USER", "ROLE_AGENT"] * 2


def test_a_message_to_a_paused_task_is_heard_once_it_goes_on(server: Server) -> None:
    task_id = server.run(subtask("h", "srv_hear", count=1))
    server.until(task_id, lambda task: seq_of(task) >= 4)
    server.rpc("PauseTask", {"id": task_id, "metadata": {"urn:holdfast:a2a:pause-resume:v1": {"mode": "now"}}})
    assert pause_of(server.send(message(text("later"), taskId=task_id)))
    server.rpc("ResumeTask", {"id": task_id})
    assert results(server.until(task_id, "COMPLETED")) == {"h": ["later"]}


def test_a_task_that_began_without_a_message_hears_the_first_one(server: Server) -> None:
    async def begin() -> str:
        async with Holdfast.open(server.db) as hf:
            plan = {"subtasks": [subtask("h", "srv_hear", count=1)]}
            return (await create_task(hf.services, "begun at the command line", {"plan": plan})).id

    task_id = asyncio.run(begin())
    server.send(message(text("hello"), taskId=task_id))
    assert results(server.until(task_id, "COMPLETED")) == {"h": ["hello"]}


def test_what_a_follow_up_may_not_be(server: Server) -> None:
    task_id = server.run(subtask("h", "srv_hear", count=9))
    assert error_of(server, message(text("hello"), taskId="there-is-none")).code == -32001
    assert error_of(server, message(text("hello"), taskId=task_id[:8])).code == -32001
    assert error_of(server, message(data(plan={"subtasks": [nap("n", 0)]}), taskId=task_id)).code == -32602
    assert error_of(server, message(text("x"), data(options={"workers": 1}), taskId=task_id)).code == -32602
    raw = {"raw": "AAAA", "mediaType": "text/csv"}
    assert error_of(server, message(raw, taskId=task_id)).code == -32602
    server.rpc("CancelTask", {"id": task_id})
    ended = error_of(server, message(text("hello"), taskId=task_id))
    assert ended.code == -32004
    assert "CANCELED" in ended.message


def test_contexts(server: Server) -> None:
    own = server.send(planned(subtask("h", "srv_hear")))
    assert own["contextId"]
    named = server.send({**planned(subtask("h", "srv_hear")), "contextId": "a talk"})
    joined = server.send({**planned(subtask("h", "srv_hear")), "contextId": "a talk"})
    assert (named["contextId"], joined["contextId"]) == ("a talk", "a talk")
    assert named["id"] != joined["id"]
    follow = server.send(message(text("hello"), taskId=named["id"], contextId="a talk"))
    assert follow["contextId"] == "a talk"
    assert server.send(message(text("hello"), taskId=own["id"]))["contextId"] == own["contextId"]
    assert error_of(server, message(text("hello"), taskId=own["id"], contextId="a talk")).code == -32602
    listed = server.rpc("ListTasks", {"contextId": "a talk"})
    assert {one["id"] for one in listed["tasks"]} == {named["id"], joined["id"]}


# reading


def test_how_much_history(server: Server) -> None:
    task_id = server.run(subtask("h", "srv_hear", count=9))
    for word in ("one", "two"):
        server.send(message(text(word), taskId=task_id))
    assert history(server.task(task_id))[1::2] == ["one", "two"]
    assert "history" not in server.task(task_id, historyLength=0)
    assert len(server.task(task_id, historyLength=1)["history"]) == 1
    assert history(server.task(task_id, historyLength=2))[0] == "two"
    assert len(server.rest("GET", f"/tasks/{task_id}?historyLength=3").json()["history"]) == 3
    with pytest.raises(RpcError) as refused:
        server.task(task_id, historyLength=-1)
    assert refused.value.code == -32602
    sent = server.send(message(text("three"), taskId=task_id), historyLength=1)
    assert len(sent["history"]) == 1


def test_lists_by_context_state_and_time(server: Server) -> None:
    context = "lists"

    def begin(*plan: Json) -> str:
        return str(server.send({**planned(*plan), "contextId": context})["id"])

    done = begin(nap("n", 0))
    server.until(done, "COMPLETED")
    asked = begin(subtask("a", "srv_ask"))
    server.until(asked, "INPUT_REQUIRED")
    between = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
    working, paused = (begin(subtask("h", "srv_hear")) for _ in range(2))
    for one in (working, paused):
        server.until(one, lambda task: seq_of(task) >= 4)
    server.rpc("PauseTask", {"id": paused, "metadata": {"urn:holdfast:a2a:pause-resume:v1": {"mode": "now"}}})
    server.until(paused, lambda task: (pause_of(task) or {})["in_flight"] == 0)

    def found(**which: Any) -> list[str]:
        return [one["id"] for one in server.rpc("ListTasks", {"contextId": context, **which})["tasks"]]

    assert found() == [paused, working, asked, done], "the last changed first"
    assert found(status="TASK_STATE_WORKING") == [paused, working]
    assert found(status="TASK_STATE_INPUT_REQUIRED") == [asked]
    assert found(status="TASK_STATE_COMPLETED") == [done]
    assert found(status="TASK_STATE_CANCELED") == []
    assert found(statusTimestampAfter=between) == [paused, working], "in whatever time zone the server runs"
    assert found(statusTimestampAfter=server.task(asked)["status"]["timestamp"]) == [paused, working, asked]
    page = server.rpc("ListTasks", {"contextId": context, "pageSize": 4, "historyLength": 0})
    assert (page["nextPageToken"], page["totalSize"], page["pageSize"]) == ("", 4, 4)
    assert not any(one.get("history") or one.get("artifacts") for one in page["tasks"])
    with_artifacts = server.rpc("ListTasks", {"contextId": context, "includeArtifacts": True})["tasks"]
    assert [one["id"] for one in with_artifacts if one.get("artifacts")] == [done]
    for wrong in ({"pageSize": 0}, {"pageSize": 101}, {"pageToken": "mine"}, {"historyLength": -1}):
        with pytest.raises(RpcError) as refused:
            server.rpc("ListTasks", wrong)
        assert refused.value.code == -32602


def test_pages_lose_none_and_double_none_while_tasks_change(server: Server) -> None:
    context = {"contextId": "pages"}
    lasting = {"messageId": "", "role": "ROLE_USER", "parts": planned(nap("n", 600))["parts"], **context}
    made = [server.send({**lasting, "messageId": f"page {number}"})["id"] for number in range(120)]
    while any(seq_of(one) < 4 for one in everything(server, **context)):
        time.sleep(0.05)
    found, token = list[str](), ""
    while True:
        page = server.rpc("ListTasks", {**context, "pageSize": 25, "pageToken": token, "historyLength": 0})
        assert page["totalSize"] >= 120
        found += [one["id"] for one in page["tasks"]]
        token = page["nextPageToken"]
        if not token:
            break
        left = [one for one in made if one not in found]
        for one in (*left[:2], *left[-2:], *found[:2]):  # they change, and come first from now on
            server.send(message(text("hello"), taskId=one))
        server.send({**lasting, "messageId": f"new {len(found)}"})
    assert sorted(found) == sorted(made), "every task that there was, once; those that are newer are not in it"
    again = server.rpc("ListTasks", {**context, "pageSize": 1})["tasks"][0]
    assert again["id"] not in made


def everything(server: Server, **which: Any) -> list[Json]:
    found, token = list[Json](), ""
    while True:
        page = server.rpc("ListTasks", {"pageSize": 100, "pageToken": token, **which})
        found += page["tasks"]
        if not (token := page["nextPageToken"]):
            return found


# artifacts


def test_artifacts_whole_in_chunks_and_by_url(server: Server) -> None:
    size = 700_000
    with server.stream(
        "SendStreamingMessage", {"message": planned(subtask("f", "srv_hand_out", bytes=size))}
    ) as stream:
        task_id = str(body_of(stream.next() or {})["id"])
        updates = [body_of(one) for one in stream if "artifactUpdate" in one]
    of = {one["artifactId"]: one for one in server.task(task_id)["artifacts"]}
    (link,) = of["large.bin"]["parts"]
    assert (link["filename"], link["mediaType"]) == ("large.bin", "application/octet-stream")
    whole = httpx.get(link["url"], trust_env=False)
    assert whole.content == large(size)
    assert hashlib.sha256(whole.content).hexdigest() in whole.headers["etag"]
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert httpx.get(link["url"] + "x", trust_env=False).status_code == 404
    assert httpx.get(link["url"].replace(task_id, "x" * 36), trust_env=False).status_code == 404
    chunks = [one for one in updates if one["artifact"]["artifactId"] == "large.bin"]
    assert b"".join(base64.b64decode(one["artifact"]["parts"][0]["raw"]) for one in chunks) == large(size)
    assert [one.get("append", False) for one in chunks] == [False, True, True]
    assert [one.get("lastChunk", False) for one in chunks] == [False, False, True]
    assert base64.b64decode(of["small.csv"]["parts"][0]["raw"]) == b"a,b\n1,2\n"
    assert of["note"]["parts"][0]["text"] == "in short"
    assert of["figures"]["parts"][0]["data"] == {"total": 12}
    assert of["elsewhere.pdf"]["parts"][0]["url"] == "https://example.org/elsewhere.pdf"
    streamed = {one["artifact"]["artifactId"]: one["artifact"] for one in updates}
    for name in ("small.csv", "note", "figures", "elsewhere.pdf"):
        assert streamed[name] == of[name], "the stream and the task say the same"


# files


def test_a_report_on_a_file_that_came_with_the_message(server: Server) -> None:
    file = {"raw": base64.b64encode(CSV).decode(), "filename": "../../cars.csv", "mediaType": "text/csv"}
    sent = message(text("Market research report on cars"), file)
    done = server.rpc("SendMessage", {"message": sent})["task"]
    assert state(done) == "COMPLETED", done["status"]
    names = {one["name"] for one in done["artifacts"]}
    assert {"report.md", "report.html", "report.pdf"} <= names
    total = sum(100 * month + 10 * number for month in range(1, 13) for number in range(3))
    (report,) = [one for one in done["artifacts"] if one["name"] == "report.md"]
    body = report["parts"][0]
    content = base64.b64decode(body["raw"]) if "raw" in body else httpx.get(body["url"], trust_env=False).content
    assert str(total) in content.decode().replace(",", "").replace("\u202f", "").replace("\u00a0", "")
    uploads = server.db.with_name("holdfast.db.d") / "uploads"
    assert [one.name for one in (uploads / done["id"]).iterdir()] == ["cars.csv"]
    assert done["history"][0]["parts"][1]["url"].startswith("urn:sha256:"), "the file is not in the history again"


def test_a_plan_reads_what_the_operator_hands_out_and_nothing_else(server: Server) -> None:
    for path in ("/etc/passwd", str(server.folder / "secret.csv"), str(server.folder / FILES / ".." / "secret.csv")):
        for plan in (
            [subtask("c", "collect_data", paths=[path])],
            [nap("n", 0), subtask("c", "collect_data", paths=[path])],
        ):
            refused = error_of(server, planned(*plan))
            assert refused.code == -32602
            assert path not in refused.message
    link = server.folder / FILES / "link.csv"
    link.symlink_to(server.folder / "secret.csv")
    assert error_of(server, planned(subtask("c", "collect_data", paths=[str(link)]))).code == -32602
    allowed = planned(subtask("c", "collect_data", paths=[str(server.folder / FILES / "sales.csv")]))
    assert state(server.rpc("SendMessage", {"message": allowed})["task"]) == "COMPLETED"


def test_nothing_the_tests_did_was_an_error_of_the_server(server: Server) -> None:
    """Runs last."""
    assert [line for line in server.log().splitlines() if '"level": "error"' in line or "Traceback" in line] == []
    assert Path(server.db).exists()
