"""Whether what is said of shares holds when the start moves by one period: the tests behind its confidence.

What one period shows alone (who leads, how concentrated) is looked at in the period before instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.nodes.market import confidence, formulas
from holdfast.nodes.market.shares import Shares

AMONG = 3  # places from the top within which the largest gain or loss has to stay; our own convention
AHEAD = ("crossing",)  # projections, which nobody has tested: of medium confidence at the most; our own convention


def of_shares(of: Shares, names: Mapping[str, Any]) -> dict[str, Any]:
    """The tests of each finding in ``names``, which the section gives beside its text."""
    found = {
        "leader": ("Who leads" if of.rivals else "The largest part", _leader_holds(of)),
        "concentration": ("Concentration", _word_holds(of)),
    }
    if names.get("gainers") and names.get("losers"):
        found["moves"] = ("Gains and losses of share", _moves_hold(of, names["gainers"][0], names["losers"][0]))
    if names.get("entrants") or names.get("exits"):
        found["entry"] = ("Entries and exits", _entries_hold(of, names))
    if unseen := names.get("unseen"):
        found["unseen"] = ("Not seen any more", unseen[0]["holds"])
    if crossings := names.get("overtaking"):
        found["overtaking"] = ("Overtaking", _overtaking_holds(of, crossings[0]))
    if crossing := names.get("crossing"):
        found["crossing"] = ("Crossing of two trends", crossing["holds"])
    return {
        key: confidence.judge(
            of.profile,
            name,
            holds,
            entity=True,
            most="medium" if key in AHEAD else "high",
            of=_spoken_of(of, names, key),
        )
        for key, (name, holds) in found.items()
    }


def _spoken_of(of: Shares, names: Mapping[str, Any], key: str) -> list[str]:
    """Whose shares a finding rests on."""
    if key == "moves":
        return [*names["gainers"][:1], *names["losers"][:1]]
    if key == "entry":
        return [one["name"] for side in ("entrants", "exits") for one in (names.get(side) or [])[:1]]
    if key == "unseen":
        return [names[key][0]["name"]]
    if key == "overtaking":
        return [names[key][0]["upper"], names[key][0]["lower"]]
    if key == "crossing":
        return [names[key]["upper"], names[key]["lower"]]
    return [one.name for one in of.standings[: 1 if key == "leader" else 4]]


def _share(of: Shares, at: int, name: str) -> float:
    return of.cells[of.frames[at]].get(name, (0.0, 0.0))[1]


def _leader_holds(of: Shares) -> bool | None:
    if len(of.frames) < 2:
        return None
    before = of.cells[of.frames[-2]]
    return max(before, key=lambda name: before[name][1], default="") == of.standings[0].name


def _word_holds(of: Shares) -> bool | None:
    """The word for the concentration is the same in the period before."""
    if len(of.frames) < 2:
        return None
    last, before = (formulas.hhi([share for _, share in of.cells[frame].values()]) for frame in of.frames[:-3:-1])
    return bool(last and before) and formulas.concentration(last or 0) == formulas.concentration(before or 0)


def _moves_hold(of: Shares, gainer: str, loser: str) -> bool | None:
    """The largest gain and loss stay among the first three."""
    if len(of.frames) < 3:
        return None
    everyone = {*of.cells[of.frames[1]], *of.cells[of.frames[-1]]}
    moved = {name: _share(of, -1, name) - _share(of, 1, name) for name in everyone}
    ordered = sorted(moved, key=lambda name: (-moved[name], name))
    gains = [name for name in ordered[:AMONG] if moved[name] > 0]
    losses = [name for name in ordered[-AMONG:] if moved[name] < 0]
    return gainer in gains and loser in losses


def _entries_hold(of: Shares, names: Mapping[str, Any]) -> bool | None:
    """The largest entrant is still absent, the largest exit still there, one period later."""
    if len(of.frames) < 3:
        return None
    entered = [_share(of, 1, one["name"]) == 0 for one in (names.get("entrants") or [])[:1]]
    gone = [_share(of, 1, one["name"]) > 0 for one in (names.get("exits") or [])[:1]]
    return all([*entered, *gone])


def _overtaking_holds(of: Shares, crossing: Mapping[str, str]) -> bool | None:
    if len(of.frames) < 3:
        return None
    return _share(of, 1, crossing["upper"]) < _share(of, 1, crossing["lower"])
