"""What is remembered: the SQLite file, its tables, leases, files by content, and LangGraph's saver on top of them."""
