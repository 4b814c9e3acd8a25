"""Coordination between replicas through Redis, which may become unreachable at any moment and return."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.errors import SettingsError
from storage.coordination.base import BucketResult, Loss, RedisLost, TopicEvent
from storage.coordination.failures import loss_of
from storage.coordination.local_topics import Subscription, TopicHub
from storage.coordination.scripts import ACQUIRE, BLOCK

T = TypeVar("T")

_log = logging.getLogger(__name__)

_RECONNECT_INTERVAL = 0.5
"""Seconds between attempts to reach a lost Redis."""
_PROBE_INTERVAL = 1.0
"""Seconds between two probes of everything that Bobbin needs from Redis."""
_SILENCE_LIMIT = 4.0
"""Seconds without a message after which the listener's connection counts as dead and is replaced."""
_MAX_OUTBOX = 10_000
"""Events waiting to be sent; further ones are lost."""
_PUBLISH_BATCH_SIZE = 500
"""Events sent in one pipeline."""
_KEEPALIVE_OPTIONS = {  # a peer that vanished silently is noticed after half a minute, not after two hours
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
_CONNECTION_ERRORS = (RedisError, OSError, asyncio.TimeoutError)


class _TrustingConnection(SSLConnection):
    """Trusts the same certificates as all other connections. Verifying them needs no option in the URL."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


def _connect(url: str, timeout: float, tls: ssl.SSLContext | None) -> Redis:
    """Raises SettingsError, ValueError, TypeError or RedisError for a URL that cannot be used."""
    if url.startswith("unix:") and not urlsplit(url).path:
        raise SettingsError("REDIS_URL names no socket file: write unix:///path/to/redis.sock")
    parts = urlsplit(url)
    # Where the query names the database, the client does not read the path.
    by_path = parts.scheme != "unix" and "db" not in parse_qs(parts.query)
    database = parts.path.strip("/")
    if by_path and database and not database.isdecimal():
        raise ValueError("no database's number, which the client would take for 0")
    of_tcp = {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE_OPTIONS}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=20,
        timeout=timeout,
        decode_responses=True,
        # None, and `asyncio.timeout` around each use: before Python 3.12 the client's own timeout may swallow a
        # cancellation, and the listener may receive nothing for hours without any error.
        socket_timeout=None,
        socket_connect_timeout=timeout,
        **({} if url.startswith("unix:") else of_tcp),
        # No retries: late data is worthless, and RedisCoordination reconnects itself.
        retry=Retry(NoBackoff(), 0),
    )
    if tls is not None and url.startswith("rediss:") and "ssl_" not in url:
        pool.connection_class = _TrustingConnection
        pool.connection_kwargs["tls"] = tls
    # Checks the URL's options; does not connect.
    pool.make_connection()  # type: ignore[no-untyped-call]
    return Redis.from_pool(pool)


def _not_usable(error: Exception) -> str:
    """The line about a URL that the client rejects. The client's errors quote option names, and parts of a malformed
    URL.
    """
    option = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if option:
        return f"REDIS_URL has the option {option[1]}, which is none of redis-py's: remove it"
    return (
        f"REDIS_URL cannot be used ({type(error).__name__}): write redis://user:password@host:6379/0, with the "
        "characters /, ?, #, @ and % of a password percent-encoded (%2F, %3F, %23, %40, %25)"
    )


class RedisCoordination:
    """One process's connection to what all replicas share.

    Events reach subscribers in the same process without Redis.
    """

    def __init__(self, url: str, command_timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: for `rediss://`, if the URL itself says nothing about certificates."""
        self._timeout = command_timeout
        try:
            self._redis = _connect(url, command_timeout, tls)
        except (ValueError, TypeError, RedisError) as error:
            raise SettingsError(_not_usable(error)) from None
        options = self._redis.connection_pool.connection_kwargs
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        self.address = str(options.get("path") or f"{host}:{port}")
        number = self._redis.connection_pool.connection_kwargs.get("db", 0)
        # Redis separates channels only by name, not by database. Never change the prefix: versions share it.
        self._prefix = f"bobbin:{number}:"
        self._origin = secrets.token_hex(8)
        self._hub = TopicHub()
        self._outbox: deque[tuple[str, str]] = deque(maxlen=_MAX_OUTBOX)
        self._outgoing = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._changing = asyncio.Lock()  # keeps SUBSCRIBE and UNSUBSCRIBE in order
        self._probe_topic = f"alive:{self._origin}"
        self._confirmed = {self._probe_topic: asyncio.Event()}
        """By topic: set while the listener is subscribed to it."""
        self._heard = asyncio.Event()
        """Set when the listener has received the last probe."""
        self._loss: Loss | None = None
        """Why Redis is lost; None while it is reachable, as far as is known."""
        self.lost = 0
        """Events that other replicas never received."""
        loops = (self._send_all, self._listen, self._watch)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    # Events

    def may_have_subscribers(self, topic: str) -> bool:
        return True  # in this process or another

    async def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        text = json.dumps(event)
        self._hub.deliver(TopicEvent(topic, json.loads(text)))
        if self._is_lost() or len(self._outbox) == _MAX_OUTBOX:
            self.lost += 1
            return
        self._outbox.append((topic, f"{self._origin} {text}"))
        self._outgoing.set()

    @asynccontextmanager
    async def subscribe(
        self, *topics: str, buffer: int = 1000
    ) -> AsyncIterator[AsyncIterator[TopicEvent]]:
        subscription = Subscription(buffer)
        self._hub.add(subscription, topics)
        try:
            await self._subscribe_to(topics)
            yield subscription
        finally:
            unused = self._hub.remove(subscription, topics)
            await self._unsubscribe_from(unused)

    async def _subscribe_to(self, topics: tuple[str, ...]) -> None:
        """Returns when Redis has confirmed the subscription, or is known to be lost; then the listener subscribes after
        reconnecting.
        """
        waiting = [self._confirmed.setdefault(topic, asyncio.Event()) for topic in topics]
        fresh = [self._prefix + topic for topic in topics if not self._confirmed[topic].is_set()]
        if fresh and self._pubsub is not None:
            async with self._changing:
                with suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(self._timeout):
                        await self._pubsub.subscribe(*fresh)
        if not self._is_lost():
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await asyncio.gather(*(event.wait() for event in waiting))

    async def _unsubscribe_from(self, topics: list[str]) -> None:
        async with self._changing:
            # Checked again after waiting for the lock:
            unused = [topic for topic in topics if topic not in self._hub.topics]
            for topic in unused:
                self._confirmed.pop(topic, None)
            if unused and self._pubsub is not None:
                with suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(self._timeout):
                        await self._pubsub.unsubscribe(*(self._prefix + topic for topic in unused))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    async with asyncio.timeout(self._timeout):
                        topics = ("", self._probe_topic, *self._hub.topics)
                        await pubsub.subscribe(*(self._prefix + topic for topic in topics))
                        self._pubsub = pubsub
                        await self._subscribe_to_late_topics(pubsub)
                    await self._receive_all(pubsub)
            except _CONNECTION_ERRORS as error:
                self._mark_lost(error)
            self._pubsub = None
            for event in self._confirmed.values():
                event.clear()
            await asyncio.sleep(_RECONNECT_INTERVAL)

    async def _receive_all(self, pubsub: PubSub) -> None:
        """Receives until the connection breaks or falls silent, since it may be dead in one direction only.

        Any message is a sign of life: responses to pings look different in each version of Redis's protocol.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_SILENCE_LIMIT) as silence:
            async for message in pubsub.listen():
                silence.reschedule(loop.time() + _SILENCE_LIMIT)
                self._receive(message)

    async def _subscribe_to_late_topics(self, pubsub: PubSub) -> None:
        """Subscribes to topics that were added while the connection was being opened."""
        known = set(pubsub.channels)
        late = [
            self._prefix + topic for topic in self._hub.topics if self._prefix + topic not in known
        ]
        if late:
            await pubsub.subscribe(*late)

    def _receive(self, message: dict[str, Any]) -> None:
        topic = str(message["channel"]).removeprefix(self._prefix)
        if message["type"] == "subscribe":
            if topic in self._confirmed:
                self._confirmed[topic].set()
        elif topic == self._probe_topic:
            self._mark_reachable()
            self._heard.set()
        elif message["type"] == "message":
            origin, _, text = message["data"].partition(" ")
            if origin != self._origin:
                self._hub.deliver(TopicEvent(topic, json.loads(text)))

    async def _send_all(self) -> None:
        """A single sender keeps the order and batches events."""
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            while self._outbox:
                await self._send_batch()

    async def _send_batch(self) -> None:
        batch = [self._outbox.popleft() for _ in range(min(_PUBLISH_BATCH_SIZE, len(self._outbox)))]
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._redis.pipeline(transaction=False) as pipeline,
            ):
                for topic, text in batch:
                    pipeline.publish(self._prefix + topic, text)
                await pipeline.execute()
        except _CONNECTION_ERRORS as error:
            self.lost += len(batch) + len(self._outbox)
            self._outbox.clear()
            self._mark_lost(error)

    # Token buckets

    async def acquire(self, key: str, rate_per_second: float, burst: float) -> BucketResult:
        ok, wait, level = await self._run(ACQUIRE, key, rate_per_second, burst)
        return BucketResult(bool(ok), float(wait), float(level))

    async def block(self, key: str, seconds: float) -> None:
        await self._run(BLOCK, key, seconds)

    async def _run(self, script: str, key: str, *numbers: float) -> Any:
        # EVAL instead of EVALSHA: it sends a kilobyte more, but needs no recovery after Redis has lost its scripts.
        arguments = [str(number) for number in numbers]
        return await self._request(
            lambda: self._redis.eval(script, 1, f"{self._prefix}budget:{key}", *arguments)
        )

    async def replicas(self) -> int:
        (_, listening), *_ = await self._request(lambda: self._redis.pubsub_numsub(self._prefix))
        return max(1, int(listening))

    async def ping(self) -> None:
        if self._loss is not None:
            raise RedisLost(self._loss)
        try:
            await self._probe()
        except _CONNECTION_ERRORS as error:
            raise RedisLost(self._mark_lost(error)) from error

    async def close(self) -> None:
        if not self._is_lost():
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(self._timeout):
                    while self._outbox:
                        await self._send_batch()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hub.end()
        await self._redis.aclose()

    async def _request(self, request: Callable[[], Awaitable[T]]) -> T:
        if self._loss is not None:
            raise RedisLost(self._loss)
        try:
            async with asyncio.timeout(self._timeout):
                return await request()
        except _CONNECTION_ERRORS as error:
            raise RedisLost(self._mark_lost(error)) from error

    # Losing Redis and getting it back

    async def _watch(self) -> None:
        """Probes for ever, so that callers never have to wait to learn that Redis is lost or back."""
        while True:
            try:
                await self._probe()
            except _CONNECTION_ERRORS as error:
                self._mark_lost(error)
                await self._discard_idle_connections()
            await self._ping_listener()
            await asyncio.sleep(_PROBE_INTERVAL if self._loss is None else _RECONNECT_INTERVAL)

    async def _probe(self) -> None:
        """Raises unless Redis runs scripts and delivers published events to the listener."""
        async with asyncio.timeout(self._timeout):
            self._heard.clear()
            await self._redis.eval(ACQUIRE, 1, f"{self._prefix}budget:alive", "1000", "1000")
            await self._confirmed[self._probe_topic].wait()  # what is published before is lost
            await self._redis.publish(self._prefix + self._probe_topic, "")
            await self._heard.wait()

    async def _ping_listener(self) -> None:
        async with self._changing:
            if self._pubsub is not None:
                with suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(self._timeout):
                        await self._pubsub.ping()

    async def _discard_idle_connections(self) -> None:
        """Closes idle connections, which may be as dead as the one that failed."""
        with suppress(*_CONNECTION_ERRORS):
            async with asyncio.timeout(self._timeout):
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    def _is_lost(self) -> bool:
        """Whether a use or the last probe has failed, so that callers need not wait for another failure."""
        return self._loss is not None

    def _mark_lost(self, error: BaseException) -> Loss:
        """Why it is lost: the first error, since later ones may only be consequences."""
        if self._loss is None:
            lost = RedisLost(loss_of(error))
            self._loss = lost.loss
            _log.warning("redis_lost", extra={"reason": str(lost), "redis": self.address})
        return self._loss

    def _mark_reachable(self) -> None:
        if self._loss is not None:
            _log.warning("redis_back", extra={"lost_events": self.lost})
        self._loss = None
