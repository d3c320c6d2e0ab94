"""``langgraph dev`` on this repository's langgraph.json, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
NO_NETWORK = "http://127.0.0.1:9"  # nobody listens there


@dataclass
class Server:
    """One server; its folder has the database, the log and what the API itself keeps."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "holdfast.db"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(ROOT / "langgraph.json")]
        options = ["--no-browser", "--no-reload", "--port", str(self.port), "--n-jobs-per-worker", "10"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                cwd=self.folder,
                env=offline(self.database),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/ok", timeout=1):
                    return
            except (URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError("langgraph dev did not start:\n" + "\n".join(self.lines()[-40:]))

    def end(self, *signals: int) -> None:
        """Ends it and whatever it started, by the first of the signals that it heeds."""
        assert self.process
        for number in signals or (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def lines(self) -> list[str]:
        return re.sub(r"\x1b\[[0-9;]*m", "", (self.folder / "server.log").read_text("utf-8")).splitlines()


def offline(database: Path) -> dict[str, str]:
    """An environment with no settings of the caller's and no way out to the network."""
    ours = ("HOLDFAST_", "OPENAI_", "LANGGRAPH_", "LANGCHAIN_", "LANGSMITH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NO_NETWORK)
    switches = {"LANGGRAPH_NO_VERSION_CHECK": "1", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_PROXY": "127.0.0.1,localhost"}
    return {**kept, **proxies, **switches, "HOLDFAST_DB": str(database)}
