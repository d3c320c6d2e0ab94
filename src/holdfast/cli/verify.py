"""``verify``: computes a report's numbers again from the data, and names those that no longer hold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from holdfast.nodes.report.verify import Verdict

MOST_SHOWN = 40


@click.command()
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.HTML")
@click.option("--data", multiple=True, required=True, metavar="PATH", help="File, folder or pattern it was made from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else, on stdout.")
def verify(report: Path, data: tuple[str, ...], as_json: bool) -> int:
    """Check a report against its data: compute every number again and name those that no longer hold.

    The report alone is enough: report.html carries its queries and its recipe. Exit status: 0 if everything holds, 1 if
    something does not, 2 if the report or the data cannot be read.
    """
    from holdfast.checkpoints.errors import BadInput
    from holdfast.cli.exits import COMPLETED, FAILED
    from holdfast.nodes import builtin
    from holdfast.nodes.report.verify import verify as compare

    builtin.register()
    try:
        html = report.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"the report {report} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise BadInput(f"the report {report} is not UTF-8 text; give the report.html that Holdfast wrote") from None
    verdict = asyncio.run(compare(html, data))
    _print_json(verdict) if as_json else _print(verdict, report.name)
    return COMPLETED if verdict.holds else FAILED


def _print_json(verdict: Verdict) -> None:
    from dataclasses import asdict

    from holdfast.cli.common import emit

    emit({"holds": verdict.holds, **asdict(verdict)})


def _print(verdict: Verdict, name: str) -> None:
    for note in verdict.notes:
        print(f"note: {note}", file=sys.stderr)
    if verdict.holds:
        print(f"✓ {name} holds: all {verdict.numbers:,} numbers were computed again and are the same")
        return
    many = len(verdict.differences)
    places = "1 place says" if many == 1 else f"{many:,} places say"
    print(f"✗ {name} does not hold: {places} something else than the data")
    for difference in verdict.differences[:MOST_SHOWN]:
        print(f"  - {difference}")
    if many > MOST_SHOWN:
        print(f"  … and {many - MOST_SHOWN:,} more; --json lists them all")
