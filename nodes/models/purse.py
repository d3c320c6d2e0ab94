"""Who pays: a subtask's calls are reserved before and settled after, within the budget of its task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from holdfast.checkpoints import budget, control, events, pace, spend, subtasks
from holdfast.checkpoints.errors import BadInput, IllegalMove
from holdfast.checkpoints.events import News
from holdfast.checkpoints.leases import Lease
from holdfast.checkpoints.spend import Spent
from holdfast.checkpoints.tasks import TaskRow
from holdfast.nodes.context import WorkStopped
from holdfast.nodes.models.settings import require_price
from holdfast.nodes.models.types import Fault, Kind, Unavailable

if TYPE_CHECKING:
    from holdfast.nodes.services import Services

LOOK_SECONDS = 0.2  # how often a wait looks whether it may go on
log = logging.getLogger("holdfast")
OVER = "the budget is used up, and the task is to finish without the model"


class Apart(Exception):
    """Calls cannot be paid for together now; each has to see for itself."""


class Outstanding:
    """The calls of one task in this process that are reserved and not settled."""

    def __init__(self) -> None:
        self._calls: set[tuple[str, str, int]] = set()
        self._settled = asyncio.Event()
        self.version = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, *call: Any) -> None:
        """Counts a call; from any thread."""
        self._calls.add(call)

    def discard(self, *call: Any) -> None:
        """A call has ended: who waits for room looks again."""
        self._calls.discard(call)
        self.version += 1
        self._settled.set()
        self._settled = asyncio.Event()

    async def changed(self, since: int) -> None:
        """Waits until a call has ended after that version."""
        if self.version == since:
            await self._settled.wait()


class Purse:
    """Pays for one subtask."""

    def __init__(self, services: Services, lease: Lease, task: TaskRow, subtask: str) -> None:
        self._services, self._lease, self._task, self._subtask = services, lease, task, subtask
        self._outstanding = services.outstanding.setdefault(task.number, Outstanding())
        self.database = services.database
        self._turns: dict[tuple[str, int], int] = {}  # the moments that attempts have taken

    async def reserve(self, step: str, model: str, most: Spent) -> int:
        """Waits for the call's turn, and sets aside what it may cost; the number of the attempt.

        Raises WorkStopped if the task was stopped while it waited, and what ``_set_aside`` raises.
        """
        try:
            return await self._reserved(step, model, most)
        except WorkStopped:
            await self.database.awrite(
                lambda db: subtasks.forget_step(db, self._task.number, self._subtask, step), self._lease
            )
            raise

    async def _reserved(self, step: str, model: str, most: Spent) -> int:
        turn = await self._turn(model, most.tokens)
        try:
            attempt = await self._set_aside(step, model, most)
        except BaseException:
            await self._give_back(turn)
            raise
        if turn is not None:
            self._turns[step, attempt] = turn
        return attempt

    async def _turn(self, model: str, tokens: int) -> int | None:
        """Waits until a minute's share of calls and tokens has room for one more; the number of its moment."""
        services, now = self._services, self._services.clock()
        limits = services.calls.settings.pace if services.calls else (None, None)
        if limits == (None, None):
            return None
        number, at = await services.database.awrite(lambda db: pace.take(db, model, tokens, *limits, now))
        try:
            await self.rest(at - now)
        except BaseException:
            await self._give_back(number)
            raise
        return number

    async def _give_back(self, turn: int | None) -> None:
        if turn is not None:
            await self._services.database.awrite(lambda db: pace.give_back(db, turn))

    async def rest(self, seconds: float) -> None:
        """Waits; raises WorkStopped as soon as this subtask may begin no further step."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._stopped()
        except TimeoutError:
            return
        raise WorkStopped

    async def _stopped(self) -> None:
        """Returns when this subtask may begin no further step, or this runner leaves the rest to another."""
        database, task = self._services.database, self._task.number

        def may_step(db: Any) -> bool:
            return subtasks.may_step(db, task, self._subtask)

        while not self._services.leaving and await database.aread(may_step):  # noqa: ASYNC110  others write rows
            await asyncio.sleep(LOOK_SECONDS)

    async def unless_stopped(self, waits: Coroutine[Any, Any, None]) -> None:
        """Awaits ``waits``; raises WorkStopped if this subtask may begin no further step before that."""
        waiting, stopped = asyncio.ensure_future(waits), asyncio.ensure_future(self._stopped())
        try:
            await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                await stopped
                raise WorkStopped
        finally:
            waiting.cancel()
            stopped.cancel()

    async def _set_aside(self, step: str, model: str, most: Spent) -> int:
        """Commits what a call may cost at most; the number of the attempt.

        Where that would pass the budget it waits for the calls under way, which may turn out cheaper.  If there are
        none, the task pauses and asks, and this raises WorkStopped, or Fault where it is to finish without the model.
        """
        now, outstanding = self._services.clock(), self._outstanding

        def reserve(db: Any) -> int | str:
            limits = budget.limits_of(db, self._task.number)
            if limits.get("over") == budget.FINISH:
                return "finish"
            self._require_price(limits)
            if attempt := spend.reserve(db, self._task.number, self._subtask, step, model, most, limits, now):
                outstanding.add(self._subtask, step, attempt)
                return attempt
            if outstanding:
                return "wait"
            control.overspend(db, self._task.id, most, now)
            return "stop"

        while True:
            seen = outstanding.version
            match await self._services.database.awrite(reserve, self._lease):
                case "wait":
                    await self.unless_stopped(outstanding.changed(seen))
                case "finish":
                    raise Fault(Kind.OVER_BUDGET, OVER)
                case "stop":
                    self._services.look(self._task.id)
                    raise WorkStopped
                case attempt:
                    return int(attempt)

    def _require_price(self, limits: Mapping[str, Any]) -> None:
        """Raises Unavailable where a limit in dollars holds nothing: the model may be another than at the start."""
        try:
            require_price(self._services.model, limits)
        except BadInput as why:
            raise Unavailable(str(why)) from None

    async def settle(self, step: str, attempt: int, spent: Spent) -> None:
        """Commits what a call did cost, and tells it."""
        now, turn = self._services.clock(), self._turns.pop((step, attempt), None)

        def write(db: Any) -> None:
            self._settle(db, step, attempt, spent, now)
            if turn is not None:
                pace.correct(db, turn, spent.tokens)

        try:
            await self._services.database.awrite(write, self._lease)
        finally:
            self.leave(step, attempt)

    def _settle(self, db: Any, step: str, attempt: int, spent: Spent, now: float) -> None:
        data = {
            "step": step,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "cost": spent.cost,
            "estimated": spent.estimated,
        }
        spend.settle(db, self._task.number, self._subtask, step, attempt, spent)
        events.append(db, self._task.number, [News("usage", self._subtask, data)], now)

    def leave(self, step: str, attempt: int) -> None:
        """A call was broken off: it may have been paid, so what was reserved stays counted."""
        self._outstanding.discard(self._subtask, step, attempt)

    async def suspend(self, reason: str) -> NoReturn:
        """Pauses the task, letting steps in flight end, and ends this body."""
        now = self._services.clock()
        try:
            await self._services.database.awrite(
                lambda db: control.pause(db, self._task.id, now, who=control.SYSTEM, mode="step", reason=reason),
                self._lease,
            )
        except IllegalMove:
            log.debug("task %s cannot be paused now", self._task.id, exc_info=True)
        self._services.look(self._task.id)
        raise WorkStopped

    def token(self, step: str, text: str) -> None:
        """Tells listeners, now."""
        self._services.tell(self._task.id, self._subtask, "token", {"step": step, "text": text})


@dataclass(frozen=True, slots=True)
class Payer:
    """The account of one step."""

    purse: Purse
    step: str

    async def reserve(self, model: str, most: Spent) -> int:
        """Ends the body where a budget would be passed."""
        return await self.purse.reserve(self.step, model, most)

    async def settle(self, attempt: int, spent: Spent) -> None:
        """Records what it did cost."""
        await self.purse.settle(self.step, attempt, spent)

    def leave(self, attempt: int) -> None:
        """The call was broken off."""
        self.purse.leave(self.step, attempt)

    async def rest(self, seconds: float) -> None:
        """Waits; ends the body where the task is stopped."""
        await self.purse.rest(seconds)

    def token(self, text: str) -> None:
        """Passes text on live."""
        self.purse.token(self.step, text)


async def reserve_together(payers: Sequence[Payer], model: str, shares: Sequence[Spent]) -> list[int]:
    """Reserves one call in shares, all of them or none; the numbers of the attempts.

    Raises Apart where the budget has no room for it now, or the call may not begin.
    """
    first = payers[0].purse
    now, limits_of = first._services.clock(), budget.limits_of
    try:
        turn = await first._turn(model, sum(share.tokens for share in shares))
    except WorkStopped:
        raise Apart from None

    def reserve(db: Any) -> list[int]:
        limits = limits_of(db, first._task.number)
        if limits.get("over") == budget.FINISH:
            raise Apart
        first._require_price(limits)
        attempts = list[int]()
        for payer, share in zip(payers, shares, strict=True):
            purse = payer.purse
            number = spend.reserve(db, purse._task.number, purse._subtask, payer.step, model, share, limits, now)
            if number is None:
                raise Apart  # which takes back what the others have reserved
            attempts.append(number)
        for payer, attempt in zip(payers, attempts, strict=True):
            payer.purse._outstanding.add(payer.purse._subtask, payer.step, attempt)
        return attempts

    try:
        attempts = await first.database.awrite(reserve, first._lease)
    except BaseException:
        await first._give_back(turn)
        raise
    if turn is not None:
        first._turns[payers[0].step, attempts[0]] = turn
    return attempts


async def settle_together(payers: Sequence[Payer], attempts: Sequence[int], shares: Sequence[Spent]) -> None:
    """Commits what the call did cost in shares, all at once."""
    first = payers[0].purse
    now, turn = first._services.clock(), first._turns.pop((payers[0].step, attempts[0]), None)

    def write(db: Any) -> None:
        for payer, attempt, share in zip(payers, attempts, shares, strict=True):
            payer.purse._settle(db, payer.step, attempt, share, now)
        if turn is not None:
            pace.correct(db, turn, sum(share.tokens for share in shares))

    try:
        await first.database.awrite(write, first._lease)
    finally:
        for payer, attempt in zip(payers, attempts, strict=True):
            payer.purse.leave(payer.step, attempt)
