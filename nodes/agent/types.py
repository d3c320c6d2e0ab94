"""The task type and the tools of agents, by the modules that register them."""

from __future__ import annotations

from holdfast.nodes.agent import agent, asking, documents, fetch, query

__all__ = ["agent", "asking", "documents", "fetch", "query"]
