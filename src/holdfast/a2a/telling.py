"""A task's stored events as the updates that a stream sends; the same events give the same updates to everybody.

What a model writes is told too while it writes, a few times a second, to whoever listens then; it is stored nowhere.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from a2a.types import a2a_pb2 as pb

from holdfast.a2a import wire
from holdfast.a2a.extension import paused
from holdfast.checkpoints import messages, questions
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs.holdfast import Holdfast
from holdfast.graphs.view import View, in_flight, last_results

Update = pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent
TOLD = frozenset({"question.asked", "question.answered", "task.message", "artifact.added"})


@dataclass(slots=True)
class Teller:
    """Follows one task from a snapshot on; remembers where it stands, because an event tells only what changed."""

    hf: Holdfast
    task: View
    state: TaskState
    begun: bool
    stops: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, hf: Holdfast, seen: View) -> Teller:
        """Begins where the snapshot stands."""
        return cls(hf, seen, seen.row.state, seen.begun, seen.row.stops)

    async def tell(self, event: Event) -> AsyncIterator[Update]:
        """The updates for one event, in order; none for what is of no concern to a client."""
        if event.type == "artifact.added":
            row = ArtifactRow(**{key: event.data[key] for key in ArtifactRow.__slots__})
            parts = wire.chunks(row, self.hf.database.files)
            while part := await asyncio.to_thread(next, parts, None):  # one at a time: the file may be large
                yield self._artifact(event, *part)
            return
        about = event.type.partition(".")[0]
        if event.type == "control" and self._stopped_otherwise(event):
            pass
        elif about == "task" and event.type != "task.message":
            self._move(event)
            if self.state == TaskState.COMPLETED:
                async for update in self._results(event):
                    yield update
        elif about != "subtask" and event.type not in TOLD:
            return
        yield await self._status(event)

    def _move(self, event: Event) -> None:
        self.state = TaskState(event.type.removeprefix("task.").upper())
        self.begun = self.begun or self.state != TaskState.PAUSED
        self.stops = {}
        if self.state == TaskState.PAUSED:
            self.stops = {event.data.get("by", "person"): _stop(event)}

    def _stopped_otherwise(self, event: Event) -> bool:
        """Whether this changes who keeps a paused task paused, how or until when."""
        do, who = event.data.get("do"), event.data.get("by")
        if self.state != TaskState.PAUSED or event.subtask or not who or do not in ("pause", "resume"):
            return False
        others = {name: stop for name, stop in self.stops.items() if name != who}
        self.stops = {**self.stops, who: _stop(event, self.stops.get(who))} if do == "pause" else others
        return bool(self.stops)

    def live(self, subtask: str, text: str, seq: int) -> pb.TaskStatusUpdateEvent:
        """A piece of what a model writes for a subtask now; ``seq`` is the last event that was told."""
        row = self.task.row
        said = pb.Message(
            message_id=str(uuid.uuid4()),
            task_id=row.id,
            context_id=row.context_id,
            role=pb.Role.ROLE_AGENT,
            parts=[pb.Part(text=text)],
        )
        return pb.TaskStatusUpdateEvent(
            task_id=row.id,
            context_id=row.context_id,
            status=wire.timestamped(wire.state(self.state, begun=self.begun), datetime.now(UTC), said),
            metadata=wire.metadata(seq, None, subtask=subtask, event="token"),
        )

    async def _status(self, event: Event) -> pb.TaskStatusUpdateEvent:
        row = self.task.row
        said, about = await self._said(event), {"subtask": event.subtask, "event": event.type} if event.subtask else {}
        stopped = None
        if self.state == TaskState.PAUSED:
            read = self.hf.database.aread
            stopped = paused(self.stops, await read(lambda db: in_flight(self.hf.database, db, row)))
        return pb.TaskStatusUpdateEvent(
            task_id=row.id,
            context_id=row.context_id,
            status=wire.timestamped(wire.state(self.state, begun=self.begun), event.at, said),
            metadata=wire.metadata(event.seq, stopped, **about),
        )

    async def _said(self, event: Event) -> pb.Message | None:
        """What the agent says with this event: a question, all that are open, its own message, or why it failed."""
        row, read = self.task.row, self.hf.database.aread
        if event.type == "question.asked":
            asked = await read(partial(questions.find, task=row.number, question=event.data["question"]))
            return wire.asked([asked], row.id, row.context_id)
        if ids := event.data.get("questions"):
            waiting = [one for one in await read(partial(questions.load, task=row.number)) if one.id in ids]
            return wire.asked(waiting, row.id, row.context_id)
        if event.type == "task.message" and event.data["role"] == "agent":
            found = await read(partial(messages.get, task=row.number, message=event.data["message"]))
            return wire.message(found, row.id, row.context_id) if found else None
        if self.state in TERMINAL and event.data.get("error"):
            return wire.failed(event.data["error"], row.id, row.context_id)
        return None

    async def _results(self, event: Event) -> AsyncIterator[Update]:
        given = await self.hf.database.aread(lambda db: last_results(db, self.task.row.number))
        if given:
            yield self._artifact(event, await asyncio.to_thread(wire.results, given), False, True)

    def _artifact(self, event: Event, artifact: pb.Artifact, append: bool, last: bool) -> pb.TaskArtifactUpdateEvent:
        return pb.TaskArtifactUpdateEvent(
            task_id=self.task.row.id,
            context_id=self.task.row.context_id,
            artifact=artifact,
            append=append,
            last_chunk=last,
            metadata=wire.metadata(event.seq, None),
        )


def _stop(event: Event, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stop that an event tells of; one that only changes began when it was first told."""
    at = (known or {}).get("at", event.at.timestamp())
    return {"reason": event.data.get("reason"), "until": event.data.get("until"), "at": at}
