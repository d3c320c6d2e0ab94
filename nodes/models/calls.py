"""One call of a model to its end: reserved, tried a few times within its time, settled.

What is shared by all tasks of a process stands here; what belongs to one subtask is its ``Account``.
"""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import Protocol

from holdfast.checkpoints.spend import Spent
from holdfast.nodes.models.faults import TREATMENT, Treatment
from holdfast.nodes.models.settings import ModelSettings
from holdfast.nodes.models.types import Endpoint, Fault, Kind, Reply, Request, Tokens

ATTEMPTS = 4
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0  # seconds between two attempts, where the server does not say


class Account(Protocol):
    """Who pays for a call and hears of it: a step of a subtask."""

    async def reserve(self, model: str, most: Spent) -> int: ...  # raises WorkStopped where a budget would be passed
    async def settle(self, attempt: int, spent: Spent) -> None: ...
    def leave(self, attempt: int) -> None: ...
    def token(self, text: str) -> None: ...


class Unavailable(Exception):
    """The model gave no answer in the time for it, or cannot; the task pauses until somebody has seen to it."""


class Calls:
    """Calls of one model, by all tasks of this process."""

    def __init__(self, endpoint: Endpoint, settings: ModelSettings) -> None:
        self.endpoint, self.settings = endpoint, settings

    def cost(self, tokens: Tokens) -> Spent:
        """What that many tokens cost; nothing where no price is known."""
        price = self.settings.price
        cost = price.of(tokens.input, tokens.output) if price else 0.0
        return Spent(tokens.input, tokens.output, cost, tokens.estimated)

    async def answer(self, request: Request, account: Account) -> Reply:
        """The model's answer.

        Raises Unavailable for what may pass or has to be set right outside, Fault for what another try would not mend.
        """
        until = monotonic() + self.settings.timeout
        most = self.cost(Tokens(self.endpoint.estimate(request), request.most, estimated=True))
        for tried in range(1, ATTEMPTS + 1):
            attempt = await account.reserve(self.endpoint.model, most)
            try:
                reply = await self._attempt(request, account, until)
            except Fault as fault:
                await account.settle(attempt, self.cost(fault.tokens or Tokens(estimated=fault.tokens is None)))
                treatment = TREATMENT[fault.kind]
                if treatment is Treatment.FAIL:
                    raise
                wait = _wait(fault, tried)
                if treatment is Treatment.PAUSE or tried == ATTEMPTS or monotonic() + wait > until:
                    raise Unavailable(str(fault)) from fault
                await asyncio.sleep(wait)
            except BaseException:
                account.leave(attempt)
                raise
            else:
                await account.settle(attempt, self.cost(reply.tokens))
                return reply
        raise AssertionError

    async def _attempt(self, request: Request, account: Account, until: float) -> Reply:
        try:
            async with asyncio.timeout(max(until - monotonic(), 0.0)):
                return await self.endpoint.call(request, account.token)
        except TimeoutError:
            sentence = f"the model did not answer within {self.settings.timeout:g} s"
            raise Fault(Kind.TIMED_OUT, sentence) from None


def _wait(fault: Fault, tried: int) -> float:
    """Seconds until the next attempt: what the server asked for, else twice as long each time."""
    if fault.wait is not None:
        return fault.wait
    wait: float = min(FIRST_WAIT * 2 ** (tried - 1), LONGEST_WAIT)
    return wait * random.uniform(0.75, 1.25)  # noqa: S311  spreads attempts, keeps no secret
