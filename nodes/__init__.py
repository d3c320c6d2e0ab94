"""What each step does, and with what: planning, supervising, the scheduler, task types and their contexts."""
