"""The charts of shares: ranking, change of share, share over time, who added and who lost.

Titles say only what the standings bear out.
"""

from __future__ import annotations

from typing import Any

from holdfast.nodes.data.models import Measure
from holdfast.nodes.market import figures, words
from holdfast.nodes.market.shares import LEAST_MOVE, Shares, Standing
from holdfast.nodes.market.small_multiples import small_multiples

LINES_IN_ONE = 4


def draw_ranking(of: Shares) -> None:
    """Who had what share of the last complete period."""
    shown = of.shown()
    if not shown:
        return
    rest = [s for s in of.standings if s.last > 0][len(shown) :]
    values: list[dict[str, Any]] = [
        {
            "name": s.name,
            "value": s.share_last,
            "label": words.percent(s.share_last),
            "tone": of.tone(s.name),
            "rest": False,
        }
        for s in shown
    ]
    if rest:
        other = sum(s.share_last for s in rest)
        of.found.percent("others", other, "shares", "sum of the shares of the others")
        values.append(
            {
                "name": f"{len(rest)} others",
                "value": other,
                "label": words.percent(other),
                "tone": 0,
                "rest": True,
            }
        )
    leader = shown[0]
    verb = "led" if of.rivals else "was the largest in"
    title = f"{leader.name} {verb} {of.last} with {words.percent(leader.share_last)}"
    if len(shown) > 1:
        title += f", ahead of {shown[1].name} with {words.percent(shown[1].share_last)}"
    subtitle = (
        f"Share of {words.quoted(of.profile.roles.measure.column)} in {of.last}, by {of.entity.noun}. Rounded"
        f" parts need not add up to 100.{_colours(of)}"
    )
    cells = [[row["name"], row["label"]] for row in values]
    of.found.figure(
        "ranking",
        title,
        subtitle,
        f"Bar chart of {len(values)} shares in {of.last}: {title}.",
        figures.ranking(values),
        [of.entity.noun.capitalize(), f"Share {of.last}"],
        cells,
        "shares",
    )


def _colours(of: Shares) -> str:
    """Why two bars of a ranking have a colour."""
    coloured = {tone: name for name in (of.best.name, of.worst.name) if (tone := of.tone(name))}
    if len(of.frames) < 2 or len(coloured) < 2:
        return ""
    return f" Blue gained most share since {of.first}, orange lost most."


def draw_moves(of: Shares) -> None:
    """Who gained and lost share, then who added and took away how much."""
    if len(of.frames) > 1 and len(of.standings) > 1:
        _dumbbell(of)
        _contributions(of)


def _dumbbell(of: Shares) -> None:
    shown = list(of.shown()[:12])
    moved = sorted((s for s in of.standings if s not in shown), key=lambda s: -abs(s.move))
    shown += [s for s in moved if abs(s.move) >= 1][:4]
    values = [
        {
            "name": s.name,
            "before": s.share_first,
            "after": s.share_last,
            "label": words.points(s.move, plus=True),
            "tone": of.tone(s.name),
        }
        for s in shown
    ]
    best, worst = of.best, of.worst
    if best.move < LEAST_MOVE or worst.move > -LEAST_MOVE:
        return
    title = f"{best.name} gained the most share since {of.first}, {worst.name} lost the most"
    subtitle = f"Share in {of.first} (open) and {of.last} (filled), %; label: change in percentage points."
    alt = (
        f"Dumbbell chart of {len(shown)} {of.entity.plural}: {title}; {words.points(best.move, plus=True)} and"
        f" {words.points(worst.move, plus=True)} points."
    )
    cells = [
        [s.name, of.share(s, at_start=True).text, of.share(s).text, words.points(s.move, plus=True)] for s in shown
    ]
    of.found.figure(
        "share-change",
        title,
        subtitle,
        alt,
        figures.dumbbell(values),
        [of.entity.noun.capitalize(), f"Share {of.first}", f"Share {of.last}", "Change, points"],
        cells,
        "shares",
    )


def draw_lines(of: Shares) -> None:
    """Shares over time: of a few in one chart, of more in a panel each; the strongest gainer and loser among them."""
    if len(of.frames) <= 2 or len(of.standings) <= 1:
        return
    panels = len(of.standings) > LINES_IN_ONE
    picked, frames = _picked(of, 12 if panels else LINES_IN_ONE), of.frames[-40:]
    title = _leader_title(of, frames)
    everyone = len(picked) == len(of.standings)
    shown = "all" if everyone else f"the {words.spelled(len(picked))} with the largest shares or moves"
    measure = words.quoted(of.profile.roles.measure.column)
    each = "same scale in every panel, the others in grey" if panels else f"label: share in {of.last}"
    subtitle = f"Share of {measure} per {of.grain}, %; {shown}; {each}."
    span = f"{of.name_of(frames[0])} to {of.last}"
    kind = "Line charts, a panel each," if panels else "Line chart"
    alt = f"{kind} of {len(picked)} shares, {span}: {title}; {of.share(of.standings[0]).text} in {of.last}."
    cells = [[of.name_of(frame), *(_written(_share_in(of, frame, s)) for s in picked)] for frame in frames]
    columns = [of.grain.capitalize(), *(s.name for s in picked)]
    spec = _panels_spec(of, picked, frames) if panels else _lines_spec(of, picked, frames)
    of.found.figure("shares", title, subtitle, alt, spec, columns, cells, "shares")


