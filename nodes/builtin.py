"""The task types that come with Holdfast, by the modules that register them."""

from __future__ import annotations

import importlib

MODULES = (
    "holdfast.nodes.agent.types",
    "holdfast.nodes.asking",
    "holdfast.nodes.planning",
    "holdfast.nodes.replanning",
    "holdfast.nodes.market.types",
    "holdfast.nodes.report.types",
    "holdfast.nodes.sleep",
)


def register() -> None:
    """Registers every built-in type; may be called twice."""
    for name in MODULES:
        importlib.import_module(name)
