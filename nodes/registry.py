"""Task types: what a subtask can do, registered under a name with typed parameters.

A type is an async function ``(params, inputs, ctx) -> JSON value``.  The annotation of its first parameter is a
pydantic model, which validates a plan's ``params`` before anything starts; the docstring is what a planner reads.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import json
import os
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.checkpoints.errors import BadInput, HoldfastError, UnknownTaskType
from holdfast.nodes.context import TaskContext, Uncertain

Compensation = Callable[[Any, Any, TaskContext], Awaitable[None]]
Body = Callable[[Any, dict[str, Any], TaskContext], Awaitable[Any]]


KEEP_SECONDS = 30 * 86_400.0


class NoParams(BaseModel):
    """For types that take no parameters."""

    model_config = ConfigDict(extra="forbid")


class InvalidTaskType(HoldfastError):
    """A function cannot be a task type; the sentence says why."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """One registered type; ``version`` rises when equal inputs would give another result.

    ``files`` is the parameter that lists files, if there is one: a client may only name there what is handed out to it.
    ``keeps`` is for how many seconds the model's answers may be used again; 0: not at all.  ``pure`` says that nothing
    but parameters, inputs and the files that it reads makes its result, which is then taken from an equal subtask.
    ``made_with`` names installed distributions that make it as well: another version of one is another input.
    """

    name: str
    body: Body
    params: type[BaseModel] | None  # None: a plain dict, taken as it is
    description: str
    version: str = "1"
    compensate: Compensation | None = None
    uncertain: Uncertain = "repeat"
    reads: Callable[[Any], Iterable[Path]] | None = None
    files: str | None = None
    keeps: float = KEEP_SECONDS
    pure: bool = False
    made_with: tuple[str, ...] = ()

    async def undo(self, params: Any, result: Any, ctx: TaskContext) -> None:
        """Runs the compensation, which the type has to have."""
        assert self.compensate
        await self.compensate(params, result, ctx)

    def validate(self, params: Mapping[str, Any]) -> BaseModel | dict[str, Any]:
        """The parameters as the body takes them; raises pydantic's ValidationError."""
        return self.params.model_validate(dict(params)) if self.params else dict(params)

    def fingerprint(self, params: Mapping[str, Any], inputs: Mapping[str, bytes]) -> bytes:
        """16 bytes that are equal for equal type, version, parameters and inputs (committed JSON, by dependency).

        The versions of what the type is ``made_with`` count as inputs.
        Reads the files that the type ``reads``; raises BadInput or OSError if they cannot be.
        """
        tools = {name: installed(name) for name in self.made_with}
        digest = hashlib.sha256(json.dumps([self.name, self.version, params, tools], sort_keys=True).encode())
        for name in sorted(inputs):
            digest.update(name.encode() + b"\0" + hashlib.sha256(inputs[name]).digest())
        for path in self.reads(self.validate(params)) if self.reads else ():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.digest()[:16]

    def paths(self, spec: Mapping[str, Any]) -> set[str]:
        """The files, folders and patterns that a subtask of this type reads, by their full names; looks at the disk."""
        params = spec.get("params", {})
        named = params.get(self.files) if self.files else None
        try:
            found = [*self.reads(self.validate(params))] if self.reads else []
        except (ValidationError, HoldfastError, OSError):
            found = []  # its body tells what is wrong
        return {os.path.abspath(one) for one in (*found, *(named if isinstance(named, list) else ()))}

    def faults(self, params: Mapping[str, Any]) -> list[str]:
        """One "field: reason" for each parameter that does not fit; empty if all do."""
        try:
            self.validate(params)
        except ValidationError as error:
            return [f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg'].lower()}" for e in error.errors()]
        return []

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters."""
        return self.params.model_json_schema() if self.params else {"type": "object"}


class Registry:
    """Task types by name; a name belongs to one function."""

    def __init__(self, types: Iterable[TaskType] = ()) -> None:
        self._types = {kind.name: kind for kind in types}

    def __iter__(self) -> Iterator[TaskType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def register(self, kind: TaskType) -> None:
        """Adds a type; the same function may be registered again (a module that is loaded twice)."""
        known = self._types.get(kind.name)
        if known and _origin(known.body) != _origin(kind.body):
            raise InvalidTaskType(f"the task type {kind.name!r} is already taken by {_origin(known.body)}")
        self._types[kind.name] = kind

    def get(self, name: str) -> TaskType:
        """The type of that name; raises UnknownTaskType with the nearest names."""
        try:
            return self._types[name]
        except KeyError:
            raise UnknownTaskType(name, self.nearest(name)) from None

    def nearest(self, name: str) -> list[str]:
        """Up to three registered names that look like ``name``."""
        return difflib.get_close_matches(name, self._types, n=3, cutoff=0.5)


REGISTRY = Registry()
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def task_type(
    name: str,
    *,
    version: str = "1",
    compensate: Compensation | None = None,
    uncertain: Uncertain = "repeat",
    reads: Callable[[Any], Iterable[Path]] | None = None,
    files: str | None = None,
    keeps: float = KEEP_SECONDS,
    pure: bool = False,
    made_with: Iterable[str] = (),
    registry: Registry = REGISTRY,
) -> Callable[[Body], Body]:
    """Registers an async function ``(params, inputs, ctx)`` as the task type ``name``; returns it unchanged.

    ``compensate``, an async function ``(params, result, ctx)``, undoes what the type did, when a task is rolled back.
    ``uncertain`` is what happens to a step that was begun before a crash and has no receipt: ``repeat`` it, ``ask`` a
    person, or ``fail``.  ``reads`` tells the files that the typed parameters name: their content is an input as well.
    ``files`` is the name of a parameter that is a list of files' names: in the plan of a server's client they are
    looked up among the files that it may read, and replaced by their full paths.  ``keeps`` is for how many seconds the
    model's answers to it may be used again (30 days); 0: each run asks anew, unless its subtask has ``cache: true``.
    ``pure`` says that nothing but parameters, inputs and those files makes the result: an equal subtask of an earlier
    task of the same owner then gives it for as long as ``keeps``.  ``made_with`` names installed distributions, such as
    duckdb, with another version of which it may be another one.

    Raises InvalidTaskType if the function is not async, does not take three parameters, or types the first with
    something other than a pydantic model (``dict`` means: no validation).
    """

    def register(body: Body) -> Body:
        params, description = _params_model(name, body), inspect.getdoc(body) or ""
        kind = TaskType(
            name, body, params, description, version, compensate, uncertain, reads, files, keeps, pure, tuple(made_with)
        )
        registry.register(kind)
        return body

    return register


def _params_model(name: str, body: Body) -> type[BaseModel] | None:
    if not name.isidentifier():
        raise InvalidTaskType(f"a task type's name is a word such as word_count; {name!r} is not")
    if not inspect.iscoroutinefunction(body):
        raise InvalidTaskType(f"the task type {name!r} has to be an async function")
    parameters = list(inspect.signature(body).parameters.values())
    if len(parameters) != 3:
        raise InvalidTaskType(f"the task type {name!r} has to take (params, inputs, ctx)")
    annotation = typing.get_type_hints(body).get(parameters[0].name, dict)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if annotation is Any or (typing.get_origin(annotation) or annotation) is dict:
        return None
    raise InvalidTaskType(f"the first parameter of the task type {name!r} has to be a pydantic model or a dict")


@functools.cache
def installed(name: str) -> str:
    """The version of an installed distribution; "" if there is none of that name."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _origin(body: Body) -> str:
    return f"{body.__module__}.{body.__qualname__}"


def require_json(value: Any, what: str) -> bytes:
    """``value`` as canonical JSON bytes (UTF-8, sorted keys); raises BadInput if it is not a JSON value."""
    try:
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{what} has to be a JSON value: {error}") from None
