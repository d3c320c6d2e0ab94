"""How sure a finding is: tested, not decreed.

Three tests: the data are complete (no period missing inside, of the whole or of those a finding speaks of), they cover
more than three cycles, and the finding does not flip when the start moves by one period. High if all are passed, medium
if one fails, low if more do or if the finding rests on an assumed role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from holdfast.nodes.data.models import Profile
from holdfast.nodes.market.series import PER_YEAR
from holdfast.nodes.report.document import Level

CYCLES = 3
COLUMNS = ("Finding", "Data", "Cycles", "Start moved by one", "Also", "Confidence")
_ORDER: tuple[Level, ...] = ("low", "medium", "high")


class Grounds(BaseModel):
    """What was tested of one finding; ``holds`` is None where no start can be moved, which counts as failed."""

    finding: str
    complete: bool
    cycles: int
    holds: bool | None
    assumed: bool = False
    doubt: str = ""  # one more reason against it, in words
    most: Level = "high"  # what it can be at the most, whatever the tests say

    @property
    def level(self) -> Level:
        """High, medium or low."""
        failures = (not self.complete) + (self.cycles <= CYCLES) + (not self.holds) + bool(self.doubt)
        if self.assumed or failures > 1:
            return "low"
        return min("medium" if failures else "high", self.most, key=_ORDER.index)

    @property
    def words(self) -> list[str]:
        """The tests as a line of a table, under ``COLUMNS``."""
        moved = "cannot be tested" if self.holds is None else "holds" if self.holds else "flips"
        also = "rests on an assumed role" if self.assumed else self.doubt or "–"
        data = "complete" if self.complete else "incomplete"
        return [self.finding, data, str(self.cycles), moved, also, self.level]


def cycles_in(profile: Profile) -> int:
    """Complete years of the window."""
    return len(profile.frames) // PER_YEAR[profile.frame]


def judge(
    profile: Profile,
    finding: str,
    holds: bool | None,
    *,
    complete: bool = True,
    cycles: int | None = None,
    doubt: str = "",
    most: Level = "high",
    entity: bool = False,
    of: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What tests say of a finding, as JSON.

    ``cycles`` are the complete years of the window unless given; a finding about an ``entity`` rests on that role too.
    No period may be missing of those named in ``of``, or of anyone where a finding is on the whole.
    """
    holes = [hole for hole in profile.holes if of is None or hole.entity in of]

    rests = {"measure", "time", *(("entity",) if entity else ())}
    return Grounds(
        finding=finding,
        complete=complete and not profile.gaps and not holes,
        cycles=cycles_in(profile) if cycles is None else cycles,
        holds=holds,
        assumed=bool(rests & set(profile.roles.assumed)),
        doubt=doubt,
        most=most,
    ).model_dump()


def same_sign(first: float | None, moved: float | None) -> bool | None:
    """Whether two changes have one direction; None if one of them is not known."""
    return None if first is None or moved is None else (first > 0) == (moved > 0)


def tests_in(results: Sequence[Mapping[str, Any]]) -> dict[str, Grounds]:
    """All tests beside the sections among a subtask's inputs, by the name of the finding."""
    found = [value.get("tests") for value in results]
    return {
        key: Grounds.model_validate(test) for tests in found if isinstance(tests, dict) for key, test in tests.items()
    }


def least_sure(levels: Iterable[Level]) -> Level:
    """The lowest of several levels: advice is no surer than what it rests on.  Low if there is none."""
    return min(levels, key=_ORDER.index, default="low")
