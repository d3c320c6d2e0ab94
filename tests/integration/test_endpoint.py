"""The endpoint against the scripted server, over real HTTP: each fault by its kind, and no secret in any sentence."""

from __future__ import annotations

import json
import traceback

import pytest

from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.types import Fault, Kind, Reply, Request, ToolCall
from tests.acceptance.serving import free_port
from tests.models.server import OVERFLOWS, ModelServer

KEY = "sk-planted-secret-0001"
HELLO = Request([{"role": "user", "content": "planted-text says hello"}])
KINDS = [
    ({"fault": "rate_limited"}, Kind.RATE_LIMITED),
    *(({"fault": "status", "status": status}, Kind.SERVER_ERROR) for status in (500, 502, 503, 504)),
    ({"fault": "status", "status": 401}, Kind.UNAUTHORIZED),
    ({"fault": "status", "status": 403}, Kind.UNAUTHORIZED),
    ({"fault": "status", "status": 429, "error": {"code": "insufficient_quota"}}, Kind.UNAUTHORIZED),
    ({"fault": "status", "status": 404}, Kind.NO_SUCH_MODEL),
    ({"fault": "status", "status": 400, "message": "foo is not a valid model ID: model foo does not exist"},
     Kind.NO_SUCH_MODEL),
    ({"fault": "status", "status": 400}, Kind.BAD_REQUEST),
    ({"fault": "redirect", "to": "http://127.0.0.1:9/"}, Kind.MISDIRECTED),
    ({"fault": "reset"}, Kind.CUT_OFF),
    ({"fault": "closed"}, Kind.CUT_OFF),
    ({"fault": "cut"}, Kind.CUT_OFF),
    ({"fault": "no_end"}, Kind.CUT_OFF),
    ({"fault": "error_in_stream"}, Kind.SERVER_ERROR),
    ({"fault": "error_in_stream", "message": "maximum context length is 10"}, Kind.CONTEXT_FULL),
    ({"fault": "wrong_json"}, Kind.MALFORMED),
    ({"fault": "wrong_shape"}, Kind.MALFORMED),
    ({"fault": "wrong_shape", "value": [1]}, Kind.MALFORMED),
    ({"fault": "wrong_shape", "value": {"choices": [{"delta": {"content": {"a": 1}}}]}}, Kind.MALFORMED),
    ({"fault": "raw", "body": "<html>please log in</html>", "kind": "text/html"}, Kind.MALFORMED),
    ({"fault": "raw", "body": "[]", "kind": "application/json"}, Kind.MALFORMED),
    ({"fault": "no_choices"}, Kind.EMPTY),
    ({"fault": "empty"}, Kind.EMPTY),
    ({"text": "  \n"}, Kind.EMPTY),
    ({"fault": "refusal"}, Kind.DECLINED),
    ({"fault": "filtered"}, Kind.DECLINED),
    ({"fault": "length"}, Kind.TRUNCATED),
    *(({"fault": "overflow", "wording": wording}, Kind.CONTEXT_FULL) for wording in OVERFLOWS),
    ({"fault": "huge"}, Kind.TOO_LARGE),
    ({"fault": "huge", "whole": True}, Kind.TOO_LARGE),
    ({"fault": "echo"}, Kind.BAD_REQUEST),
    ({"fault": "echo", "status": 500}, Kind.SERVER_ERROR),
]  # fmt: skip


def settings(server: ModelServer, **more) -> ModelSettings:
    return ModelSettings("scripted", base_url=server.url, key=KEY, timeout=5.0, **more)


async def call(endpoint: OpenAIEndpoint, request: Request = HELLO) -> tuple[Reply, list[str]]:
    heard: list[str] = []
    try:
        return await endpoint.call(request, heard.append), heard
    finally:
        await endpoint.close()


