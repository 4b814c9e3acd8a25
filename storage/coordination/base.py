"""What replicas tell each other. None of it is the truth, which is the database's: all of it may be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bot.errors import StorageError


class SlowSubscriber(StorageError):
    """A subscriber let too many events lie and was dropped; it must start anew from the database."""


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One event as a subscriber gets it."""

    topic: str
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BucketResult:
    """The answer to a request for one piece of a shared budget."""

    granted: bool
    wait: float
    """Seconds until one may be free; 0 when this one was granted."""
    remaining: float
    """How many are left."""


class Coordination(Protocol):
    """Live events and shared budgets, for one process or many."""

    async def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        """Tell all subscribers, here and in other replicas, in order. The event is JSON. Never raises, never waits."""
        ...

    def may_have_subscribers(self, topic: str) -> bool:
        """Whether anybody may be reading it: what nobody reads need not be published."""
        ...

    def subscribe(
        self, *topics: str, buffer: int = 1000
    ) -> AbstractAsyncContextManager[AsyncIterator[TopicEvent]]:
        """The events of these topics from now on; the iterator ends when the coordination closes.

        At most `buffer` unread events are held: then the iterator raises SlowSubscriber.
        """
        ...

    async def acquire(self, key: str, rate_per_second: float, burst: float) -> BucketResult:
        """Ask for one from the bucket `key`, which refills at this rate up to `burst`. Raises StorageError."""
        ...

    async def block(self, key: str, seconds: float) -> None:
        """BucketResult nothing from the bucket for this long; then one, then again at its rate. Raises StorageError."""
        ...

    async def replicas(self) -> int:
        """How many processes share events and budgets, this one included. Raises StorageError."""
        ...

    async def ping(self) -> None:
        """Raise StorageError unless the other replicas can be reached."""
        ...

    async def close(self) -> None: ...
