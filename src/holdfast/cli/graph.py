"""``graph``: draws the orchestrator graph, or a task's plan with the state of each subtask."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import Target, emit, shared

if TYPE_CHECKING:
    from holdfast.cli.layout import Picture


@click.command()
@click.argument("task", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "svg", "png"]),
    default="mermaid",
    show_default=True,
    help="Mermaid text, or a picture on stdout.",
)
@shared
def graph(to: Target, task: str | None, form: str) -> None:
    """Draw the orchestrator graph, or a task's plan with the state of each subtask."""
    from holdfast.checkpoints.errors import BadInput

    if form == "png" and not to.json and sys.stdout.isatty():
        command = to.command("graph", *([task] if task else []), "--format", "png")
        raise BadInput(f"a PNG cannot be shown in a terminal; write it to a file: {command} > plan.png")
    if form == "mermaid":
        text = _mermaid(to, task)
        emit({"format": form, "text": text}) if to.json else print(text.rstrip())
        return
    from holdfast.cli.svg import draw, to_png

    svg = draw(_plan(to, task) if task else _orchestrator())
    if form == "svg":
        emit({"format": form, "text": svg}) if to.json else sys.stdout.buffer.write(svg.encode() + b"\n")
        return
    png = to_png(svg)
    if to.json:
        emit({"format": form, "base64": base64.b64encode(png).decode()})
    else:
        sys.stdout.buffer.write(png)


def _mermaid(to: Target, task: str | None) -> str:
    if task is None:
        from holdfast.graphs.orchestrator import graph as orchestrator

        return orchestrator.get_graph(xray=True).draw_mermaid()
    from holdfast.cli.drawing import mermaid

    return mermaid(_plan(to, task))


def _plan(to: Target, task: str) -> Picture:
    from holdfast.cli.drawing import plan_picture

    with to.reading() as store:
        return plan_picture(store.get(task))


def _orchestrator() -> Picture:
    from holdfast.cli.drawing import graph_picture
    from holdfast.graphs.orchestrator import builder
    from holdfast.graphs.orchestrator import graph as orchestrator

    return graph_picture(orchestrator.get_graph(xray=True), list(builder.nodes))
