"""One subtask under way: its body, what the body may use, and how it ended.

``Flight.run`` is called by the subtask graph's node.  It never raises for what a body did: a value, a failure, or a
stop is its ``outcome``, which supervise turns into an event for the scheduler.  Only a fault of the store gets out.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from langgraph.errors import GraphBubbleUp

from holdfast.checkpoints import events, messages, questions, results, subtasks, tasks
from holdfast.checkpoints.cache import Entry
from holdfast.checkpoints.errors import (
    BadInput,
    DataCorrupt,
    HandedOver,
    HoldfastError,
    LeaseLost,
    StoreError,
)
from holdfast.checkpoints.events import News
from holdfast.checkpoints.files import hand_out
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.tasks import ArtifactRow, TaskRow
from holdfast.nodes.context import Artifact, Record, TaskContext, Unanswered, WorkStopped
from holdfast.nodes.models.types import Fault
from holdfast.nodes.registry import TaskType, require_json
from holdfast.nodes.scheduler import Asked, Completed, Event, Failed, Stopped
from holdfast.nodes.services import Services


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on disk of a subtask that ran before."""

    steps: dict[str, Any]  # values by name
    answers: dict[str, Any]  # by key
    begun: dict[str, float]  # steps without a receipt, and when they were begun


MOST = 2000  # characters of an error that are kept
_SECRET = re.compile(r"\bsk-[\w-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?<=Bearer )\S+")


@dataclass(slots=True, eq=False)
class Flight:
    """A started subtask; ``value`` is the result's JSON once ``outcome`` says Completed."""

    kind: TaskType
    spec: Mapping[str, Any]
    inputs: dict[str, Any]
    context: TaskContext
    landed: Callable[[Event], None]  # told the outcome at once, while the graph round the body still winds down
    begun: asyncio.Future[None]  # done when the body is under way, or will never be
    outcome: Event | None = None
    value: bytes = b""
    fingerprint: bytes = b""
    reused: str | None = None  # the subtask of another task whose result this one takes
    known: Entry | None = None  # of an equal subtask's result, or to be kept for others
    origins: set[str] = field(default_factory=set)  # tags of what its result is made from
    question: questions.Asked | None = None
    stopping: bool = False
    work: asyncio.Task[Any] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The subtask's id."""
        return str(self.spec["id"])

    def stop(self) -> None:
        """Cancels the body; its steps that are recorded stay."""
        self.stopping = True
        if self.work:
            self.work.cancel()

    async def run(self) -> None:
        """Runs the body to its outcome."""
        self.work = asyncio.current_task()
        self.begun.set_result(None)
        limit = asyncio.timeout(self.spec.get("timeout_s"))
        try:
            self.outcome = await self._body(limit)
        except asyncio.CancelledError:
            if not self.stopping and self.work and self.work.cancelling():
                raise  # the run itself is being cancelled
            within = Failed(self.id, "it was cancelled by something that it had started")
            self.outcome = Stopped(self.id) if self.stopping else within
        except (LeaseLost, GraphBubbleUp):
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, StoreError) and not isinstance(error, DataCorrupt):
                raise
            self.outcome = self._ended_by(error, limit)
        finally:
            self.work = None
            if self.outcome:
                self.landed(self.outcome)

    async def _body(self, limit: asyncio.Timeout) -> Event:
        if self.stopping:
            return Stopped(self.id)
        if self.reused is None:
            params = self.kind.validate(self.spec.get("params", {}))
            async with limit, self.context.idle_limit(self.spec.get("idle_timeout_s")):
                value = await self.kind.body(params, self.inputs, self.context)
            self.value = require_json(value, f"what subtask {self.id!r} returns")
        return Completed(self.id)

    def _ended_by(self, error: BaseException, limit: asyncio.Timeout) -> Event:
        """What an exception of the body means."""
        if isinstance(error, WorkStopped):
            return Stopped(self.id)
        if isinstance(error, Unanswered):
            self.question = error.asked
            return Asked(self.id)
        self.context.log.debug("failed", exc_info=error)
        final = isinstance(error, BadInput | DataCorrupt | SystemExit | Fault)  # a model was tried often enough
        return Failed(self.id, self._sentence(error, limit), final=final)

    def _sentence(self, error: BaseException, limit: asyncio.Timeout) -> str:
        if isinstance(error, TimeoutError) and limit.expired():
            return f"it took longer than its limit of {self.spec['timeout_s']} s"
        if isinstance(error, TimeoutError) and self.context.was_idle:
            return f"it did nothing for its limit of {self.spec['idle_timeout_s']} s"
        if isinstance(error, SystemExit):
            return f"it called exit({error.code}), which a body may not"
        text = str(error) if isinstance(error, HoldfastError | Fault) else f"{type(error).__name__}: {error}"
        return _SECRET.sub("…", text)[:MOST]


