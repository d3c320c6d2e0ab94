"""A scripted server with OpenAI's chat completions, over real HTTP, that plays every fault and counts calls.

A test enters ``ModelServer(answer, answer, …)``; ``python -m tests.models.server --port N --script FILE`` is the same
in a process of its own.  Each answer is a dict; the first one that fits a request and is not used up answers it:

    when      a regular expression that has to be found in the request's JSON (in any message, tool or schema)
    times     how often it answers; always without it
    delay     seconds before the answer
    text, json, tools, finish, refusal      what the model says; ``tools``: [{"name", "arguments"}]
    usage     what is counted instead of what it should be; None leaves it out
    chunks    into how many pieces a streamed text is cut (8)
    fault     one of FAULTS, with what that function reads

With no answer that fits, the server behaves as a model that can do everything: an instance of the schema that it was
given, a call of the first tool if it was told to call one, else "ok".  ``refuses`` has names of parameters that it
answers with 400, as old servers do; ``ignores`` those that it takes no notice of.  An answer may also be made by a
function, ``ModelServer(script=function)``, of the request's body.

``GET /_calls`` gives {"count", "calls": [{"body", "headers", "path"}], "open", "most_open"}; keys are shown as "…".
Counted is each request for a completion whose body has arrived.  Nothing of it is for use outside tests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any

Json = dict[str, Any]
Script = Callable[[Json], Json]
REASONS = {
    200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    413: "Content Too Large", 422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
MODEL = "scripted"
HUGE = 10 << 20


class Gone(Exception):
    """Closes the connection as it is; ``hard`` with a reset."""

    def __init__(self, *, hard: bool = False) -> None:
        self.hard = hard


@dataclass
class Call:
    """One request for a completion."""

    body: Json
    headers: Mapping[str, str]
    path: str
    at: float = field(default_factory=time.monotonic)

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def said(self) -> str:
        """The text of the last message."""
        return _text(self.body["messages"][-1].get("content"))

    def to_json(self) -> Json:
        hidden = {name: "…" if name in ("authorization", "api-key") else value for name, value in self.headers.items()}
        return {"body": self.body, "headers": hidden, "path": self.path}


class ModelServer:
    """On a free port of its own, in a thread of its own, while it is entered."""

    def __init__(
        self,
        *answers: Json,
        script: Script | None = None,
        models: Sequence[str] = (MODEL,),
        delay: float = 0.0,
        refuses: Iterable[str] = (),
        ignores: Iterable[str] = (),
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.answers: list[Json] = [dict(one) for one in answers]
        self.script, self.models, self.delay, self.key = script, models, delay, key
        self.refuses, self.ignores, self.port = frozenset(refuses), frozenset(ignores), port
        self.calls: list[Call] = []
        self.open = self.most_open = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def count(self) -> int:
        return len(self.calls)

    def env(self, **more: str) -> dict[str, str]:
        """The variables that point a process to it."""
        return {"OPENAI_BASE_URL": self.url, "HOLDFAST_MODEL": self.models[0], "OPENAI_API_KEY": "sk-scripted", **more}

    def __enter__(self) -> ModelServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.serve())
        self._loop.close()

    async def serve(self) -> None:
        """Serves until it is left."""
        self._done = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await self._done.wait()
        finally:
            server.close()
            for talk in list(self._talks):
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk
        self._talks.add(talk)
        try:
            while await self._exchange(reader, Wire(reader, writer)):
                pass
        except Gone as gone:
            if gone.hard:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(talk)
            with suppress(Exception):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, wire: Wire) -> bool:
        """Answers one request; whether another may follow on the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = path.partition("?")[0]
        if path == "/_calls":
            await wire.json(200, self.told())
        elif path.endswith("/models") and method == "GET":
            await wire.json(200, {"object": "list", "data": [{"id": one, "object": "model"} for one in self.models]})
        elif path.endswith("/chat/completions") and method == "POST":
            await self._complete(Call(json.loads(body), headers, path), wire)
        else:
            await wire.error(404, "no such path")
        return True

    def told(self) -> Json:
        calls = [call.to_json() for call in self.calls]
        return {"count": len(calls), "calls": calls, "open": self.open, "most_open": self.most_open}

    async def _complete(self, call: Call, wire: Wire) -> None:
        with self._lock:
            self.calls.append(call)
            answer = self._choose(call)
            self.open += 1
            self.most_open = max(self.open, self.most_open)
        try:
            await self._play(call, answer, wire)
        finally:
            with self._lock:
                self.open -= 1

    async def _play(self, call: Call, answer: Json, wire: Wire) -> None:
        if fault := answer.get("fault"):
            await wire.rest(answer.get("delay", 0.0))
            await FAULTS[fault](call, answer, wire)
            return
        if self.key is not None and call.headers.get("authorization") != f"Bearer {self.key}":
            await wire.error(401, "Incorrect API key provided", code="invalid_api_key")
            return
        if call.body.get("model") not in self.models:
            await wire.error(404, f"The model `{call.body.get('model')}` does not exist", code="model_not_found")
            return
        for name in self.refuses & set(call.body):
            await wire.error(400, f"Unrecognized request argument supplied: {name}", param=name)
            return
        await wire.rest(answer.get("delay", self.delay))
        for name in self.ignores:
            call.body.pop(name, None)
        await reply(call, answer, wire)

    def _choose(self, call: Call) -> Json:
        if self.script:
            return self.script(call.body)
        asked = json.dumps(call.body, ensure_ascii=False)
        for answer in self.answers:
            if answer.get("times", 1) > 0 and re.search(answer.get("when", ""), asked):
                if "times" in answer:
                    answer["times"] -= 1
                return answer
        return {}


