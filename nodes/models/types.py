"""What goes to a model and what comes back, in plain JSON terms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

OUTPUT_TOKENS = 4096  # at most, of an answer whose caller does not say


@dataclass(frozen=True, slots=True)
class Request:
    """One call: ``messages`` and ``tools`` as OpenAI's chat completions have them, ``schema`` a JSON schema.

    ``prompt`` names the prompt and its version, such as ``plan/1``: two requests with different ones are not equal.
    ``fresh`` asks anew where an answer may be known; ``tags`` are words by which the answer may be forgotten.  Small
    requests with one ``batch``, which differ in their last message only, may be merged into one call.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    schema: Mapping[str, Any] | None = None
    prompt: str = ""
    most: int = OUTPUT_TOKENS
    fresh: bool = False
    tags: Sequence[str] = ()
    batch: str = ""

    def digest(self, *also: str) -> bytes:
        """32 bytes that are equal for equal requests with equal ``also``, such as the model."""
        asked = [self.messages, self.tools, self.schema, self.prompt, self.most]
        return hashlib.sha256(json.dumps([also, asked], sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class Tokens:
    """How much a call took in and gave out; ``estimated`` where the server did not count."""

    input: int = 0
    output: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called; ``arguments`` is the JSON text that it wrote, whatever it is."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered; ``finish`` is why it stopped (stop, tool_calls, length, content_filter)."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    tokens: Tokens = Tokens()
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a step records it."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Reply:
        """The reply that ``to_json`` made this of."""
        calls = tuple(ToolCall(**one) for one in told["calls"])
        return replace(cls(**{**told, "calls": calls}), tokens=Tokens(**told["tokens"]))


class Kind(StrEnum):
    """What can be wrong with one attempt; ``faults.TREATMENT`` says what each leads to."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    CUT_OFF = "cut_off"
    MALFORMED = "malformed"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    CONTEXT_FULL = "context_full"
    DECLINED = "declined"
    UNAUTHORIZED = "unauthorized"
    NO_SUCH_MODEL = "no_such_model"
    MISDIRECTED = "misdirected"
    ADAPTED = "adapted"
    BAD_REQUEST = "bad_request"
    OVER_BUDGET = "over_budget"  # and the task is to finish without the model


class Fault(Exception):
    """One attempt that gave no answer; the sentence has neither keys nor what was sent.

    ``wait`` is what the server asked for, in seconds; ``tokens`` what the attempt may have cost, None where that has
    to be estimated.
    """

    def __init__(self, kind: Kind, sentence: str, *, wait: float | None = None, tokens: Tokens | None = None) -> None:
        super().__init__(sentence)
        self.kind, self.wait, self.tokens = kind, wait, tokens


class Unavailable(Exception):
    """The model gave no answer in the time for it, or cannot; the task pauses until somebody has seen to it."""


class Endpoint(Protocol):
    """Where a model answers: one attempt, without retries of its own."""

    @property
    def model(self) -> str:
        """The model's name."""

    def estimate(self, request: Request) -> int:
        """Input tokens, at least as many as the server will count."""

    async def call(self, request: Request, told: Callable[[str], None]) -> Reply:
        """The answer; ``told`` gets its text as it comes.  Raises Fault."""
