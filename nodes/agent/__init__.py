"""The task type ``agent``: a model that works with tools, each call of which is a durable step."""