def _written(share: float | None) -> str:
    return "–" if share is None else words.number(share, 1)


def _panels_spec(of: Shares, picked: list[Standing], frames: list[str]) -> dict[str, Any]:
    values = [
        {
            "when": of.name_of(frame),
            "name": s.name,
            "value": None if (share := _share_in(of, frame, s)) is None else round(share, 2),
            "tone": of.tone(s.name),
        }
        for s in picked
        for frame in frames
    ]
    labels = {s.name: words.number(s.share_last, 1) for s in picked}
    return small_multiples(values, [of.name_of(frame) for frame in frames], [s.name for s in picked], labels)


def _share_in(of: Shares, frame: str, standing: Standing) -> float | None:
    """Its share; None where it has no row between others of its own, which is no zero."""
    if standing.name in of.cells[frame]:
        return of.cells[frame][standing.name][1]
    at = of.frames.index(frame)
    before, after = (any(standing.name in of.cells[f] for f in fs) for fs in (of.frames[:at], of.frames[at + 1 :]))
    return None if before and after else 0.0


def _lines_spec(of: Shares, picked: list[Standing], frames: list[str]) -> dict[str, Any]:
    top = max(_share_in(of, frame, s) or 0.0 for s in picked for frame in frames)
    places = figures.spread([s.share_last for s in picked], top * 0.075)
    values: list[dict[str, Any]] = [
        {"when": of.name_of(frame), "name": s.name, "value": _share_in(of, frame, s), "tone": of.tone(s.name)}
        for s in picked
        for frame in frames
    ]
    ends: list[dict[str, Any]] = [
        {"when": of.last, "place": place, "label": f"{s.name} {words.number(s.share_last, 1)}", "tone": of.tone(s.name)}
        for s, place in zip(picked, places, strict=True)
    ]
    return figures.lines(values, ends)


def _leader_title(of: Shares, frames: list[str]) -> str:
    """Since when the leader has led, as far as the chart shows."""
    leader, since = of.standings[0].name, _ahead_of_all_since(of, of.standings[0].name)
    if since == of.name_of(frames[0]) or all(_leader_of(of, frame) == leader for frame in frames):
        led = "led" if of.rivals else "was the largest"
        return f"{leader} {led} in every {of.grain} from {of.name_of(frames[0])} to {of.last}"
    if since == of.last:
        return f"{leader} {'led' if of.rivals else 'was the largest in'} {of.last}, not in {of.before}"
    return f"{leader} has {'led' if of.rivals else 'been the largest'} since {since}"


def _leader_of(of: Shares, frame: str) -> str:
    return max(of.cells[frame], key=lambda name: (of.cells[frame][name][1], name), default="")


def _picked(of: Shares, most: int) -> list[Standing]:
    """The largest, with the strongest gainer and loser among them."""
    moved = [of.best, of.worst]
    wanted = [*of.standings[:2], *moved, *of.standings[2:most]]
    names = list(dict.fromkeys(s.name for s in wanted))[:most]
    return [s for s in of.standings if s.name in names]


def _ahead_of_all_since(of: Shares, leader: str) -> str:
    since = of.frames[-1]
    for frame in reversed(of.frames):
        if _leader_of(of, frame) != leader:
            break
        since = frame
    return of.name_of(since)


def _contributions(of: Shares) -> None:
    """Who added and who took away how much of the amount, first to last frame."""
    changes = sorted(
        ((s.name, s.last - s.first) for s in of.standings if s.last != s.first), key=lambda c: (-abs(c[1]), c[0])
    )[:12]
    shown = sorted(changes, key=lambda c: (-c[1], c[0]))
    if len(shown) < 2:
        return
    measure, whole = of.profile.roles.measure, max(abs(change) for _, change in shown) >= 10_000
    values = [
        {"name": name, "value": change, "label": _plus(change, measure, whole), "tone": _of_sign(of.tone(name), change)}
        for name, change in shown
    ]
    (up, gain), (down, loss) = shown[0], shown[-1]
    title = f"{up} added the most since {of.first}" if gain > 0 else f"{down} lost the most since {of.first}"
    title += f", {down} lost the most" if gain > 0 > loss else ""
    subtitle = (
        f"Change of {words.quoted(of.profile.roles.measure.column)} from {of.first} to {of.last},"
        f" {of.profile.roles.measure.unit or 'unit not stated'}."
    )
    alt = f"Bar chart of {len(values)} changes: {title}; {up} {values[0]['label']}, {down} {values[-1]['label']}."
    cells = [[str(row["name"]), str(row["label"])] for row in values]
    of.found.figure(
        "contributions",
        title,
        subtitle,
        alt,
        figures.diverging(values),
        [of.entity.noun.capitalize(), "Change"],
        cells,
        "shares",
    )


def _of_sign(tone: int, change: float) -> int:
    """The colour of one whose amount changed: a share may be lost while the amount rises, and no riser is orange."""
    return tone if tone * change > 0 else 0


def _plus(value: float, measure: Measure, whole: bool) -> str:
    """A change with its sign; ``whole`` beside one that is so large that decimals say nothing."""
    text = words.number(value) if whole else words.exact(value, measure.whole, measure.places)
    return ("+" if value > 0 else "") + text
