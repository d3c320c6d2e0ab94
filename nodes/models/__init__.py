"""Language models: one call as a durable step, its faults, its cost, and what is shared by all calls of a database."""
