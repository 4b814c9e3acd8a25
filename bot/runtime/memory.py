"""Limits the memory that large objects take in a process: request bodies, downloads, pictures, pages.

Only bytes that have arrived count: a download that waits for its turn, for a pause to end or for a slow server holds
few bytes or none, and delays nobody. All large objects share one budget, because their sum is what exhausts the memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BYTES = 100_000_000
"""What the large objects of one process may take at the same time; only one of them may exceed it."""
MAX_OWN_BYTES = 60_000_000
"""The limit for one workspace's files or one person's requests, so that there is room for others."""


class MemoryBudget:
    """The memory that large objects take. Use it only in the event loop's thread."""

    def __init__(self, limit: int = MAX_BYTES, own_limit: int | None = None) -> None:
        """`own_limit`: for everything that one owner holds; equal to `limit` by default."""
        self._limit = limit
        self._own_limit = limit if own_limit is None else own_limit
        self._used: Counter[str] = Counter()
        self._over_limit_holder: MemoryReservation | None = None
        """The one holder that may exceed the limits: otherwise half-loaded things could wait for one another."""
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def used(self) -> int:
        return self._used.total()

    @contextmanager
    def reserve(self, name: str = "") -> Iterator[MemoryReservation]:
        """The bytes of one piece of work, counted for a workspace or person; released at the end of the block."""
        reservation = MemoryReservation(self, name)
        try:
            yield reservation
        finally:
            reservation.release()

    async def take(self, count: int, reservation: MemoryReservation) -> None:
        while not (self._has_room(count, reservation.name) or self._may_exceed(reservation)):
            await self._changed()
        self._used[reservation.name] += count

    def free(self, count: int, reservation: MemoryReservation) -> None:
        self._used[reservation.name] -= count
        if not self._used[reservation.name]:
            del self._used[reservation.name]
        if self._over_limit_holder is not None and not self._over_limit_holder.whole.total:
            self._over_limit_holder = None
        self.wake_waiting()

    def wake_waiting(self) -> None:
        """Lets waiting holders check, in order of arrival, whether they may have their bytes now."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def _has_room(self, count: int, name: str) -> bool:
        return self.used + count <= self._limit and self._used[name] + count <= self._own_limit

    def _may_exceed(self, reservation: MemoryReservation) -> bool:
        """Whether this holder may exceed the limits. It keeps that right, and the next part of its work inherits it."""
        before = self._over_limit_holder
        alone = before is not None and (before.settled or before is reservation.whole)
        if before is None or (before.whole is reservation.whole and alone):
            self._over_limit_holder = reservation
        return self._over_limit_holder is reservation

    async def _changed(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change


class MemoryReservation:
    """The bytes of one piece of work, or of a part of it.

    Each piece of work takes everything through one holder and its parts, because two holders of the same work could
    deadlock.
    """

    def __init__(
        self, memory: MemoryBudget, name: str = "", whole: MemoryReservation | None = None
    ) -> None:
        self._memory = memory
        self.name = name
        self.whole = whole or self
        self.total = 0
        """Of the whole: its bytes and those of its parts."""
        self._count = 0
        self.settled = False
        """This part will take no more bytes."""

    def part(self) -> MemoryReservation:
        """A part that is loaded concurrently with others. Its bytes are held until it or the whole is released."""
        return MemoryReservation(self._memory, self.name, self.whole)

    async def add(self, count: int) -> None:
        """Waits until this many more bytes may be held."""
        await self._memory.take(count, self)
        self._count += count
        self.whole.total += count

    def shrink(self, count: int) -> None:
        """Releases this many bytes."""
        self._count -= count
        self.whole.total -= count
        self._memory.free(count, self)

    def release(self) -> None:
        """Releases all bytes, including those of all parts; a new attempt may begin."""
        self.shrink(self.total if self.whole is self else self._count)

    def settle(self, count: int) -> None:
        """Ends this part, which keeps this many bytes until the whole is released."""
        self.settled = True
        self.shrink(self._count - count)
