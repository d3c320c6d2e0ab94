"""Who came, who went and who has not been seen for a while: names that the first or the last complete period lacks."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import words
from holdfast.nodes.market.findings import Row, say
from holdfast.nodes.market.series import number_of
from holdfast.nodes.market.shares import Shares, Standing
from holdfast.nodes.report.document import Fact, Span

LEAST_UNSEEN = 3  # usual periods without an amount, from which on it is said; our own convention
LEAST_SHARE = 0.1  # percent, for an entry or an exit to be named; our own convention


def _last_seen(of: Shares, presence: dict[str, Row]) -> list[list[Span]]:
    """Who is in the last complete frame and has not been seen since for three of its usual periods."""
    grain = of.profile.roles.time.grain
    now, sentences = number_of(of.profile.last, grain), []
    for standing in of.standings:
        if standing.last == 0 or standing.share_last < LEAST_SHARE or standing.name not in presence:
            continue
        row = presence[standing.name]
        day, last = row["last"], number_of(row["last"], grain)
        usual = max((last - number_of(row["first"], grain)) / max(row["n"] - 1, 1), 1)
        if (since := now - last) < LEAST_UNSEEN * usual:
            continue
        periods = of.found.count(f"unseen/{standing.name}", since, "presence", f"{grain}s after its last")
        text = f"{{name}} was last seen in {words.period(day, grain)}: none in the {{n}} {grain}s since."
        sentences.append(say(text, name=standing.name, n=periods))
    return sentences[:3]


def write_comings(of: Shares) -> dict[str, Any]:
    """A paragraph on entries and exits, and beside it the first three of each."""
    presence = {row["entity"]: row for row in of.found.rows("presence")}
    grain = of.profile.roles.time.grain
    entered = [s for s in of.standings if s.first == 0 and s.share_last >= LEAST_SHARE]
    gone = sorted(
        (s for s in of.standings if s.last == 0 and s.share_first >= LEAST_SHARE), key=lambda s: -s.share_first
    )
    sentences = [*_last_seen(of, presence)]
    if entered:
        items = _items(
            of, entered[:6], "last", "first", lambda s: words.period(presence[s.name]["first"], grain, brief=True)
        )
        sentences.append(
            say(
                f"Not there in {of.first} and at least {LEAST_SHARE}{words.NBSP}% of {of.last}: {items[0]}.",
                **items[1],
            )
        )
    if gone:
        items = _items(
            of, gone[:6], "first", "last", lambda s: words.period(presence[s.name]["last"], grain, brief=True)
        )
        sentences.append(
            say(
                f"There in {of.first} with at least {LEAST_SHARE}{words.NBSP}%, gone by {of.last}: {items[0]}.",
                **items[1],
            )
        )
    if sentences:
        sentences.append(say("Missing from the file need not mean that it left the market."))
        of.found.paragraph(sentences)
    return {
        "entrants": [{"name": s.name, "since": presence[s.name]["first"]} for s in entered[:3]],
        "exits": [{"name": s.name, "until": presence[s.name]["last"]} for s in gone[:3]],
    }


def _items(
    of: Shares, standings: list[Standing], which: str, seen: str, when: Any
) -> tuple[str, dict[str, Fact | str]]:
    facts: dict[str, Fact | str] = {}
    parts = []
    for i, standing in enumerate(standings):
        facts |= {f"n{i}": standing.name, f"s{i}": of.share(standing, at_start=which == "first")}
        parts.append(f"{{n{i}}} ({{s{i}}}, {seen} seen {when(standing)})")
    return words.listed(parts), facts
