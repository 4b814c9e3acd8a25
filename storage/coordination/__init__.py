"""Events and shared rate limits: in one process, or between replicas through Redis."""

from __future__ import annotations

import ssl

from bot.errors import SettingsError
from bot.timing import Timing
from storage.coordination.base import (
    BucketResult,
    Coordination,
    RedisLost,
    SlowSubscriber,
    TopicEvent,
)
from storage.coordination.memory import MemoryCoordination

__all__ = [
    "BucketResult",
    "Coordination",
    "RedisLost",
    "SlowSubscriber",
    "TopicEvent",
    "open_coordination",
]


async def open_coordination(
    url: str, timing: Timing = Timing(), tls: ssl.SSLContext | None = None
) -> Coordination:
    """Accepts `memory://` or `redis://…` (`rediss://`, `unix://`). Redis need not be reachable yet; `ping` checks it.

    `tls`: for `rediss://`, if the URL itself says nothing about certificates. Raises SettingsError when the URL cannot
    be used.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return MemoryCoordination()
    if scheme in ("redis", "rediss", "unix"):
        from storage.coordination.redis import RedisCoordination

        return RedisCoordination(url, timing.redis_timeout, tls)
    raise SettingsError(
        "REDIS_URL must begin with redis://, rediss:// or unix://, such as redis://localhost:6379/0"
    )
