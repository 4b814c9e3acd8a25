"""A user message before and after it is stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain import Answer, Chat, Image, Message, SharedFile


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A user message that is not stored yet and therefore has no number."""

    text: str = field(repr=False)
    author: str
    """Slack id of the user who wrote it."""
    author_team: str | None = None
    """The author's own workspace, if it is not the chat's."""
    source: str | None = None
    """Its origin, unique within the chat: storing the same source again returns the stored message."""
    images: tuple[Image, ...] = ()
    files: tuple[SharedFile, ...] = ()
    """Shared files, which are downloaded when the answer starts."""
    ts: str | None = None
    """Timestamp of the Slack message that asks; None for messages from the API."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A user message as it is stored, with its chat and its answer."""

    chat: Chat
    message: Message
    answer: Answer
    duplicate: bool = False
    """Whether it had been stored before, so that nothing was stored now."""
    queued: bool = False
    """Whether the answer waits for an earlier answer of this chat."""
