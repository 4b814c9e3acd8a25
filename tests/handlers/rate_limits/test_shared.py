"""Replicas that share Slack's limits stay within them together, whatever happens to Redis."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from handlers.rate_limits.dispatcher import CallDispatcher
from handlers.rate_limits.pending_write import PendingWrite, Visibility
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.shared import SharedRateLimiter
from handlers.rate_limits.slack_rates import APPEND, POST, UPDATE, Rate
from storage.coordination import open_coordination
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.redis_service import RedisServer

RATES = {UPDATE: Rate(20.0, 6), APPEND: Rate(30.0, 6), POST: Rate(10.0, 3)}
TEAM = "T0"
ON_ITS_WAY = 1.0
"""Seconds that a call may take from its turn to Slack, where it counts when it arrives; much, on a busy machine."""


class StrictSlack:
    """One workspace's limits, counted for all replicas together."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.refused: list[tuple[str, float]] = []
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def call(self, method: str, channel: str = "") -> bool:
        key = (method, channel if method == POST else "")
        rate, now = RATES[method], time.monotonic()
        most = rate.burst + rate.per_second * ON_ITS_WAY
        level, at = self._buckets.get(key, (most, now))
        level = min(most, level + (now - at) * rate.per_second)
        self.calls[method] += 1
        if level < 0.99:
            self.refused.append((method, level))
            self._buckets[key] = (level, now)
            return False
        self._buckets[key] = (level - 1, now)
        return True


@asynccontextmanager
async def replicas(
    url: str, count: int
) -> AsyncIterator[tuple[list[CallDispatcher], list[SharedRateLimiter]]]:
    async with AsyncExitStack() as stack:
        shared, slack_clients = [], []
        for _ in range(count):
            coordination = await open_coordination(url, patient_timing())
            stack.push_async_callback(coordination.close)
            limits = SharedRateLimiter(coordination)
            await stack.enter_async_context(limits.running())
            shared.append(limits)
            slack_clients.append(
                CallDispatcher(WriteScheduler(RATES), shared_limits=limits.of(TEAM))
            )
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not all(each.replicas == count for each in shared):
                await asyncio.sleep(0.05)
        yield slack_clients, shared


async def queued_calls(
    dispatcher: CallDispatcher, slack: StrictSlack, method: str, count: int, channel: str = "C1"
) -> None:
    """So many calls, a few at a time, each repeated until Slack takes it."""

    async def one() -> None:
        while True:
            await dispatcher.acquire(method, channel)
            taken = slack.call(method, channel)
            dispatcher.settle(method, channel)
            if taken:
                return
            dispatcher.rate_limited(method, channel, 1.0)

    async with asyncio.timeout(WAIT_TIMEOUT):
        for _ in range(0, count, 4):
            await asyncio.gather(*(one() for _ in range(4)))


async def answer(
    dispatcher: CallDispatcher, slack: StrictSlack, words: int, shown: Visibility
) -> None:
    """An answer that is visible already and writes so many times."""
    method = APPEND if shown is Visibility.NATIVE else UPDATE
    pending = PendingWrite("C1", visibility=shown)
    dispatcher.join(pending)
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while words:
                pending.waiting_since = dispatcher.now()
                assert await dispatcher.acquire_write(pending) == method
                taken = slack.call(method)
                dispatcher.settle(method, "C1")
                if taken:
                    words -= 1
                else:
                    dispatcher.rate_limited(method, "C1", 1.0)
    finally:
        dispatcher.leave(pending)


async def busy(slack_clients: list[CallDispatcher], slack: StrictSlack) -> None:
    """Every replica wants as many calls of every method as it can get."""
    work = []
    for number, dispatcher in enumerate(slack_clients):
        work += [
            queued_calls(dispatcher, slack, UPDATE, 12),
            queued_calls(dispatcher, slack, POST, 8, f"C{number % 2}"),
        ]
        work += [
            answer(dispatcher, slack, 6, shown)
            for shown in (Visibility.NATIVE, Visibility.NATIVE, Visibility.EDITED)
        ]
    await asyncio.gather(*work)


@pytest.mark.redis
async def test_three_replicas_together_keep_within_one_workspaces_rate_limits(
    redis_url: str,
) -> None:
    slack = StrictSlack()
    async with replicas(redis_url, 3) as (slack_clients, _):
        await busy(slack_clients, slack)
    assert slack.refused == []
    assert slack.calls == {UPDATE: 3 * (12 + 6), POST: 3 * 8, APPEND: 3 * 12}


@pytest.mark.redis
async def test_a_429_for_one_replica_blocks_all(redis_url: str) -> None:
    async with replicas(redis_url, 2) as ((one, other), _):
        await one.acquire("views.open", "")
        began = time.monotonic()
        one.rate_limited("views.open", "", 3.0)
        await asyncio.sleep(1.0)  # much longer than Redis takes to notice
        await other.acquire("views.open", "")
        assert time.monotonic() - began >= 3.0


@pytest.mark.redis
async def test_without_redis_each_replica_uses_its_fraction_until_redis_is_back(
    own_redis: RedisServer,
) -> None:
    slack = StrictSlack()
    async with replicas(own_redis.url, 3) as (slack_clients, shared):
        work = asyncio.gather(*(busy(slack_clients, slack) for _ in range(2)))
        await asyncio.sleep(0.5)
        own_redis.stop()
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not all(each.unreachable for each in shared):
                await asyncio.sleep(0.02)
        assert [round(each.fraction, 3) for each in shared] == [0.333] * 3
        await asyncio.sleep(2.0)
        own_redis.start()
        async with asyncio.timeout(WAIT_TIMEOUT):
            while any(each.unreachable or each.replicas != 3 for each in shared):
                await asyncio.sleep(0.02)
        await work
    assert slack.refused == []
    assert slack.calls == {UPDATE: 6 * (12 + 6), POST: 6 * 8, APPEND: 6 * 12}


@pytest.mark.redis
async def test_the_first_replica_to_reconnect_leaves_the_others_their_fraction_until_the_next_count(
    own_redis: RedisServer,
) -> None:
    """They may still be on their way, and the account may be lost again before they are counted."""
    other = await open_coordination(own_redis.url, patient_timing())
    first = await open_coordination(own_redis.url, patient_timing())
    limits = SharedRateLimiter(first)
    async with limits.running(), asyncio.timeout(WAIT_TIMEOUT):
        while limits.replicas != 2:
            await asyncio.sleep(0.02)
        own_redis.stop()
        while not limits.unreachable:
            await asyncio.sleep(0.02)
        await other.close()
        own_redis.start()
        while limits.unreachable:
            await asyncio.sleep(0.02)
        assert limits.replicas == 2
        while limits.replicas != 1:
            await asyncio.sleep(0.02)
    await first.close()


@pytest.mark.redis
async def test_a_process_that_starts_without_redis_writes_at_once(own_redis: RedisServer) -> None:
    own_redis.stop()
    slack = StrictSlack()
    coordination = await open_coordination(own_redis.url, patient_timing())
    limits = SharedRateLimiter(coordination)
    async with limits.running():
        dispatcher = CallDispatcher(WriteScheduler(RATES), shared_limits=limits.of(TEAM))
        await queued_calls(dispatcher, slack, UPDATE, 4)
    await coordination.close()
    assert slack.refused == []
    assert slack.calls[UPDATE] == 4
