"""Ends a command that runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Shutdown:
    """A shutdown requested by SIGTERM or Ctrl-C: cancels a startup in progress, or lets the running command close
    gracefully.
    """

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._starting = asyncio.current_task()

    def request(self) -> None:
        self._requested.set()
        if self._starting is not None:
            self._starting.cancel()

    async def wait(self) -> None:
        """Startup is complete: waits until a shutdown is requested."""
        self._starting = None
        # Objects loaded by now are never freed. A garbage collection of all of them stops every answer for 0.1 to 0.3
        # s, and many simultaneous answers cause several collections: a third of their processor time. So these objects
        # are excluded from collections, and collections of newer objects are made less frequent.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        await self._requested.wait()

    @property
    def is_requested(self) -> bool:
        return self._requested.is_set()


@asynccontextmanager
async def shutdown_on_signal() -> AsyncIterator[Shutdown]:
    """While this is open, SIGTERM and Ctrl-C request a shutdown."""
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
