"""One contract for events and token buckets, in one process and through Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from bot.errors import SettingsError, StorageError
from storage.coordination import Coordination, SlowSubscriber, TopicEvent, open_coordination
from storage.coordination.memory import MemoryBucket
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.redis_service import RedisServer

Opener = Callable[[], Awaitable[Coordination]]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def replica(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """Opens the coordination of one more replica; in memory, where there is only one, the same again."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    opened: list[Coordination] = []

    async def another() -> Coordination:
        if request.param == "redis" or not opened:
            opened.append(await open_coordination(url, patient_timing()))
        return opened[-1]

    yield another
    for coordination in opened:
        await coordination.close()


async def read(
    events: AsyncIterator[TopicEvent], count: int, seconds: float = WAIT_TIMEOUT
) -> list[TopicEvent]:
    async with asyncio.timeout(seconds):
        return [await anext(events) for _ in range(count)]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WAIT_TIMEOUT) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


# Events


async def test_events_reach_subscribers_here_and_elsewhere_once_and_in_order(
    replica: Opener,
) -> None:
    writer, other = await replica(), await replica()
    async with writer.subscribe("chat:1") as here, other.subscribe("chat:1") as there:
        for number in range(200):
            await writer.publish("chat:1", {"token": f"wörd {number}", "n": number})
        await writer.publish("chat:1", {"end": True})
        for events in (here, there):
            got = await read(events, 201)
            assert [signal.event.get("n") for signal in got[:-1]] == list(range(200))
            assert got[-1] == TopicEvent("chat:1", {"end": True})
            assert got[0].event["token"] == "wörd 0"


async def test_a_subscriber_receives_only_its_own_topics(replica: Opener) -> None:
    writer, other = await replica(), await replica()
    async with other.subscribe("a", "b") as events, other.subscribe("c") as rest:
        for topic in ("c", "a", "d", "b"):
            await writer.publish(topic, {"from": topic})
        await writer.publish("c", {"from": "end"})
        assert [signal.topic for signal in await read(events, 2)] == ["a", "b"]
        assert [signal.event["from"] for signal in await read(rest, 2)] == ["c", "end"]


async def test_a_subscription_has_no_events_from_before_or_after_it(
    replica: Opener,
) -> None:
    writer, other = await replica(), await replica()
    async with other.subscribe("marker") as passed:
        for number in (0, 2):
            await writer.publish("t", {"n": number})
            await writer.publish("marker", {})
            await read(passed, 1)  # so the event before it has been delivered too
            async with other.subscribe("t") as events:
                await writer.publish("t", {"n": number + 1})
                assert [signal.event["n"] for signal in await read(events, 1)] == [number + 1]


async def test_concurrent_subscribing_and_unsubscribing_loses_no_events(replica: Opener) -> None:
    writer, other = await replica(), await replica()

    async def listen(number: int) -> object:
        async with other.subscribe("busy") as events:
            await writer.publish("busy", {"n": number})
            async with asyncio.timeout(WAIT_TIMEOUT):
                async for signal in events:
                    if signal.event["n"] == number:
                        return number
        return None

    for _ in range(5):
        assert await asyncio.gather(*(listen(number) for number in range(10))) == list(range(10))


async def test_a_slow_subscriber_is_dropped_with_an_error_and_disturbs_no_other(
    replica: Opener,
) -> None:
    writer, other = await replica(), await replica()
    async with other.subscribe("t", buffer=10) as slow, other.subscribe("t") as quick:
        for number in range(50):
            await writer.publish("t", {"n": number})
        assert [signal.event["n"] for signal in await read(quick, 50)] == list(range(50))
        with pytest.raises(SlowSubscriber):
            await read(slow, 1)
        await writer.publish("t", {"n": 50})
        assert (await read(quick, 1))[0].event["n"] == 50
        with pytest.raises(SlowSubscriber):
            await read(slow, 1)


async def test_subscribers_share_no_object_with_the_publisher(replica: Opener) -> None:
    writer = await replica()
    event = {"list": [1]}
    async with writer.subscribe("t") as events:
        await writer.publish("t", event)
        event["list"].append(2)
        assert (await read(events, 1))[0].event == {"list": [1]}


async def test_closing_ends_all_subscriptions(replica: Opener) -> None:
    coordination = await replica()
    async with coordination.subscribe("t") as events:

        async def all_of_them() -> list[TopicEvent]:
            return [signal async for signal in events]

        reader = asyncio.ensure_future(all_of_them())
        await asyncio.sleep(0)
        await coordination.close()
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert await reader == []


async def test_events_published_before_closing_reach_other_replicas(replica: Opener) -> None:
    writer, other = await replica(), await replica()
    async with other.subscribe("t") as events:
        await writer.publish("t", {"last": "word"})
        if writer is not other:
            await writer.close()
        assert (await read(events, 1))[0].event == {"last": "word"}


# Budgets


async def test_a_bucket_grants_its_burst_and_then_says_how_long_to_wait(replica: Opener) -> None:
    budget = await replica()
    grants = [await budget.acquire("burst", 0.01, 3) for _ in range(4)]
    assert [grant.granted for grant in grants] == [True, True, True, False]
    assert [round(grant.remaining) for grant in grants] == [2, 1, 0, 0]
    assert grants[0].wait == 0
    assert 90 < grants[3].wait <= 100


