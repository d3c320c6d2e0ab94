"""Turns what the analyses found into charts, Markdown, HTML, PDF and evidence."""
