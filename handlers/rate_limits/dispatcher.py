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
        scheduler: WriteScheduler | None = None,
        clock: Callable[[], float] = time.monotonic,
        shared_limits: WorkspaceLimits | None = None,
    ) -> None:
        self._scheduler = scheduler or WriteScheduler()
        self._clock = clock
        self._shared_limits = shared_limits
        self._asking: Counter[TokenBucket] = Counter()
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._soon = False

    def now(self) -> float:
        return self._clock()

    def join(self, pending: PendingWrite) -> None:
        """From now on this answer shares the budgets."""
        self._scheduler.join(pending)

    def leave(self, pending: PendingWrite) -> None:
        self._scheduler.leave(pending)
        self.wake()

    def refused(self, method: str, channel: str, retry_after: float) -> None:
        """Slack said 429."""
        self._scheduler.refused(method, channel, self._clock(), retry_after)
        if self._shared_limits is not None:
            self._shared_limits.hold(method, channel, retry_after)

    async def acquire_write(self, pending: PendingWrite) -> str:
        """Waits until this answer may write, and says by which method; the call is already off the budget."""
        pending.busy = False
        try:
            method = await self._wait(pending)
        finally:
            pending.busy = True
        pending.written_at = self._clock()
        return method

    async def acquire(self, method: str, channel: str) -> None:
        """Waits until one call of this method may be made, and takes it off the budget."""
        queued_call = QueuedCall(method, channel, self._clock())
        self._scheduler.send(queued_call)
        try:
            await self._wait(queued_call)
        finally:
            self._scheduler.withdraw(queued_call)

    def give_back(self, method: str, channel: str) -> None:
        """A turn that was given and not used."""
        self._scheduler.bucket(method, channel, self._clock()).give_back()

    def settled(self, method: str, channel: str) -> None:
        """Slack has answered a call, whatever it said."""
        now = self._clock()
        self._scheduler.bucket(method, channel, now).settled(now)

    def free(self, method: str, channel: str = "") -> float:
        """Calls of this method that could be made at this moment."""
        now = self._clock()
        return self._scheduler.bucket(method, channel, now).level(now)

    def burst(self, method: str) -> float:
        """Calls of this method that could be made at once after a quiet time."""
        return self._scheduler.rate(method).burst

    def wake(self) -> None:
        """Something changed: look again, once, when the current callback is over."""
        if self._waiting and not self._soon:
            self._soon = True
            self._set(asyncio.get_running_loop().call_soon(self._look))

    async def _wait(self, who: PendingWrite | QueuedCall) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[id(who)] = future
        self.wake()
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
        shared_limits = self._shared_limits
        if shared_limits is not None:
            self._scheduler.share(now, shared_limits.part)
            self._scheduler.peers = shared_limits.peers
        for who, method in self._scheduler.grants(now):
            if isinstance(who, PendingWrite):
                who.busy = True
            if shared_limits is None or shared_limits.alone:
                self._give(who, method)
            else:
                shared_limits.start(self._ask(shared_limits, who, method))
        wake = self._scheduler.wake_at(now)
        later = (
            None if wake is None else asyncio.get_running_loop().call_later(wake - now, self._look)
        )
        self._set(later)

    def _give(self, who: PendingWrite | QueuedCall, method: str) -> None:
        future = self._waiting.get(id(who))
        if future is not None and not future.done():
            future.set_result(method)

    async def _ask(
        self, shared_limits: WorkspaceLimits, who: PendingWrite | QueuedCall, method: str
    ) -> None:
        """Whether a call that is off our own account is granted by the common one too."""
        bucket = self._scheduler.bucket(method, who.channel, self._clock())
        self._asking[bucket] += 1
        try:
            grant = await shared_limits.take(method, who.channel, bucket.per_second, bucket.burst)
        finally:
            self._asking[bucket] -= 1
            self._asking = +self._asking  # those at zero go
        if grant is None or not grant.granted:
            bucket.give_back()
        if grant is not None:
            bucket.sync(self._clock(), grant.remaining - self._asking[bucket], grant.wait)
        if grant is not None and grant.granted:
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
            self._scheduler.send(who)
        self.wake()
