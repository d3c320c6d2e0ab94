"""Run by a test in place of a tool's work: what such a process has."""

from __future__ import annotations

import os
from typing import Any

from holdfast.nodes.agent.confined import serve


def work(request: dict[str, Any]) -> dict[str, Any]:
    return {"environment": dict(os.environ), "folder": os.listdir()}


if __name__ == "__main__":
    serve(work)
