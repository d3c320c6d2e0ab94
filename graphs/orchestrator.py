"""The orchestrator graph: START → plan → review → supervise → finish → END, each of which may go to gate.

``graph`` is compiled bare, for Studio, the LangGraph API and a plain ``invoke``; ``builder`` may be compiled with any
checkpointer; ``open_graph(path)`` brings Holdfast's own SQLite file for both.  Every node has a sync and an async form
over one coroutine, and takes the task's lease itself, whoever runs the graph.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from holdfast.checkpoints.database import Database
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.saver import Saver
from holdfast.checkpoints.tasks import TaskRow
from holdfast.graphs import subtask
from holdfast.graphs.settings import database_path, model, setting, type_modules
from holdfast.graphs.types import load_types
from holdfast.nodes import builtin, orchestration
from holdfast.nodes.agent.reach import Reach
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.registry import REGISTRY, Registry
from holdfast.nodes.services import Services
from holdfast.nodes.state import Input, Output, State

T = TypeVar("T")
Step = Callable[[Services, TaskRow, Lease], Awaitable[dict[str, Any]]]
Provider = Callable[[], Services]
Drawn = Callable[[], subtask.Graph]
Orchestrator = CompiledStateGraph[State, None, Input, Output]
API_USER = "langgraph_auth_user_id"  # under which the LangGraph API tells a run who made it; no client can set it there
CHECKPOINTER = "__pregel_checkpointer"  # where LangGraph tells a node of the checkpointer that a graph runs with


def build(
    provider: Provider, registry: Registry = REGISTRY, *, drawn: bool = True
) -> StateGraph[State, None, Input, Output]:
    """The graph over the services that ``provider`` gives when a node runs.

    Not ``drawn``, it leaves out the types under supervise, which only drawings show, and compiles in half the time.
    """
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    types = cache(lambda: subtask.build(registry).compile(name="subtask"))  # only who draws it needs it
    for name in ("plan", "review", "supervise", "finish", "gate"):
        builder.add_node(
            name, _node(getattr(orchestration, name), provider, types if drawn and name == "supervise" else None)
        )
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", _onward, ["review", "gate", "finish"])
    builder.add_conditional_edges("review", _onward, ["supervise", "plan", "gate", "finish"])
    builder.add_conditional_edges("supervise", _onward, ["finish", "gate"])
    builder.add_conditional_edges("finish", _onward, {"supervise": "supervise", "gate": "gate", "end": END})
    builder.add_conditional_edges("gate", _onward, ["plan", "review", "supervise", "finish", "gate"])
    return builder


def make_services(database: Database, registry: Registry = REGISTRY, workers: int = 8) -> Services:
    """Services over an open database, with a subtask graph for the types registered now and the model that is set."""
    return Services(database, registry, subtask.fly, workers, model_calls(), reach=Reach.of(setting("fetch")))


def model_calls() -> Calls | None:
    """Calls of the model that is set, or None; raises BadInput for a setting that cannot be used."""
    settings = model()
    if settings is None:
        return None
    from holdfast.nodes.models.endpoint import OpenAIEndpoint  # noqa: PLC0415  it loads an HTTP client

    return Calls(OpenAIEndpoint(settings), settings)


class open_graph:
    """The orchestrator graph over the SQLite file at ``path``, closed at the end of the block."""

    def __init__(self, path: str | Path | None = None, *, registry: Registry = REGISTRY) -> None:
        self._path, self._registry = database_path(path), registry

    def __enter__(self) -> Orchestrator:
        model()  # what cannot be used is told before the database is opened
        self._database = Database(self._path)
        services = self._services = make_services(self._database, self._registry)
        return build(lambda: services, self._registry).compile(checkpointer=Saver(self._database), name="holdfast")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()

    async def __aenter__(self) -> Orchestrator:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._services.calls:
            await self._services.calls.close()
        await asyncio.to_thread(self._database.close)


def _node(step: Step, provider: Provider, drawn: Drawn | None) -> _Node:
    async def arun(state: State, config: RunnableConfig) -> dict[str, Any]:
        services = await asyncio.to_thread(provider)
        configurable = config.get("configurable", {})
        thread_id = str(configurable.get("thread_id") or state.get("task") or uuid.uuid4())
        owner = str(configurable.get(API_USER) or "")
        if configurable.get(CHECKPOINTER) is None:  # nobody could answer: what has a default takes it
            state = {**state, "yes": True}
        task = await orchestration.open_task(services, thread_id, state, owner=owner)
        async with services.leased(task) as lease:
            update = await step(services, task, lease)
            task = await services.task(task.id)
        return {"task": task.id, "status": task.state.value, **update}

    async def alone(state: State, config: RunnableConfig) -> dict[str, Any]:
        try:
            return await arun(state, config)
        finally:
            if calls := (await asyncio.to_thread(provider)).calls:
                await calls.close()  # its connections belong to this loop, which ends now

    def run(state: State, config: RunnableConfig) -> dict[str, Any]:
        return _blocking(alone(state, config))

    return _Node(run, arun, step.__name__, drawn)


class _Node(RunnableLambda[State, dict[str, Any]]):
    """A node's two forms, and the graph that drawings and streams show inside it."""

    def __init__(self, run: Any, arun: Any, name: str, drawn: Drawn | None) -> None:
        super().__init__(run, arun, name=name)
        self._drawn = drawn

    @property
    def deps(self) -> list[Runnable[Any, Any]]:
        return [self._drawn()] if self._drawn else []


def _onward(state: State) -> str:
    return state.get("goto") or state["back"]  # gate says nothing when it returns to where the task came from


def _blocking(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine from sync code, in a thread of its own if this one runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, asyncio.run, work).result()


_open: dict[Path, Services] = {}
_opening = threading.Lock()


def shared_services() -> Services:
    """The services that graphs without a file of their own use: one per process and ``HOLDFAST_DB``."""
    path = database_path(None)
    with _opening:
        if path not in _open:
            load_types(type_modules())
            model()  # what cannot be used is told before the database is opened
            database = Database(path)
            atexit.register(database.close)
            _open[path] = make_services(database)
        return _open[path]


def _close_shared(services: Services) -> None:
    with _opening:
        _open.pop(services.database.path, None)
    atexit.unregister(services.database.close)
    services.database.close()


@asynccontextmanager
async def checkpointer() -> AsyncIterator[Saver]:
    """Holdfast's SQLite saver for ``langgraph.json``, on the database that the graph's own rows are in."""
    services = await asyncio.to_thread(shared_services)
    try:
        yield Saver(services.database)
    finally:  # here, because a signal ends the API before what is registered for the interpreter's exit
        await asyncio.to_thread(_close_shared, services)


builtin.register()
builder = build(shared_services)
graph = builder.compile(name="holdfast")