class Wire:
    """The way back to one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def rest(self, seconds: float) -> None:
        """Waits; ends at once when the client has gone."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._reader.at_eof() or self._writer.is_closing():
                raise Gone
            await asyncio.sleep(min(left, 0.02))

    async def head(self, status: int, kind: str, length: int | None = None, **headers: str) -> None:
        """A response's head; without a length its body comes in chunks."""
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {kind}", size]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def json(self, status: int, value: Any, **headers: str) -> None:
        data = json.dumps(value).encode()
        await self.head(status, "application/json", len(data), **headers)
        await self.write(data)

    async def error(self, status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": None, **more}
        await self.json(status, {"error": error}, **(headers or {}))

    async def chunk(self, data: bytes) -> None:
        await self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        await self.chunk(f"data: {text}\n\n".encode())


def count(value: Any) -> int:
    """Tokens, as this server counts them: words and signs."""
    return len(re.findall(r"\w+|[^\w\s]", value if isinstance(value, str) else json.dumps(value)))


def usage(call: Call, said: str) -> Json:
    """What a call used."""
    given = [_text(one.get("content")) + json.dumps(one.get("tool_calls", "")) for one in call.body["messages"]]
    asked = count(" ".join(given)) + 3 * len(given) + (count(call.body["tools"]) if call.body.get("tools") else 0)
    return {"prompt_tokens": asked, "completion_tokens": count(said), "total_tokens": asked + count(said)}


async def reply(call: Call, answer: Json, wire: Wire) -> None:
    """A proper answer, streamed if that was asked for."""
    answer = {**_able(call), **answer} if not {"text", "json", "tools", "refusal"} & set(answer) else answer
    text = json.dumps(answer["json"]) if "json" in answer else answer.get("text")
    tools = [
        {
            "id": tool.get("id", f"call_{len(call.body['messages'])}_{at}"),
            "type": "function",
            "function": {"name": tool["name"], "arguments": _arguments(tool.get("arguments", {}))},
        }
        for at, tool in enumerate(answer.get("tools", ()))
    ]
    finish = answer.get("finish", "tool_calls" if tools else "stop")
    used = answer["usage"] if "usage" in answer else usage(call, (text or "") + json.dumps(tools) * bool(tools))
    message = {"role": "assistant", "content": text, "refusal": answer.get("refusal")}
    if tools:
        message["tool_calls"] = tools
    if call.streams:
        await stream(call, message, finish, used, answer, wire)
    else:
        whole = {**_about("chat.completion", call), "choices": [_choice(message=message, finish_reason=finish)]}
        await wire.json(200, whole if used is None else {**whole, "usage": used})


async def stream(call: Call, message: Json, finish: str | None, used: Json | None, answer: Json, wire: Wire) -> None:
    await wire.head(200, "text/event-stream")
    for delta in deltas(message, answer.get("chunks", 8)):
        await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta=delta)]})
        await wire.rest(answer.get("between", 0.0))
    await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta={}, finish_reason=finish)]})
    if used is not None and (call.body.get("stream_options") or {}).get("include_usage"):
        await wire.event({**_about("chat.completion.chunk", call), "choices": [], "usage": used})
    await wire.event("[DONE]")
    await wire.write(b"0\r\n\r\n")


