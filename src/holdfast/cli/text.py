"""Words, symbols and measures of what people read.  Colour only ever repeats what a symbol or a word says."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.text import Text

SYMBOLS: Mapping[str, tuple[str, str]] = {  # state: (symbol, style); the 16 colours follow a light or dark theme
    "waiting": ("·", "dim"),
    "ready": ("○", ""),
    "running": ("●", "bold cyan"),
    "held": ("‖", "magenta"),
    "input_required": ("?", "bold magenta"),
    "completed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("↷", "red"),
    "canceled": ("×", "red"),
    "rolled_back": ("↺", "magenta"),
    "SUBMITTED": ("○", ""),
    "WORKING": ("●", "bold cyan"),
    "PAUSED": ("‖", "bold magenta"),
    "INPUT_REQUIRED": ("?", "bold magenta"),
    "AUTH_REQUIRED": ("?", "bold magenta"),
    "COMPLETED": ("✓", "bold green"),
    "FAILED": ("✗", "bold red"),
    "CANCELED": ("×", "bold red"),
    "REJECTED": ("×", "bold red"),
}


def symbol(state: str) -> Text:
    """The sign of a task's or subtask's state."""
    sign, style = SYMBOLS.get(state, ("•", ""))
    return Text(sign, style)


def words(state: str) -> str:
    """A state in words."""
    return state.lower().replace("_", " ")


def clean(text: str) -> str:
    """One line in which nothing can command a terminal."""
    return "".join(
        c if c == " " or not unicodedata.category(c).startswith("C") else "?" for c in " ".join(text.split())
    )


def cut(text: str, width: int) -> str:
    """At most ``width`` cells of a line."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def tail(text: str, width: int) -> str:
    """The last ``width`` cells of what is being written, as one line."""
    line = clean(text)
    while cell_len(line) > width:
        line = line[max(1, (cell_len(line) - width) // 2) :]
    return line


def duration(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3:07``, ``1:02:09``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 48 * 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def age(seconds: float) -> str:
    """How long ago, roughly."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def count(number: int, noun: str) -> str:
    """``1 task``, ``12,345 tasks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(dollars: float) -> str:
    """``$0.0042``, ``$1.35``, ``$1,200.00``."""
    return f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"


def near(path: str) -> str:
    """A path as it is typed from here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def clock(at: datetime) -> str:
    """Local date and time to the second."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def row(left: Text, middle: str, right: str, width: int, column: int, style: str = "dim") -> Text:
    """A line of exactly ``width`` cells: ``left`` up to ``column``, ``middle``, and ``right`` at the end."""
    line = left.copy()
    line.truncate(column, overflow="ellipsis", pad=True)
    room = width - column - cell_len(right) - 2
    line.append(" " + set_cell_size(cut(middle, room), room) + " " if room > 3 else " ", style)
    line.append(right)
    line.truncate(width)
    return line
