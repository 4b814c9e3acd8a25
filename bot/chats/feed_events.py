"""What changes in chats, and the unread changes of one reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bot.domain import Status, User
from storage.coordination import SlowSubscriber

MAX_UNREAD_EVENTS = 2_000
"""Changes that may lie unread before a listener is given up."""
MAX_UNREAD_CHARACTERS = 2_000_000
"""Text that may lie unread before a listener is given up."""


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """Somebody said something, in Slack or through a program."""

    chat: str
    question: str
    """Id of the person's message."""
    message: str
    """Id of the answer that waits to be written."""


@dataclass(frozen=True, slots=True)
class TextAppended:
    """More text of an answer."""

    chat: str
    message: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AnswerRestarted:
    """The answer begins anew: what came of it so far is void."""

    chat: str
    message: str


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    chat: str
    message: str
    status: Status
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TitleChanged:
    """The chat has a new title; None: the attempt to write one failed."""

    chat: str
    title: str | None


FeedEvent = MessageAdded | TextAppended | AnswerRestarted | AnswerEnded | TitleChanged


class AccessRevoked(Exception):
    """The reader may listen no longer."""


class FeedSubscription(AsyncIterator[FeedEvent]):
    """The unread changes of one reader. Ends when the feed does.

    Raises SlowSubscriber when too many lie unread, Revoked when the reader was cut off for having no token any more.
    """

    def __init__(self, user: User, most: int = MAX_UNREAD_EVENTS) -> None:
        self.user = user
        self._unread: asyncio.Queue[FeedEvent | SlowSubscriber | AccessRevoked | None] = (
            asyncio.Queue(most)
        )
        self._characters = 0
        self._over = False
        self.dropped = asyncio.Event()
        """Set when too many changes lay unread, or the reader was cut off."""
        self.recheck_due = asyncio.Event()
        """Set when it is to be looked whether the reader may still listen."""

    def put(self, change: FeedEvent) -> None:
        if self._over:
            return
        self._characters += _characters(change)
        if self._unread.full() or (
            self._characters > MAX_UNREAD_CHARACTERS and not self._unread.empty()
        ):
            self._drop(SlowSubscriber("too many unread changes"))
        else:
            self._unread.put_nowait(change)

    def end(self) -> None:
        if not self._over:
            self._last(None)

    def revoke(self) -> None:
        """The reader's token has ended: what lies unread is not for it any more."""
        self._drop(AccessRevoked())

    def _drop(self, word: SlowSubscriber | AccessRevoked) -> None:
        self._last(word)
        self.dropped.set()

    def _last(self, word: SlowSubscriber | AccessRevoked | None) -> None:
        self._over = True
        while not self._unread.empty():
            self._unread.get_nowait()
        self._unread.put_nowait(word)

    async def __anext__(self) -> FeedEvent:
        change = await self._unread.get()
        if change is None or isinstance(change, SlowSubscriber | AccessRevoked):
            self._unread.put_nowait(change)  # it stays the last word
            raise StopAsyncIteration if change is None else change
        self._characters -= _characters(change)
        return change


def _characters(change: FeedEvent) -> int:
    return len(change.text) if isinstance(change, TextAppended) else 0