class Durable:
    """The effects of one subtask, each committed under the runner's lease when its call returns."""

    def __init__(
        self, services: Services, lease: Lease, task: TaskRow, subtask: str, recorded: Recorded | None = None
    ) -> None:
        known = recorded or Recorded({}, {}, {})
        self.recorded, self.answers, self.uncertain = known.steps, known.answers, known.begun
        self._services, self._lease, self._task, self._subtask = services, lease, task, subtask

    async def begin_step(self, name: str) -> None:
        """Commits that the step begins; raises WorkStopped if the task was stopped before."""
        now, task, subtask = self._services.clock(), self._lease.task, self._subtask

        def begin(db: Any) -> bool:
            if not subtasks.may_step(db, task, subtask):
                return False
            subtasks.begin_step(db, task, subtask, name, now)
            events.append(db, task, [News("step.started", subtask, {"step": name})], now)
            return True

        if not await self._services.database.awrite(begin, self._lease):
            raise WorkStopped

    async def end_step(self, name: str, value: Any) -> Any:
        """Commits the step's value and returns it as it was stored."""
        body = require_json(value, f"the value of step {name!r}")
        now, task, subtask = self._services.clock(), self._lease.task, self._subtask

        def end(db: Any) -> None:
            subtasks.end_step(db, task, subtask, name, body, now)
            events.append(db, task, [News("step.completed", subtask, {"step": name})], now)

        await self._services.database.awrite(end, self._lease)
        self.recorded[name] = json.loads(body)
        return self.recorded[name]

    def known_step(self, name: str) -> str:
        """The name under which a step is recorded."""
        return name

    async def store(self, data: bytes | Path) -> str:
        """Stores content; returns its sha256."""
        return (await asyncio.to_thread(self._services.database.files.put, data))[0]

    def stored(self, sha256: str) -> Path:
        """Where the content lies."""
        return self._services.database.files.path(sha256)

    async def artifact(self, name: str, data: bytes | Path, media_type: str | None) -> Artifact:
        """Stores the content, writes it to the task's output folder if it has one, and records it."""
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise BadInput(f"the artifact name {name!r} has to be a relative path inside the output folder")
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
            raise BadInput(f"the artifact name {name!r} has a character that no file name may have; leave it out")
        files, out = self._services.database.files, self._task.options.get("out")

        def keep() -> ArtifactRow:
            sha256, size = files.put(data)
            path = hand_out(Path(out), str(relative), data) if out else files.path(sha256)
            kind = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
            return ArtifactRow(name, kind, str(path), sha256, size)

        row = await asyncio.to_thread(keep)
        now = self._services.clock()

        def record(db: Any) -> None:
            tasks.add_artifact(db, self._lease.task, row)
            news = News("artifact.added", self._subtask, asdict(row))
            events.append(db, self._lease.task, [news], now)

        await self._services.database.awrite(record, self._lease)
        return Artifact(name=row.name, media_type=row.media_type, path=row.path, sha256=row.sha256, bytes=row.bytes)

    def progress(self, done: float, total: float) -> None:
        """Tells listeners, now."""
        self._services.tell(self._task.id, self._subtask, "progress", {"done": done, "total": total})

    async def messages(self) -> list[str]:
        """The text of the user's messages after the one that began the task."""
        task = self._lease.task
        said = await self._services.database.aread(lambda db: messages.load(db, task, after=messages.FIRST))
        return [one.text for one in said if one.role == "user" and one.text]

    async def record(self) -> Record:
        """Plan, answers and history, read in one look."""
        task, task_id = self._lease.task, self._task.id

        def read(db: Any) -> Record:
            rows = subtasks.load(db, task)
            answers = {row.id: questions.answers(db, task, row.id) for row in rows}
            return Record(
                plan=[{**row.spec, "state": row.state.value} for row in rows],
                answers={subtask: given for subtask, given in answers.items() if given},
                events=[event.to_json() for event in events.read(db, task_id, limit=-1)],
            )

        return await self._services.database.aread(read)


class Undoing(Durable):
    """The effects of a compensation: its steps have names of their own, and only a hand-over stops them."""

    async def begin_step(self, name: str) -> None:
        """Commits that the step begins; raises HandedOver if this runner leaves the rest to another."""
        if self._services.leaving:
            raise HandedOver(self._task.id)
        now, task, subtask = self._services.clock(), self._lease.task, self._subtask

        def begin(db: Any) -> None:
            subtasks.begin_step(db, task, subtask, self.known_step(name), now)
            events.append(db, task, [News("step.started", subtask, {"step": self.known_step(name)})], now)

        await self._services.database.awrite(begin, self._lease)

    async def end_step(self, name: str, value: Any) -> Any:
        return await super().end_step(self.known_step(name), value)

    def known_step(self, name: str) -> str:
        return f"@undo {name}".strip()


async def recorded(services: Services, task: int, subtask: str) -> Recorded:
    """What is on disk of a subtask that ran before: the values of its steps, and the answers to its questions."""

    def read(db: Any) -> Recorded:
        steps = {name: json.loads(results.get(db, number)) for name, number in subtasks.steps(db, task, subtask)}
        return Recorded(steps, questions.answers(db, task, subtask), subtasks.begun(db, task, subtask))

    return await services.database.aread(read)
