"""Fits images to what models accept, one at a time in the whole process, wherever they come from."""

from __future__ import annotations

import asyncio

from bot.chats.attachments.images import decoding_bytes, fit_image
from bot.domain import Image
from bot.memory import HeldBytes


class ImageFitter:
    """Decodes one image at a time, in a thread, within the process's memory: it may take fifty times its size."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._looking = asyncio.Lock()
        """For their headers, which a hostile image may have many thousands of."""

    async def fit(self, data: bytes, name: str, held: HeldBytes) -> Image:
        """The image as it is sent. Raises FileProblem (see `images.fit_image`)."""
        async with self._looking:
            needed = await asyncio.to_thread(decoding_bytes, data)
        await held.add(needed)  # before the lock, so that whoever has the lock waits for nothing
        try:
            async with self._lock:
                image = await asyncio.to_thread(fit_image, data, name)
        finally:
            held.give_back(needed)
        return image
