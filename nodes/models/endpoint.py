"""A server with OpenAI's chat completions, through langchain-openai: one attempt, no retries, each fault by its kind.

langchain-openai is loaded with the first call.  Every answer is streamed, so that its text can be shown as it comes and
a pause need not wait for its end; what a server cannot do is left out once it has said so.
"""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import httpx

from holdfast.nodes.models import refusals, tokens
from holdfast.nodes.models.refusals import NOTHING, sentence
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.transport import ANSWER_BYTES, NoCompletion, TooLarge, client
from holdfast.nodes.models.types import Fault, Kind, Reply, Request, Tokens, ToolCall

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

WRONG_SHAPE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, Warning)
FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Kind], ...] = (  # the first that fits
    (TooLarge, Kind.TOO_LARGE),
    (NoCompletion, Kind.MALFORMED),
    ((httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError), Kind.UNREACHABLE),
    (httpx.TimeoutException, Kind.TIMED_OUT),
    ((httpx.UnsupportedProtocol, httpx.InvalidURL), Kind.MISDIRECTED),
    ((httpx.TransportError, httpx.StreamError), Kind.CUT_OFF),
    (httpx.DecodingError, Kind.MALFORMED),
    (OSError, Kind.UNREACHABLE),
    (WRONG_SHAPE, Kind.MALFORMED),
)
UNPAID = frozenset({Kind.UNREACHABLE, Kind.MISDIRECTED})
COUNTS = ("prompt_tokens", "completion_tokens")


