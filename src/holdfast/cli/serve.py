"""``serve``: the A2A server in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from holdfast.cli.common import Target, shared, whole
from holdfast.cli.work import TYPES

LARGE_MEGABYTES = 256  # of a database that takes a moment to open


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", callback=whole(1, 65535), default="8420", show_default=True, metavar="N", help="Port to listen on."
)
@click.option("--grpc-port", callback=whole(1, 65535), metavar="N", help="Serve gRPC too, on this port.")
@click.option(
    "--data", multiple=True, type=click.Path(exists=True, file_okay=False), metavar="DIR",
    help="A folder whose files clients may name in options.data (as often as needed).",
)  # fmt: skip
@click.option(
    "--tasks", "most", callback=whole(1), default="128", show_default=True, metavar="N", help="Tasks worked on at once."
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME",
    help="A further host name by which clients may call this server (as often as needed).",
)  # fmt: skip
@click.option(
    "--metrics-for", multiple=True, metavar="NAME",
    help="The owner of a key that opens /metrics (as often as needed); without keys it is open.",
)  # fmt: skip
@TYPES
@shared
def serve(
    to: Target,
    host: str,
    port: int,
    grpc_port: int | None,
    data: tuple[str, ...],
    most: int,
    hosts: tuple[str, ...],
    metrics_for: tuple[str, ...],
    types: tuple[str, ...],
) -> None:
    """Serve tasks to other agents over A2A, and take up those that nobody works on.

    JSON-RPC is at /a2a, HTTP+JSON under /a2a/rest, the agent card at /.well-known/agent-card.json.
    """
    import asyncio

    if port == grpc_port:
        raise click.UsageError(f"port {port} cannot serve both HTTP and gRPC; name another with --grpc-port")
    from holdfast.cli.preflight import prepare_types

    prepare_types(types)
    from holdfast.server.logs import configure
    from holdfast.server.serve import serve as run
    from holdfast.server.settings import Settings

    settings = Settings(host, port, grpc_port, [Path(one) for one in data], hosts, metrics_for, most)
    configure()
    _announce(to.path)
    asyncio.run(run(to.path, settings))


def _announce(path: Path) -> None:
    """Says, to whoever waits at a terminal, that a large database is being opened."""
    size = path.stat().st_size >> 20 if path.is_file() else 0
    if size >= LARGE_MEGABYTES and sys.stderr.isatty():
        click.echo(f"Holdfast opens {path} ({size:,} MB) …", err=True)
