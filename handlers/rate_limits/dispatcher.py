"""Grants calls as they become due: `WriteScheduler` with a clock and a timer, one for each workspace in this process.

If replicas share the rate limits, a call that `WriteScheduler` grants is also requested from the shared limit, in one
round trip. If that refuses, the bucket takes over the shared limit's state, and the caller keeps waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable

from bot.errors import BobbinError
from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Waiting
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.shared import WorkspaceLimits
from handlers.rate_limits.token_bucket import TokenBucket
from handlers.rate_limits.urgency import Urgency, usual_urgency


class Replaced(BobbinError):
    """A queued call is not made, because a newer one sets the same."""


class CallDispatcher:
    """Where all callers wait to be granted a call. Use it only in the event loop's thread."""

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
        """For each bucket, how many granted calls are being asked for at the shared limit."""
        self._futures: dict[int, asyncio.Future[str]] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._dispatch_is_due = False

    def now(self) -> float:
        return self._clock()

    def join(self, pending: PendingWrite) -> None:
        """Adds an answer that shares the rate limits from now on."""
        self._scheduler.join(pending)

    def leave(self, pending: PendingWrite) -> None:
        self._scheduler.leave(pending, self._clock())
        self.wake()

    @property
    def writing(self) -> int:
        """How many answers share the rate limits now."""
        return self._scheduler.writing

    def rate_limited(self, method: str, channel: str, retry_after: float) -> None:
        """Slack responded to a call with HTTP 429."""
        self._scheduler.rate_limited(method, channel, self._clock(), retry_after)
        if self._shared_limits is not None:
            self._shared_limits.hold(method, channel, retry_after)

    async def acquire_write(self, pending: PendingWrite) -> str:
        """Waits until this answer may write, and returns the method; the call has already been counted."""
        pending.busy = False
        try:
            method = await self._wait(pending)
        finally:
            pending.busy = True
        pending.written_at = self._clock()
        return method

    async def acquire(
        self,
        method: str,
        channel: str,
        urgency: Urgency | None = None,
        target: Hashable = None,
    ) -> None:
        """Waits until one call of this method may be made, and deducts it from the bucket.

        `urgency`: None for the method's usual one. `target`: what the call sets. Raises Replaced when a newer call with
        the same target arrives while this one waits.
        """
        if urgency is None:
            urgency = usual_urgency(method)
        queued_call = QueuedCall(method, channel, self._clock(), urgency, target)
        if (older := self._scheduler.enqueue(queued_call)) is not None:
            self._on_replaced(older)
        try:
            await self._wait(queued_call)
        finally:
            self._scheduler.withdraw(queued_call)

    def refund(self, method: str, channel: str) -> None:
        """A granted call is not made."""
        self._bucket(method, channel).refund()

    def settle(self, method: str, channel: str) -> None:
        """A call has received its response, whatever it says."""
        self._bucket(method, channel).settle(self._clock())

    def available(self, method: str, channel: str = "") -> float:
        """How many calls of this method could be made at this moment."""
        return self._bucket(method, channel).tokens(self._clock())

    def burst(self, method: str) -> float:
        """How many calls of this method could be made at once after a quiet period."""
        return self._scheduler.rate(method).burst

    def wake(self) -> None:
        """Something has changed: grants what is due, once, when the current callback has finished."""
        if self._futures and not self._dispatch_is_due:
            self._dispatch_is_due = True
            self._set_timer(asyncio.get_running_loop().call_soon(self._dispatch))

    def _bucket(self, method: str, channel: str) -> TokenBucket:
        return self._scheduler.bucket(method, channel, self._clock())

    async def _wait(self, waiting: Waiting) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._futures[id(waiting)] = future
        self.wake()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # granted at the same moment
                self.refund(future.result(), waiting.channel)
            raise
        finally:
            self._futures.pop(id(waiting), None)

    def _set_timer(self, handle: asyncio.TimerHandle | asyncio.Handle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = handle

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        now = self._clock()
        shared_limits = self._shared_limits
        if shared_limits is not None:
            self._scheduler.set_fraction(now, shared_limits.fraction)
            self._scheduler.peers = shared_limits.peers
        for waiting, method in self._scheduler.grants(now):
            if isinstance(waiting, PendingWrite):
                waiting.busy = True
            if shared_limits is None or shared_limits.unreachable:
                self._grant(waiting, method)
            else:
                shared_limits.start(self._ask(shared_limits, waiting, method))
        wake_at = self._scheduler.wake_at(now)
        self._set_timer(
            None
            if wake_at is None
            else asyncio.get_running_loop().call_later(wake_at - now, self._dispatch)
        )

    def _grant(self, waiting: Waiting, method: str) -> None:
        future = self._futures.get(id(waiting))
        if future is not None and not future.done():
            future.set_result(method)
        else:  # its caller has gone away meanwhile
            self.refund(method, waiting.channel)

    async def _ask(self, shared_limits: WorkspaceLimits, waiting: Waiting, method: str) -> None:
        """Requests a call from the shared limit that has already been deducted in this process."""
        bucket = self._bucket(method, waiting.channel)
        self._asking[bucket] += 1
        try:
            grant = await shared_limits.take(
                method, waiting.channel, bucket.per_second, bucket.burst
            )
        finally:
            self._asking[bucket] -= 1
            self._asking = +self._asking  # drops the zeros
        if grant is None or not grant.granted:
            bucket.refund()
        if grant is not None:
            bucket.sync(self._clock(), grant.remaining - self._asking[bucket], grant.wait)
        if grant is not None and grant.granted:
            self._grant(waiting, method)
        else:
            self._wait_on(waiting)

    def _wait_on(self, waiting: Waiting) -> None:
        """The shared limit did not grant the call: it waits again."""
        if id(waiting) not in self._futures:
            return
        if isinstance(waiting, PendingWrite):
            waiting.busy = False
        elif not self._scheduler.put_back(waiting):
            self._on_replaced(waiting)
        self.wake()

    def _on_replaced(self, queued_call: QueuedCall) -> None:
        future = self._futures.get(id(queued_call))
        if future is not None and not future.done():
            future.set_exception(Replaced(queued_call.method))
