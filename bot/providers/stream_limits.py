"""Limits every model call: its longest silence, its longest time and its longest text.

Silence is measured between events, not bytes: the keep-alive comments and empty chunks of a server whose model hangs
produce no events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass

from bot.domain.stream_events import (
    Done,
    StreamEvent,
    TextDelta,
)
from bot.errors import ModelTimeout

CUT = Done("length")
"""The end of an answer that was cut at a limit; the text before it stays."""


class IdleTimeout:
    """How long a model may be silent. Time during which the request is still being sent does not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def running(self, deadline: float) -> AsyncGenerator[None, None]:
        """Raises TimeoutError in the block after the silence, or at the deadline, by the event loop's clock."""
        self._deadline = deadline
        async with asyncio.timeout_at(self._end()) as self._timer:
            try:
                yield
            finally:
                self._timer = None

    @contextmanager
    def server_waits(self) -> Iterator[None]:
        """While this is open, the model is waiting for the bot."""
        self._reschedule(self._deadline)
        try:
            yield
        finally:
            self._reschedule(self._end())

    def _end(self) -> float:
        return min(asyncio.get_running_loop().time() + self._seconds, self._deadline)

    def _reschedule(self, end: float) -> None:
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(end)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much time and text one model call may take."""

    idle: IdleTimeout
    """The limit on the time without an event."""
    seconds: float
    """From the request to the end."""
    characters: int


async def limited(
    events: AsyncGenerator[StreamEvent, None], limits: StreamLimits
) -> AsyncGenerator[StreamEvent, None]:
    """The same events until a limit is reached.

    Too much text, or too long a time once there is some text, cuts the answer: it ends with `CUT`. Silence, or too long
    a time without any text, raises ModelTimeout.
    """
    deadline = asyncio.get_running_loop().time() + limits.seconds
    left = limits.characters
    async with aclosing(events):
        while (event := await _next(events, limits, deadline, left)) is not None:
            if isinstance(event, TextDelta):
                yield TextDelta(event.text[:left])
                left -= len(event.text)
                event = CUT if left < 0 else None
            if event is not None:
                yield event
            if event is CUT:
                return


async def _next(
    events: AsyncGenerator[StreamEvent, None], limits: StreamLimits, deadline: float, left: int
) -> StreamEvent | None:
    """The next event, None after the last. Raises ModelTimeout."""
    try:
        async with limits.idle.running(deadline):
            return await anext(events, None)
    except TimeoutError:
        if left < limits.characters and asyncio.get_running_loop().time() >= deadline:
            return CUT
        raise ModelTimeout("nothing but silence") from None
