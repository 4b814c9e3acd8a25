"""Coordination for a single process."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from storage.coordination.base import BucketResult, TopicEvent
from storage.coordination.local_topics import Subscription, TopicHub

_MAX_BUCKETS = 10_000
"""If there are more buckets than this, unused ones are deleted."""
_BUCKET_TTL = 3600.0
"""Seconds after which an unused bucket is full again, whatever its rate, and may be deleted."""


@dataclass(slots=True)
class MemoryBucket:
    """A token bucket. `storage/coordination/scripts.py` runs the same steps in Redis: change both or neither."""

    level: float
    at: float
    """The time at which `level` was correct; in the future while the bucket is blocked."""
    blocked_until: float = 0.0

    def acquire(self, now: float, rate: float, burst: float) -> BucketResult:
        self.level = min(burst, self.level + max(0.0, now - self.at) * rate)
        self.at = max(self.at, now)
        if self.blocked_until > now:
            return BucketResult(False, self.blocked_until - now, self.level)
        if self.level < 1:
            return BucketResult(False, (1 - self.level) / rate, self.level)
        self.level -= 1
        return BucketResult(True, 0.0, self.level)

    def block(self, until: float) -> None:
        if until > self.blocked_until:
            self.level = 1.0
            self.at = until
            self.blocked_until = until


class MemoryCoordination:
    """Buckets and events that exist only within this process."""

    address = ""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hub = TopicHub()
        self._buckets: dict[str, MemoryBucket] = {}

    async def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        # Passed through JSON, as between replicas, so that no subscriber shares an object with the publisher.
        self._hub.deliver(TopicEvent(topic, json.loads(json.dumps(event))))

    def may_have_subscribers(self, topic: str) -> bool:
        return self._hub.has_subscribers(topic)

    @asynccontextmanager
    async def subscribe(
        self, *topics: str, buffer: int = 1000
    ) -> AsyncIterator[AsyncIterator[TopicEvent]]:
        inbox = Subscription(buffer)
        self._hub.add(inbox, topics)
        try:
            yield inbox
        finally:
            self._hub.remove(inbox, topics)

    async def acquire(self, key: str, rate_per_second: float, burst: float) -> BucketResult:
        now = self._clock()
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets = {
                name: bucket
                for name, bucket in self._buckets.items()
                if bucket.at > now - _BUCKET_TTL
            }
        bucket = self._buckets.setdefault(key, MemoryBucket(burst, now))
        return bucket.acquire(now, rate_per_second, burst)

    async def block(self, key: str, seconds: float) -> None:
        now = self._clock()
        bucket = self._buckets.setdefault(key, MemoryBucket(1.0, now))
        bucket.block(now + seconds)

    async def replicas(self) -> int:
        return 1

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        self._hub.end()
