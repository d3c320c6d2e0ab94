"""Agent2Agent: the protocol's methods over Holdfast, the pause extension, and a small client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.a2a.client import connect, paused

__all__ = ["connect", "paused"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'holdfast.a2a' has no attribute {name!r}")
    from holdfast.a2a import client  # noqa: PLC0415  loads a2a-sdk, which only its users need

    return getattr(client, name)
