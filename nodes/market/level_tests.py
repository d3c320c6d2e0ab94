"""Whether what is said of levels holds when every start moves by one period: the tests behind its confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.nodes.market import confidence, constant_parts, formulas
from holdfast.nodes.market.levels import PER_YEAR, Level, Levels

Measured = Callable[[Level], float | None]


def of_overview(levels: Levels) -> dict[str, Any]:
    """Who had the highest and the lowest value of all."""
    ends = (lambda level: max(level.values), lambda level: -min(level.values))
    holds = all(_first_stays(levels.shown, end) for end in ends)
    return {
        "level_extremes": _tested(levels, "Highest and lowest value", holds),
        "rows": _tested(levels, "What the figures rest on", True),
    }


def of_changes(levels: Levels) -> dict[str, Any]:
    """Who changed the most, over each one's history and from the common start; whether the lowest change is a fall."""
    common = [level.since(levels.start) for level in levels.shown]
    ends = (levels.change, lambda level: _negative(levels.change(level)))
    lowest = min(levels.ordered(levels.shown), key=lambda pair: pair[1], default=None)
    tests = {
        "level_change": _tested(levels, "Largest change", _first_stays(levels.shown, levels.change)),
        "level_common": _tested(
            levels, "Changes from the common start", all(_first_stays(common, end) for end in ends), common
        ),
    }
    if lowest:
        moved = confidence.same_sign(lowest[1], levels.change(_later(lowest[0])))
        tests["level_worst"] = _tested(levels, "Lowest change", moved, [lowest[0]])
    return tests


def of_swings(levels: Levels) -> dict[str, Any]:
    """Who fell the deepest and who swung the most and the least."""

    def fall(level: Level) -> float | None:
        found = formulas.drawdown(level.values)
        return None if found is None else -found.percent

    def swing(level: Level) -> float | None:
        return formulas.volatility(level.values, PER_YEAR[levels.grain])

    ends = (swing, lambda level: _negative(swing(level)))
    return {
        "level_fall": _tested(levels, "Deepest fall", _first_stays(levels.shown, fall)),
        "level_swing": _tested(levels, "Swings", all(_first_stays(levels.shown, end) for end in ends)),
    }


def _tested(levels: Levels, finding: str, holds: bool | None, shown: Sequence[Level] = ()) -> dict[str, Any]:
    """``cycles`` are the full years of the shortest history that the finding compares."""
    cycles = min((len(level.values) // PER_YEAR[levels.grain] for level in shown or levels.shown), default=0)
    series = [found for level in shown or levels.shown if (found := levels.series(level))]
    complete = not constant_parts.changes(levels.profile) and not any(one.missing for one in series)
    return confidence.judge(levels.profile, finding, holds, complete=complete, cycles=cycles, entity=True, of=())


def _later(level: Level) -> Level:
    return Level(level.name, level.periods[1:], level.values[1:])


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _first_stays(shown: Sequence[Level], measured: Measured) -> bool:
    """Whether the one with the highest figure is the same when each history begins one period later."""
    now = _first(shown, measured)
    return now is not None and now == _first([_later(level) for level in shown if len(level.values) > 1], measured)


def _first(shown: Sequence[Level], measured: Measured) -> str | None:
    figures = [(-figure, level.name) for level in shown if (figure := measured(level)) is not None]
    return min(figures)[1] if figures else None
