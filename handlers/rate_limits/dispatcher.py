"""Hands out turns: `WriteScheduler` with a clock and a timer, one for each workspace in this process.

Where replicas share the budgets, a turn that `WriteScheduler` gives is asked for at their common account too, one short
round trip. When that refuses, `WriteScheduler` learns what is left there, and whoever was next waits on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from handlers.rate_limits.scheduler import PendingWrite, QueuedCall, WriteScheduler
from handlers.rate_limits.shared import WorkspaceLimits
from handlers.rate_limits.token_bucket import TokenBucket


class CallDispatcher:
    """Where writers wait for their turn. All methods belong to the event loop's thread."""

    def __init__(
        self,
        pace: WriteScheduler | None = None,
        clock: Callable[[], float] = time.monotonic,
        account: WorkspaceLimits | None = None,
    ) -> None:
        self._pace = pace or WriteScheduler()
        self._clock = clock
        self._account = account
        self._asking: Counter[TokenBucket] = Counter()
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._soon = False

    def now(self) -> float:
        return self._clock()

    def join(self, desire: PendingWrite) -> None:
        """From now on this answer shares the budgets."""
        self._pace.join(desire)

    def leave(self, desire: PendingWrite) -> None:
        self._pace.leave(desire)
        self.poke()

    def refused(self, method: str, channel: str, retry_after: float) -> None:
        """Slack said 429."""
        self._pace.refused(method, channel, self._clock(), retry_after)
        if self._account is not None:
            self._account.hold(method, channel, retry_after)

    async def turn(self, desire: PendingWrite) -> str:
        """Waits until this answer may write, and says by which method; the call is already off the budget."""
        desire.busy = False
        try:
            method = await self._wait(desire)
        finally:
            desire.busy = True
        desire.written_at = self._clock()
        return method

    async def slot(self, method: str, channel: str) -> None:
        """Waits until one call of this method may be made, and takes it off the budget."""
        errand = QueuedCall(method, channel, self._clock())
        self._pace.send(errand)
        try:
            await self._wait(errand)
        finally:
            self._pace.withdraw(errand)

    def give_back(self, method: str, channel: str) -> None:
        """A turn that was given and not used."""
        self._pace.bucket(method, channel, self._clock()).give_back()

    def settled(self, method: str, channel: str) -> None:
        """Slack has answered a call, whatever it said."""
        now = self._clock()
        self._pace.bucket(method, channel, now).settled(now)

    def free(self, method: str, channel: str = "") -> float:
        """Calls of this method that could be made at this moment."""
        now = self._clock()
        return self._pace.bucket(method, channel, now).level(now)

    def burst(self, method: str) -> float:
        """Calls of this method that could be made at once after a quiet time."""
        return self._pace.rate(method).burst

    def poke(self) -> None:
        """Something changed: look again, once, when the current callback is over."""
        if self._waiting and not self._soon:
            self._soon = True
            self._set(asyncio.get_running_loop().call_soon(self._look))

    async def _wait(self, who: PendingWrite | QueuedCall) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[id(who)] = future
        self.poke()
        try:
            return await future
        finally:
            self._waiting.pop(id(who), None)

    def _set(self, handle: asyncio.TimerHandle | asyncio.Handle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = handle

    def _look(self) -> None:
        self._soon = False
        now = self._clock()
        account = self._account
        if account is not None:
            self._pace.share(now, account.part)
            self._pace.peers = account.peers
        for who, method in self._pace.grants(now):
            if isinstance(who, PendingWrite):
                who.busy = True
            if account is None or account.alone:
                self._give(who, method)
            else:
                account.start(self._ask(account, who, method))
        wake = self._pace.wake_at(now)
        later = None if wake is None else asyncio.get_running_loop().call_later(wake - now, self._look)
        self._set(later)

    def _give(self, who: PendingWrite | QueuedCall, method: str) -> None:
        future = self._waiting.get(id(who))
        if future is not None and not future.done():
            future.set_result(method)

    async def _ask(self, account: WorkspaceLimits, who: PendingWrite | QueuedCall, method: str) -> None:
        """Whether a call that is off our own account is granted by the common one too."""
        bucket = self._pace.bucket(method, who.channel, self._clock())
        self._asking[bucket] += 1
        try:
            grant = await account.take(method, who.channel, bucket.per_second, bucket.burst)
        finally:
            self._asking[bucket] -= 1
            self._asking = +self._asking  # those at zero go
        if grant is None or not grant.ok:
            bucket.give_back()
        if grant is not None:
            bucket.sync(self._clock(), grant.level - self._asking[bucket], grant.wait)
        if grant is not None and grant.ok:
            self._give(who, method)
        else:
            self._wait_on(who)

    def _wait_on(self, who: PendingWrite | QueuedCall) -> None:
        """The turn was not to be had after all."""
        if id(who) not in self._waiting:
            return
        if isinstance(who, PendingWrite):
            who.busy = False
        else:
            self._pace.send(who)
        self.poke()
