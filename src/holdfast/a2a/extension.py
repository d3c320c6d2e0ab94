"""The pause extension: what an agent declares, what a paused task carries, what PauseTask takes.

``docs/a2a-pause-resume.md`` is its specification.  On the wire a paused task stays WORKING (SUBMITTED if it never
began), and says so in its metadata, so that a client that has never heard of the extension sees a task at work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.checkpoints.control import MODES
from holdfast.checkpoints.errors import BadInput
from holdfast.checkpoints.events import timestamp

URI = "urn:holdfast:a2a:pause-resume:v1"
DESCRIPTION = (
    "PauseTask and ResumeTask: stops a task so that it can go on later, with nothing lost and nothing repeated."
)
OPTIONS = ("mode", "reason", "until")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """What a client may say beside the task's id, under the URI in the request's metadata."""

    mode: str = "step"
    reason: str | None = None
    until: datetime | None = None


def request(metadata: Mapping[str, Any]) -> PauseRequest:
    """Reads a PauseTask request's metadata; raises BadInput for what it does not know."""
    given = metadata.get(URI, {})
    if not isinstance(given, Mapping) or set(given) - set(OPTIONS):
        raise BadInput(f"metadata {URI} has to be an object with mode, reason and until, as far as wanted")
    mode, reason, until = given.get("mode", "step"), given.get("reason"), given.get("until")
    if mode not in MODES:
        raise BadInput(f"mode has to be one of {', '.join(MODES)}")
    if reason is not None and (not isinstance(reason, str) or len(reason) > 1000):
        raise BadInput("reason has to be a text of up to 1,000 characters")
    return PauseRequest(mode, reason, None if until is None else time_of(until))


def require_in_place(params: Any) -> None:
    """Raises BadInput for options beside the task's id, where they would be passed over and the pause be another."""
    if isinstance(params, Mapping) and (found := [name for name in OPTIONS if name in params]):
        raise BadInput(f'{found[0]} belongs in the metadata: {{"metadata": {{"{URI}": {{"{found[0]}": …}}}}}}')


def paused(stops: Mapping[str, Mapping[str, Any]], in_flight: int) -> dict[str, Any]:
    """What stands under the URI while a task is paused; the first stop tells who, when and why."""
    who, stop = next(iter(stops.items()), ("holds", {}))
    ends = [one["until"] for one in stops.values() if one.get("until")]
    said: dict[str, Any] = {"state": "PAUSED", "initiatedBy": who, "in_flight": in_flight}
    if stop.get("reason"):
        said["reason"] = stop["reason"]
    if stop.get("at"):
        said["pausedAt"] = timestamp(datetime.fromtimestamp(stop["at"], UTC))
    if ends and len(ends) == len(stops):
        said["pausedUntil"] = timestamp(datetime.fromtimestamp(max(ends), UTC))
    return said


def time_of(value: Any) -> datetime:
    """A point in time as RFC 3339 writes it; raises BadInput for any other form, and for a time that there is not."""
    try:
        if _RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadInput("until has to be a time with its time zone, as in 2026-01-31T12:00:00Z")
