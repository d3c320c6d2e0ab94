"""The shares behind the competitor analysis: who had what part of the whole, complete period by complete period."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.nodes.data.models import Entity
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import Findings
from holdfast.nodes.report.document import Fact

TOP = 10
LEAST_MOVE = 0.05  # points; less is written 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One entity in the first and the last complete frame (and the one before the last)."""

    name: str
    first: float
    before: float
    last: float
    share_first: float
    share_last: float

    @property
    def move(self) -> float:
        """Change of share in percentage points."""
        return self.share_last - self.share_first

    @property
    def visibly(self) -> float:
        """The change of the shares as they are written, so that nobody moves from 51.5 to 51.5 %."""
        return round(self.share_last, 1) - round(self.share_first, 1) if abs(self.move) >= LEAST_MOVE else 0.0


class Shares:
    """Shares per frame, from the stored query ``shares``, and the standings of first and last frame."""

    def __init__(self, found: Findings, entity: Entity) -> None:
        self.found, self.profile, self.entity = found, found.profile, entity
        self.grain, self.frames = self.profile.frame, self.profile.frames
        self.per = self.profile.per_frame if self.profile.roles.measure.kind == "stock" else 1
        self.first, self.last = self.name_of(self.frames[0]), self.name_of(self.frames[-1])
        self.cells: dict[str, dict[str, tuple[float, float]]] = {frame: {} for frame in self.frames}
        self.young: dict[str, float] = {}  # shares of what the file has after the last complete frame
        for row in found.rows("shares", frame=self.grain, per=self.per):
            if row["frame"] > self.frames[-1] and row["entity"] is not None and row["share"] is not None:
                self.young[row["entity"]] = row["share"]
            if row["frame"] in self.cells and row["entity"] is not None and row["share"] is not None:
                self.cells[row["frame"]][row["entity"]] = (row["value"], row["share"])
        self.rivals = entity.company and not self.profile.harm
        self.standings = self._standings()

    def name_of(self, frame: str) -> str:
        """A frame in words."""
        return words.period(frame, self.grain)

    @property
    def before(self) -> str:
        """The frame before the last one, in words."""
        return self.name_of(self.frames[-2]) if len(self.frames) > 1 else ""

    def _standings(self) -> list[Standing]:
        first, last = self.cells[self.frames[0]], self.cells[self.frames[-1]]
        before = self.cells[self.frames[-2]] if len(self.frames) > 1 else {}
        none = (0.0, 0.0)
        found = [
            Standing(
                name,
                first.get(name, none)[0],
                before.get(name, none)[0],
                last.get(name, none)[0],
                first.get(name, none)[1],
                last.get(name, none)[1],
            )
            for name in {*first, *last}
        ]
        return sorted(found, key=lambda s: (-s.share_last, -s.share_first, s.name))

    def share(self, standing: Standing, *, at_start: bool = False) -> Fact:
        """An entity's share as a fact."""
        which, value = ("first", standing.share_first) if at_start else ("last", standing.share_last)
        return self.found.percent(
            f"share_{which}/{standing.name}", value, "shares", f"of {self.first if at_start else self.last}"
        )

    def move(self, standing: Standing) -> Fact:
        """Its change of share, in points, without sign."""
        return self.found.points(
            f"move/{standing.name}", standing.move, "shares", f"share in {self.last} less share in {self.first}"
        )

    @property
    def best(self) -> Standing:
        """Who gained most share."""
        return min(self.standings, key=lambda s: (-s.move, s.name))

    @property
    def worst(self) -> Standing:
        """Who lost most share."""
        return min(self.standings, key=lambda s: (s.move, s.name))

    def tone(self, name: str) -> int:
        """The colour of an entity in every chart: 1 for who gained most share, −1 for who lost most, else 0."""
        gained, lost = self.best.move >= LEAST_MOVE, self.worst.move <= -LEAST_MOVE
        if not gained and not lost:
            return int(name == self.standings[0].name)
        return int(gained and name == self.best.name) - int(lost and name == self.worst.name)

    def shown(self) -> list[Standing]:
        """Those in the table: all, or the largest ten of many."""
        return [s for s in self.standings if s.last > 0][: TOP if len(self.standings) > 15 else 15]
