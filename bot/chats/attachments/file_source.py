"""Where shared files are downloaded from, as the loader sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.chats.attachments import rules
from bot.domain import SharedFile
from bot.errors import FileProblem
from bot.runtime.memory import MemoryReservation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """The bytes of a file, or of its beginning."""

    data: bytes
    truncated: bool = False


class FileSource(Protocol):
    """Downloads shared files; implemented by `handlers.client.files`."""

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """The file with everything that is needed to download it. Raises FileProblem."""
        ...

    async def fetch(
        self,
        team: str,
        file: SharedFile,
        most: int,
        reservation: MemoryReservation,
        *,
        thumb: bool = False,
    ) -> FetchedFile:
        """Returns the first `most` bytes of the file, or of its thumbnail, counted in `reservation`.

        Raises FileProblem.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadlineSource:
    """A source whose files arrive before a common deadline, or count as unreadable."""

    source: FileSource
    team: str
    deadline: float
    """In the event loop's time."""

    async def describe(self, file: SharedFile) -> SharedFile:
        """Raises FileProblem."""
        return await self._in_time(self.source.describe(self.team, file))

    async def fetch(
        self, file: SharedFile, most: int, reservation: MemoryReservation, *, thumb: bool = False
    ) -> FetchedFile:
        """Raises FileProblem."""
        return await self._in_time(
            self.source.fetch(self.team, file, most, reservation, thumb=thumb)
        )

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self.deadline):
                return await work
        except TimeoutError:
            raise FileProblem(rules.UNREACHABLE) from None
