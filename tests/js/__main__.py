"""Starts a server in a folder of its own and lets ``client.mjs`` talk to it; ends as that does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.acceptance.serving import Server
from tests.ports import free_port


def main(folder: str) -> int:
    """Runs the client of ``folder``, where npm has installed what it needs."""
    with (
        tempfile.TemporaryDirectory() as apart,
        Server(Path(apart), "--grpc-port", str(free_port())) as server,
    ):
        done = subprocess.run(["node", "client.mjs", server.url], cwd=folder, check=False)
        if done.returncode:
            print(server.log(), file=sys.stderr)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
