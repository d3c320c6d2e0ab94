"""Holdfast before A2A's Technology Compatibility Kit: the server that it tests, and what runs it (``make tck``)."""
