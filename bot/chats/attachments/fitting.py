"""Converts images into a form that models accept, one at a time in the whole process, wherever they come from."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from bot.chats.attachments.images import decoding_bytes, fit_image
from bot.domain import Image
from bot.runtime.memory import MemoryReservation


class ImageFitter:
    """Decodes one image at a time, within the process's memory budget: it may take fifty times its size.

    All in one thread. An image whose request was given up is still decoded completely, and the next one waits for it.
    Also, the C library keeps freed memory for each thread that used it, a hundred megabytes for a large image.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")

    async def fit(self, data: bytes, name: str, reservation: MemoryReservation) -> Image:
        """The image as it is sent. Raises FileProblem (see `images.fit_image`)."""
        loop = asyncio.get_running_loop()
        needed = await loop.run_in_executor(self._thread, decoding_bytes, data)
        await reservation.add(
            needed
        )  # before taking its turn, so that the thread's owner waits for nothing
        try:
            return await loop.run_in_executor(self._thread, fit_image, data, name)
        finally:
            reservation.shrink(needed)
