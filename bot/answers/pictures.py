"""Fits the pictures that models make for storage; while they are in memory, they count against its budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.domain import Image
from bot.domain.stream_events import MadeImage
from bot.errors import FileProblem
from bot.observability import get_logger
from bot.runtime.memory import MemoryReservation

log = get_logger(__name__)

FitPicture = Callable[[bytes, str, MemoryReservation], Awaitable[Image]]
"""Checks a picture, and makes it small enough to keep. Raises FileProblem."""


async def fit_pictures(
    pictures: Sequence[MadeImage], fit: FitPicture, reservation: MemoryReservation
) -> tuple[Image, ...]:
    """The readable pictures, fitted for storage and display, each with its own name."""
    images: list[Image] = []
    for picture in pictures:
        data = await picture.load()
        if data is None:
            continue
        try:
            image = await fit(data, f"picture-{len(images) + 1}", reservation)
        except FileProblem as problem:
            log.info("picture_not_readable", reason=problem.code)
            continue
        suffix = image.mime.partition("/")[2].replace("jpeg", "jpg")
        images.append(Image(f"{image.name}.{suffix}", image.mime, image.data))
    return tuple(images)
