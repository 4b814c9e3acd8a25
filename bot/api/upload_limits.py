"""The rate at which one process reads request bodies: how long a sender may pause, and how fast all of them
together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

BYTES_PER_SECOND = 80_000_000
"""Reading this much takes about a seventh of a core; without a limit, a few dozen large bodies would take the whole
core.
"""
DISCARDED_PER_SECOND = 20_000_000
"""The limit for bodies that are refused and not kept."""


class BandwidthLimiter:
    """Lets this many bytes pass per second. Use it only in the event loop's thread."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0
        """By the event loop's clock."""

    async def consume(self, count: int) -> None:
        """Records that this many bytes have arrived, and returns when more may."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + count / self._rate
        await asyncio.sleep(self._free_at - now)


@dataclass(frozen=True)
class UploadLimits:
    """The limits that apply to every request."""

    gap_timeout: float
    """Seconds between two pieces of one body."""
    reading: BandwidthLimiter = field(default_factory=lambda: BandwidthLimiter(BYTES_PER_SECOND))
    """For all large bodies together."""
    discarding: BandwidthLimiter = field(
        default_factory=lambda: BandwidthLimiter(DISCARDED_PER_SECOND)
    )
    """For what refused clients are still sending."""
