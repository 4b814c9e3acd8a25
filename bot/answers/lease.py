"""What a worker knows of its lease on an answer.

A worker whose lease may have expired re-checks it before every Slack call: by then another worker may be writing the
answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClockReading:
    """A moment on two clocks: the monotonic clock may stop while the machine sleeps, the wall clock may be changed."""

    monotonic: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)

    def age(self) -> float:
        """Seconds since that moment, by whichever clock shows more."""
        return max(time.monotonic() - self.monotonic, time.time() - self.wall)


class Lease:
    """One worker's lease on one answer."""

    def __init__(
        self,
        since: ClockReading,
        request_renewal: Callable[[], None],
        safe_for: float,
    ) -> None:
        """`since`: read before the database granted the lease. `request_renewal`: asks for a renewal soon.

        `safe_for`: seconds after a renewal during which the lease certainly holds (see `Timing.lease_safe`).
        """
        self._since = since
        self._request_renewal = request_renewal
        self._safe_for = safe_for
        self._valid_from = since.monotonic
        self._changed = asyncio.Event()
        self.lost = False

    async def confirm(self) -> None:
        """Returns when the lease certainly holds: immediately, or after the next renewal. Cancels a caller who has lost
        it.
        """
        while not (self.lost or self._holds()):
            self._changed.clear()
            self._request_renewal()
            await self._changed.wait()
        if self.lost:
            raise asyncio.CancelledError

    def _holds(self) -> bool:
        return self._since.monotonic >= self._valid_from and self._since.age() < self._safe_for

    def mark_renewed(self, since: ClockReading) -> None:
        """The database has renewed the lease. `since`: read before it was asked to."""
        self._since = since
        self._changed.set()

    def invalidate(self) -> None:
        """Another worker may have the answer: only a renewal requested from now on counts."""
        self._valid_from = time.monotonic()

    def lose(self) -> None:
        self.lost = True
        self._changed.set()
