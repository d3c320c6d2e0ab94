"""The command line as people and scripts meet it: a process of its own, in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast import Holdfast, TaskState
from holdfast.graphs.types import load_types

COMMAND = [sys.executable, "-m", "holdfast"]
SLOW = 60.0


class Cli:
    """Runs ``holdfast`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hidden = ("HOLDFAST_", "OPENAI_")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        self.env |= {"PYTHONWARNINGS": "error", "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            encoding="utf-8",
            timeout=SLOW,
            check=False,
        )

    def begin(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*options.get("within", ()), *COMMAND, *words],
            cwd=self.folder,
            env=self.env,
            stdout=options.get("stdout", subprocess.PIPE),
            stderr=options.get("stderr", subprocess.PIPE),
            text=True,
        )

    def in_terminal(self, *words: str, during: Callable[[int], None] | None = None, **env: str) -> tuple[int, str]:
        """(exit code, what the terminal received) of a run in an 80 x 24 terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [*COMMAND, *words], self.env | env)
        if during:
            during(pid)
        received = b""
        try:
            while chunk := os.read(terminal, 65536):
                received += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), received.decode()

    def talk(
        self, *words: str, say: list[tuple[str, str | Callable[[str], str | None]]], **env: str
    ) -> tuple[int, str]:
        """As ``in_terminal``; after each text has appeared, the keys that go with it are typed.

        A function is called with what has been received, and returns the keys.
        """
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [*COMMAND, *words], self.env | env)
        received, seen, until = b"", 0, time.monotonic() + SLOW
        try:
            while True:
                while say and (at := received.find(say[0][0].encode(), seen)) >= 0:
                    seen = at + len(say[0][0].encode())
                    keys = say.pop(0)[1]
                    typed = keys(received.decode(errors="replace")) if callable(keys) else keys
                    os.write(terminal, (typed or "").encode())
                assert time.monotonic() < until, f"still waits for {say}: {received.decode(errors='replace')}"
                if select.select([terminal], [], [], 0.5)[0]:
                    chunk = os.read(terminal, 65536)
                    if not chunk:
                        break
                    received += chunk
        except OSError:
            pass
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), received.decode()

    def plan(self, *subtasks: dict[str, Any], name: str = "plan.json") -> str:
        (self.folder / name).write_text(json.dumps({"subtasks": subtasks}))
        return name

    def tasks(self) -> list[dict[str, Any]]:
        return lines(self("tasks", "--json").stdout)

    def nothing_there(self) -> bool:
        return not (self.folder / ".holdfast").exists()


def sleep(id_: str, seconds: float = 0.0, *dependencies: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "sleep", "params": {"seconds": seconds}, "dependencies": list(dependencies), **fields}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def read_until(process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The events up to the wanted one, from a process that prints JSON Lines."""
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"it ended before: {seen}, {process.stderr and process.stderr.read()}")


def started(subtask: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event.get("type") == "subtask.running" and event["subtask"] == subtask


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    process.send_signal(number)


def end(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """(exit code, the JSON lines that were left, stderr)."""
    out, err = process.communicate(timeout=SLOW)
    return process.returncode, lines(out), err


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    """What stderr says, which has to be one line without a traceback."""
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def wait_for(condition: Callable[[], bool], seconds: float = SLOW) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


TYPES = str(Path(__file__).with_name("cli_types.py"))
AT_REST = frozenset(TaskState) - {TaskState.SUBMITTED, TaskState.WORKING}


def prepared(
    cli: Cli, *subtasks: dict[str, Any], then: Callable[[Holdfast, str], Any] | None = None, **how: Any
) -> str:
    """The id of a task that has come to rest in the folder's database, made in this process because that is cheap.

    ``then`` is awaited once the task runs; ``how`` are options of ``Holdfast.start``.
    """
    load_types([TYPES])

    async def go() -> str:
        async with Holdfast.open(cli.folder / ".holdfast/holdfast.db") as hf:
            plan = {"subtasks": list(subtasks)} if subtasks else None
            task = await hf.start(how.pop("goal", "A goal"), plan=plan, **how)
            if then:
                await then(hf, task.id)
            await asyncio.wait_for(hf.wait(task.id, until=AT_REST), SLOW)
            while hf.working_on(task.id):
                await asyncio.sleep(0.01)
            return task.id

    return asyncio.run(go())
