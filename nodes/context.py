"""What a task type's body may use: durable steps, progress, artifacts, stored files, an idempotency key.

The context decides nothing and owns no disk: ``Effects`` does, which supervise hands in.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import inspect
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from holdfast.checkpoints.errors import BadInput, StepRepeated
from holdfast.checkpoints.questions import Asked, require_sound

if TYPE_CHECKING:
    from holdfast.nodes.agent.reach import Reach
    from holdfast.nodes.models.model import Model
    from holdfast.nodes.registry import Registry

StepFunction = Callable[[], Any] | Callable[[], Awaitable[Any]]
_logger = logging.getLogger("holdfast.task")
_step: contextvars.ContextVar[str | None] = contextvars.ContextVar("holdfast_step", default=None)


Uncertain = Literal["repeat", "ask", "fail"]
UNCERTAIN = {"oneOf": [{"enum": ["repeat", "fail"]}, {"type": "object", "required": ["value"]}]}


class WorkStopped(Exception):
    """Ends a body at its next step because the task was stopped; a body lets it pass."""


class Unanswered(Exception):
    """Ends a body whose question has no answer yet; it starts again with the answer.  A body lets it pass."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        super().__init__(asked.prompt)


class Artifact(TypedDict):
    """A file that a task hands out; ``path`` is where it lies now, ``bytes`` its size."""

    name: str
    media_type: str
    path: str
    sha256: str
    bytes: int


class Record(TypedDict):
    """What a task has stored of itself so far."""

    plan: list[dict[str, Any]]  # its subtasks in the plan's order, each with its ``state``
    answers: dict[str, dict[str, Any]]  # by subtask, then by key of the question
    events: list[dict[str, Any]]  # the numbered history, as every interface shows it


class Effects(Protocol):
    """The effects behind a context, each of them durable when the call returns."""

    recorded: dict[str, Any]  # values of steps that are on disk
    answers: dict[str, Any]  # by key of the question
    uncertain: dict[str, float]  # steps that were begun before and have no receipt, and when

    def known_step(self, name: str) -> str: ...
    async def begin_step(self, name: str) -> None: ...
    async def end_step(self, name: str, value: Any) -> Any: ...
    async def store(self, data: bytes | Path) -> str: ...
    def stored(self, sha256: str) -> Path: ...
    async def artifact(self, name: str, data: bytes | Path, media_type: str | None) -> Artifact: ...
    def progress(self, done: float, total: float) -> None: ...
    async def messages(self) -> list[str]: ...
    async def record(self) -> Record: ...