def deltas(message: Json, pieces: int) -> list[Json]:
    """A message in pieces, as a stream has it."""
    parts: list[Json] = [{"role": "assistant", "content": ""}]
    text = message["content"] or ""
    size = max(1, -(-len(text) // pieces))
    parts += [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    if message.get("refusal"):
        parts.append({"refusal": message["refusal"]})
    for at, tool in enumerate(message.get("tool_calls", ())):
        written = tool["function"]["arguments"]
        half = len(written) // 2
        named = {"name": tool["function"]["name"], "arguments": written[:half]}
        parts.append({"tool_calls": [{"index": at, "id": tool["id"], "type": "function", "function": named}]})
        parts.append({"tool_calls": [{"index": at, "function": {"arguments": written[half:]}}]})
    return parts


async def rate_limited(call: Call, answer: Json, wire: Wire) -> None:
    """``after``: seconds, ``"date"`` with ``seconds``, text, or nothing at all."""
    after = answer.get("after")
    if after == "date":
        after = formatdate(time.time() + answer.get("seconds", 1), usegmt=True)
    headers = {} if after is None else {"Retry_After": str(after)}
    await wire.error(429, "Rate limit reached for requests", headers, type="requests", code="rate_limit_exceeded")


async def status(call: Call, answer: Json, wire: Wire) -> None:
    """Any ``status`` with a ``message`` and whatever else stands under ``error``."""
    await wire.error(answer["status"], answer.get("message", "something is wrong here"), **answer.get("error", {}))


async def reset(call: Call, answer: Json, wire: Wire) -> None:
    raise Gone(hard=True)


async def closed(call: Call, answer: Json, wire: Wire) -> None:
    raise Gone


async def hang(call: Call, answer: Json, wire: Wire) -> None:
    await wire.rest(answer.get("seconds", 3600.0))
    raise Gone


async def drip(call: Call, answer: Json, wire: Wire) -> None:
    """A proper answer, byte by byte, each ``every`` seconds."""
    whole = json.dumps({**_about("chat.completion", call), "choices": [_choice(message=_said("ok"))]})
    data = f"data: {whole}\n\n" if call.streams else whole
    await wire.head(200, "text/event-stream" if call.streams else "application/json")
    for byte in data.encode():
        await wire.chunk(bytes([byte]))
        await wire.rest(answer.get("every", 0.1))


async def cut(call: Call, answer: Json, wire: Wire) -> None:
    """The connection ends in the middle of a chunk."""
    await wire.head(200, "text/event-stream" if call.streams else "application/json")
    await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta={"content": "half of "})]})
    await wire.write(b'40\r\ndata: {"id": "chatc')
    raise Gone