async def test_a_bucket_refills_at_its_rate(replica: Opener) -> None:
    budget = await replica()
    while (grant := await budget.acquire("refill", 5, 2)).granted:
        pass
    assert 0 < grant.wait <= 0.2
    await asyncio.sleep(grant.wait + 0.02)
    assert (await budget.acquire("refill", 5, 2)).granted


async def test_buckets_are_independent(replica: Opener) -> None:
    budget = await replica()
    assert (await budget.acquire("one", 0.01, 1)).granted
    assert not (await budget.acquire("one", 0.01, 1)).granted
    assert (await budget.acquire("two", 0.01, 1)).granted


async def test_replicas_share_a_bucket_under_concurrency(replica: Opener) -> None:
    replicas = [await replica() for _ in range(3)]
    grants = await asyncio.gather(
        *(replicas[n % 3].acquire("shared", 0.001, 20) for n in range(45))
    )
    assert sum(grant.granted for grant in grants) == 20


async def test_a_blocked_bucket_grants_nothing_then_one_then_its_rate(replica: Opener) -> None:
    budget, other = await replica(), await replica()
    assert (await budget.acquire("held", 0.1, 50)).granted
    await budget.block("held", 2.0)
    grant = await other.acquire("held", 0.1, 50)
    assert not grant.granted
    assert 0 < grant.wait <= 2.0
    await asyncio.sleep(grant.wait + 0.02)
    assert (await other.acquire("held", 0.1, 50)).granted
    grant = await budget.acquire("held", 0.1, 50)
    assert not grant.granted
    assert 8 < grant.wait <= 10


async def test_a_shorter_block_does_not_end_a_longer_one(replica: Opener) -> None:
    budget = await replica()
    await budget.block("long", 60)
    await budget.block("long", 1)
    assert 50 < (await budget.acquire("long", 1, 10)).wait <= 60


async def test_an_unknown_bucket_can_be_blocked(replica: Opener) -> None:
    budget = await replica()
    await budget.block("unknown", 30)
    assert not (await budget.acquire("unknown", 100, 100)).granted


def test_a_bucket_over_simulated_hours_never_grants_more_than_rate_and_burst() -> None:
    bucket, now, given = MemoryBucket(20, 0.0), 0.0, 0
    for step in range(36_000):
        now = step * 0.1
        given += bucket.acquire(now, 50 / 60, 20).granted
    assert given == pytest.approx(20 + now * 50 / 60, abs=1)


async def test_replicas_are_counted_and_answer_a_ping(replica: Opener) -> None:
    one, two = await replica(), await replica()
    await one.ping()

    async def counted() -> bool:
        return await one.replicas() == (1 if one is two else 2)

    await until(counted)


@pytest.mark.parametrize("url", ["mongodb://localhost", "redis://localhost:port", "nonsense"])
async def test_an_url_that_cannot_be_used_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        await open_coordination(url)


# Redis goes and comes back


@pytest.mark.redis
async def test_a_redis_that_is_well_is_never_lost(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In each version of its protocol, for longer than a listener may hear nothing."""
    async with AsyncExitStack() as stack:
        for protocol in (2, 3):
            coordination = await open_coordination(
                f"{redis_url}?protocol={protocol}", patient_timing()
            )
            stack.push_async_callback(coordination.close)
        await asyncio.sleep(6.0)
    assert caplog.messages == []


@pytest.mark.redis
async def test_coordination_recovers_when_redis_restarts(own_redis: RedisServer) -> None:
    writer, reader = [await open_coordination(own_redis.url, patient_timing()) for _ in range(2)]
    try:
        async with reader.subscribe("t") as there, writer.subscribe("t") as here:
            await writer.publish("t", {"n": 1})
            assert (await read(there, 1))[0].event == {"n": 1}
            own_redis.stop()
            with pytest.raises(StorageError):
                await writer.acquire("k", 1, 1)
            with pytest.raises(StorageError):
                await writer.block("k", 1)
            with pytest.raises(StorageError):
                await writer.ping()
            await writer.publish("t", {"n": 2})
            assert [signal.event["n"] for signal in await read(here, 2)] == [
                1,
                2,
            ]  # no local event is missing
            async with reader.subscribe("late") as late:
                own_redis.start()
                for topic, events in (("t", there), ("late", late)):
                    await _receives_again(writer, topic, events)
            await _granted_again(writer)
    finally:
        await writer.close()
        await reader.close()


async def _receives_again(
    writer: Coordination, topic: str, events: AsyncIterator[TopicEvent]
) -> None:
    """Both sides reconnect by themselves."""
    received = asyncio.ensure_future(read(events, 1))

    async def tell() -> bool:
        await writer.publish(topic, {"back": topic})
        return received.done()

    await until(tell)
    assert (await received)[0] == TopicEvent(topic, {"back": topic})


async def _granted_again(writer: Coordination) -> None:
    async def granted() -> bool:
        try:
            return (await writer.acquire("again", 1, 1)).granted
        except StorageError:
            return False

    await until(granted)


@pytest.mark.redis
async def test_a_process_can_start_while_redis_is_down(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with AsyncExitStack() as stack:
        early = await open_coordination(own_redis.url, patient_timing(redis_timeout=3.0))
        stack.push_async_callback(early.close)
        events = await stack.enter_async_context(early.subscribe("t"))
        with pytest.raises(StorageError):
            await early.ping()
        own_redis.start()
        late = await open_coordination(own_redis.url, patient_timing(redis_timeout=3.0))
        stack.push_async_callback(late.close)
        await _receives_again(late, "t", events)
