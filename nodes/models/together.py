"""Several small requests in one call: gathered for a moment, sent together, and told apart by their ids.

Each remains a step of its own subtask, with its own share of what the call costs.  A request that has no proper part of
the answer is sent alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from holdfast.checkpoints.spend import Spent
from holdfast.nodes.context import WorkStopped
from holdfast.nodes.models.objects import objects_in
from holdfast.nodes.models.prompting import fenced, prompt
from holdfast.nodes.models.purse import Apart, Payer, reserve_together, settle_together
from holdfast.nodes.models.types import Fault, Reply, Request, Tokens

if TYPE_CHECKING:
    from holdfast.nodes.models.calls import Calls

MOST_TOKENS = 8000  # that one call may take in and give out
WRAPPING = 32  # tokens of output that a part takes beside its answer


@dataclass(slots=True, eq=False)
class Member:
    """A request that waits for its part; ``tokens`` are what it takes in and may give out alone."""

    request: Request
    payer: Payer
    tokens: Tokens
    part: asyncio.Future[Reply | None]  # None: it has to be asked for alone

    @property
    def waits(self) -> bool:
        """Whether somebody still wants the part."""
        return not self.part.done()

    def give(self, part: Reply | None) -> None:
        """Hands the part over."""
        if self.waits:
            self.part.set_result(part)

    def fail(self, error: BaseException) -> None:
        """Ends the wait with an error."""
        if self.waits:
            self.part.set_exception(error)


@dataclass(slots=True, eq=False)
class Batch:
    """Requests that go into one call once ``gathered`` is set, or the moment for it is over."""

    members: list[Member] = field(default_factory=list)
    gathered: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None

    @property
    def tokens(self) -> int:
        """At most, in and out."""
        return sum(one.tokens.input + one.tokens.output for one in self.members)


class Batches:
    """The calls of one model that may be merged."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._open: dict[bytes, Batch] = {}
        self._apart: set[tuple[str, ...]] = set()  # kinds of request that the model cannot answer together

    async def answer(self, scope: Sequence[str], request: Request, payer: Payer) -> Reply:
        """The answer; only requests of one ``scope`` are merged.  Raises what ``Calls.answer`` does."""
        kind, settings = (*scope[1:], request.batch), self._calls.settings
        tokens = Tokens(self._calls.endpoint.estimate(request), request.most + WRAPPING)
        fits = 2 * (tokens.input + tokens.output) <= MOST_TOKENS and settings.batch_size > 1
        if not (fits and settings.batch_window and mergeable(request)) or kind in self._apart:
            return await self._calls.answer(request, payer)
        member = Member(request, payer, tokens, asyncio.get_running_loop().create_future())
        group = _group(scope, request)
        batch = self._join(group, kind, member)
        try:
            part = await member.part
        finally:
            member.part.cancel()
            if not any(one.waits for one in batch.members):
                self._give_up(group, batch)
        return part or await self._calls.answer(request, payer)

    def _join(self, group: bytes, kind: tuple[str, ...], member: Member) -> Batch:
        """The batch that the request goes with: the open one if it has room, else a new one."""
        settings, batch = self._calls.settings, self._open.get(group)
        if batch and batch.tokens + member.tokens.input + member.tokens.output > MOST_TOKENS:
            batch.gathered.set()
            batch = None
        if batch is None:
            batch = self._open[group] = Batch()
            batch.work = asyncio.create_task(self._run(group, kind, batch), name="holdfast-batch")
        batch.members.append(member)
        if len(batch.members) >= settings.batch_size:
            batch.gathered.set()
            del self._open[group]
        return batch

    def _give_up(self, group: bytes, batch: Batch) -> None:
        """Ends the work on a batch that nobody waits for any more."""
        if self._open.get(group) is batch:
            del self._open[group]
        if batch.work:
            batch.work.cancel()

    async def _run(self, group: bytes, kind: tuple[str, ...], batch: Batch) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._calls.settings.batch_window):
                await batch.gathered.wait()
        if self._open.get(group) is batch:
            del self._open[group]
        batch.members = [one for one in batch.members if one.waits]
        try:
            parts = await self._parts(batch.members)
        except (Apart, Fault):
            parts = [None] * len(batch.members)
        except Exception as error:  # each member's subtask raises it as its own
            for one in batch.members:
                one.fail(error)
            return
        else:
            if sum(part is None for part in parts) * 2 > len(parts) > 1:
                self._apart.add(kind)
        for one, part in zip(batch.members, parts, strict=True):
            one.give(part)

    async def _parts(self, members: Sequence[Member]) -> list[Reply | None]:
        """Each member's part; raises Apart, and what ``Calls.answer`` does."""
        if len(members) < 2:
            raise Apart
        asked = merged([one.request for one in members])
        joint = Joint(members, self._calls.endpoint.estimate(asked), self._calls.cost)
        reply = await self._calls.answer(asked, joint)
        texts = told_apart(reply, [one.request for one in members])
        return [
            None if text is None else Reply(text, (), "stop", tokens, reply.model)
            for text, tokens in zip(texts, joint.shares(reply.tokens), strict=True)
        ]


