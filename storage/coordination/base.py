"""The interface between replicas. Everything sent through it may be lost; the database is the source of truth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bot.errors import StorageError


class SlowSubscriber(StorageError):
    """A subscriber left too many events unread and was dropped; it must start again from the database."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why Redis cannot be used."""

    reason: str
    cure: str


class RedisLost(StorageError):
    """Redis cannot be used. The message says why, without any data."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"Redis cannot be reached: {loss.reason}")
        self.loss = loss


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One event as a subscriber receives it."""

    topic: str
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BucketResult:
    """The response of a shared token bucket to a request for one token."""

    granted: bool
    wait: float
    """Seconds until a token may be available; 0 when this request was granted."""
    remaining: float
    """How many tokens are left."""


class Coordination(Protocol):
    """Events and shared rate limits, for one process or many."""

    address: str
    """Where the shared data is, without user and password; empty for one process."""

    async def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        """Sends a JSON event to all subscribers, here and in other replicas, in order. Never raises, never waits."""
        ...

    def may_have_subscribers(self, topic: str) -> bool:
        """Whether anyone may be subscribed. An event without subscribers need not be published."""
        ...

    def subscribe(
        self, *topics: str, buffer: int = 1000
    ) -> AbstractAsyncContextManager[AsyncIterator[TopicEvent]]:
        """The events of these topics from now on; the iterator ends when the coordination closes.

        With more than `buffer` unread events the iterator raises SlowSubscriber.
        """
        ...

    async def acquire(self, key: str, rate_per_second: float, burst: float) -> BucketResult:
        """Takes one token from the bucket `key`, which refills at this rate up to `burst`. Raises StorageError."""
        ...

    async def block(self, key: str, seconds: float) -> None:
        """Grants no token of the bucket for this long; then one, then at its rate again. Raises StorageError."""
        ...

    async def replicas(self) -> int:
        """How many processes share events and buckets, including this one. Raises StorageError."""
        ...

    async def ping(self) -> None:
        """Raises StorageError unless the other replicas can be reached."""
        ...

    async def close(self) -> None: ...
