"""The changes that a feed delivers, and the queue of one subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.domain import Status, User
from storage.coordination import SlowSubscriber

MAX_UNREAD_EVENTS = 2_000
"""Unread changes after which a subscriber is dropped."""
MAX_UNREAD_CHARACTERS = 500_000
"""Characters of unread text after which a subscriber is dropped."""


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A user sent a message, in Slack or through the API."""

    chat: str
    question: str
    """Id of the user's message."""
    message: str
    """Id of the answer, which is waiting to be written."""


@dataclass(frozen=True, slots=True)
class TextAppended:
    """More text of an answer."""

    chat: str
    message: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StepUpdated:
    """A step of an answer has begun or changed. A lost event is not repeated; the answer contains all steps."""

    chat: str
    message: str
    step: Mapping[str, Any]
    """`number`, `kind`, `name`, `status`, `seconds`, as in `bot.domain.steps.Step`."""


@dataclass(frozen=True, slots=True)
class ApprovalUpdated:
    """A tool call needs the asker's decision, or has been decided. The conversation lists all that still wait."""

    chat: str
    message: str
    call: str
    """Id of the call."""


@dataclass(frozen=True, slots=True)
class AnswerRestarted:
    """The answer begins again: the text so far no longer counts."""

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
    """The chat has a new title; None: writing one failed."""

    chat: str
    title: str | None


FeedEvent = (
    MessageAdded
    | TextAppended
    | StepUpdated
    | ApprovalUpdated
    | AnswerRestarted
    | AnswerEnded
    | TitleChanged
)


class Denial(StrEnum):
    """What a client may no longer see."""

    TOKEN = "token"  # noqa: S105 - no password
    PERSON = "person"
    """The token is valid, but the operator's rules do not allow its user."""
    CHAT = "chat"
    """The user may no longer see the chat whose answer the client waits for."""


class AccessRevoked(Exception):
    """The client may no longer subscribe."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial)
        self.denial = denial


class FeedSubscription(AsyncIterator[FeedEvent]):
    """An iterator of the changes for one user. Ends when the feed does.

    Raises SlowSubscriber when too many are unread, AccessRevoked when the client may no longer subscribe.
    """

    def __init__(self, user: User, most: int = MAX_UNREAD_EVENTS) -> None:
        self.user = user
        self._unread: asyncio.Queue[FeedEvent | SlowSubscriber | AccessRevoked | None] = (
            asyncio.Queue(most)
        )
        self._unread_characters = 0
        self._ended = False
        self.dropped = asyncio.Event()
        """Set when the subscriber was too slow, or its access was revoked."""
        self.recheck_due = asyncio.Event()
        """Set when it must be checked again whether the client may still listen."""

    def put(self, change: FeedEvent) -> None:
        if self._ended:
            return
        self._unread_characters += _characters(change)
        if self._unread.full() or (
            self._unread_characters > MAX_UNREAD_CHARACTERS and not self._unread.empty()
        ):
            self._drop(SlowSubscriber("too many unread changes"))
        else:
            self._unread.put_nowait(change)

    def end(self) -> None:
        if not self._ended:
            self._put_last(None)

    def revoke(self, denial: Denial) -> None:
        """The client may no longer subscribe: unread changes are discarded."""
        self._drop(AccessRevoked(denial))

    def _drop(self, reason: SlowSubscriber | AccessRevoked) -> None:
        self._put_last(reason)
        self.dropped.set()

    def _put_last(self, last: SlowSubscriber | AccessRevoked | None) -> None:
        self._ended = True
        while not self._unread.empty():
            self._unread.get_nowait()
        self._unread.put_nowait(last)

    async def __anext__(self) -> FeedEvent:
        change = await self._unread.get()
        if change is None or isinstance(change, SlowSubscriber | AccessRevoked):
            self._unread.put_nowait(change)  # every further call raises it again
            raise StopAsyncIteration if change is None else change
        self._unread_characters -= _characters(change)
        return change


def _characters(change: FeedEvent) -> int:
    return len(change.text) if isinstance(change, TextAppended) else 0
