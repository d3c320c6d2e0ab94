"""What a model's calls leave to wait for: a plan of calls against its critical path, and a report that is run again.

The model is the tests' scripted server in a process of its own, which takes 200 ms for each call.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from benchmarks.race import ROOT, folder, whole_process
from holdfast import Holdfast, TaskContext, task_type
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.endpoint import OpenAIEndpoint
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.types import Request

WIDE, DEEP, SECONDS = 6, 5, 0.2
SAMPLE = ROOT / "examples" / "sample" / "market.csv"


@task_type("bench_call", keeps=0)
async def bench_call(params: dict[str, Any], inputs: dict[str, Any], ctx: TaskContext) -> str:
    """One call of the model."""
    assert ctx.model
    return (await ctx.model.complete("call", Request([{"role": "user", "content": ctx.subtask_id}]))).text


def model_plan(contender: str, rep: int) -> dict[str, float]:
    """Six calls wide and five deep: the makespan over the critical path, and how much faster than one by one.

    ``alone`` are the same calls by langchain-openai itself, with no orchestrator, which is the least it can be.
    """
    with folder() as path, server(path) as url:
        wide, narrow = asyncio.run(_plans(path, url))
        alone = asyncio.run(_alone(url))
    return {
        "to_path": wide / (DEEP * SECONDS),
        "alone": alone / (DEEP * SECONDS),
        "faster": narrow / wide,
        "overhead": 1e3 * (narrow / (WIDE * DEEP) - SECONDS),
    }


async def _plans(path: Path, url: str) -> tuple[float, float]:
    """Seconds of the plan with eight workers, and with one."""
    settings = ModelSettings("scripted", base_url=url, key="sk-bench")
    async with Holdfast.open(path / "h.db") as hf:
        hf.services.calls = Calls(OpenAIEndpoint(settings), settings)
        await _seconds(hf, [{"id": "first", "type": "bench_call"}], 1)  # its library is loaded, a connection made
        plan = [
            {"id": f"c{level}-{i}", "type": "bench_call", "dependencies": _needs(level, i)}
            for level in range(DEEP)
            for i in range(WIDE)
        ]
        return await _seconds(hf, plan, 8), await _seconds(hf, plan, 1)


async def _alone(url: str) -> float:
    """Seconds of the same calls with nothing kept: each begins once those are done that it would depend on."""
    chat = ChatOpenAI(model="scripted", base_url=url, api_key=SecretStr("sk-bench"), max_retries=0)

    async def call(needs: Iterable[asyncio.Task[None]]) -> None:
        for one in needs:
            await one
        async for _ in chat.astream("go"):
            pass

    await call(())  # a connection is made
    calls = dict[str, asyncio.Task[None]]()
    begun = time.monotonic()
    for level in range(DEEP):
        for i in range(WIDE):
            calls[f"c{level}-{i}"] = asyncio.create_task(call([calls[name] for name in _needs(level, i)]))
    await asyncio.gather(*calls.values())
    return time.monotonic() - begun


def _needs(level: int, i: int) -> list[str]:
    return [f"c{level - 1}-{j % WIDE}" for j in (i, i + 1)] if level else []


async def _seconds(hf: Holdfast, plan: list[dict[str, Any]], workers: int) -> float:
    """From the first subtask's start to the last one's end."""
    task = await hf.wait((await hf.start("bench", plan={"subtasks": plan}, workers=workers)).id)
    if task.state != "COMPLETED":
        raise AssertionError(task.error)
    at = [event.at async for event in hf.events(task.id, follow=False) if event.type.startswith("subtask.")]
    return (max(at) - min(at)).total_seconds()


def cached_report(contender: str, rep: int) -> dict[str, float]:
    """The whole ``holdfast run`` on the sample, and the same again: its calls, and its seconds."""
    with folder() as path, server(path) as url:
        env = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-bench", "HOLDFAST_MODEL": "scripted"}
        command = [sys.executable, "-m", "holdfast", "run", "Market research report on the sample market"]
        command += ["--data", str(SAMPLE), "--db", "h.db", "--yes", "--out"]
        first, _ = whole_process([*command, "one"], path, env)
        calls = _count(url)
        seconds, peak = whole_process([*command, "two"], path, env)
        return {"first": first, "seconds": seconds, "calls": _count(url) - calls, "made": calls, "rss": peak / 1e6}


@contextmanager
def server(path: Path) -> Iterator[str]:
    """The base URL of a scripted server."""
    script = path / "script.json"
    script.write_text(json.dumps({"delay": SECONDS}), "utf-8")
    command = [sys.executable, "-m", "tests.models.server", "--script", str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _count(url: str) -> int:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/_calls") as told:
        return int(json.load(told)["count"])
