"""Delivers envelopes to the app, with acknowledgements and redelivery, and records every attempt."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bot.sandbox.errors import InvalidAnswer, SlackRefusal
from bot.sandbox.faults import Faults
from bot.sandbox.journal import (
    RETRY_REASON_UNACKNOWLEDGED,
    Attempt,
    CallRecord,
    Delivery,
    EnvelopeType,
    Journal,
)
from bot.sandbox.limits import Limits
from bot.sandbox.types import Clock, Json

Answer = TypeVar("Answer")
RETRY_REASON_OFFLINE = "connection_failed"


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's response. `refused`: not an acknowledgement; `no_retry`: the app asked not to be retried."""

    payload: Any = None
    refused: bool = False
    no_retry: bool = False


class Transport(Protocol):
    """How envelopes reach the app: Socket Mode or HTTP."""

    async def wait_until_open(self) -> None:
        """Returns when an envelope can be sent."""

    def is_open(self) -> bool:
        """Whether an envelope can be sent now."""

    async def send(self, delivery: Delivery, attempt: Attempt, seconds: float) -> Ack | None:
        """Sends once. Returns the acknowledgement, or None if none came within `seconds`."""


class EnvelopeDispatcher:
    """Delivers each envelope in a task of its own, with Slack's retries."""

    def __init__(
        self, transport: Transport, limits: Limits, clock: Clock, journal: Journal, faults: Faults
    ) -> None:
        self.transport = transport
        self._limits = limits
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._tasks: set[asyncio.Task[Any]] = set()

    def dispatch_event(self, name: str, payload: Json) -> None:
        """Delivers an event, with redeliveries, in the background."""
        delivery = self._delivery("events_api", name, payload)
        for copy in range(max(1, self._faults.copies)):
            self._spawn(self._with_retries(delivery, first_retry=copy))

    def redeliver_event(self, name: str, payload: Json) -> None:
        """Delivers an event that the app had not acknowledged when the sandbox ended, as a retry."""
        delivery = self._delivery("events_api", name, payload)
        self._spawn(self._with_retries(delivery, first_retry=1))

    async def request(self, kind: EnvelopeType, name: str, payload: Json) -> Delivery:
        """Delivers a command or an interaction once. The result is in `acked` and `answer`."""
        delivery = self._delivery(kind, name, payload)
        extra = [self._once(delivery, copy) for copy in range(1, max(1, self._faults.copies))]
        for attempt in extra:
            self._spawn(attempt)
        await self._once(delivery, 0)
        if not delivery.acked:
            delivery.gave_up = True
            self._journal.notify(delivery)
        return delivery

    def apply_answer(self, name: str, delivery: Delivery, apply: Callable[[], Answer]) -> Answer:
        """Applies what an acknowledgement contains. What Slack rejects is recorded as a refusal and raised."""
        try:
            return apply()
        except (SlackRefusal, InvalidAnswer) as refusal:
            record = CallRecord(
                self._journal.new_id(), self._clock(), f"ack:{name}", {"answer": delivery.answer}
            )
            record.error = refusal.error
            self._journal.record_call(record)
            raise

    async def close(self) -> None:
        """Cancels every delivery that is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pending(self) -> int:
        """How many deliveries await an acknowledgement or a redelivery."""
        return len(self._tasks)

    def _delivery(self, kind: EnvelopeType, name: str, payload: Json) -> Delivery:
        delivery = Delivery(self._journal.new_id(), kind, name, payload, self._clock())
        self._journal.deliveries.append(delivery)
        self._journal.notify(delivery)
        return delivery

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _once(self, delivery: Delivery, retry: int) -> None:
        """Makes one attempt. Waiting for a socket and for the acknowledgement share one timeout."""
        started = self._clock()
        try:
            async with asyncio.timeout(self._limits.ack_timeout):
                await self.transport.wait_until_open()
        except TimeoutError:
            return
        left = self._limits.ack_timeout - (self._clock() - started)
        await self._attempt(delivery, retry, None, max(0.0, left))

    async def _with_retries(self, delivery: Delivery, first_retry: int) -> None:
        retry, reason = first_retry, RETRY_REASON_UNACKNOWLEDGED if first_retry else None
        delays = iter(self._limits.retry_delays)
        while True:
            if not self.transport.is_open():
                # Slack keeps the event until the app is connected, then delivers it as a retry.
                await self.transport.wait_until_open()
                retry, reason = max(1, retry), RETRY_REASON_OFFLINE
            ack = await self._attempt(delivery, retry, reason, self._limits.ack_timeout)
            if ack is not None and (not ack.refused or ack.no_retry):
                return
            delay = next(delays, None)
            if delay is None:
                delivery.gave_up = not delivery.acked
                self._journal.notify(delivery)
                return
            await asyncio.sleep(delay)
            retry, reason = retry + 1, delivery.attempts[-1].outcome

    async def _attempt(
        self, delivery: Delivery, retry: int, reason: str | None, seconds: float
    ) -> Ack | None:
        attempt = Attempt(str(uuid.uuid4()), self._clock(), retry, reason)
        delivery.attempts.append(attempt)
        ack = await self.transport.send(delivery, attempt, seconds)
        if ack is not None and not ack.refused:
            attempt.acked_at = self._clock()
            if delivery.acked_at is None:
                delivery.acked_at, delivery.answer = attempt.acked_at, ack.payload
        self._journal.notify(delivery)
        return ack
