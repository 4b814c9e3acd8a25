"""Repeats database work for as long as the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import StorageError
from bot.observability import get_logger

log = get_logger(__name__)

T = TypeVar("T")

FIRST_DELAY = 0.2
"""Seconds before the second attempt; doubles with each further one."""
MAX_DELAY = 5.0
"""Seconds between two attempts, at most."""


async def until_stored(work: Callable[[], Awaitable[T]], answer_id: str) -> T:
    """The result of `work`, repeated while the database is away. Only StorageError is waited out."""
    delay = FIRST_DELAY
    while True:
        try:
            return await work()
        except StorageError as error:
            log.warning("storage_unreachable", answer=answer_id, reason=str(error))
        await asyncio.sleep(delay)
        delay = min(MAX_DELAY, delay * 2)