class Joint:
    """The account of one call that several steps pay for."""

    def __init__(self, members: Sequence[Member], tokens: int, cost: Callable[[Tokens], Spent]) -> None:
        self._members, self._cost = members, cost
        self._input = apportioned(tokens, [one.tokens.input for one in members])
        self._output = [one.tokens.output for one in members]
        self._attempts: list[list[int]] = []

    def shares(self, used: Tokens) -> list[Tokens]:
        """What each pays, in proportion to what was reserved for it; they add up to what was used."""
        parts = zip(apportioned(used.input, self._input), apportioned(used.output, self._output), strict=True)
        return [Tokens(one, other, used.estimated) for one, other in parts]

    @property
    def _payers(self) -> list[Payer]:
        return [one.payer for one in self._members]

    async def reserve(self, model: str, most: Spent) -> int:
        """Reserves each one's share; raises Apart where there is no room for all."""
        shares = map(Tokens, self._input, self._output)
        self._attempts.append(await reserve_together(self._payers, model, [self._cost(one) for one in shares]))
        return len(self._attempts) - 1

    async def settle(self, attempt: int, spent: Spent) -> None:
        """Settles each one's share."""
        shares = self.shares(Tokens(spent.input_tokens, spent.output_tokens, spent.estimated))
        await settle_together(self._payers, self._attempts[attempt], [self._cost(one) for one in shares])

    def leave(self, attempt: int) -> None:
        """The call was broken off."""
        for payer, number in zip(self._payers, self._attempts[attempt], strict=True):
            payer.leave(number)

    async def rest(self, seconds: float) -> None:
        """Waits; who is stopped meanwhile waits no longer.  Raises WorkStopped if that is everybody."""

        async def each(member: Member) -> None:
            try:
                await member.payer.rest(seconds)
            except WorkStopped as stopped:
                member.fail(stopped)

        await asyncio.gather(*(each(one) for one in self._members if one.waits))
        if not any(one.waits for one in self._members):
            raise WorkStopped

    def token(self, text: str) -> None:
        """Nobody can read the text of several answers as it comes."""


def mergeable(request: Request) -> bool:
    """Whether a request may go into one call with others."""
    last = request.messages[-1] if request.batch and request.messages and not request.tools else {}
    plain = last.get("role") == "user" and isinstance(last.get("content"), str)
    return plain and "$ref" not in json.dumps(request.schema)  # which would point elsewhere inside another schema


def _group(scope: Sequence[str], request: Request) -> bytes:
    """What requests have in common that are merged: all but the last message."""
    return replace(request, messages=request.messages[:-1], most=0).digest(*scope, request.batch)


def merged(requests: Sequence[Request]) -> Request:
    """One request for several, which have ids from 1."""
    first, told = requests[0], prompt("together")
    asked = [{"id": str(i), "request": one.messages[-1]["content"]} for i, one in enumerate(requests, 1)]
    message = {"role": "user", "content": f"{told.text}\n{fenced('REQUESTS', asked)}"}
    name = f"{first.prompt}+{told.name}" if first.prompt else told.name
    most = sum(one.most + WRAPPING for one in requests)
    return Request([*first.messages[:-1], message], (), _schema(first.schema), name, most)


def _schema(answer: Any) -> dict[str, Any] | None:
    """The schema of the whole, for answers that have one."""
    if answer is None:
        return None
    properties = {"id": {"type": "string"}, "answer": answer}
    result = _object(properties)
    return {"title": "results", **_object({"results": {"type": "array", "items": result}})}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def told_apart(reply: Reply, requests: Sequence[Request]) -> list[str | None]:
    """The text of each request's answer; None where it is missing, given twice, or of the wrong form."""
    found = [one["results"] for one in objects_in(reply.text) if isinstance(one.get("results"), list)]
    parts: dict[str, list[Any]] = {}
    for one in found[-1] if found else ():
        if isinstance(one, dict) and "answer" in one:
            parts.setdefault(str(one.get("id")), []).append(one["answer"])
    given = [parts.get(str(i), []) for i in range(1, len(requests) + 1)]
    return [_text(some[0], one.schema) if len(some) == 1 else None for some, one in zip(given, requests, strict=True)]


def _text(answer: Any, schema: Any) -> str | None:
    if schema is None:
        return answer if isinstance(answer, str) and answer.strip() else None
    import jsonschema_rs  # noqa: PLC0415  only answers with a schema need it

    return json.dumps(answer, ensure_ascii=False) if jsonschema_rs.is_valid(schema, answer) else None


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of a total in proportion to the weights, which add up to it (largest remainders)."""
    whole = sum(weights) or 1
    exact = [total * weight for weight in weights]
    shares = [part // whole for part in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: exact[i] % whole, reverse=True)
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
