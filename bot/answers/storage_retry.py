"""Repeats database work while the database is down."""

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
"""The longest pause between two attempts, in seconds."""


async def until_stored(
    work: Callable[[], Awaitable[T]],
    answer_id: str,
    *,
    again: Callable[[], Awaitable[T]] | None = None,
) -> T:
    """The result of `work`, repeated while the database is down. Only StorageError is retried.

    `again`: what to do after a failure instead of `work`. The first cause is logged and, after failures, the eventual
    success.
    """
    delay, failures = FIRST_DELAY, 0
    while True:
        try:
            result = await (work if again is None or not failures else again)()
        except StorageError as error:
            if not failures:
                log.warning("storage_unreachable", answer=answer_id, reason=str(error))
            failures += 1
        else:
            if failures:
                log.info("stored_after_retries", answer=answer_id, failures=failures)
            return result
        await asyncio.sleep(delay)
        delay = min(MAX_DELAY, delay * 2)
