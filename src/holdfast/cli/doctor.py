"""``doctor``: is everything here that a run needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, emit, shared
from holdfast.cli.exits import COMPLETED, REFUSED

if TYPE_CHECKING:
    from holdfast.cli.checks import Finding

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "red")}


@click.command()
@shared
def doctor(to: Target) -> int:
    """Check the set-up: database, SQLite, disk, report tools, model, task types."""
    from holdfast.cli.checks import examine, examine_server

    findings = examine_server(to.server) if to.server else examine(to.path)
    for finding in findings:
        if to.json:
            emit({"check": finding.check, "status": finding.status, "detail": finding.detail})
        else:
            _print(finding)
    return REFUSED if any(finding.status == "fault" for finding in findings) else COMPLETED


def _print(finding: Finding) -> None:
    sign, colour = SIGNS[finding.status]
    click.echo(f"{click.style(sign, fg=colour)} {finding.check:<10} {finding.detail}", color=_coloured())


def _coloured() -> bool | None:
    import os

    return False if os.environ.get("NO_COLOR") else None
