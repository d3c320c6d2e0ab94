"""One frame of the live view: pure, from a board and a size to lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from holdfast.checkpoints.spend import to_finish
from holdfast.checkpoints.states import SETTLED, SubtaskState, TaskState
from holdfast.cli.board import Board, Entry
from holdfast.cli.text import SYMBOLS, clean, count, cut, duration, money, row, symbol, tail, words

MARGIN = 7  # lines that are not the plan: head, bar, gaps, foot and the cursor's
WIDEST = 104  # cells; further apart, a name and its time are hard to read as one line
LEAST = 16  # cells beside an id
GUIDES = 8  # levels of indentation that are drawn


def frame(board: Board, width: int, height: int, now: float, elapsed: float, left: float | None, foot: str) -> Text:
    """The whole view, at most ``width`` x ``height`` cells; ``foot`` is the last line, or empty."""
    width, room = min(width, WIDEST), max(height - MARGIN, 4)
    entries = board.entries.values()
    if not entries:
        plan = [Text("planning …" if board.planning or board.state == TaskState.WORKING else "", "dim")]
        plan += [Text(f"  {tail(board.saying, width - 2)}", "dim")] * bool(board.saying)
    elif len(entries) <= room:
        plan = tree(list(entries), width, now, room=room)
    else:
        plan = summary(board, width, room, now)
    lines = [*_head(board, width, elapsed, left), Text(), *plan]
    if foot:
        lines += [Text(), Text(cut(foot, width), "dim")]
    return Text("\n").join(lines)


def tree(entries: Sequence[Entry], width: int, now: float, *, ids: bool = False, room: int = 0) -> list[Text]:
    """Every subtask below the dependency that is deepest in the plan; by its id, uncut, or by its name.

    As far as there is ``room`` in lines, what a model writes for a subtask stands under it.
    """
    by_id = {one.id: one for one in entries}
    rows = [(guide, by_id[id_]) for id_, guide in _guides(entries)]
    column = max(cell_len(guide) + cell_len(_called(one, ids)) + 2 for guide, one in rows)
    width, column = (max(width, column + LEAST), column) if ids else (width, min(column, width // 2))
    spare, lines = room - len(rows), list[Text]()
    for guide, one in rows:
        lines.append(_line(one, guide, by_id, width, column, now, ids))
        if one.saying and spare > 0:
            spare -= 1
            indent = " " * (cell_len(guide) + 2)
            lines.append(Text(indent + tail(one.saying, width - len(indent)), "dim"))
    return lines


def summary(board: Board, width: int, room: int, now: float) -> list[Text]:
    """For a plan that is higher than the terminal: how many in each state, those at work, and the last that ended."""
    counts = Text("   ").join(
        Text.assemble(symbol(state), f" {count:,} {words(state)}") for state, count in _counts(board) if count
    )
    counts.truncate(width, overflow="ellipsis")
    rest = max(room - 6, 2)
    running = [board.entries[id_] for id_ in list(board.running)[: max(rest - min(len(board.recent), rest // 3), 1)]]
    ended = [board.entries[id_] for id_ in list(board.recent)[: rest - len(running)]]
    lines = [counts, Text()]
    lines += _listed("at work", running, len(board.running), board, width, now)
    lines += [Text()] if running and ended else []
    lines += _listed("ended last", ended, len(ended), board, width, now)
    return lines


def _counts(board: Board) -> list[tuple[SubtaskState, int]]:
    """How many in each state; the board does not tell ready from waiting."""
    ready = board.counts[SubtaskState.READY]
    counts = {state: board.counts[state] for state in SubtaskState if state != SubtaskState.READY}
    counts[SubtaskState.WAITING] += ready
    return list(counts.items())


def _listed(title: str, some: Sequence[Entry], total: int, board: Board, width: int, now: float) -> list[Text]:
    if not some:
        return []
    column = min(max(cell_len(clean(one.name)) + 2 for one in some), width // 2)
    more = f" ({total - len(some):,} more)" if total > len(some) else ""
    return [Text(title + more, "dim"), *(_line(one, "", board.entries, width, column, now) for one in some)]


def _head(board: Board, width: int, elapsed: float, left: float | None) -> list[Text]:
    parts = [
        Text.assemble(symbol(board.state), f" {words(board.state)}"),
        Text(f"{board.settled:,}/{count(len(board.entries), 'subtask')}"),
        Text(f"{len(board.running):,}/{board.workers or '∞'} at work"),
        Text(duration(elapsed)),
    ]
    if left is not None and board.state == TaskState.WORKING:
        parts.append(Text(f"about {duration(left)} left"))
    if board.cost or board.budget is not None:
        parts.append(Text(_money(board)))
    status = Text("   ").join(parts)
    status.truncate(width, overflow="ellipsis")
    return [Text(cut(clean(board.goal), width), "bold"), status, _bar(board, min(width, 72))]


def _money(board: Board) -> str:
    """What is spent, of how much, and what the rest is expected to cost."""
    entries = board.entries.values()
    rest = to_finish(
        [(one.type, one.cost) for one in entries if one.state == SubtaskState.COMPLETED],
        [(one.type, one.cost) for one in entries if one.state not in SETTLED],
    )
    limit = f" of {money(board.budget)}" if board.budget is not None else ""
    return money(board.cost) + limit + (f", about {money(rest)} to finish" if rest and board.cost else "")


def _bar(board: Board, width: int) -> Text:
    """The share of subtasks in each state, in the order in which they come about."""
    total = len(board.entries)
    bar, drawn, count = Text(), 0, 0
    for state, style in (
        (SubtaskState.COMPLETED, SYMBOLS["completed"][1]),
        (SubtaskState.FAILED, "red"),
        (SubtaskState.SKIPPED, "red"),
        (SubtaskState.RUNNING, "cyan"),
    ):
        count += board.counts[state]
        end = round(width * count / total) if total else 0
        bar.append(("╌" if state == SubtaskState.RUNNING else "━") * (end - drawn), style)
        drawn = end
    return bar.append("─" * (width - drawn), "dim")


def _line(
    one: Entry, guide: str, entries: dict[str, Entry], width: int, column: int, now: float, ids: bool = False
) -> Text:
    left = Text.assemble((guide, "dim"), symbol(_shown(one, entries)), " ", _called(one, ids))
    taken = one.elapsed(now)
    right = "" if taken is None else duration(taken)
    if one.state == SubtaskState.RUNNING and one.done is not None:
        right = f"{one.done:>4.0%}  {right}"
    middle, style = _middle(one, entries, ids)
    if ids and one.name != one.id:
        middle = ": ".join(filter(None, [clean(one.name), middle]))
    return row(left, middle, right, width, column, style)


def _shown(one: Entry, entries: dict[str, Entry]) -> str:
    return "ready" if one.state == "waiting" and not _awaited(one, entries) else one.state


def _awaited(one: Entry, entries: dict[str, Entry]) -> list[str]:
    return [d for d in one.dependencies if d in entries and entries[d].state != SubtaskState.COMPLETED]


def _called(one: Entry, ids: bool) -> str:
    return clean(one.id if ids else one.name)


def _middle(one: Entry, entries: dict[str, Entry], ids: bool) -> tuple[str, str]:
    """What there is to say of a subtask beside its name, and its style."""
    if one.error and one.state not in (SubtaskState.RUNNING, SubtaskState.COMPLETED):
        again = "tries again: " if one.state == SubtaskState.WAITING else ""
        return clean(again + one.error), "red" if one.state in SETTLED else "dim"
    if one.state == SubtaskState.WAITING and (awaited := _awaited(one, entries)):
        more = f" and {len(awaited) - 2} more" if len(awaited) > 2 else ""
        return f"after {', '.join(_called(entries[id_], ids) for id_ in awaited[:2])}{more}", "dim"
    return clean(one.description or ("" if one.type == one.name else one.type)), "dim"


def _guides(entries: Sequence[Entry]) -> Iterable[tuple[str, str]]:
    """(id, indentation) of every subtask, each after the one it hangs from."""
    children = _children(entries)
    stack = [(id_, "", "") for id_ in reversed(children[None])]
    while stack:
        id_, guide, below = stack.pop()
        yield id_, guide
        under = children[id_]
        for position, child in reversed(list(enumerate(under))):
            last = position == len(under) - 1
            stack.append((child, _short(below + ("└ " if last else "├ ")), _short(below + ("  " if last else "│ "))))


def _children(entries: Sequence[Entry]) -> dict[str | None, list[str]]:
    """Each subtask under its deepest dependency; roots under None.  ``entries`` come after their dependencies."""
    depth: dict[str, int] = {}
    children: dict[str | None, list[str]] = {None: []}
    for one in entries:
        known = [d for d in one.dependencies if d in depth]
        parent = max(reversed(known), key=depth.__getitem__) if known else None
        depth[one.id] = depth[parent] + 1 if parent is not None else 0
        children[one.id] = []
        children[parent].append(one.id)
    return children


def _short(guide: str) -> str:
    return guide if len(guide) <= 2 * GUIDES else guide[-2 * GUIDES :]
