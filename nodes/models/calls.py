"""One call of a model to its end: reserved, tried a few times within its time, settled.

What is shared by all tasks of a process stands here; what belongs to one subtask is its ``Account``.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.checkpoints.spend import Spent
from holdfast.nodes.models import tokens
from holdfast.nodes.models.faults import TREATMENT, Treatment
from holdfast.nodes.models.recall import Flights
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.together import Batches
from holdfast.nodes.models.types import Endpoint, Fault, Kind, Reply, Request, Tokens, Unavailable

if TYPE_CHECKING:
    from holdfast.nodes.models.abilities import Abilities

ATTEMPTS = 4
LONGEST_WAIT = 20.0  # seconds between two attempts, where the server does not say


class Account(Protocol):
    """Who pays for a call and hears of it: a step of a subtask."""

    async def reserve(self, model: str, most: Spent) -> int: ...  # raises WorkStopped where a budget would be passed
    async def settle(self, attempt: int, spent: Spent) -> None: ...
    def leave(self, attempt: int) -> None: ...
    async def rest(self, seconds: float) -> None: ...  # raises WorkStopped as soon as the task is stopped
    def token(self, text: str) -> None: ...


class Calls:
    """Calls of one model, by all tasks of this process."""

    def __init__(self, endpoint: Endpoint, settings: ModelSettings) -> None:
        self.endpoint, self.settings = endpoint, settings
        self._ready = False
        self.abilities: Abilities | None = None  # once they were looked up
        self.flights = Flights()
        self.batches = Batches(self)

    async def ready(self) -> None:
        """Loads what a call needs and takes long to load; it may be called before, so that no call waits for it."""
        if isinstance(self.endpoint, Connected) and not self._ready:
            await self.endpoint.ready()
        self._ready = True

    async def close(self) -> None:
        """Closes the connections of this event loop."""
        if isinstance(self.endpoint, Connected):
            await self.endpoint.close()

    def cost(self, used: Tokens) -> Spent:
        """What that many tokens cost; nothing where no price is known."""
        price = self.settings.price
        cost = price.of(used.input, used.output) if price else 0.0
        return Spent(used.input, used.output, cost, used.estimated)

    async def answer(self, request: Request, account: Account) -> Reply:
        """The model's answer, after at most ``ATTEMPTS`` attempts within the time that the settings give a call.

        Waiting for a turn or for room in the budget is not counted as that time.  Raises Unavailable for what may pass
        or has to be set right outside, Fault for what another try would not mend.
        """
        await self.ready()
        until = monotonic() + self.settings.timeout
        most = self.cost(Tokens(self.endpoint.estimate(request), request.most, estimated=True))
        for tried in range(1, ATTEMPTS + 1):
            began = monotonic()
            attempt = await account.reserve(self.endpoint.model, most)
            until += monotonic() - began
            try:
                reply = await self._attempt(request, account, until)
            except Fault as fault:
                used = fault.tokens or Tokens(most.input_tokens, 0, estimated=True)
                await account.settle(attempt, self.cost(_within(used, most)))
                await account.rest(self._wait(fault, tried, until))
            except BaseException:
                account.leave(attempt)
                raise
            else:
                await account.settle(attempt, self.cost(_within(reply.tokens, most)))
                return reply
        raise AssertionError

    async def _attempt(self, request: Request, account: Account, until: float) -> Reply:
        heard: list[str] = []

        def told(text: str) -> None:
            heard.append(text)
            account.token(text)

        try:
            async with asyncio.timeout(max(until - monotonic(), 0.0)):
                return await self.endpoint.call(request, told)
        except TimeoutError:
            used = Tokens(self.endpoint.estimate(request), tokens.most("".join(heard)), estimated=True)
            sentence = f"the model did not answer within {self.settings.timeout:g} s"
            raise Fault(Kind.TIMED_OUT, sentence, tokens=used) from None

    def _wait(self, fault: Fault, tried: int, until: float) -> float:
        """Seconds until the next attempt; raises the fault, or Unavailable, if there will be none."""
        treatment = TREATMENT[fault.kind]
        if treatment is Treatment.FAIL:
            raise fault
        wait = fault.wait
        if wait is None:
            wait = min(self.settings.first_wait * 2 ** (tried - 1), LONGEST_WAIT)
            wait *= random.uniform(0.75, 1.25)  # noqa: S311  spreads attempts, keeps no secret
        if treatment is Treatment.PAUSE or tried == ATTEMPTS:
            raise Unavailable(str(fault) + f", {tried} times" * (tried > 1)) from fault
        if monotonic() + wait > until:
            asked = "" if fault.wait is None else f" and wants to be left alone for {fault.wait:,.0f} s"
            raise Unavailable(f"{fault}{asked}") from fault
        return wait


def _within(used: Tokens, most: Spent) -> Tokens:
    """What was used, as far as it was reserved: no answer is worth more than was asked for."""
    held = Tokens(min(used.input, most.input_tokens), min(used.output, most.output_tokens), used.estimated)
    return held if held == used else replace(held, estimated=True)


@runtime_checkable
class Connected(Protocol):
    """An endpoint that loads libraries and holds connections."""

    async def ready(self) -> None: ...
    async def close(self) -> None: ...
