"""A bound on the bytes of shared files that are held in memory, for each workspace by itself.

What is bounded are bytes that have arrived: a download that waits for its turn, for a pause to end or for a slow server
holds none, or few, and delays nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

MAX_BYTES = 80_000_000
"""Bytes that the files of one workspace may take at the same time; each may have 20 MB, so one more file's at worst."""


class WorkspaceMemory:
    """The bytes that the files of one workspace take up. Use it only in the event loop's thread."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._beyond: HeldBytes | None = None
        """The one file that may exceed the limit: otherwise half-loaded files could wait for one another."""
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def used(self) -> int:
        return self._used

    @contextmanager
    def hold(self) -> Iterator[HeldBytes]:
        """The bytes of one file; they are given back at the end of the block."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            held.release()

    async def take(self, count: int, held: HeldBytes) -> None:
        while self._used + count > self._limit:
            if self._beyond in (None, held):
                self._beyond = held
                break
            await self._changed()
        self._used += count

    def give_back(self, count: int, held: HeldBytes) -> None:
        self._used -= count
        if self._beyond is held:
            self._beyond = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def _changed(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change


class HeldBytes:
    """The bytes of one file in its workspace's memory."""

    def __init__(self, memory: WorkspaceMemory) -> None:
        self._memory = memory
        self._count = 0

    async def add(self, count: int) -> None:
        """Waits, in order of arrival, until so many more bytes may be held."""
        await self._memory.take(count, self)
        self._count += count

    def release(self) -> None:
        """The bytes are not held any more; a next attempt may begin anew."""
        count, self._count = self._count, 0
        self._memory.give_back(count, self)


class FileMemory:
    """The memory of all workspaces that load files at present."""

    def __init__(self) -> None:
        self._workspaces: WeakValueDictionary[str, WorkspaceMemory] = WeakValueDictionary()

    def of(self, team: str) -> WorkspaceMemory:
        return self._workspaces.setdefault(team, WorkspaceMemory())
