"""The checks behind ``doctor``.  They change nothing: a database that is not there is not made."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from holdfast.checkpoints import schema
from holdfast.checkpoints.errors import HoldfastError
from holdfast.cli.preflight import RULES, prepare_types
from holdfast.cli.text import size
from holdfast.nodes.models.abilities import Abilities, probe, remember
from holdfast.nodes.models.settings import pricing
from holdfast.nodes.models.types import Fault

if TYPE_CHECKING:
    from holdfast.cli.remote import Remote
    from holdfast.nodes.models.settings import ModelSettings

Status = Literal["ok", "warning", "fault"]

SAFE_SQLITE = (3, 51, 3)
LITTLE, TOO_LITTLE = 1 << 30, 50 << 20
REPORT_EXTRA = {"duckdb": "duckdb", "vl_convert": "vl-convert-python", "typst": "typst", "jinja2": "jinja2"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    status: Status
    detail: str


def examine(path: Path) -> list[Finding]:
    """Every check on the set-up around the database at ``path``."""
    return [_versions(), _database(path), _sqlite(), *_disk(path), _report(), *_model(path), _types()]


def examine_server(url: str) -> list[Finding]:
    """Whether a server is there, can work, and takes our key."""
    from holdfast.cli.remote import Remote

    async def look() -> list[Finding]:
        there = Remote(url)
        try:
            return [one async for one in _server(there)]
        finally:
            await there.close()

    return asyncio.run(look())


async def _server(there: Remote) -> AsyncIterator[Finding]:
    try:
        card = await there.server("/.well-known/agent-card.json")
        named = card.json()
        yield Finding("server", "ok", f"{there.url}, {named['name']} {named['version']}")
    except HoldfastError as error:
        yield Finding("server", "fault", str(error))
        return
    except (ValueError, KeyError, TypeError):
        yield Finding("server", "fault", f"what answers at {there.url} is no Holdfast server; check the URL")
        return
    try:
        count = await there.count()
        yield Finding("key", "ok", f"{count:,} task{'' if count == 1 else 's'} to be seen")
    except HoldfastError as error:
        yield Finding("key", "fault", str(error))
    ready = await there.server("/readyz")
    if ready.is_success:
        yield Finding("ready", "ok", "it can work")
    elif ready.status_code != 401:  # which was told
        yield Finding("ready", "fault", f"it cannot work now: {' '.join(ready.text.split())[:200]}")


def _versions() -> Finding:
    python = ".".join(map(str, sys.version_info[:3]))
    return Finding("holdfast", "ok", f"{version('holdfast')}, Python {python}, LangGraph {version('langgraph')}")


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding("database", "ok", f"{path} will be created by the first run")
    try:
        if path.stat().st_size == 0:
            return Finding("database", "fault", f"{path} is empty: restore it from a copy, or delete it to begin anew")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=schema.BUSY_SECONDS)) as db:
            return _contents(path, db)
    except sqlite3.Error as error:
        return Finding("database", "fault", str(schema.explain(error, path)))
    except OSError as error:
        return Finding("database", "fault", f"{path} cannot be read: {error.strerror or error}")


def _contents(path: Path, db: sqlite3.Connection) -> Finding:
    if db.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        return Finding("database", "fault", f"{path} is not one of Holdfast's; choose another with --db")
    (faults,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if faults != "ok":
        return Finding("database", "fault", f"{path} is damaged ({faults}); restore it from a copy")
    (done,) = db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    newest = schema.migrations()[-1][0]
    if done > newest:
        return Finding("database", "fault", f"{path} has format {done}, this Holdfast knows {newest}; upgrade Holdfast")
    (tasks,) = db.execute("SELECT count(*) FROM tasks").fetchone()
    older = f", will be brought to format {newest}" if done < newest else ""
    return Finding("database", "ok", f"{path}, format {done}{older}, {tasks:,} tasks, integrity ok")


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return Finding("sqlite", "ok", sqlite3.sqlite_version)
    wanted = ".".join(map(str, SAFE_SQLITE))
    return Finding(
        "sqlite",
        "warning",
        f"{sqlite3.sqlite_version}; before {wanted} SQLite can, very rarely, damage a WAL file that several "
        "connections use: keep copies, or use a Python with a newer SQLite",
    )


def _disk(path: Path) -> Iterator[Finding]:
    folder = next(parent for parent in path.parents if parent.exists())
    free = shutil.disk_usage(folder).free
    status: Status = "fault" if free < TOO_LITTLE else "warning" if free < LITTLE else "ok"
    yield Finding("disk", status, f"{size(free)} free at {folder}")
    try:
        if folder == path.parent:
            with tempfile.TemporaryFile(dir=folder):
                pass
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
        yield Finding("folder", "ok", f"{path.parent} can be written")
    except OSError as error:
        yield Finding("folder", "fault", f"{path.parent} cannot be written: {(error.strerror or str(error)).lower()}")


def _report() -> Finding:
    missing = [package for module, package in REPORT_EXTRA.items() if find_spec(module) is None]
    if missing:
        return Finding(
            "report", "warning", f"{', '.join(missing)} missing; install with: pip install 'holdfast[report]'"
        )
    return Finding("report", "ok", f"{', '.join(REPORT_EXTRA.values())} installed")


def _model(path: Path) -> Iterator[Finding]:
    """Which engine is used; a model is asked what it can do, which is remembered if there is a database."""
    from holdfast.graphs.settings import model, model_missing

    try:
        settings, lacks = model(), model_missing()
    except HoldfastError as error:
        yield Finding("model", "fault", str(error))
        return
    if settings is None:
        yield Finding("model", "warning" if lacks else "ok", f"built-in engine ({RULES})" + f"; {lacks}" * bool(lacks))
        return
    found, status, detail = asyncio.run(_asked(settings))
    if found and path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=schema.BUSY_SECONDS)) as db, db:
            remember(db, settings, found)
    yield Finding("model", status, f"{settings.title}: {detail}")
    price = settings.price
    if price:
        yield Finding("price", "ok", f"${price.input:g} for a million tokens in, ${price.output:g} for a million out")
    elif not settings.is_local:
        yield Finding("price", "warning", f"none is known, so costs are counted as 0; {pricing(settings)}")


async def _asked(settings: ModelSettings) -> tuple[Abilities | None, Status, str]:
    """What a model can do, and how that is told."""
    from holdfast.nodes.models.endpoint import OpenAIEndpoint

    endpoint = OpenAIEndpoint(settings)
    try:
        await endpoint.ready()
        async with asyncio.timeout(settings.timeout):
            names = await endpoint.models()
            found = await probe(endpoint)
    except Fault as fault:
        return None, "fault", str(fault)
    except TimeoutError:
        return None, "fault", f"no answer within {settings.timeout:g} s"
    finally:
        await endpoint.close()
    if names and settings.name not in names:
        return found, "warning", f"it answers, but the server does not list it; it can do {found}"
    return found, "ok", f"it answers, and can do {found}"


def _types() -> Finding:
    try:
        own = prepare_types(())
    except HoldfastError as error:
        return Finding("types", "fault", str(error))
    from holdfast.nodes.registry import REGISTRY

    builtin = sorted(kind.name for kind in REGISTRY if kind.name not in own)
    more = f"; own: {', '.join(sorted(own))}" if own else ""
    return Finding("types", "ok", f"built in: {', '.join(builtin)}{more}")
