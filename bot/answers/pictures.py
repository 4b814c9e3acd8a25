"""Receives the pictures that models make: they count against the memory budget and are fitted for storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bot.domain import Image
from bot.domain.stream_events import MadeImage
from bot.errors import FileProblem
from bot.observability import get_logger
from bot.runtime.memory import MemoryBudget, MemoryReservation

log = get_logger(__name__)

FitPicture = Callable[[bytes, str, MemoryReservation], Awaitable[Image]]
"""Checks a picture, and makes it small enough to keep. Raises FileProblem."""


@dataclass(frozen=True, slots=True)
class PictureIntake:
    """Processes the pictures of this process's answers."""

    memory: MemoryBudget
    fit: FitPicture

    def reserve(self, team: str) -> AbstractContextManager[MemoryReservation]:
        """The memory that the pictures of one answer take until they are stored."""
        return self.memory.reserve(team)

    async def fitted(
        self, pictures: Sequence[MadeImage], reservation: MemoryReservation
    ) -> tuple[Image, ...]:
        """The readable pictures, fitted for storage and display, each with its own name."""
        images: list[Image] = []
        for picture in pictures:
            data = await picture.load()
            if data is None:
                continue
            try:
                image = await self.fit(data, f"picture-{len(images) + 1}", reservation)
            except FileProblem as problem:
                log.info("picture_not_readable", reason=problem.code)
                continue
            suffix = image.mime.partition("/")[2].replace("jpeg", "jpg")
            images.append(Image(f"{image.name}.{suffix}", image.mime, image.data))
        return tuple(images)
