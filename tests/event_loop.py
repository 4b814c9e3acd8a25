"""An event loop whose clock stops while its thread waits for a processor.

Timeouts and sleeps in tests then measure what the bot does, not how busy the machine is with other processes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

_QUEUED = Path("/proc/thread-self/schedstat")
"""Linux's account of this thread: nanoseconds on a processor, nanoseconds waiting for one, and more."""


_RESOLUTION = 0.005
"""Seconds for which one reading of the account serves, since the loop looks at its clock several times a turn."""


class LoadTolerantLoop(asyncio.SelectorEventLoop):
    """Belongs to the thread that creates it. Where the system keeps no such account, its clock is the usual one."""

    def __init__(self) -> None:
        self._queued = os.open(_QUEUED, os.O_RDONLY) if _QUEUED.exists() else None
        self._read_at = float("-inf")
        self._waited = 0.0
        self._latest = 0.0
        super().__init__()

    def time(self) -> float:
        now = super().time()
        if self._queued is not None and now - self._read_at > _RESOLUTION:
            self._read_at = now
            self._waited = int(os.pread(self._queued, 100, 0).split()[1]) / 1e9
        # The thread may have waited between the two readings.
        self._latest = max(self._latest, now - self._waited)
        return self._latest

    def close(self) -> None:
        super().close()
        if self._queued is not None:
            os.close(self._queued)
            self._queued = None


def load_tolerant_clock() -> Callable[[], float]:
    """The time of day by the running loop's clock, for stand-ins that enforce deadlines."""
    loop = asyncio.get_running_loop()
    ahead = time.time() - loop.time()
    return lambda: loop.time() + ahead