async def no_end(call: Call, answer: Json, wire: Wire) -> None:
    """A stream that ends properly as HTTP, but without a reason to stop and without [DONE]."""
    await wire.head(200, "text/event-stream" if call.streams else "application/json")
    await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta={"content": "half of "})]})
    await wire.write(b"0\r\n\r\n")


async def raw(call: Call, answer: Json, wire: Wire) -> None:
    """``body`` as it is, of media type ``kind``, with ``status``."""
    data = answer["body"].encode()
    await wire.head(answer.get("status", 200), answer.get("kind", "application/json"), len(data))
    await wire.write(data)


async def wrong_json(call: Call, answer: Json, wire: Wire) -> None:
    text = '{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assi'
    await _body(call, text, wire)


async def wrong_shape(call: Call, answer: Json, wire: Wire) -> None:
    """Sound JSON that is no completion: ``value``."""
    await _body(call, json.dumps(answer.get("value", {"result": ["fine"], "choices": "none"})), wire)


async def no_choices(call: Call, answer: Json, wire: Wire) -> None:
    await _body(call, json.dumps({**_about("chat.completion", call), "choices": []}), wire)


async def empty(call: Call, answer: Json, wire: Wire) -> None:
    await reply(call, {"text": ""}, wire)


async def refusal(call: Call, answer: Json, wire: Wire) -> None:
    await reply(call, {"refusal": "I cannot help with that."}, wire)


async def filtered(call: Call, answer: Json, wire: Wire) -> None:
    await reply(call, {"text": answer.get("text", ""), "finish": "content_filter"}, wire)


async def length(call: Call, answer: Json, wire: Wire) -> None:
    await reply(call, {"text": answer.get("text", '{"subtasks": [{"id": "o'), "finish": "length"}, wire)


OVERFLOWS: dict[str, Json] = {
    "openai": {
        "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
        " Please reduce the length of the messages.",
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
    },
    "llama.cpp": {
        "message": "the request exceeds the available context size, try increasing it", "code": 400,
        "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192,
    },
    "vllm": {
        "object": "error", "type": "BadRequestError", "param": None, "code": 400,
        "message": "This model's maximum context length is 8192 tokens. However, you requested 9096 tokens "
        "(5000 in the messages, 4096 in the completion). Please reduce the length of the messages or completion.",
    },
    "ollama": {
        "message": "input length exceeds maximum context length", "type": "invalid_request_error", "param": None,
        "code": None,
    },
}  # fmt: skip


async def overflow(call: Call, answer: Json, wire: Wire) -> None:
    """``wording`` of openai, llama.cpp, vllm or ollama."""
    error = OVERFLOWS[answer.get("wording", "openai")]
    await wire.json(400, error if answer.get("wording") == "vllm" else {"error": error})


async def huge(call: Call, answer: Json, wire: Wire) -> None:
    """``bytes`` (10 MB) of text, and more where it is streamed until the client has had enough."""
    size = answer.get("bytes", HUGE)
    if not call.streams or answer.get("whole"):
        whole = {**_about("chat.completion", call), "choices": [_choice(message=_said("x" * size))]}
        await wire.json(200, whole)
        return
    await wire.head(200, "text/event-stream")
    piece = {**_about("chat.completion.chunk", call), "choices": [_choice(delta={"content": "x" * (1 << 16)})]}
    for _ in range(size >> 16):
        await wire.event(piece)
    await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta={}, finish_reason="stop")]})
    await wire.event("[DONE]")
    await wire.write(b"0\r\n\r\n")


async def error_in_stream(call: Call, answer: Json, wire: Wire) -> None:
    await wire.head(200, "text/event-stream")
    await wire.event({**_about("chat.completion.chunk", call), "choices": [_choice(delta={"content": "half of "})]})
    await wire.event({"error": {"message": answer.get("message", "the engine has died"), "type": "server_error"}})
    await wire.write(b"0\r\n\r\n")


async def redirect(call: Call, answer: Json, wire: Wire) -> None:
    await wire.json(302, {}, Location=answer["to"])


