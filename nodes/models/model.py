"""``ctx.model``: a model as a task type uses it, each call of which is one durable step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.nodes.models.abilities import Abilities, abilities, note
from holdfast.nodes.models.calls import Calls
from holdfast.nodes.models.purse import Payer, Purse
from holdfast.nodes.models.recall import Recall
from holdfast.nodes.models.types import Reply, Request, Unavailable

Step = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Model:
    """The model that is set, for one subtask; ``step`` is its context's."""

    def __init__(self, calls: Calls, purse: Purse, recall: Recall, step: Step) -> None:
        self._calls, self._purse, self._step = calls, purse, step
        self.recall = recall

    @property
    def name(self) -> str:
        """The model's name."""
        return self._calls.settings.name

    async def abilities(self) -> Abilities:
        """What the endpoint can do, as far as it is known; until then, everything."""
        return await abilities(self._calls, self._purse.database)

    async def lacks(self, refused: Request) -> None:
        """Remembers, for every task of this database, that the endpoint does not take such a request."""
        await note(self._calls, self._purse.database, refused)

    async def complete(self, step: str, request: Request) -> Reply:
        """The answer, recorded under ``step``: a run that is resumed takes it from there and pays nothing.

        Raises Fault for what another try would not mend.  Where the model cannot be had, or a budget would be passed,
        the task pauses and the body ends here; it starts again after the resume.
        """
        key = self.recall.key(request, self.name)

        async def call() -> dict[str, Any]:
            try:
                return (await self._answer(step, request, key)).to_json()
            except Unavailable as why:
                await self._purse.suspend(str(why))

        reply = Reply.of(await self._step(step, call))
        if key is not None:
            await self.recall.keep(key, request, reply, self.name, self._calls.cost(reply.tokens))
        return reply

    async def _answer(self, step: str, request: Request, key: bytes | None) -> Reply:
        """The answer that is known, or that an equal call under way gets, or else that of a call."""
        payer = Payer(self._purse, step)

        async def ask() -> Reply:
            return await self._calls.batches.answer(self.recall.scope, request, payer)

        if key is None:
            return await ask()
        if known := await self.recall.find(step, key):
            return known
        reply, shared = await self._calls.flights.fly(key, ask, self._purse.unless_stopped)
        if shared:
            await self.recall.shared(step, key, reply, self._calls.cost(reply.tokens))
        return reply
