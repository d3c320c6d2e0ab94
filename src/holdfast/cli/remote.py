"""A server in the place of a database: the same reads, changes and runs, over HTTP.

``Remote`` asks the server; ``RemoteStore`` stands where commands have a ``Store``, and ``Runner`` where a run in the
foreground has ``Holdfast``.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx

from holdfast.a2a.key import HEADER, own_key
from holdfast.checkpoints.errors import BadInput, HoldfastError, IllegalMove, StoreError, UnknownTask
from holdfast.checkpoints.events import Event, timestamp
from holdfast.checkpoints.files import draft_name
from holdfast.checkpoints.questions import Question
from holdfast.checkpoints.states import TERMINAL, TaskState
from holdfast.checkpoints.tasks import ArtifactRow
from holdfast.graphs import exchange
from holdfast.graphs.standing import Standing
from holdfast.graphs.task import Task

if TYPE_CHECKING:
    from holdfast.graphs.explain import Explanation

API = "/api/tasks"
PAGE = 100
SOON, LATER = 0.25, 20.0  # seconds for which the server is asked to wait for an event
ANSWER_SECONDS = 30.0
PATIENCE_SECONDS = 30.0  # for which a lost server is looked for again
AGAIN_SECONDS = 0.25
BODY_BYTES = 2 << 20  # what a server takes in one message
LARGEST_FILES = BODY_BYTES // 4 * 3 - 16 * 1024  # of data: they are sent in base64, with a head
ON_SERVER = "server:"  # begins the name of a data file that the server has
CHUNK = 1 << 18
_ID = re.compile(r"[\w~-][\w.~-]*", re.ASCII)
Answer = TypeVar("Answer")


class Unreachable(StoreError):
    """The server does not answer, or not now."""


class Conflict(IllegalMove):
    """The server refuses a move that the task's state does not allow; the sentence is the server's."""

    def __init__(self, sentence: str) -> None:
        HoldfastError.__init__(self, sentence)


class Remote:
    """Asks one server; raises BadInput for a URL that is none."""

    def __init__(self, url: str) -> None:
        self.url, self._key = _checked(url), own_key()
        self._http = httpx.AsyncClient(
            headers={HEADER: self._key} if self._key else {},
            timeout=httpx.Timeout(ANSWER_SECONDS, read=LATER + ANSWER_SECONDS),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def resolve(self, task: str) -> str:
        """The full id."""
        return (await self.get(task)).id

    async def get(self, task: str) -> Task:
        """The task as it is now."""
        return await self._get(_path(task), exchange.task_of)

    async def newest(self, state: TaskState | None = None, limit: int | None = None) -> list[Task]:
        """Tasks, newest first."""
        found = list[Task]()
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            page = await self._get(API, _tasks, state=state, limit=size, before=found[-1].id if found else None)
            found += page
            if len(page) < size:
                break
        return found

    async def count(self, state: TaskState | None = None) -> int:
        """How many tasks there are."""
        return await self._get(API, lambda told: int(told["total"]), state=state, limit=1)

    async def standing(self, task: str) -> Standing:
        """What a page shows beyond the task."""
        return await self._get(f"{_path(task)}/standing", exchange.standing_of)

    async def plan(self, task: str) -> dict[str, Any]:
        """The plan, as a plan file has it."""
        return await self._get(f"{_path(task)}/plan", lambda told: {"subtasks": told["subtasks"]})

    async def explain(self, task: str) -> Explanation:
        """What a resume would do there."""
        return await self._get(f"{_path(task)}/explain", exchange.explanation_of)

    async def question(self, task: str, question: str) -> Question:
        """A question, open or answered."""
        return await self._get(f"{_path(task)}/questions/{quote(question, safe='')}", exchange.question_of)

    async def change(self, task: str, act: str, how: Mapping[str, Any]) -> Task:
        """Does what the function ``act`` of checkpoints.control does; returns the task as it is then."""
        body = {name: value for name, value in how.items() if value is not None}
        if act == "answer":
            body = {"answers": {how["question_id"]: how["value"]}}
        elif "until" in body:
            body["until"] = timestamp(datetime.fromtimestamp(body["until"], UTC))
        request = self._http.build_request("POST", f"{self.url}{_path(task)}/{act}", json=body)
        return self._made(await self._ask(request), exchange.task_of)

    async def told(self, task: str, after: int, wait: float) -> list[Event]:
        """The next events; if there are none, the server waits so long for one."""
        return await self._get(f"{_path(task)}/events", exchange.events_of, after=after, wait=wait)

    async def following(
        self, task: str, after: int = 0, away: Callable[[bool], None] = lambda away: None
    ) -> AsyncIterator[Event | Task]:
        """The history until the task has ended, and the task itself whenever nothing comes.

        A lost server is looked for again, so none is lost and none is told twice; raises Unreachable if it stays away.
        ``away`` is called whenever it is lost or back.
        """
        wait, until, lost = SOON, time.monotonic() + PATIENCE_SECONDS, False
        while True:
            try:
                batch = await self.told(task, after, wait)
                known = None if batch else await self.get(task)
            except Unreachable:
                if time.monotonic() > until:
                    raise
                if not lost:
                    away(lost := True)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if lost:
                away(lost := False)
            until = time.monotonic() + PATIENCE_SECONDS
            for event in batch:
                yield event
                after = event.seq
            if known:
                yield known
                if known.state in TERMINAL and known.last_seq <= after:
                    return
            wait = LATER if known and not (known.in_flight and known.state != TaskState.WORKING) else SOON

    async def content(self, task: str, row: ArtifactRow) -> AsyncIterator[bytes]:
        """An artifact's bytes; raises HoldfastError, at the end if they are not what they should be."""
        digest = hashlib.sha256()
        request = self._http.build_request("GET", f"{self.url}{_path(task)}/artifacts/{quote(row.name)}")
        async for chunk in self._chunks(request):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != row.sha256:
            raise HoldfastError(f"{row.name} did not come whole")

    async def start(self, goal: str, how: Mapping[str, Any]) -> str:
        """Begins a task as ``Holdfast.start`` does, with the data files sent along; returns its id."""
        try:
            from holdfast.a2a.client import connect
        except ModuleNotFoundError as error:
            raise BadInput(
                f"to run on a server takes the package {error.name}; install it with: pip install 'holdfast[serve]'"
            ) from None
        from a2a.utils.errors import A2AError

        named, files = _data(how["data"])
        options = {name: how[name] for name in ("workers", "on_question", "on_failure", "approve", "yes", "budget")}
        options = {name: value for name, value in options.items() if value not in (None, False)}
        said = {
            "plan": how["plan"] and how["plan"].model_dump(),
            "options": options | ({"data": named} if named else {}),
            "files": files,
            "references": [how["reuse"]] if how["reuse"] else [],
        }
        try:
            async with connect(self.url, self._key) as agent:
                return (await agent.send(goal, wait=False, **said)).id
        except A2AError as error:
            raise self._translated(error) from None

    async def server(self, path: str) -> httpx.Response:
        """Any answer at a path, whatever its status; raises Unreachable."""
        try:
            return await self._http.get(f"{self.url}{path}")
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    async def _get(self, path: str, make: Callable[[Any], Answer], **query: Any) -> Answer:
        given = {name: value for name, value in query.items() if value is not None}
        return self._made(await self._ask(self._http.build_request("GET", f"{self.url}{path}", params=given)), make)

    def _made(self, response: httpx.Response, make: Callable[[Any], Answer]) -> Answer:
        """What ``make`` makes of an answer; raises BadInput if it is no answer of ours."""
        try:
            return make(response.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._foreign() from None

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            raise self._lost(error) from None
        if not response.is_success:
            raise self._refused(response)
        return response

    async def _chunks(self, request: httpx.Request) -> AsyncIterator[bytes]:
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise self._refused(response)
                async for chunk in response.aiter_bytes(CHUNK):
                    yield chunk
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def _translated(self, error: Exception) -> HoldfastError:
        """What the SDK's client raised."""
        if isinstance(error.__cause__, httpx.HTTPStatusError):
            return self._refused(error.__cause__.response)
        if isinstance(error.__cause__, httpx.HTTPError):
            return self._lost(error.__cause__)
        return BadInput(getattr(error, "message", None) or str(error))

    def _refused(self, response: httpx.Response) -> HoldfastError:
        """The error that the server's refusal stands for; its sentence is the server's."""
        with suppress(httpx.ResponseNotRead):
            sentence = _sentence(response)
        match response.status_code:
            case 401:
                why = "does not know the key in HOLDFAST_API_KEY" if self._key else "asks for a key"
                return BadInput(f"the server at {self.url} {why}; set HOLDFAST_API_KEY to one that it knows")
            case 409 if sentence:
                return Conflict(sentence)
            case 404 if sentence:
                return HoldfastError(sentence)
            case 429 | 500 | 502 | 503 | 504:
                return Unreachable(f"the server at {self.url} cannot do it now ({sentence or response.reason_phrase})")
        return BadInput(sentence) if sentence else self._foreign()

    def _lost(self, error: httpx.HTTPError) -> Unreachable:
        reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or "connection lost"
        return Unreachable(
            f"the server at {self.url} cannot be reached ({reason.lower()}); start it with `holdfast serve`, "
            "or check the URL"
        )

    def _foreign(self) -> HoldfastError:
        return BadInput(f"what answers at {self.url} is no Holdfast server; check the URL")


class RemoteStore:
    """As ``store.Store`` for commands that are no coroutines."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.remote = Remote(url)

    def close(self) -> None:
        """Closes the connections."""
        self.run(self.remote.close())
        self._runner.close()

    def run(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for an answer."""
        return self._runner.run(asked)

    def resolve(self, task: str) -> str:
        """The full id."""
        return self.run(self.remote.resolve(task))

    def get(self, task: str) -> Task:
        """The task as it is now."""
        return self.run(self.remote.get(task))

    def newest(self, state: TaskState | None = None, limit: int | None = None) -> list[Task]:
        """Tasks, newest first."""
        return self.run(self.remote.newest(state, limit))

    def count(self, state: TaskState | None = None) -> int:
        """How many tasks there are."""
        return self.run(self.remote.count(state))

    def standing(self, task: str) -> Standing:
        """What a page shows beyond the task."""
        return self.run(self.remote.standing(task))

    def plan(self, task: str) -> dict[str, Any]:
        """The plan, as a plan file has it."""
        return self.run(self.remote.plan(task))

    def explain(self, task: str) -> Explanation:
        """What a resume would do there."""
        return self.run(self.remote.explain(task))

    def question(self, task: str, question: str) -> Question:
        """A question, open or answered."""
        return self.run(self.remote.question(task, question))

    def change(self, task: str, act: Callable[..., Any], **how: Any) -> Task:
        """Has the server do ``act`` of checkpoints.control; each has a route of its name."""
        return self.run(self.remote.change(task, act.__name__, how))

    def events(
        self, task: str, after: int = 0, *, follow: bool = False, waits: Callable[[TaskState], None] | None = None
    ) -> Iterator[Event]:
        """The history; with ``follow`` until the task has ended.  ``waits`` is called while nothing comes."""
        while not follow and (batch := self.run(self.remote.told(task, after, 0))):
            yield from batch
            after = batch[-1].seq
        if not follow:
            return
        news = self.remote.following(task, after)
        while (told := self.run(_next(news))) is not None:
            if isinstance(told, Event):
                yield told
            elif waits and told.state not in TERMINAL:
                waits(told.state)

    def fetched(self, task: Task, folder: Path) -> Task:
        """Brings a task's artifacts into ``folder``; returns the task with the paths that they have there.

        Each is whole or not there; raises HoldfastError for the first that cannot be brought.
        """
        rows = []
        for row in task.artifacts:
            path = folder / _inside(row.name)
            try:
                self._fetch(task.id, row, path)
            except (HoldfastError, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                raise HoldfastError(
                    f"{row.name} could not be brought to {folder} ({reason}); it is at {row.path}"
                ) from None
            rows.append(replace(row, path=str(path)))
        return replace(task, artifacts=rows)

    def _fetch(self, task: str, row: ArtifactRow, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{draft_name(path.name)}.{uuid.uuid4().hex[:8]}")
        try:
            with draft.open("xb") as file:
                chunks = self.remote.content(task, row)
                while (chunk := self.run(_next(chunks))) is not None:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


class Runner:
    """As ``Holdfast`` for a run in the foreground: the server works, and is told what the person wants."""

    def __init__(self, url: str) -> None:
        self._remote = Remote(url)
        self._working = False
        self._listeners: list[Callable[[dict[str, Any]], None]] = []

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._remote.close()

    async def start(self, goal: str, **how: Any) -> Task:
        """Begins a task there."""
        return await self.get(await self._remote.start(goal, how))

    async def get(self, task_id: str) -> Task:
        """The task as it is now."""
        return self._noted(await self._remote.get(task_id))

    async def pause(self, task_id: str, *, mode: str = "step", reason: str | None = None) -> Task:
        """Pauses it."""
        return self._noted(await self._remote.change(task_id, "pause", {"mode": mode, "reason": reason}))

    async def resume(self, task_id: str) -> Task:
        """Resumes it; one at work goes on."""
        return self._noted(await self._remote.change(task_id, "resume", {}))

    async def answer(self, task_id: str, question: str, value: Any) -> Task:
        """Answers a question."""
        return self._noted(await self._remote.change(task_id, "answer", {"question_id": question, "value": value}))

    async def cancel(self, task_id: str, *, rollback: bool = False) -> Task:
        """Cancels it."""
        return self._noted(await self._remote.change(task_id, "cancel", {"rollback": rollback}))

    async def wait(self, task_id: str, *, until: Collection[TaskState]) -> Task:
        """Waits until its state is in ``until``."""
        task = await self.get(task_id)
        if task.state in until:
            return task
        async for told in self._remote.following(task_id, task.last_seq):
            if isinstance(told, Task) and self._noted(told).state in until:
                return told
        return await self.get(task_id)

    async def events(self, task_id: str) -> AsyncIterator[Event]:
        """Its history until it has ended."""
        async for told in self._remote.following(task_id, away=self._tell):
            if isinstance(told, Event):
                yield told
            else:
                self._noted(told)

    def working_on(self, task_id: str) -> bool:
        """Whether the server is at work on it, or should be, as far as was told last."""
        return self._working

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """``listener`` is told when the server is lost and when it is back; progress only where a subtask runs."""
        self._listeners.append(listener)

    def _tell(self, away: bool) -> None:
        for listener in self._listeners:
            listener({"type": "server.lost" if away else "server.back", "data": {"seconds": PATIENCE_SECONDS}})

    def _noted(self, task: Task) -> Task:
        self._working = task.state in (TaskState.SUBMITTED, TaskState.WORKING) or bool(task.in_flight)
        return task


async def _next(news: AsyncIterator[Answer]) -> Answer | None:
    return await anext(news, None)


def _tasks(told: Any) -> list[Task]:
    return [exchange.task_of(one) for one in told["tasks"]]


def _checked(url: str) -> str:
    """A server's URL without a slash at its end; raises BadInput if it is none."""
    with suppress(httpx.InvalidURL):
        at = httpx.URL(url)
        named = at.scheme in ("http", "https") and at.host and (at.port or 1) < 1 << 16
        if named and not (at.userinfo or at.query or at.fragment):
            return url.rstrip("/")
    raise BadInput(
        f"a server is named by its URL, such as http://127.0.0.1:8420, not {url.rpartition('@')[2]!r}; a key is "
        "given in HOLDFAST_API_KEY"
    )


def _path(task: str) -> str:
    """Where a task is told; raises UnknownTask for what cannot be an id."""
    if not _ID.fullmatch(task):
        raise UnknownTask(task)
    return f"{API}/{task}"


def _sentence(response: httpx.Response) -> str | None:
    """What a refusal says, if it is in our words."""
    try:
        said = response.json()["error"]
        return str(said["message"] if isinstance(said, dict) else said)
    except (ValueError, TypeError, KeyError):
        return None


def _data(given: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Names of files that the server has, and files that are to be sent; raises BadInput if they are too large."""
    named = [one.removeprefix(ON_SERVER) for one in given if one.startswith(ON_SERVER)]
    here = [one for one in given if not one.startswith(ON_SERVER)]
    if not here:
        return named, []
    from holdfast.nodes.data.sources import find_sources

    files = [source.path for source in find_sources(here)]
    if (size := sum(path.stat().st_size for path in files)) > LARGEST_FILES:
        raise BadInput(
            f"the data has {size:,} bytes, and a server takes files of {LARGEST_FILES:,} bytes all together; put it "
            f"into a folder there that it serves with `holdfast serve --data DIR`, and name it: --data {ON_SERVER}FILE"
        )
    return named, files


def _inside(name: str) -> PurePosixPath:
    """An artifact's name as a path below a folder; raises HoldfastError if it leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise HoldfastError(f"the artifact name {name!r} leads out of its folder; it was not written")
    return path