class OpenAIEndpoint:
    """The server and the model that the settings name."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._chats: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[ChatOpenAI, httpx.AsyncClient]]
        self._chats = WeakKeyDictionary()  # connections belong to a loop, and a plain ``invoke`` makes many
        self._without: set[str] = set()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._settings.name

    def estimate(self, request: Request) -> int:
        """Input tokens, at least as many as the server will count."""
        return tokens.most_of(request)

    async def ready(self) -> None:
        """Loads what takes long to load, beside the event loop; at once if it is loaded."""
        await asyncio.to_thread(import_module, "langchain_openai")

    async def call(self, request: Request, told: Callable[[str], None]) -> Reply:
        """The answer; ``told`` gets its text as it comes.  Raises Fault."""
        heard = Heard()
        sent = self._parameters(request)
        offered: dict[str, Any] = {"tools": list(request.tools)} if request.tools else {}  # some refuse null
        chat = self._chat()
        try:
            async for chunk in chat.astream(
                [dict(one) for one in request.messages],
                **offered,
                stream_usage=False,
                extra_body=sent,
            ):
                if text := heard.take(chunk):
                    told(text)
        except Exception as error:
            if not heard.finish:
                raise self._fault(error, sent, request, heard) from None
        return self._reply(request, heard)

    async def models(self) -> list[str]:
        """The names of the models that the server lists; none where it does not say.  Raises Fault."""
        async with self._client() as web:
            bearer = {} if self._settings.login else {"Authorization": f"Bearer {self._settings.key or 'none'}"}
            try:
                listed = await web.get(f"{self._settings.base_url}/models", headers=bearer)
            except (httpx.HTTPError, OSError) as error:
                raise self._fault(error, {}, Request([]), Heard()) from None
        if listed.status_code in (401, 403):
            raise self._no(Kind.UNAUTHORIZED, NOTHING)
        return _names(listed.text) if listed.is_success else []

    async def close(self) -> None:
        """Closes the connections of this event loop."""
        _, connections = self._chats.pop(asyncio.get_running_loop(), (None, None))
        if connections:
            await connections.aclose()

    def _chat(self) -> ChatOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._chats:
            connections = self._client()
            self._chats[loop] = _chat(self._settings, connections), connections
        return self._chats[loop][0]

    def _client(self) -> httpx.AsyncClient:
        settings = self._settings
        return client(settings.timeout, local=settings.is_local, secure=settings.is_secure, login=settings.login)

    def _parameters(self, request: Request) -> dict[str, Any]:
        """What is asked for beside messages and tools; ``max_tokens`` has a new name at OpenAI only."""
        most = "max_completion_tokens" if self._settings.is_openai else "max_tokens"
        if most in self._without:
            most = "max_tokens" if self._settings.is_openai else "max_completion_tokens"
        wanted: dict[str, Any] = {most: request.most, "stream_options": {"include_usage": True}}
        wanted = {name: value for name, value in wanted.items() if name not in self._without}
        if request.schema is not None:
            answer = {"name": "answer", "schema": request.schema, "strict": is_strict(request.schema)}
            wanted["response_format"] = {"type": "json_schema", "json_schema": answer}
        if "stream" in self._without:  # it takes the place of langchain's own
            wanted.pop("stream_options", None)
            wanted["stream"] = False
        return wanted

    def _reply(self, request: Request, heard: Heard) -> Reply:
        used = self._counted(request, heard)
        if heard.refusal or heard.finish == "content_filter":
            raise self._no(Kind.DECLINED, used)
        if heard.finish == "length":
            raise self._no(Kind.TRUNCATED, used)
        if not heard.finish:
            raise self._no(Kind.CUT_OFF if heard.anything else Kind.EMPTY, used)
        if not (heard.text.strip() or heard.calls):
            raise self._no(Kind.EMPTY, used)
        calls = tuple(
            ToolCall(whole(part["id"]) or f"call_{at}", whole(part["name"]), whole(part["arguments"]))
            for at, part in sorted(heard.calls.items())
        )
        return Reply(whole(heard.text), calls, heard.finish, used, heard.model or self.model)

    def _counted(self, request: Request, heard: Heard) -> Tokens:
        """What the server counted; an estimate where it did not, or where what it says cannot be."""
        said = [heard.usage.get(name) for name in COUNTS]
        given, taken = (one if isinstance(one, int) and not isinstance(one, bool) else -1 for one in said)
        most = self.estimate(request)
        if given > 0 and taken >= (1 if heard.anything else 0) and given + taken <= most + request.most:
            return Tokens(given, taken)
        return Tokens(most, min(tokens.most(heard.written), request.most), estimated=True)

    def _no(self, kind: Kind, used: Tokens | None, **about: object) -> Fault:
        settings = self._settings
        told = sentence(kind, host=settings.host, model=self.model, megabytes=ANSWER_BYTES // 1_000_000, **about)
        return Fault(kind, told, tokens=used)

    def _fault(self, error: Exception, sent: Mapping[str, Any], request: Request, heard: Heard) -> Fault:
        """The fault that an exception stands for; nothing of the exception's own text is kept."""
        if said := _said(error):
            status, headers, body = said
            fault = refusals.refused(status, headers, body, host=self._settings.host, model=self.model)
            if fault.kind == Kind.BAD_REQUEST and (name := refusals.unknown_parameter(body, self._can_leave(sent))):
                self._without.add(name)
                return self._no(Kind.ADAPTED, NOTHING, parameter=name)
            fault.tokens = self._counted(request, heard) if heard.anything else fault.tokens
            return fault
        causes = _causes(error)
        for classes, kind in FAULTS:
            if any(isinstance(cause, classes) for cause in causes):
                return self._no(kind, NOTHING if kind in UNPAID else self._counted(request, heard))
        raise error

    def _can_leave(self, sent: Mapping[str, Any]) -> Callable[[str], bool]:
        return lambda name: name not in self._without and (name == "stream" or name in sent)


