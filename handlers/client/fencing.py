"""The last moment before a call leaves: who may not make it any more is held back there.

Between the decision to call and the first byte lie turns of the event loop: a connection is made, the request is
written by a task of its own. A process that stands still just then would send, when it goes on, what is long out of
date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp

Before = Callable[[], Awaitable[None]]
_BEFORE: ContextVar[Before | None] = ContextVar("before", default=None)


@contextmanager
def passing(before: Before | None) -> Iterator[None]:
    """Requests made here by a session with the `gate` are written when `before` has returned, if it does."""
    token = _BEFORE.set(before)
    try:
        yield
    finally:
        _BEFORE.reset(token)


def gate() -> aiohttp.TraceConfig:
    """For a session."""

    async def wait(
        _session: aiohttp.ClientSession, _context: Any, _chunk: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        if (before := _BEFORE.get()) is None:
            return
        try:
            await before()
        except (
            asyncio.CancelledError
        ) as lost:  # aiohttp's own task, perhaps: as an error, whoever waits hears of it
            raise aiohttp.ClientConnectionError("held back") from lost

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(
        wait
    )  # told before it is sent, whatever its name; headers go with it
    return trace
