"""What a process knows of its hold on an answer: who may have lost it asks before it does anything that is seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LEASE = 8.0
"""Seconds that an owner may be silent before another process takes its answers over."""
SURE = LEASE * 3 / 4
"""Seconds after a renewal in which nobody can have taken over, nor will while a call that begins now is on its way."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """A point in time on two clocks: one may stand still while a machine sleeps, the other may be set."""

    monotonic: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)

    def age(self) -> float:
        """Seconds since then, by whichever clock says more."""
        return max(time.monotonic() - self.monotonic, time.time() - self.wall)


class Lease:
    """One process's hold on one answer."""

    def __init__(self, since: ClockReading, ask: Callable[[], None]) -> None:
        """`since`: before the database was asked for it. `ask`: has it renewed soon, whatever comes of that."""
        self._since, self._ask = since, ask
        self._valid_from = since.monotonic
        self._told = asyncio.Event()
        self.lost = False

    async def confirm(self) -> None:
        """Returns while the lease holds for certain; else when it has been renewed. Who has lost it is cancelled."""
        while not (self.lost or self._holds()):
            self._told.clear()
            self._ask()
            await self._told.wait()
        if self.lost:
            raise asyncio.CancelledError

    def _holds(self) -> bool:
        return self._since.monotonic >= self._valid_from and self._since.age() < SURE

    def mark_renewed(self, since: ClockReading) -> None:
        """The database has renewed it, asked at that moment or later."""
        self._since = since
        self._told.set()

    def invalidate(self) -> None:
        """Something looks as if somebody else had it: what was known until now does not count."""
        self._valid_from = time.monotonic()

    def lose(self) -> None:
        self.lost = True
        self._told.set()