@dataclass(slots=True)
class Heard:
    """What has come of an answer."""

    text: str = ""
    refusal: str = ""
    finish: str = ""
    model: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether the model has written anything."""
        return bool(self.text or self.refusal or self.calls)

    @property
    def written(self) -> str:
        """All that it has written."""
        return self.text + self.refusal + "".join(call["name"] + call["arguments"] for call in self.calls.values())

    def take(self, chunk: Any) -> str:
        """Adds a chunk; returns its text.  Raises ValueError for one of another shape."""
        raw = chunk.additional_kwargs.pop(RAW, None) or {}
        usage, self.model = raw.get("usage"), str(raw.get("model") or self.model)
        if isinstance(usage, dict):
            self.usage = usage
        if not isinstance(chunk.content, str):
            raise TypeError("content is no text")
        self.text += chunk.content
        for choice in (raw.get("choices") or ())[:1]:
            self._take(choice)
        return str(chunk.content)

    def _take(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or {}
        self.refusal += delta.get("refusal") or ""
        self.finish = str(choice.get("finish_reason") or self.finish)[:40]
        for at, part in enumerate(delta.get("tool_calls") or ()):
            id_, index, function = str(part.get("id") or ""), part.get("index"), part.get("function") or {}
            number = at if index is None else int(index)
            while number in self.calls and id_ and self.calls[number]["id"] not in ("", id_):
                number += 1  # some servers number all calls alike
            call = self.calls.setdefault(number, {"id": "", "name": "", "arguments": ""})
            call["id"], arguments = call["id"] or id_, function.get("arguments", "")
            call["name"] += function.get("name") or ""
            call["arguments"] += json.dumps(arguments) if isinstance(arguments, dict) else arguments or ""


RAW = "holdfast_raw"


def _chat(settings: ModelSettings, connections: httpx.AsyncClient) -> ChatOpenAI:
    """langchain-openai's chat, which also hands on what it would drop of a chunk: refusals, calls without a number."""
    from langchain_core.outputs import ChatGenerationChunk  # noqa: PLC0415
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    class Chat(ChatOpenAI):
        def _convert_chunk_to_generation_chunk(
            self, chunk: dict[str, Any], kind: type, info: dict[str, Any] | None
        ) -> ChatGenerationChunk | None:
            made = super()._convert_chunk_to_generation_chunk(plain(chunk), kind, info)
            if made:
                made.message.additional_kwargs[RAW] = chunk
            return made

    # what a server sends in a wrong shape is met below, and would be printed with the warning
    warnings.filterwarnings("ignore", message="(?s)Pydantic serializer warnings", category=UserWarning)
    return Chat(
        model=settings.name,
        base_url=settings.base_url,
        api_key=settings.key or "none",
        openai_proxy="",
        http_async_client=connections,
        http_client=httpx.Client(transport=httpx.MockTransport(_never)),  # else it makes one
        max_retries=0,
        timeout=settings.timeout,
        stream_chunk_timeout=None,
        use_responses_api=False,
        cache=False,
    )


def plain(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """A chunk with its text alone, which is all that langchain need understand of it."""
    choices = [
        {**choice, "delta": {"role": "assistant", "content": _text((choice.get("delta") or {}).get("content"))}}
        for choice in (chunk.get("choices") or ())[:1]
    ]
    return {**chunk, "usage": None, "choices": choices}


def _text(content: Any) -> Any:
    """A text that came in parts as one."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _never(request: httpx.Request) -> httpx.Response:
    raise AssertionError("calls are made by the asynchronous client")


def _causes(error: BaseException) -> list[BaseException]:
    """An exception and those that it was raised from."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    return causes[::-1]  # the first one says most


def _said(error: Exception) -> tuple[int, Mapping[str, str], str] | None:
    """(status, headers, body) of an answer that says no, from langchain's or OpenAI's exception."""
    import openai  # noqa: PLC0415

    for cause in _causes(error):
        if isinstance(cause, openai.APIStatusError):
            return cause.status_code, cause.response.headers, f"{cause.message} {cause.body}"
    if type(error) is openai.APIError:  # an error within a stream
        status = re.fullmatch(r"[45]\d\d", str(error.code or ""))
        return int(status[0]) if status else 500, {}, f"{error.message} {error.body}"
    return None


def whole(text: str) -> str:
    """The text with the halves of characters, which JSON may have alone, joined or replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _names(listed: str) -> list[str]:
    """The names in a list of models, which a stream's one event has."""
    try:
        told = json.loads(listed.removeprefix("data:").partition("\n")[0])
        return [str(one["id"]) for one in told["data"]]
    except (ValueError, TypeError, LookupError):
        return []


def is_strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema in strict mode: objects name all of their properties as required, and no others."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(schema.get("properties", {}))
    ):
        return False
    return all(map(is_strict, schema.values()))
