"""The built-in market research: rules, no AI.  Each analysis is a task type of its own."""