@pytest.mark.parametrize(("answer", "kind"), KINDS)
async def test_each_fault_has_its_kind_and_a_sentence_without_secrets(answer, kind):
    with ModelServer(answer) as server:
        with pytest.raises(Fault) as raised:
            await call(OpenAIEndpoint(settings(server)))
        assert server.count == 1
    fault = raised.value
    assert fault.kind == kind
    assert fault.tokens is not None
    told = "".join(traceback.format_exception_only(fault)) + str(fault.__cause__)
    told += str(fault.__context__) * (not fault.__suppress_context__)
    assert not any(secret in told for secret in (KEY, "planted"))


async def test_a_server_that_is_not_there_cannot_be_reached():
    with pytest.raises(Fault) as raised:
        await call(OpenAIEndpoint(ModelSettings("m", base_url=f"http://127.0.0.1:{free_port()}/v1", timeout=5.0)))
    assert raised.value.kind == Kind.UNREACHABLE
    assert raised.value.tokens is not None
    assert not raised.value.tokens.input


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [("3", 3, 3), ("0.25", 0.25, 0.25), ("date", 28, 31), ("99999999999", 99999999999, 99999999999)],
)
async def test_it_is_said_when_the_server_wants_to_be_asked_again(after, least, most):
    answer = {"fault": "rate_limited", "after": after, "seconds": 30}
    with ModelServer(answer) as server, pytest.raises(Fault) as raised:
        await call(OpenAIEndpoint(settings(server)))
    assert raised.value.wait is not None
    assert least <= raised.value.wait <= most


@pytest.mark.parametrize("after", [None, "soon", "-5", "0"])
async def test_a_retry_after_that_says_nothing_is_none(after):
    with ModelServer({"fault": "rate_limited", "after": after}) as server, pytest.raises(Fault) as raised:
        await call(OpenAIEndpoint(settings(server)))
    assert raised.value.wait is None


async def test_text_comes_live_and_is_counted_by_the_server():
    with ModelServer({"text": "one two three four"}) as server:
        reply, heard = await call(OpenAIEndpoint(settings(server)))
    assert reply.text == "".join(heard) == "one two three four"
    assert len(heard) > 2
    assert reply.tokens.output == 4
    assert not reply.tokens.estimated


async def test_tool_calls_keep_what_the_model_wrote():
    asked = Request(HELLO.messages, tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])
    with ModelServer(
        {"tools": [{"name": "look", "arguments": {"a": 1}}, {"name": "look", "arguments": "{no"}]}
    ) as server:
        reply, _ = await call(OpenAIEndpoint(settings(server)), asked)
        assert server.calls[0].body["tools"] == list(asked.tools)
    assert [(one.name, one.arguments) for one in reply.calls] == [("look", '{"a": 1}'), ("look", "{no")]
    assert len({one.id for one in reply.calls}) == 2
    assert reply.calls[0] == ToolCall(reply.calls[0].id, "look", '{"a": 1}')


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": -3, "completion_tokens": "x"},
                                   {"prompt_tokens": 10**12, "completion_tokens": 1}])  # fmt: skip
async def test_what_the_server_does_not_count_or_counts_wrongly_is_estimated_and_never_0(usage):
    with ModelServer({"text": "one two three", "usage": usage}) as server:
        reply, _ = await call(OpenAIEndpoint(settings(server)))
    assert reply.text == "one two three"
    assert reply.tokens.estimated
    assert 8 < reply.tokens.input < 200
    assert 3 <= reply.tokens.output < 20


@pytest.mark.parametrize("refused", ["stream_options", "max_tokens", "stream"])
async def test_what_an_old_server_does_not_know_is_left_out_from_then_on(refused):
    with ModelServer(refuses=[refused]) as server:
        endpoint = OpenAIEndpoint(settings(server))
        with pytest.raises(Fault) as raised:
            await endpoint.call(HELLO, lambda text: None)
        assert raised.value.kind == Kind.ADAPTED
        if refused != "stream":  # which is sent as false then
            reply, _ = await call(endpoint)
            assert reply.text == "ok"
        await endpoint.close()


