"""What each way in which a server can say no means, as a ``Kind`` and a sentence.

The sentences are ours: what a server writes may hold the key and the texts that were sent to it, so it is only searched
for the few wordings that matter, and never shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from holdfast.nodes.models.types import Fault, Kind, Tokens

NOTHING = Tokens()  # what an attempt costs that the server refused
SENTENCES: Mapping[Kind, str] = {
    Kind.RATE_LIMITED: "the model's server at {host} allows no more calls for now",
    Kind.SERVER_ERROR: "the model's server at {host} reports a fault of its own",
    Kind.UNREACHABLE: "the model's server at {host} cannot be reached",
    Kind.TIMED_OUT: "the model's server at {host} does not answer",
    Kind.CUT_OFF: "the model's server at {host} broke off in the middle of its answer",
    Kind.MALFORMED: "what the model's server at {host} answered is no chat completion",
    Kind.EMPTY: "the model {model} gave an empty answer",
    Kind.TOO_LARGE: "the model's server at {host} answered with more than {megabytes} MB",
    Kind.TRUNCATED: "the answer of the model {model} reached its limit of tokens before it was complete",
    Kind.CONTEXT_FULL: "what was to be sent is more than the model {model} can take in",
    Kind.DECLINED: "the model {model} declined to answer",
    Kind.UNAUTHORIZED: "the model's server at {host} does not accept the key; check OPENAI_API_KEY",
    Kind.NO_SUCH_MODEL: "the model's server at {host} has no model {model}; check HOLDFAST_MODEL",
    Kind.MISDIRECTED: "there are no chat completions at {host}; check OPENAI_BASE_URL",
    Kind.BAD_REQUEST: "the model's server at {host} does not accept the request",
    Kind.ADAPTED: "the model's server at {host} does not know {parameter}; it is left out from now on",
}
NO_CREDIT = "the account behind OPENAI_API_KEY has no credit left at {host}"
STATUS: Mapping[int, Kind] = {
    400: Kind.BAD_REQUEST, 401: Kind.UNAUTHORIZED, 402: Kind.UNAUTHORIZED, 403: Kind.UNAUTHORIZED,
    404: Kind.NO_SUCH_MODEL, 405: Kind.MISDIRECTED, 408: Kind.SERVER_ERROR, 409: Kind.SERVER_ERROR,
    410: Kind.NO_SUCH_MODEL, 413: Kind.CONTEXT_FULL, 425: Kind.SERVER_ERROR, 429: Kind.RATE_LIMITED,
}  # fmt: skip
WORDINGS: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"context[_ ](length|size|window)|maximum context|prompt (is )?too long|too many (input )?tokens"
         r"|input (length|tokens?) exceeds?", Kind.CONTEXT_FULL),
        (r"content[_ ](filter|policy)|safety system", Kind.DECLINED),
        (r"model_not_found|invalid_model|(unknown|no such|invalid) model\b"
         r"|\bmodel\b.{0,120}(not found|does not exist|not a valid|not available)", Kind.NO_SUCH_MODEL),
        (r"(incorrect|invalid|missing) api key|invalid_api_key", Kind.UNAUTHORIZED),
    )
)  # fmt: skip
BROKE = re.compile(r"insufficient_quota|billing|payment required|credit balance", re.IGNORECASE)
UNKNOWN = re.compile(
    r"unsupported|unrecogni[sz]ed|unknown|unexpected|extra (input|field)|not (be )?(supported|permitted|allowed)", re.I
)
WORDED = (Kind.BAD_REQUEST, Kind.NO_SUCH_MODEL, Kind.CONTEXT_FULL, Kind.SERVER_ERROR)  # which a wording says better
OPTIONAL = ("stream_options", "max_completion_tokens", "max_tokens", "stream")  # what a server can do without
SEEN = 4000  # characters of a body that are searched


def sentence(kind: Kind, **about: object) -> str:
    """What people are told."""
    return SENTENCES[kind].format(**about)


def refused(status: int, headers: Mapping[str, str], body: str, *, host: str, model: str) -> Fault:
    """The fault behind an answer that is none: a status of 300 or more, or an error in a stream (500)."""
    body = body[:SEEN]
    if status == 402 or (status == 429 and BROKE.search(body)):
        return Fault(Kind.UNAUTHORIZED, NO_CREDIT.format(host=host), tokens=NOTHING)
    kind = _kind(status, body)
    about = sentence(kind, host=host, model=model)
    wait = retry_after(headers, datetime.now(UTC)) if status in (429, 503) else None
    return Fault(kind, f"{about} (HTTP {status})", wait=wait, tokens=NOTHING)


def _kind(status: int, body: str) -> Kind:
    usual = Kind.MISDIRECTED if status < 400 else Kind.SERVER_ERROR if status >= 500 else Kind.BAD_REQUEST
    kind = STATUS.get(status, usual)
    if kind in WORDED:
        return next((worded for pattern, worded in WORDINGS if pattern.search(body)), kind)
    return kind


def unknown_parameter(body: str, sent: Callable[[str], bool]) -> str | None:
    """The optional parameter that a refusal names, if it was sent."""
    if not UNKNOWN.search(body[:SEEN]):
        return None
    named = (name for name in OPTIONAL if re.search(rf"(?<!\w){name}(?!\w)", body[:SEEN]))
    return next(filter(sent, named), None)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the server wants to be asked again, from Retry-After in seconds or as a date; None if unsaid."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,15}(\.\d+)?", said):
            return float(said) / scale or None
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max((date - now).total_seconds(), 0.0) or None
