"""A bound on the large things that are in a process's memory at the same time: bodies, downloads, pictures, pages.

What is counted are bytes that have arrived: a download that waits for its turn, for a pause to end or for a slow server
holds none, or few, and delays nobody. All large things take from one budget, because the sum is what ends a process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BYTES = 100_000_000
"""What large things of one process may take at the same time; one more of them may exceed it."""
MAX_OWN_BYTES = 60_000_000
"""The same for one workspace's files or one person's requests, so that others find room."""


class MemoryBudget:
    """The bytes that large things take up. Use it only in the event loop's thread."""

    def __init__(self, limit: int = MAX_BYTES, own_limit: int | None = None) -> None:
        """`own_limit`: for everything that is held in one name; as much as `limit` by default."""
        self._limit = limit
        self._own_limit = limit if own_limit is None else own_limit
        self._used: Counter[str] = Counter()
        self._beyond: HeldBytes | None = None
        """The one holder that may exceed the limits: otherwise half-loaded things could wait for one another."""
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def used(self) -> int:
        return self._used.total()

    @contextmanager
    def hold(self, name: str = "") -> Iterator[HeldBytes]:
        """The bytes of one piece of work, in the name of a workspace or person; given back at the end of the block."""
        held = HeldBytes(self, name)
        try:
            yield held
        finally:
            held.release()

    async def take(self, count: int, held: HeldBytes) -> None:
        while not (self._has_room(count, held.name) or self._may_exceed(held)):
            await self._changed()
        self._used[held.name] += count

    def give_back(self, count: int, held: HeldBytes) -> None:
        self._used[held.name] -= count
        if not self._used[held.name]:
            del self._used[held.name]
        if self._beyond is not None and not self._beyond.whole.total:
            self._beyond = None
        self.look_again()

    def look_again(self) -> None:
        """Those who wait look again whether they may have their bytes, in order of arrival."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def _has_room(self, count: int, name: str) -> bool:
        return self.used + count <= self._limit and self._used[name] + count <= self._own_limit

    def _may_exceed(self, held: HeldBytes) -> bool:
        """Whether this one has the right to exceed the limits, which it keeps; its work's next part inherits it."""
        before = self._beyond
        alone = before is not None and (before.settled or before is held.whole)
        if before is None or (before.whole is held.whole and alone):
            self._beyond = held
        return self._beyond is held

    async def _changed(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change


class HeldBytes:
    """The bytes of one piece of work, or of a part of it.

    Work takes everything it needs with one holder and its parts: two holders of one work could wait for each other.
    """

    def __init__(
        self, memory: MemoryBudget, name: str = "", whole: HeldBytes | None = None
    ) -> None:
        self._memory = memory
        self.name = name
        self.whole = whole or self
        self.total = 0
        """Of the whole: its bytes and those of its parts."""
        self._count = 0
        self.settled = False
        """This part will take no more bytes."""

    def part(self) -> HeldBytes:
        """A part that is loaded beside others. Its bytes are held until it or the whole is released."""
        return HeldBytes(self._memory, self.name, self.whole)

    async def add(self, count: int) -> None:
        """Waits until so many more bytes may be held."""
        await self._memory.take(count, self)
        self._count += count
        self.whole.total += count

    def give_back(self, count: int) -> None:
        """So many of the bytes are not held any more."""
        self._count -= count
        self.whole.total -= count
        self._memory.give_back(count, self)

    def release(self) -> None:
        """None of the bytes are held any more, for the whole none of its parts' either; a next attempt may begin."""
        self.give_back(self.total if self.whole is self else self._count)

    def settle(self, count: int) -> None:
        """This part is done, and keeps so many bytes until the whole is released."""
        self.settled = True
        self.give_back(self._count - count)
