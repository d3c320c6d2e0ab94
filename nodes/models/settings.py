"""Which model is used, where it answers, what it costs, and how much of it may be used in a minute.

The key and the address come from the environment alone: a ``holdfast.toml`` that came with somebody's files must not be
able to send a key elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from holdfast.checkpoints.errors import BadInput

OPENAI = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 60.0
BATCH_WINDOW, BATCH_SIZE = 0.02, 10
LONGEST_WINDOW, LARGEST_BATCH = 10_000, 100  # milliseconds, requests
KEY, URL, MODEL = "OPENAI_API_KEY", "OPENAI_BASE_URL", "HOLDFAST_MODEL"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens in and out."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What a call costs."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


# as of 2025-08; they change: [holdfast.prices] wins
PRICES: Mapping[str, Price] = {
    "gpt-5": Price(1.25, 10.0),
    "gpt-5-mini": Price(0.25, 2.0),
    "gpt-5-nano": Price(0.05, 0.4),
    "gpt-4.1": Price(2.0, 8.0),
    "gpt-4.1-mini": Price(0.4, 1.6),
    "gpt-4.1-nano": Price(0.1, 0.4),
    "gpt-4o": Price(2.5, 10.0),
    "gpt-4o-mini": Price(0.15, 0.6),
    "o3": Price(2.0, 8.0),
    "o4-mini": Price(1.1, 4.4),
}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model; ``key`` is never shown.  ``timeout`` is for a call in all, every attempt together."""

    name: str
    base_url: str = OPENAI
    key: str = field(default="", repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)  # a name and a password that the server asks for
    timeout: float = TIMEOUT_SECONDS
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    batch_window: float = BATCH_WINDOW  # seconds that a request waits for others like it
    batch_size: int = BATCH_SIZE  # requests in one call; 1: none are merged
    first_wait: float = 0.5  # seconds before the second attempt, where the server does not say; then twice as long each

    @property
    def title(self) -> str:
        """The model and where it answers, for people."""
        return f"{self.name} at {self.host}"

    @property
    def pace(self) -> tuple[int | None, int | None]:
        """(calls, tokens) that a minute allows."""
        return self.requests_per_minute, self.tokens_per_minute

    @property
    def host(self) -> str:
        """The server's name and port, for people."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def is_secure(self) -> bool:
        """Whether what is sent is encrypted on its way."""
        return self.base_url.startswith("https:")

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own server."""
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI).hostname

    @property
    def is_local(self) -> bool:
        """Whether what is sent stays on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


def read(environment: Mapping[str, str], file: Mapping[str, Any]) -> ModelSettings | None:
    """The model that is set, or None; ``file`` is the section ``[holdfast]`` of holdfast.toml.

    Raises BadInput for what is set to something that cannot be used; ``missing`` says which half is not set.
    """
    name, key, url = _given(environment, file)
    if not (name and (key or url)):
        return None
    if len(name) > 200 or not name.isprintable():
        raise BadInput(f"{MODEL} is not the name of a model")
    if not (key.isascii() and key.isprintable()):
        raise BadInput(f"{KEY} has a character that no key can have; copy it again")
    base_url, login = _address(url) if url else (OPENAI, None)
    timeout = _number(environment, file, "model_timeout") or TIMEOUT_SECONDS
    pace = [_number(environment, file, what) for what in ("requests_per_minute", "tokens_per_minute")]
    calls, tokens = (None if most is None else math.ceil(most) for most in pace)
    window = _number(environment, file, "batch_window_ms", least=0)
    size = _number(environment, file, "batch_size")
    return ModelSettings(
        name,
        base_url,
        key,
        login,
        timeout,
        _price(name, file),
        calls,
        tokens,
        BATCH_WINDOW if window is None else min(window, LONGEST_WINDOW) / 1000,
        BATCH_SIZE if size is None else math.ceil(min(size, LARGEST_BATCH)),
    )


def missing(environment: Mapping[str, str], file: Mapping[str, Any]) -> str | None:
    """What is not set for a model to be used, if half of it is."""
    name, key, url = _given(environment, file)
    if name and not (key or url):
        return f"{MODEL} is set, but neither {KEY} nor {URL} is"
    if not name and (key or url):
        return f"{KEY if key else URL} is set, but {MODEL} is not"
    return None


def require_price(settings: ModelSettings | None, limits: Mapping[str, Any]) -> None:
    """Raises BadInput for a limit in dollars where nobody knows what the model costs: it would hold nothing."""
    if settings and settings.price is None and limits.get("cost") is not None:
        raise BadInput(
            f"no price of {settings.name} is known, so a budget in dollars cannot be kept: limit tokens instead, "
            f"or {pricing(settings)} (0 where it costs nothing)"
        )


def pricing(settings: ModelSettings) -> str:
    """How a price is told."""
    return f'put [holdfast.prices] "{settings.name}" = {{ input = …, output = … }} into holdfast.toml'


def _given(environment: Mapping[str, str], file: Mapping[str, Any]) -> tuple[str, str, str]:
    """(model, key, base URL), each "" where it is not set."""
    name = environment.get(MODEL) or file.get("model") or ""
    return str(name).strip(), environment.get(KEY, "").strip(), environment.get(URL, "").strip()


def _address(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without the name and password in it, and those; the URL itself is not quoted, for they may be in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadInput(f"{URL} is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise BadInput(f"{URL} has to be like http://127.0.0.1:11434/v1, without a query")
    login = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}{parts.path.rstrip('/')}", login


def _number(
    environment: Mapping[str, str], file: Mapping[str, Any], name: str, least: float = math.ulp(0.0)
) -> float | None:
    said = environment.get(f"HOLDFAST_{name.upper()}") or file.get(name)
    if said is None:
        return None
    try:
        value = math.nan if isinstance(said, bool) else float(said)
    except (TypeError, ValueError):
        value = math.nan
    if not least <= value < math.inf:
        lowest = "above 0" if least else "of 0 or more"
        raise BadInput(f"HOLDFAST_{name.upper()} (or {name} in holdfast.toml) has to be a number {lowest}")
    return value


def _price(name: str, file: Mapping[str, Any]) -> Price | None:
    """The price in the file, else the usual one; a model's name may end in its date."""
    prices = file.get("prices", {})
    given = prices.get(name) if isinstance(prices, Mapping) else None
    if given is None:
        return PRICES.get(name) or PRICES.get(re.sub(r"-\d{4}-?\d{2}-?\d{2}$", "", name))
    try:
        price = Price(float(given["input"]), float(given["output"]))
    except (TypeError, ValueError, KeyError):
        price = Price(math.nan, math.nan)
    if not (0 <= price.input < math.inf and 0 <= price.output < math.inf):
        raise BadInput(f"the price of {name} in holdfast.toml has to be like {{ input = 0.15, output = 0.6 }}")
    return price
