"""Stand-in until the endpoint lands: what an endpoint can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint takes; neither: JSON is asked for in the text."""

    schema: bool = False
    tools: bool = False
