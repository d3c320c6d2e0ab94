"""Holdfast: durable, pausable orchestration of parallel agent work on LangGraph."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing's own would have to be loaded first, and Ctrl-C could break that off
if TYPE_CHECKING:
    from typing import Any

    from holdfast.checkpoints.errors import HoldfastError
    from holdfast.checkpoints.states import SubtaskState, TaskState
    from holdfast.graphs.holdfast import Holdfast
    from holdfast.graphs.task import Task
    from holdfast.nodes.agent.tools import Desk, tool
    from holdfast.nodes.context import TaskContext
    from holdfast.nodes.plan import Plan, Subtask
    from holdfast.nodes.registry import task_type

# Read by LangGraph when it is imported: without it, loading a checkpoint calls any callable that the file names.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

# Loaded when first asked for, so that the command line's --help need not import LangGraph.
_WHERE = {
    "Desk": "holdfast.nodes.agent.tools",
    "Holdfast": "holdfast.graphs.holdfast",
    "HoldfastError": "holdfast.checkpoints.errors",
    "Plan": "holdfast.nodes.plan",
    "Subtask": "holdfast.nodes.plan",
    "SubtaskState": "holdfast.checkpoints.states",
    "Task": "holdfast.graphs.task",
    "TaskContext": "holdfast.nodes.context",
    "TaskState": "holdfast.checkpoints.states",
    "task_type": "holdfast.nodes.registry",
    "tool": "holdfast.nodes.agent.tools",
}
__all__ = [
    "Desk",
    "Holdfast",
    "HoldfastError",
    "Plan",
    "Subtask",
    "SubtaskState",
    "Task",
    "TaskContext",
    "TaskState",
    "task_type",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_WHERE[name]), name)
