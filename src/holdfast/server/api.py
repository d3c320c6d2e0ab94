"""The JSON routes under /api: what the command line does to a task and A2A has no method for.

``docs/http-api.md`` describes them.  A task is named by its id or a unique prefix of it, among the caller's own tasks.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial, wraps
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from a2a.server.routes.common import create_event_source_response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.a2a.errors import INSIDE
from holdfast.a2a.extension import time_of
from holdfast.a2a.handler import Desk
from holdfast.a2a.reading import Readable, edit_named, named
from holdfast.a2a.routes import handed_out
from holdfast.checkpoints import errors, events, questions, tasks
from holdfast.checkpoints.events import Event
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.graphs import exchange
from holdfast.graphs.live import Live
from holdfast.graphs.standing import plan_file, standing
from holdfast.graphs.task import Task, snapshot

log = logging.getLogger("holdfast.server")
API = "/api/tasks"
PAGE, LONGEST_PAGE = 100, 1000  # tasks
LONGEST_WAIT = 25.0  # seconds for which a request may wait for an event
STATUS: Mapping[type[Exception], int] = {
    errors.UnknownTask: 404,
    errors.UnknownSubtask: 404,
    errors.UnknownQuestion: 404,
    errors.IllegalMove: 409,
    errors.SwitchedOff: 409,
    errors.LeaseHeld: 409,
    errors.MissingTypes: 409,
    errors.AlreadyAnswered: 409,
    errors.AmbiguousTask: 400,
    errors.BadInput: 400,
    errors.InvalidAnswer: 422,
    errors.StoreError: 503,
}
Handle = Callable[[Request], Awaitable[Response]]
Mode = Literal["now", "step", "drain"]
Reason = Annotated[str, Field(max_length=1000)]


class Body(BaseModel):
    """What a request may carry; other fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


Given = TypeVar("Given", bound=Body)


def _until(value: Any) -> datetime | None:
    try:
        return None if value is None else time_of(value)
    except errors.BadInput as error:
        raise PydanticCustomError("time", str(error).removeprefix("until ")) from None


class Pause(Body):
    """How a task is paused."""

    mode: Mode = "step"
    reason: Reason | None = None
    until: Annotated[datetime | None, PlainValidator(_until)] = None


class Hold(Body):
    """Which subtask is held, and how."""

    subtask: str
    mode: Mode = "step"
    reason: Reason | None = None


class One(Body):
    """Which subtask."""

    subtask: str


class Answers(Body):
    """Answers by the ids of their questions."""

    answers: dict[str, JsonValue] = Field(min_length=1)


class Cancel(Body):
    """How a task is canceled."""

    rollback: bool = False


class Listing(Body):
    """Which tasks are listed."""

    model_config = ConfigDict(extra="ignore", strict=False)
    state: TaskState | None = None
    limit: int = Field(PAGE, ge=1, le=LONGEST_PAGE)
    before: str | None = None


class Following(Body):
    """Which events are told, and how long to wait for one."""

    model_config = ConfigDict(extra="ignore", strict=False)
    after: int = Field(0, ge=0, lt=2**62)
    wait: float = Field(0.0, ge=0, le=LONGEST_WAIT)


def api(desk: Desk) -> list[BaseRoute]:
    """All routes under /api."""
    told = _Told(desk)
    moves: list[tuple[str, Callable[[_Told, Request, str], Awaitable[Any]]]] = [
        ("pause", _pause),
        ("resume", _resume),
        ("answer", _answer),
        ("cancel", _cancel),
        ("hold", _hold),
        ("release", _release),
        ("skip", _skip),
        ("retry", _retry),
    ]
    return [
        Route(API, _sentence(told.listed)),
        Route(f"{API}/{{task}}", _sentence(told.show)),
        Route(f"{API}/{{task}}/events", _sentence(told.events)),
        Route(f"{API}/{{task}}/live", _sentence(told.live)),
        Route(f"{API}/{{task}}/plan", _sentence(told.plan)),
        Route(f"{API}/{{task}}/standing", _sentence(told.standing)),
        Route(f"{API}/{{task}}/explain", _sentence(told.explain)),
        Route(f"{API}/{{task}}/questions/{{question:path}}", _sentence(told.question)),
        Route(f"{API}/{{task}}/artifacts/{{name:path}}", _sentence(told.artifact)),
        *(
            Route(f"{API}/{{task}}/{name}", _sentence(partial(told.moved, act)), methods=["POST"])
            for name, act in moves
        ),
    ]


