"""Events inside one process: topics, and readers that are dropped rather than buffered for ever."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from storage.coordination.base import SlowSubscriber, TopicEvent


class Subscription(AsyncIterator[TopicEvent]):
    """The unread events of one subscriber."""

    def __init__(self, size: int) -> None:
        self._unread: asyncio.Queue[TopicEvent | SlowSubscriber | None] = asyncio.Queue(size)

    def put(self, signal: TopicEvent) -> bool:
        """False when the reader is too far behind: it has been told so and gets nothing more."""
        try:
            self._unread.put_nowait(signal)
        except asyncio.QueueFull:
            self._last(SlowSubscriber("too many unread events"))
            return False
        return True

    def end(self) -> None:
        self._last(None)

    def _last(self, word: SlowSubscriber | None) -> None:
        while not self._unread.empty():
            self._unread.get_nowait()
        self._unread.put_nowait(word)

    async def __anext__(self) -> TopicEvent:
        signal = await self._unread.get()
        if isinstance(signal, TopicEvent):
            return signal
        self._unread.put_nowait(signal)  # it stays the last word
        if signal is None:
            raise StopAsyncIteration
        raise signal


class TopicHub:
    """Which subscriber reads which topics."""

    def __init__(self) -> None:
        self._inboxes: dict[str, set[Subscription]] = defaultdict(set)

    @property
    def topics(self) -> list[str]:
        return list(self._inboxes)

    def add(self, inbox: Subscription, topics: tuple[str, ...]) -> None:
        for topic in topics:
            self._inboxes[topic].add(inbox)

    def remove(self, inbox: Subscription, topics: tuple[str, ...]) -> list[str]:
        """The topics that nobody reads any more."""
        deserted = []
        for topic in topics:
            readers = self._inboxes.get(topic)
            if readers is None:
                continue
            readers.discard(inbox)
            if not readers:
                del self._inboxes[topic]
                deserted.append(topic)
        return deserted

    def has_subscribers(self, topic: str) -> bool:
        """Whether anybody reads it."""
        return topic in self._inboxes

    def deliver(self, signal: TopicEvent) -> None:
        for inbox in list(self._inboxes.get(signal.topic, ())):
            if not inbox.put(signal):
                self._inboxes[signal.topic].discard(inbox)

    def end(self) -> None:
        for inbox in {inbox for readers in self._inboxes.values() for inbox in readers}:
            inbox.end()
        self._inboxes.clear()
