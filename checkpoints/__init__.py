"""What is remembered: the SQLite file, its tables, leases, files by content, and LangGraph's saver on top of them."""

import os

# Read once, when LangGraph is imported: without it, loading a checkpoint calls any callable that the file names.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
