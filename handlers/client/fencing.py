"""Fencing: a check that runs right before a request is sent and can still hold it back.

Between the decision to call Slack and the first byte sent, the event loop runs other things: a connection is made, and
aiohttp writes the request in its own task. A process that is suspended at that point would send an outdated request
when it resumes. So the check runs at the last moment, in a trace hook of aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp

BeforeSend = Callable[[], Awaitable[None]]
"""Returns when the request may be sent; raises if it must not be."""
_BEFORE_SEND: ContextVar[BeforeSend | None] = ContextVar("before_send", default=None)


@contextmanager
def fenced(before_send: BeforeSend | None) -> Iterator[None]:
    """Requests made here, by a session with the `fencing_trace`, are sent only after `before_send` has returned."""
    token = _BEFORE_SEND.set(before_send)
    try:
        yield
    finally:
        _BEFORE_SEND.reset(token)


def fencing_trace() -> aiohttp.TraceConfig:
    """The trace hook for a session."""

    async def wait(
        _session: aiohttp.ClientSession, _context: Any, _chunk: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        if (before_send := _BEFORE_SEND.get()) is None:
            return
        try:
            await before_send()
        except asyncio.CancelledError as error:
            # This may be a task of aiohttp: only an error reaches the caller who awaits the response.
            raise aiohttp.ClientConnectionError("held back") from error

    trace = aiohttp.TraceConfig()
    # Despite its name this is called before a chunk is sent, and the headers go out with the first chunk.
    trace.on_request_chunk_sent.append(wait)
    return trace
