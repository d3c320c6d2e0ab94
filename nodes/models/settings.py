"""Which model is used, where it answers, what it costs, and how much of it may be used in a minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

OPENAI = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens in and out."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What a call costs."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


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

    @property
    def host(self) -> str:
        """The server's name and port, for people."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own server."""
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI).hostname

    @property
    def is_local(self) -> bool:
        """Whether what is sent stays on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")
