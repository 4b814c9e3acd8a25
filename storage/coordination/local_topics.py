"""Events inside one process: topics, and subscribers that are dropped instead of buffered without limit."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from storage.coordination.base import SlowSubscriber, TopicEvent


class Subscription(AsyncIterator[TopicEvent]):
    """The unread events of one subscriber."""

    def __init__(self, size: int) -> None:
        self._unread: asyncio.Queue[TopicEvent | SlowSubscriber | None] = asyncio.Queue(size)

    def put(self, event: TopicEvent) -> bool:
        """False if the subscriber is too far behind: its iterator raises SlowSubscriber and gets no more events."""
        try:
            self._unread.put_nowait(event)
        except asyncio.QueueFull:
            self._finish(SlowSubscriber("too many unread events"))
            return False
        return True

    def end(self) -> None:
        self._finish(None)

    def _finish(self, item: SlowSubscriber | None) -> None:
        while not self._unread.empty():
            self._unread.get_nowait()
        self._unread.put_nowait(item)

    async def __anext__(self) -> TopicEvent:
        item = await self._unread.get()
        if isinstance(item, TopicEvent):
            return item
        self._unread.put_nowait(item)  # stays the last item
        if item is None:
            raise StopAsyncIteration
        raise item


class TopicHub:
    """Which subscriptions exist for which topics."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)

    @property
    def topics(self) -> list[str]:
        return list(self._subscriptions)

    def add(self, subscription: Subscription, topics: tuple[str, ...]) -> None:
        for topic in topics:
            self._subscriptions[topic].add(subscription)

    def remove(self, subscription: Subscription, topics: tuple[str, ...]) -> list[str]:
        """Removes a subscription; returns the topics that have none any more."""
        unused = []
        for topic in topics:
            subscriptions = self._subscriptions.get(topic)
            if subscriptions is None:
                continue
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._subscriptions[topic]
                unused.append(topic)
        return unused

    def has_subscribers(self, topic: str) -> bool:
        """Whether the topic has a subscription."""
        return topic in self._subscriptions

    def deliver(self, event: TopicEvent) -> None:
        for subscription in list(self._subscriptions.get(event.topic, ())):
            if not subscription.put(event):
                self._subscriptions[event.topic].discard(subscription)

    def end(self) -> None:
        """Ends all subscriptions."""
        for subscription in set[Subscription]().union(*self._subscriptions.values()):
            subscription.end()
        self._subscriptions.clear()
