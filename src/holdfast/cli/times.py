"""Times as people type them: ``90s``, ``2h30m``, ``30d``, ``18:00``, ``2026-01-31T12:00``."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

import click

UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])\s*", re.IGNORECASE)
_WHOLE = re.compile(rf"\s*(?:{_PART.pattern})+", re.IGNORECASE)
LONGEST = timedelta(days=36500)


def duration(text: str) -> timedelta:
    """``1d12h`` and the like; raises ValueError for anything else."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    seconds = sum(float(amount) * UNITS[unit.lower()] for amount, unit in _PART.findall(text))
    return min(timedelta(seconds=min(seconds, LONGEST.total_seconds())), LONGEST)


def moment(text: str, now: datetime) -> datetime:
    """A time after ``now``: a duration from it, a time of the day, or an ISO 8601 time; local if it has no zone.

    Raises ValueError with the reason.
    """
    try:
        return now + duration(text)
    except ValueError:
        pass
    try:
        at = _clock(text, now) or datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("give an ISO time such as 2026-01-31T18:00, or a duration such as 2h30m") from None
    at = at.astimezone()
    if at <= now:
        raise ValueError(f"{text} is over")
    return at


def _clock(text: str, now: datetime) -> datetime | None:
    """The next time that the clock shows this, if the text is a time of the day."""
    if not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
        return None
    at = datetime.combine(now.astimezone(), time.fromisoformat(text.zfill(5)))
    return at if at.astimezone() > now else at + timedelta(days=1)


def duration_option(ctx: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    """For an option whose value is a duration."""
    try:
        return duration(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no duration; give one such as 30d, 12h or 90s") from None


def moment_option(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """For an option whose value is a time to come."""
    try:
        return None if value is None else moment(value, datetime.now().astimezone())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
