"""Asks a server over HTTP what commands ask a database; ``remote_store`` and ``remote_run`` stand on it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx

from holdfast.a2a.key import HEADER, own_key
from holdfast.checkpoints.errors import BadInput, HoldfastError, IllegalMove, StoreError, UnknownTask
from holdfast.checkpoints.events import Event, timestamp
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
STREAM = "text/event-stream"
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

    async def live(self, task: str) -> AsyncIterator[dict[str, Any]]:
        """What subtasks tell while they run, from now on, as ``Holdfast.listen`` hears it."""
        request = self._http.build_request("GET", f"{self.url}{_path(task)}/live", headers={"Accept": STREAM})
        async with self._opened(request) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def content(self, task: str, row: ArtifactRow) -> AsyncIterator[bytes]:
        """An artifact's bytes; raises HoldfastError, at the end if they are not what they should be."""
        digest = hashlib.sha256()
        request = self._http.build_request("GET", f"{self.url}{_path(task)}/artifacts/{quote(row.name)}")
        async with self._opened(request) as response:
            async for chunk in response.aiter_bytes(CHUNK):
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

    @asynccontextmanager
    async def _opened(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """An answer that is read as it comes."""
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise self._refused(response)
                yield response
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