class _Told:
    """What is answered; each method may raise any of ``STATUS``."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.hf = desk, desk.hf

    async def listed(self, request: Request) -> Response:
        """``GET /api/tasks``."""
        which, owner, database = _query(Listing, request), _owner(request), self.hf.database

        def read(db: Any) -> tuple[list[Task], int]:
            before = tasks.resolve(db, which.before, owner) if which.before else None
            rows = tasks.newest(db, which.state, which.limit, owner=owner, before=before)
            return [snapshot(database, db, row.id) for row in rows], tasks.count(db, which.state, owner)

        found, total = await database.aread(read)
        return await self._json(lambda: {"tasks": [_task(one, request) for one in found], "total": total})

    async def show(self, request: Request) -> Response:
        """``GET /api/tasks/{task}``."""
        return await self._shown(request, await self.found(request))

    async def events(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/events``."""
        task_id, which = await self.found(request), _query(Following, request)
        read = partial(events.read, task_id=task_id, after=which.after)
        batch = await self.hf.database.aread(read)
        if not batch and which.wait and (await self.hf.services.task(task_id)).state not in TERMINAL:
            try:
                async with asyncio.timeout(which.wait):
                    await self.hf.feed.changed(task_id, which.after)
            except TimeoutError:
                pass
            batch = await self.hf.database.aread(read)
        return await self._json(lambda: [_event(one, request) for one in batch])

    async def live(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/live``: server-sent events."""
        return create_event_source_response(self._live(await self.found(request)))

    async def _live(self, task_id: str) -> AsyncIterator[dict[str, str]]:
        with Live(self.hf, task_id) as live:
            while (row := await self.hf.services.task(task_id)).state not in TERMINAL:
                for news in live.take():
                    yield {"data": json.dumps(news, ensure_ascii=False)}
                await live.something(self.hf.feed.changed(task_id, row.last_seq))

    async def plan(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/plan``."""
        task_id = await self.found(request)
        made = await self.hf.database.aread(lambda db: plan_file(db, task_id))
        readable = await self._readable(task_id)
        return await self._json(lambda: named(made, readable, self.hf.services.registry))

    async def standing(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/standing``."""
        task_id, database = await self.found(request), self.hf.database
        made = await database.aread(lambda db: standing(database, db, task_id))
        readable = await self._readable(task_id)

        def tell() -> dict[str, Any]:
            told = exchange.standing_json(made)
            return {**told, "answered": [self._question(one, readable) for one in made.answered]}

        return await self._json(tell)

    async def explain(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/explain``."""
        made = await self.hf.explain(await self.found(request))
        return await self._json(made.to_json)

    async def question(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/questions/{question}``."""
        task_id, named = await self.found(request), request.path_params["question"]
        read = self.hf.database.aread
        made = await read(lambda db: questions.find(db, tasks.get(db, task_id).number, named))
        readable = await self._readable(task_id)
        return await self._json(lambda: self._question(made, readable))

    async def artifact(self, request: Request) -> Response:
        """``GET /api/tasks/{task}/artifacts/{name}``: its bytes."""
        return await handed_out(self.hf, await self.found(request), request.path_params["name"])

    async def moved(self, act: Callable[[_Told, Request, str], Awaitable[Any]], request: Request) -> Response:
        """``POST /api/tasks/{task}/…``: does it, and answers with the task as it is then."""
        task_id = await self.found(request)
        await act(self, request, task_id)
        return await self._shown(request, task_id)

    async def found(self, request: Request) -> str:
        """The id of the caller's task that the request names; raises UnknownTask or AmbiguousTask."""
        owner, named = _owner(request), request.path_params["task"]
        return await self.hf.database.aread(lambda db: tasks.resolve(db, named, owner))

    async def _readable(self, task_id: str) -> Readable:
        """The files that the client of a task may name."""
        return self.desk.readable(task_id, (await self.hf.services.task(task_id)).options.get("data", ()))

    def _question(self, question: Question, readable: Readable) -> dict[str, Any]:
        told = exchange.question_json(question)
        return {**told, "answer": edit_named(told["answer"], readable, self.hf.services.registry)}

    async def _shown(self, request: Request, task_id: str) -> Response:
        task = await self.hf.get(task_id)
        return await self._json(lambda: _task(task, request))

    async def _json(self, make: Callable[[], Any]) -> Response:
        """An answer that may be large: it is made off the event loop."""
        return await asyncio.to_thread(lambda: JSONResponse(make()))


async def _pause(told: _Told, request: Request, task_id: str) -> None:
    body = await _read(Pause, request)
    await told.hf.pause(task_id, mode=body.mode, reason=body.reason, until=body.until)


async def _resume(told: _Told, request: Request, task_id: str) -> None:
    await _read(Body, request)
    await told.hf.resume(task_id)


async def _answer(told: _Told, request: Request, task_id: str) -> None:
    body = await _read(Answers, request)
    await told.desk.answer(await told.hf.services.task(task_id), body.answers)


async def _cancel(told: _Told, request: Request, task_id: str) -> None:
    await told.hf.cancel(task_id, rollback=(await _read(Cancel, request)).rollback)


async def _hold(told: _Told, request: Request, task_id: str) -> None:
    body = await _read(Hold, request)
    await told.hf.hold(task_id, body.subtask, mode=body.mode, reason=body.reason)


async def _release(told: _Told, request: Request, task_id: str) -> None:
    await told.hf.release(task_id, (await _read(One, request)).subtask)


async def _skip(told: _Told, request: Request, task_id: str) -> None:
    await told.hf.skip(task_id, (await _read(One, request)).subtask)


async def _retry(told: _Told, request: Request, task_id: str) -> None:
    await told.hf.retry(task_id, (await _read(One, request)).subtask)


def _sentence(handle: Handle) -> Handle:
    """Answers with a sentence for what is raised; what is not in ``STATUS`` is our fault, and says nothing of it."""

    @wraps(handle)
    async def answered(request: Request) -> Response:
        try:
            return await handle(request)
        except ValidationError as error:
            return _refusal(*_misfit(error))
        except Exception as error:
            status = next((STATUS[one] for one in type(error).__mro__ if one in STATUS), 500)
            if status < 500:
                return _refusal(status, str(error))
            log.exception("a request broke off")
            return _refusal(status, INSIDE)

    return answered


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def _misfit(error: ValidationError) -> tuple[int, str]:
    """Status and sentence for a body or a query that is not as it has to be."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return 400, "the body is not JSON; send an object, or nothing"
    where = ".".join(str(part) for part in first["loc"])
    reason = first["msg"][:1].lower() + first["msg"][1:]
    return 422, f"{where}: {reason}" if where else f"the body does not fit: {reason}"


def _owner(request: Request) -> str:
    return request.user.display_name if "user" in request.scope else ""


async def _read(kind: type[Given], request: Request) -> Given:
    return kind.model_validate_json(await request.body() or b"{}")


def _query(kind: type[Given], request: Request) -> Given:
    return kind.model_validate(dict(request.query_params))


def _task(task: Task, request: Request) -> dict[str, Any]:
    """The task as it is told; an artifact's path is its URL here, not where it lies on the server's disk."""
    made = exchange.task_json(task)
    for one in made["artifacts"]:
        one["path"] = _url(request, task.id, one["name"])
    return made


def _event(event: Event, request: Request) -> dict[str, Any]:
    made = event.to_json()
    if "path" in event.data and "sha256" in event.data:
        made["data"] = {**event.data, "path": _url(request, event.task, event.data["name"])}
    return made


def _url(request: Request, task_id: str, name: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{API}/{task_id}/artifacts/{quote(name)}"
