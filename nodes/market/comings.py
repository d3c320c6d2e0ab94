"""Who came, who went and who has not been seen for a while: names that the first or the last complete period lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.nodes.data.models import Grain
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import Row, say
from holdfast.nodes.market.series import number_of
from holdfast.nodes.market.shares import Shares, Standing
from holdfast.nodes.report.document import Fact, Span

LEAST_UNSEEN = 3  # usual periods without an amount, from which on it is said; our own convention
LEAST_SHARE = 0.1  # percent, for an entry or an exit to be named; our own convention
LEAST_TOLD = 1.0  # percent of one of the last two complete periods, for who was last seen to be a finding; our own


@dataclass(frozen=True, slots=True)
class Unseen:
    """Who is in the last complete frame and has not been seen since for three of its usual periods."""

    standing: Standing
    last: str  # the day of its last period
    since: int  # periods without it
    missed: int  # periods that it lacked before

    @property
    def holds(self) -> bool:
        """Whether it was never absent as long before."""
        return self.missed < self.since


def write_comings(of: Shares) -> dict[str, Any]:
    """A paragraph on who was last seen, entries and exits, and beside it the first of each."""
    presence = of.found.rows("presence")
    came, went = ({row["entity"]: str(row[end]) for row in presence} for end in ("first", "last"))
    unseen, begun = find_unseen(of), find_begun(of)
    entered = [s for s in of.standings if s.first == 0 and s.share_last >= LEAST_SHARE]
    gone = [s for s in of.standings if s.last == 0 and s.share_first >= LEAST_SHARE]
    gone.sort(key=lambda s: -s.share_first)
    late = [s for s in of.standings if s.name in begun][:3]
    part, least = "so that its share then is that of a part", f"at least {LEAST_SHARE}{words.NBSP}%"
    sentences = [
        *(_last_seen(of, one) for one in unseen[:3]),
        *_listed(of, late, "first", came, f"Came only within {of.first}, {part}", start=True),
        *_listed(of, entered[:6], "first", came, f"Not there in {of.first} and {least} of {of.last}"),
        *_listed(of, gone[:6], "last", went, f"There in {of.first} with {least}, gone by {of.last}", start=True),
    ]
    if sentences:
        left = "it left the market" if of.rivals else "it is gone"
        of.found.paragraph([*sentences, say(f"Missing from the file need not mean that {left}.")])
    return {
        "unseen": [_told(of, one) for one in unseen if _weight(of, one.standing) >= LEAST_TOLD][:1],
        "begun": begun,
        "entrants": [{"name": s.name, "since": came[s.name]} for s in entered[:3]],
        "exits": [{"name": s.name, "until": went[s.name]} for s in gone[:3]],
    }


def find_begun(of: Shares) -> dict[str, str]:
    """Who came only within the first complete frame, with the day, so that what it had then is no basis of growth."""
    grain, found = of.profile.roles.time.grain, {}
    presence = {row["entity"]: row for row in of.found.rows("presence")}
    start = number_of(of.frames[0], grain)
    for standing in of.standings:
        row = presence.get(standing.name)
        if row is None or standing.first == 0 or standing.share_first < LEAST_SHARE:
            continue
        if number_of(row["first"], grain) - start >= LEAST_UNSEEN * _usual(row, grain):
            found[standing.name] = str(row["first"])
    return found


def _usual(row: Row, grain: Grain) -> float:
    """Periods from one amount to the next, on average."""
    last, first = number_of(row["last"], grain), number_of(row["first"], grain)
    return max((last - first) / max(int(row["n"]) - 1, 1), 1.0)


def find_unseen(of: Shares) -> list[Unseen]:
    """Those not seen for a while, the largest first."""
    grain = of.profile.roles.time.grain
    presence = {row["entity"]: row for row in of.found.rows("presence")}
    now, found = number_of(of.profile.last, grain), []
    for standing in of.standings:
        if standing.last == 0 or standing.share_last < LEAST_SHARE or standing.name not in presence:
            continue
        row = presence[standing.name]
        last, first = number_of(row["last"], grain), number_of(row["first"], grain)
        if now - last >= LEAST_UNSEEN * _usual(row, grain):
            found.append(Unseen(standing, row["last"], now - last, last - first + 1 - row["n"]))
    return sorted(found, key=lambda one: (-_weight(of, one.standing), one.standing.name))


def _before(of: Shares, standing: Standing) -> float:
    """Its share of the complete frame before the last, in percent."""
    return of.cells[of.frames[-2]].get(standing.name, (0.0, 0.0))[1]


def _weight(of: Shares, standing: Standing) -> float:
    return max(standing.share_last, _before(of, standing))


def _when(of: Shares, day: str) -> str:
    return words.period(day, of.profile.roles.time.grain, brief=True)


def _last_seen(of: Shares, one: Unseen) -> list[Span]:
    grain, name = of.profile.roles.time.grain, one.standing.name
    periods = of.found.count(f"unseen/{name}", one.since, "presence", f"{grain}s after its last")
    text = f"{{name}} was last seen in {words.period(one.last, grain)}: none in the {{n}} {grain}s since."
    return say(text, name=name, n=periods)


def _told(of: Shares, one: Unseen) -> dict[str, Any]:
    """What the summary says of it, with the share it had before."""
    name, frame = one.standing.name, of.name_of(of.frames[-2])
    of.share(one.standing)
    of.found.percent(f"share_before/{name}", _before(of, one.standing), "shares", f"of {frame}")
    return {"name": name, "last": one.last, "holds": one.holds, "share": _weight(of, one.standing)}


def _listed(
    of: Shares, standings: list[Standing], end: str, days: Mapping[str, str], what: str, *, start: bool = False
) -> list[list[Span]]:
    """A sentence with names, their share at the ``start`` or the end, and when they were first or last seen."""
    if not standings:
        return []
    facts: dict[str, Fact | str] = {}
    parts = []
    for i, standing in enumerate(standings):
        facts |= {f"n{i}": standing.name, f"s{i}": of.share(standing, at_start=start)}
        parts.append(f"{{n{i}}} ({{s{i}}}, {end} seen {_when(of, days[standing.name])})")
    return [say(f"{what}: {words.listed(parts)}.", **facts)]
