"""The end of a command that runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Shutdown:
    """Is requested by SIGTERM or Ctrl-C: cancels a start that is under way, or lets what runs close gracefully."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._starting = asyncio.current_task()

    def request(self) -> None:
        self._requested.set()
        if self._starting is not None:
            self._starting.cancel()

    async def wait(self) -> None:
        """The start is complete: waits until the end is requested."""
        self._starting = None
        # What is loaded by now is never freed. A garbage collection of all of it stops every answer for 0.1 to 0.3 s,
        # and many answers at once cause several: a third of their processor time. So it is excluded from collections,
        # and collections of what comes later are rarer.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        await self._requested.wait()

    @property
    def is_requested(self) -> bool:
        return self._requested.is_set()


@asynccontextmanager
async def shutdown_on_signal() -> AsyncIterator[Shutdown]:
    """What SIGTERM and Ctrl-C request while this is open."""
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, shutdown.request)
    try:
        yield shutdown
    except asyncio.CancelledError:
        if not shutdown.is_requested:
            raise