class _Log(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        return f"{(self.extra or {})['subtask']}: {msg}", kwargs


class TaskContext:
    """Handed to each body; valid while that body runs."""

    def __init__(
        self, task_id: str, subtask_id: str, attempt: int, effects: Effects, uncertain: Uncertain = "repeat"
    ) -> None:
        self.task_id, self.subtask_id, self.attempt = task_id, subtask_id, attempt
        self._effects, self._uncertain = effects, uncertain
        self.model: Model | None = None  # where one is set
        self.registry: Registry | None = None  # the types that a plan may have
        self.reach: Reach | None = None  # which addresses may be reached
        self._used: set[str] = set()
        self._limit: tuple[float, asyncio.Timeout] | None = None

    @asynccontextmanager
    async def idle_limit(self, seconds: float | None) -> AsyncIterator[None]:
        """Raises TimeoutError when the body begins or ends no step and tells no progress for so long."""
        if seconds is None:
            yield
            return
        async with asyncio.timeout(seconds) as timeout:
            self._limit = seconds, timeout
            yield

    @property
    def was_answered(self) -> bool:
        """Whether somebody has answered a question of it, which has made its result as well."""
        return bool(self._effects.answers)

    @property
    def was_idle(self) -> bool:
        """Whether that limit has run out."""
        return self._limit is not None and self._limit[1].expired()

    def _active(self) -> None:
        if self._limit and not self._limit[1].expired():
            self._limit[1].reschedule(asyncio.get_running_loop().time() + self._limit[0])

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the subtask."""
        return _Log(_logger, {"subtask": self.subtask_id})

    @property
    def idempotency_key(self) -> str:
        """The same over retries and crashes; inside a step it is that step's own."""
        step = _step.get()
        return "/".join(filter(None, [self.task_id, self.subtask_id, self._effects.known_step(step or "")]))

    async def step(self, name: str, fn: StepFunction) -> Any:
        """The JSON value of ``fn`` (sync or async), durable when this returns and never computed again.

        What comes back is what was stored, so a first run and a resumed one see the same.  The same name twice in one
        subtask raises StepRepeated.  A sync ``fn`` runs on the event loop: hand blocking work to a thread.
        """
        if name in self._used:
            raise StepRepeated(self.subtask_id, name)
        self._used.add(name)
        recorded = self._effects.known_step(name)
        if recorded in self._effects.recorded:
            return self._effects.recorded[recorded]
        if recorded in self._effects.uncertain and self._uncertain != "repeat":
            given = await self._uncertain_step(name)
            if given is not None:
                await self._effects.begin_step(name)
                return await self._effects.end_step(name, given["value"])
        self._active()
        await self._effects.begin_step(name)
        token = _step.set(name)
        try:
            value = fn()
            if inspect.isawaitable(value):
                value = await value
        finally:
            _step.reset(token)
        self._active()
        return await self._effects.end_step(name, value)

    def is_done(self, step: str) -> bool:
        """Whether a step of that name is on disk already."""
        return self._effects.known_step(step) in self._effects.recorded

    async def ask(
        self,
        prompt: str,
        schema: dict[str, Any] | None = None,
        default: Any = None,
        key: str | None = None,
        deadline: float | None = None,
    ) -> Any:
        """The answer to a question; until there is one the body ends here, and starts again from its first line.

        ``schema`` is a JSON schema of the answer.  The question is known again by ``key``, else by prompt and schema.
        After ``deadline`` seconds the default is taken; without a default the subtask fails.  Raises BadInput for a
        schema that is none or refers to anything outside itself, and for a default that does not fit it.
        """
        known = key or hashlib.sha256(json.dumps([prompt, schema], sort_keys=True).encode()).hexdigest()[:16]
        if known in self._effects.answers:
            return self._effects.answers[known]
        fallback = None if default is None else json.dumps(default, ensure_ascii=False)
        asked = Asked(prompt, known, schema, fallback, deadline)
        require_sound(asked)
        raise Unanswered(asked)

    async def _uncertain_step(self, name: str) -> dict[str, Any] | None:
        """What to do about a step that may have happened: None to repeat it, or {"value": …} as its receipt."""
        if self._uncertain == "fail":
            raise BadInput(
                f"step {name!r} was begun before and has no receipt: it may have happened; it is not repeated"
            )
        answer = await self.ask(
            f"Step {name!r} of {self.subtask_id} was begun before and has no receipt: it may have happened. What now?",
            schema=UNCERTAIN,
            key=f"uncertain {name} {self._effects.uncertain[self._effects.known_step(name)]}",
        )
        if answer == "fail":
            raise BadInput(f"step {name!r} was begun before and was not to be repeated")
        return None if answer == "repeat" else dict(answer)

    def progress(self, done: float, total: float) -> None:
        """Tells whoever watches that ``done`` of ``total`` is done; live only, never stored."""
        self._active()
        self._effects.progress(done, total)

    async def messages(self) -> list[str]:
        """What its client has said to the task since it began, as text, oldest first."""
        return await self._effects.messages()

    async def record(self) -> Record:
        """The task as it is stored now: its plan, its answers and its history, for a report on the run itself."""
        return await self._effects.record()

    async def store(self, data: bytes | str | os.PathLike[str]) -> str:
        """Keeps bytes, text or the file at a path for later subtasks, once by content; returns its sha256."""
        return await self._effects.store(_payload(data))

    def stored(self, sha256: str) -> Path:
        """Where the content of that hash lies, read-only; raises DataCorrupt if it is not there."""
        return self._effects.stored(sha256)

    async def artifact(
        self, name: str, data: bytes | str | os.PathLike[str], media_type: str | None = None
    ) -> Artifact:
        """Hands out a file under ``name`` (a relative path such as ``charts/size.svg``).

        ``data`` is bytes, text, or a path to read from; the media type is told by the name unless given.  A name used
        again by this task replaces what it stood for.
        """
        if media_type is None and isinstance(data, str) and not os.path.splitext(name)[1]:
            media_type = "text/plain"  # a value rather than a file
        return await self._effects.artifact(name, _payload(data), media_type)


def _payload(data: bytes | str | os.PathLike[str]) -> bytes | Path:
    if isinstance(data, str):
        return data.encode()
    return data if isinstance(data, bytes) else Path(data)
