"""The database may be away for a while: what must be known or stored meanwhile is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import StorageError
from bot.observability import get_logger

log = get_logger(__name__)

T = TypeVar("T")

FIRST, LONGEST = 0.2, 5.0
"""Seconds between two attempts, at first and in the end."""


async def until_stored(work: Callable[[], Awaitable[T]], answer_id: str) -> T:
    """What `work` gives, however long the database is away. Only StorageError is waited out."""
    pause = FIRST
    while True:
        try:
            return await work()
        except StorageError as error:
            log.warning("storage_unreachable", answer=answer_id, reason=str(error))
        await asyncio.sleep(pause)
        pause = min(LONGEST, pause * 2)
