"""An event loop whose time stands still while the machine is busy with others.

Many tests hold the bot to seconds: Slack waits three for an acknowledgement. Those seconds are the bot's own. What it
spends in the queue for a processor, behind other tests, compilers and browsers, says nothing about it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

_QUEUED = Path("/proc/thread-self/schedstat")
"""Where Linux tells how long a thread has computed, and how long it has waited to, in nanoseconds."""


class LoadTolerantLoop(asyncio.SelectorEventLoop):
    """Belongs to the thread that makes it. Where nothing tells how long that waited, time is as usual."""

    def __init__(self) -> None:
        self._queued = os.open(_QUEUED, os.O_RDONLY) if _QUEUED.exists() else None
        self._latest = 0.0
        super().__init__()

    def time(self) -> float:
        now = super().time()
        if self._queued is not None:
            now -= int(os.pread(self._queued, 100, 0).split()[1]) / 1e9
        self._latest = max(
            self._latest, now
        )  # between the two readings others may have had their turn
        return self._latest

    def close(self) -> None:
        super().close()
        if self._queued is not None:
            os.close(self._queued)
            self._queued = None


def load_tolerant_clock() -> Callable[[], float]:
    """The time of day by the running loop, for stand-ins that hold somebody to seconds."""
    loop = asyncio.get_running_loop()
    ahead = time.time() - loop.time()
    return lambda: loop.time() + ahead
