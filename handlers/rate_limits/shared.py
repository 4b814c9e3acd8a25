"""Slack's rate limits shared by several replicas: one count in Redis, and a fair fraction for each while Redis is
down.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bot.errors import StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from handlers.rate_limits.token_bucket import bucket_key
from storage.coordination import BucketResult, Coordination

log = get_logger(__name__)

REPLICA_COUNT_INTERVAL = 2.0
RECONNECT_INTERVAL = 0.5
"""Seconds between two attempts to reach unreachable shared limits."""
USED_KEY_TTL = 300.0
"""Seconds after which a key's bucket is certainly full again."""


class SharedRateLimiter:
    """The rate limits of all workspaces, as all replicas use them."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self._used_keys: dict[str, float] = {}
        """When each key was last used here."""
        self._tasks = Tasks(exit_timeout=0.2)
        self.replicas = 1
        """How many processes share the limits, as far as is known."""
        self.unreachable = False
        """Whether the shared limits cannot be asked at present."""

    @property
    def fraction(self) -> float:
        """The fraction of each limit that this process may use without asking."""
        return 1.0 / self.replicas if self.unreachable else 1.0

    def of(self, team: str) -> WorkspaceLimits:
        return WorkspaceLimits(self, team)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, counts the replicas, and tries to reach unreachable shared limits."""
        async with self._tasks:
            self._tasks.repeat(
                self._count_replicas,
                lambda: RECONNECT_INTERVAL if self.unreachable else REPLICA_COUNT_INTERVAL,
                name="shared limits",
            )
            yield

    async def take(self, key: str, rate: float, burst: float) -> BucketResult | None:
        """Requests one call; None while the shared limits are unreachable."""
        self._used_keys[key] = time.monotonic()
        try:
            return None if self.unreachable else await self._coordination.acquire(key, rate, burst)
        except StorageError:
            self._on_unreachable()
            return None

    async def hold(self, key: str, seconds: float) -> None:
        """No replica may call for this many seconds."""
        self._used_keys[key] = time.monotonic()
        try:
            await self._coordination.block(key, seconds)
        except StorageError:
            self._on_unreachable()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.start(work, name="shared limit")

    def _on_unreachable(self) -> None:
        if not self.unreachable:
            self.unreachable = True
            log.warning("shared_limits_unavailable", fraction=round(self.fraction, 3))

    async def _count_replicas(self) -> None:
        try:
            replicas = await self._coordination.replicas()
            if self.unreachable:
                await self._restart_used_buckets()
                # Other replicas may still be reconnecting: the next count will include them.
                replicas = max(replicas, self.replicas)
                log.info("shared_limits_available", replicas=replicas)
            self.replicas = replicas
            self.unreachable = False
        except StorageError:
            self._on_unreachable()

    async def _restart_used_buckets(self) -> None:
        """Redis may have lost the counts: each bucket starts with one call instead of a full burst."""
        earliest = time.monotonic() - USED_KEY_TTL
        self._used_keys = {key: at for key, at in self._used_keys.items() if at > earliest}
        for key in list(self._used_keys):
            await self._coordination.block(key, 0.0)


@dataclass(frozen=True)
class WorkspaceLimits:
    """The shared rate limits of one workspace."""

    limiter: SharedRateLimiter
    team: str

    @property
    def unreachable(self) -> bool:
        return self.limiter.unreachable

    @property
    def fraction(self) -> float:
        return self.limiter.fraction

    @property
    def peers(self) -> int:
        """How many processes use the same limits as this one."""
        return 1 if self.limiter.unreachable else self.limiter.replicas

    async def take(
        self, method: str, channel: str, rate: float, burst: float
    ) -> BucketResult | None:
        """Requests one call; None while the shared limits are unreachable, so that this process's fraction decides."""
        return await self.limiter.take(self._key(method, channel), rate, burst)

    def hold(self, method: str, channel: str, seconds: float) -> None:
        """Slack responded with HTTP 429: no replica may call for this many seconds. Returns immediately."""
        self.start(self.limiter.hold(self._key(method, channel), seconds))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background."""
        self.limiter.start(work)

    def _key(self, method: str, channel: str) -> str:
        return ":".join((self.team, *bucket_key(method, channel)))