async def planted(call: Call, answer: Json, wire: Wire) -> None:
    """A fault with ``headers`` of its own."""
    await wire.error(answer.get("status", 500), "something is wrong here", answer["headers"])


async def echo(call: Call, answer: Json, wire: Wire) -> None:
    """An error whose body has all that the client sent, its key too."""
    told = f"cannot do this: {json.dumps(call.body)} {json.dumps(dict(call.headers))}"
    await wire.error(answer.get("status", 400), told)


FAULTS: dict[str, Callable[[Call, Json, Wire], Awaitable[None]]] = {
    fault.__name__: fault
    for fault in (
        rate_limited, status, reset, closed, hang, drip, cut, no_end, raw, wrong_json, wrong_shape, no_choices, empty,
        refusal, filtered, length, overflow, huge, error_in_stream, redirect, planted, echo,
    )
}  # fmt: skip


async def _body(call: Call, text: str, wire: Wire) -> None:
    """A body that is the whole answer, or the only event of a stream."""
    data = f"data: {text}\n\ndata: [DONE]\n\n".encode() if call.streams else text.encode()
    await wire.head(200, "text/event-stream" if call.streams else "application/json", len(data))
    await wire.write(data)


def _about(kind: str, call: Call) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": call.body.get("model")}


def _choice(finish_reason: str | None = None, **content: Any) -> Json:
    return {"index": 0, **content, "finish_reason": finish_reason or ("stop" if "message" in content else None)}


def _said(text: str) -> Json:
    return {"role": "assistant", "content": text}


def _able(call: Call) -> Json:
    """What a model that can do everything answers."""
    tools, choice = call.body.get("tools"), call.body.get("tool_choice", "auto")
    if tools and choice not in ("none", "auto"):
        named = choice["function"]["name"] if isinstance(choice, dict) else None
        tool = next(one["function"] for one in tools if named in (None, one["function"]["name"]))
        return {"tools": [{"name": tool["name"], "arguments": instance(tool.get("parameters", {}))}]}
    if tools and choice == "auto" and (named := next((one for one in tools if _called(one, call)), None)):
        tool = named["function"]
        return {"tools": [{"name": tool["name"], "arguments": instance(tool.get("parameters", {}))}]}
    given = call.body.get("response_format") or {}
    if given.get("type") == "json_schema":
        return {"json": instance(given["json_schema"]["schema"])}
    return {"json": {}} if given.get("type") == "json_object" else {"text": "ok"}


def _called(tool: Json, call: Call) -> bool:
    """Whether the last message says that this tool is to be called."""
    return f"Call the tool `{tool['function']['name']}`" in call.said


def instance(schema: Json, root: Json | None = None) -> Any:
    """A small value that fits a JSON schema of the usual sort."""
    root = root or schema
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    given = [schema[fixed] for fixed in ("const", "default") if fixed in schema] + schema.get("enum", [])
    if given:
        return given[0]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return instance(several[0], root)
    kind = schema.get("type", "object")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: instance(properties[name], root) for name in schema.get("required", properties)}
    if kind == "array":
        return [instance(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
    return {"string": "ok", "integer": schema.get("minimum", 1), "number": 1.0, "boolean": True}.get(str(kind))


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _text(content: Any) -> str:
    """A message's content, which may come in parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content or ""


def main() -> None:
    """Serves a script's answers: a JSON list of them, or {"answers", "models", "delay", "refuses", "key"}."""
    parser = argparse.ArgumentParser(prog="python -m tests.models.server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path)
    options = parser.parse_args()
    told: Any = json.loads(options.script.read_text("utf-8")) if options.script else []
    told = told if isinstance(told, dict) else {"answers": told}
    server = ModelServer(*told.pop("answers", ()), **told, port=options.port)

    async def serve() -> None:
        serving = asyncio.create_task(server.serve())
        while not server._ready.is_set():
            await asyncio.sleep(0.01)
        print(server.url, flush=True)
        await serving

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