async def test_a_server_that_answers_a_streamed_request_in_one_piece_is_heard():
    with ModelServer({"text": "in one piece"}, {}, ignores=["stream"]) as server:
        reply, heard = await call(OpenAIEndpoint(settings(server)))
    assert reply.text == "in one piece"
    assert heard == ["in one piece"]
    assert not reply.tokens.estimated


async def test_a_name_and_a_password_go_to_the_server_and_nowhere_else():
    with ModelServer() as server:
        made = settings(server, login=("me", "planted-word"))
        assert "planted-word" not in repr(made)
        await call(OpenAIEndpoint(made))
        assert server.calls[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "text",
    ["The quick brown fox jumps over the lazy dog. " * 20, '{"a": [1, 2.5, null], "b": "x_y"}' * 20,
     "市場は前年比で十二パーセント成長した。" * 20, "def f(x):\n    return x ** 2  # 1234567890\n" * 20],
)  # fmt: skip
def test_an_estimate_is_at_least_what_models_count_and_less_than_thrice_that_in_prose(text):
    from holdfast.nodes.models.tokens import most
    from tests.models.server import count

    assert count(text) <= most(text) <= len(text.encode())


def chunk(delta: object, finish: str | None = None, **more: object) -> dict:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def events(*chunks: dict, gap: str = "\n\n") -> dict:
    return {"body": "".join(f"data: {json.dumps(one)}{gap}" for one in chunks), "kind": "text/event-stream"}


HI, END = chunk({"content": "hi"}), chunk({}, "stop")
TOOL = {"id": "x", "function": {"name": "a", "arguments": "{}"}}
WHOLE = json.dumps({"choices": [{"message": {"content": "hi"}}]})


@pytest.mark.parametrize(
    "odd",
    [
        events(HI, chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 1})),
        events(chunk({"content": "hi"}, "stop")),
        events({"id": "0", "choices": []}, HI, END, gap="\r\n\r\n: keep-alive\r\n\r\n"),
        events(HI, chunk(None), chunk(None, "stop")),
        events(chunk({"reasoning_content": "hm"}), HI, END),
        events(chunk({"content": [{"type": "text", "text": "hi"}]}), END),
        events({"choices": [*HI["choices"], {"index": 1, "delta": {"content": "ho"}}]}, END),
        events(HI) | {"body": events(HI)["body"] + "data: [DONE]\n\n"},
        {"body": WHOLE, "kind": "text/plain"},
        {"body": WHOLE, "kind": "application/json; charset=utf-8"},
    ],
)
async def test_streams_of_other_servers_are_understood(odd):
    with ModelServer({"fault": "raw", **odd}) as server:
        reply, _ = await call(OpenAIEndpoint(settings(server)))
    assert (reply.text, reply.finish) == ("hi", "stop")


@pytest.mark.parametrize(
    "odd",
    [
        events(chunk({"tool_calls": [TOOL]}), chunk({"tool_calls": [{**TOOL, "id": "y", "index": 1}]}), END),
        events(*(chunk({"tool_calls": [{**TOOL, "id": id_, "index": 0}]}) for id_ in "xy"), END),
        {"body": json.dumps({"choices": [{"message": {"tool_calls": [
            TOOL, {"function": {"name": "a", "arguments": {}}}]}}]}), "kind": "application/json"},
    ],
)  # fmt: skip
async def test_tool_calls_of_other_servers_are_understood(odd):
    with ModelServer({"fault": "raw", **odd}) as server:
        reply, _ = await call(OpenAIEndpoint(settings(server)))
    assert [(one.name, one.arguments) for one in reply.calls] == [("a", "{}"), ("a", "{}")]
    assert len({one.id for one in reply.calls}) == 2


async def test_halves_of_characters_are_joined_or_replaced():
    halves = events(chunk({"content": "\ud83d"}), chunk({"content": "\ude00 \ud800"}), END)
    with ModelServer({"fault": "raw", **halves}) as server:
        reply, _ = await call(OpenAIEndpoint(settings(server)))
    assert reply.text == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"
