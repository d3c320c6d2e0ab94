"""What runs after what: the orchestrator graph, the subtask graph, and the one object that starts and stops them."""
