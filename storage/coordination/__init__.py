"""Events and shared rate limits: in one process, or between replicas through Redis."""

from __future__ import annotations

from bot.errors import SettingsError
from bot.timing import Timing
from storage.coordination.base import BucketResult, Coordination, SlowSubscriber, TopicEvent
from storage.coordination.memory import MemoryCoordination

__all__ = ["BucketResult", "Coordination", "SlowSubscriber", "TopicEvent", "open_coordination"]


async def open_coordination(url: str, timing: Timing = Timing()) -> Coordination:
    """Accepts `memory://` or `redis://…` (`rediss://`, `unix://`). Redis need not be reachable yet; `ping` checks it.

    Raises SettingsError when the URL cannot be used.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return MemoryCoordination()
    if scheme in ("redis", "rediss", "unix"):
        from storage.coordination.redis import RedisCoordination

        return RedisCoordination(url, timing.redis_timeout)
    raise SettingsError(
        "REDIS_URL must begin with redis:// or rediss://, such as redis://localhost:6379/0"
    )
