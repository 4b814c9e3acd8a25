"""Bounds every call to a model: its longest silence, its longest time and its longest text.

What counts against the silence are events, not bytes: the keep-alive comments and empty chunks of a server whose model
has hung yield none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from bot.errors import ModelTimeout
from bot.stream_events import (
    Done,
    StreamEvent,
    TextDelta,
)

CUT = Done("length")
"""The end of an answer that was cut at a bound; the text before it stays."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a model's time and text one call may take."""

    silence: float
    """Seconds without an event."""
    seconds: float
    """From the request to the end."""
    characters: int


async def bounded(
    events: AsyncGenerator[StreamEvent, None], bounds: Bounds
) -> AsyncGenerator[StreamEvent, None]:
    """The same events until a bound is reached.

    Too much text, or too long a time once there is some text, cuts the answer: it ends with `CUT`. Silence, and too
    long a time without any text, raises ModelTimeout.
    """
    deadline = asyncio.get_running_loop().time() + bounds.seconds
    left = bounds.characters
    async with aclosing(events):
        while (event := await _next(events, bounds, deadline, left)) is not None:
            if isinstance(event, TextDelta):
                yield TextDelta(event.text[:left])
                left -= len(event.text)
                event = CUT if left < 0 else None
            if event is not None:
                yield event
            if event is CUT:
                return


async def _next(
    events: AsyncGenerator[StreamEvent, None], bounds: Bounds, deadline: float, left: int
) -> StreamEvent | None:
    """The next event, None after the last. Raises ModelTimeout."""
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(now + bounds.silence, deadline)):
            return await anext(events, None)
    except TimeoutError:
        if left < bounds.characters and asyncio.get_running_loop().time() >= deadline:
            return CUT
        raise ModelTimeout("nothing but silence") from None
