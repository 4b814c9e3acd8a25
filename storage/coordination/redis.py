"""Coordination between replicas through Redis, which may vanish at any moment and come back."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.errors import SettingsError, StorageError
from storage.coordination.base import BucketResult, TopicEvent
from storage.coordination.pubsub import Subscription, TopicHub
from storage.coordination.scripts import ACQUIRE, BLOCK

T = TypeVar("T")

_log = logging.getLogger(__name__)

_COMMAND_TIMEOUT = 1.0  # seconds for any single command: budgets and events are worthless later
_RECONNECT_INTERVAL = 0.5  # seconds between attempts to reach a Redis that is gone
_MAX_OUTBOX = 10_000  # events waiting to be sent
_PUBLISH_BATCH_SIZE = 500
_KEEPALIVE_OPTIONS = {  # a peer that vanished without a word is noticed after half a minute, not after two hours
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
_CONNECTION_ERRORS = (RedisError, OSError, asyncio.TimeoutError)


def _connect(url: str) -> Redis:
    return Redis.from_pool(
        BlockingConnectionPool.from_url(
            url,
            max_connections=20,
            timeout=_COMMAND_TIMEOUT,
            decode_responses=True,
            # None, and `asyncio.timeout` around each use: before Python 3.12 the client's own timeout
            # may swallow a cancellation, and the listener hears nothing for hours without any fault.
            socket_timeout=None,
            socket_connect_timeout=_COMMAND_TIMEOUT,
            socket_keepalive=True,
            socket_keepalive_options=_KEEPALIVE_OPTIONS,
            retry=Retry(
                NoBackoff(), 0
            ),  # what is late is worthless, and reconnecting is done below
        )
    )


class RedisCoordination:
    """One process's view of what all share. Events of its own process reach its readers without Redis."""

    def __init__(self, url: str) -> None:
        try:
            self._redis = _connect(url)
        except ValueError as error:
            raise SettingsError(
                f"REDIS_URL cannot be used ({error}): write redis://host:6379/0"
            ) from None
        number = self._redis.connection_pool.connection_kwargs.get("db", 0)
        self._prefix = (
            f"bobbin:{number}:"  # Redis keeps channels apart by name alone, not by database
        )
        self._origin = secrets.token_hex(8)
        self._hub = TopicHub()
        self._outbox: deque[tuple[str, str]] = deque(maxlen=_MAX_OUTBOX)
        self._outgoing = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._confirmed: dict[str, asyncio.Event] = {}
        self._changing = asyncio.Lock()  # SUBSCRIBE and UNSUBSCRIBE must not overtake each other
        self._gone_until = 0.0
        self.lost = 0
        """Events that other replicas never got."""
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._listen())]

    # Events

    def may_have_subscribers(self, topic: str) -> bool:
        return True  # in this process or another

    async def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        text = json.dumps(event)
        self._hub.deliver(TopicEvent(topic, json.loads(text)))
        if self._is_gone() or len(self._outbox) == _MAX_OUTBOX:
            self.lost += 1
            return
        self._outbox.append((topic, f"{self._origin} {text}"))
        self._outgoing.set()

    @asynccontextmanager
    async def subscribe(
        self, *topics: str, buffer: int = 1000
    ) -> AsyncIterator[AsyncIterator[TopicEvent]]:
        inbox = Subscription(buffer)
        self._hub.add(inbox, topics)
        try:
            await self._listen_to(topics)
            yield inbox
        finally:
            deserted = self._hub.remove(inbox, topics)
            await self._forget(deserted)

    async def _listen_to(self, topics: tuple[str, ...]) -> None:
        """Return when Redis has confirmed, or is known to be gone: the listener makes up for it when it is back."""
        waiting = [self._confirmed.setdefault(topic, asyncio.Event()) for topic in topics]
        fresh = [self._prefix + topic for topic in topics if not self._confirmed[topic].is_set()]
        if fresh and self._pubsub is not None:
            async with self._changing:
                with suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(_COMMAND_TIMEOUT):
                        await self._pubsub.subscribe(*fresh)
        if not self._is_gone():
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(_COMMAND_TIMEOUT):
                    await asyncio.gather(*(event.wait() for event in waiting))

    async def _forget(self, topics: list[str]) -> None:
        async with self._changing:
            deserted = [
                topic for topic in topics if topic not in self._hub.topics
            ]  # still, after the wait
            for topic in deserted:
                self._confirmed.pop(topic, None)
            if deserted and self._pubsub is not None:
                with suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(_COMMAND_TIMEOUT):
                        await self._pubsub.unsubscribe(
                            *(self._prefix + topic for topic in deserted)
                        )

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    async with asyncio.timeout(_COMMAND_TIMEOUT):
                        await pubsub.subscribe(
                            self._prefix, *(self._prefix + topic for topic in self._hub.topics)
                        )
                        self._pubsub = pubsub
                        await self._subscribe_latecomers(pubsub)
                    async for message in pubsub.listen():
                        self._receive(message)
            except _CONNECTION_ERRORS as error:
                self._lose(error)
            self._pubsub = None
            for event in self._confirmed.values():
                event.clear()
            await asyncio.sleep(_RECONNECT_INTERVAL)

    async def _subscribe_latecomers(self, pubsub: PubSub) -> None:
        """Topics that came while the connection was being made and so were in nobody's command."""
        known = set(pubsub.channels)
        late = [
            self._prefix + topic for topic in self._hub.topics if self._prefix + topic not in known
        ]
        if late:
            await pubsub.subscribe(*late)

    def _receive(self, message: dict[str, Any]) -> None:
        topic = str(message["channel"]).removeprefix(self._prefix)
        if message["type"] == "subscribe":
            self._back()
            if topic in self._confirmed:
                self._confirmed[topic].set()
        elif message["type"] == "message":
            origin, _, text = message["data"].partition(" ")
            if origin != self._origin:
                self._hub.deliver(TopicEvent(topic, json.loads(text)))

    async def _send_all(self) -> None:
        """One sender keeps the order, and sends together what came together."""
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            while self._outbox:
                await self._send_batch()

    async def _send_batch(self) -> None:
        batch = [self._outbox.popleft() for _ in range(min(_PUBLISH_BATCH_SIZE, len(self._outbox)))]
        try:
            async with (
                asyncio.timeout(_COMMAND_TIMEOUT),
                self._redis.pipeline(transaction=False) as pipeline,
            ):
                for topic, text in batch:
                    pipeline.publish(self._prefix + topic, text)
                await pipeline.execute()
        except _CONNECTION_ERRORS as error:
            self.lost += len(batch) + len(self._outbox)
            self._outbox.clear()
            self._lose(error)

    # Budgets

    async def acquire(self, key: str, rate_per_second: float, burst: float) -> BucketResult:
        ok, wait, level = await self._run(ACQUIRE, key, rate_per_second, burst)
        return BucketResult(bool(ok), float(wait), float(level))

    async def block(self, key: str, seconds: float) -> None:
        await self._run(BLOCK, key, seconds)

    async def _run(self, script: str, key: str, *numbers: float) -> Any:
        # EVAL and not EVALSHA: a kilobyte more, and nothing to make good after Redis has forgotten its scripts.
        arguments = [str(number) for number in numbers]
        return await self._ask(
            lambda: self._redis.eval(script, 1, f"{self._prefix}budget:{key}", *arguments)
        )

    async def replicas(self) -> int:
        (_, listening), *_ = await self._ask(lambda: self._redis.pubsub_numsub(self._prefix))
        return max(1, int(listening))

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                await self._redis.ping()
        except _CONNECTION_ERRORS as error:
            raise StorageError(f"Redis cannot be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        if not self._is_gone():
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(_COMMAND_TIMEOUT):
                    while self._outbox:
                        await self._send_batch()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.end()
        await self._redis.aclose()

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        if self._is_gone():
            raise StorageError("Redis cannot be reached")
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                return await request()
        except _CONNECTION_ERRORS as error:
            self._lose(error)
            raise StorageError(f"Redis cannot be reached ({type(error).__name__})") from error

    # Redis comes and goes

    def _is_gone(self) -> bool:
        """Whether the last attempt failed only just now: then nobody needs to wait for the next one to fail too."""
        return time.monotonic() < self._gone_until

    def _lose(self, error: BaseException) -> None:
        if not self._gone_until:
            _log.warning("redis_lost", extra={"reason": type(error).__name__})
        self._gone_until = time.monotonic() + _RECONNECT_INTERVAL

    def _back(self) -> None:
        if self._gone_until:
            _log.info("redis_back", extra={"lost_events": self.lost})
        self._gone_until = 0.0
