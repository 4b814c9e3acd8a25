"""Slack's budgets when several replicas spend them: one common account, and a fair share while it cannot be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bot.errors import StorageError
from bot.observability import get_logger
from bot.tasks import Tasks
from handlers.rate_limits.token_bucket import PER_CHANNEL
from storage.coordination import BucketResult, Coordination

log = get_logger(__name__)

COUNT_EVERY = 2.0
"""Seconds between two counts of the replicas."""
TRY_EVERY = 0.5
"""Seconds between two attempts to reach a common account that is gone."""
REMEMBERED = 300.0
"""Seconds after which a quiet account is full again, whatever was spent from it."""


class SharedRateLimiter:
    """What all replicas spend, in all workspaces. An async context manager."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self.replicas = 1
        """How many processes share the budgets, as far as is known."""
        self._asked: dict[str, float] = {}
        self._tasks = Tasks(exit_timeout=0.2)
        self.alone = False
        """The common account cannot be asked."""

    @property
    def part(self) -> float:
        """The part of each allowance that this process may spend unasked."""
        return 1.0 / self.replicas if self.alone else 1.0

    def of(self, team: str) -> WorkspaceLimits:
        """The account of one workspace."""
        return WorkspaceLimits(self, team)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The replicas are counted, and a lost account found again, while this is open."""
        watch = asyncio.create_task(self._watch(), name="budgets")
        try:
            async with self._tasks:
                yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def take(self, key: str, rate: float, burst: float) -> BucketResult | None:
        self._asked[key] = time.monotonic()
        try:
            return None if self.alone else await self._coordination.acquire(key, rate, burst)
        except StorageError:
            self._lose()
            return None

    async def hold(self, key: str, seconds: float) -> None:
        self._asked[key] = time.monotonic()
        try:
            await self._coordination.block(key, seconds)
        except StorageError:
            self._lose()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.start(work, name="budget")

    def _lose(self) -> None:
        if not self.alone:
            self.alone = True
            log.warning("budgets_apart", part=round(self.part, 3))

    async def _watch(self) -> None:
        while True:
            try:
                replicas = await self._coordination.replicas()
                if self.alone:
                    await self._begin_anew()
                    replicas = max(
                        replicas, self.replicas
                    )  # others may still be on their way: the next count tells
                    log.info("budgets_shared", replicas=replicas)
                self.replicas, self.alone = replicas, False
            except StorageError:
                self._lose()
            except Exception:
                log.exception("budgets_not_watched")
            await asyncio.sleep(TRY_EVERY if self.alone else COUNT_EVERY)

    async def _begin_anew(self) -> None:
        """An account that was gone may have forgotten what was spent: it begins with one call, not with a burst."""
        earliest = time.monotonic() - REMEMBERED
        self._asked = {key: at for key, at in self._asked.items() if at > earliest}
        for key in list(self._asked):
            await self._coordination.block(key, 0.0)


@dataclass(frozen=True)
class WorkspaceLimits:
    """One workspace's budgets, as all replicas share them."""

    budgets: SharedRateLimiter
    team: str

    @property
    def alone(self) -> bool:
        return self.budgets.alone

    @property
    def part(self) -> float:
        return self.budgets.part

    @property
    def peers(self) -> int:
        """How many processes spend from what this one may spend from."""
        return 1 if self.budgets.alone else self.budgets.replicas

    async def take(
        self, method: str, channel: str, rate: float, burst: float
    ) -> BucketResult | None:
        """Asks for one call; None when the common account cannot be asked, so that the own part decides."""
        return await self.budgets.take(self._key(method, channel), rate, burst)

    def hold(self, method: str, channel: str, seconds: float) -> None:
        """Slack said 429: nobody may call for so long. Returns at once."""
        self.start(self.budgets.hold(self._key(method, channel), seconds))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` beside everything else."""
        self.budgets.start(work)

    def _key(self, method: str, channel: str) -> str:
        return f"{self.team}:{method}:{channel if method in PER_CHANNEL else ''}"
