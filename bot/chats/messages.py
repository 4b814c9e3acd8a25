"""What people say and choose, and what became of it: the values between a surface and the use cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain import ModelRef, SharedFile, Thread
from storage.chat_requests import ChatRequest
from storage.chats import StoredMessage


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """What a person said in Slack."""

    thread: Thread
    """The thread it belongs to; for a message outside of threads, the one that would begin with it."""
    ts: str
    user: str
    text: str = field(repr=False)
    addressed: bool
    """To Bobbin: a mention, or a direct message."""
    to_others: bool = False
    """Begins by mentioning somebody else, and does not mention Bobbin."""
    user_team: str | None = None
    """The person's own workspace where it is not the bot's."""
    files: tuple[SharedFile, ...] = ()
    """What was shared with it, reviewed (`bot.chats.attachments.rules.mark_unreadable`)."""

    @property
    def in_thread(self) -> bool:
        return self.thread.ts != self.ts


class Outcome(StrEnum):
    """What became of an utterance."""

    IGNORED = "ignored"
    """Not for Bobbin, or known already."""
    ASKED = "asked"
    """A question without a model: the menu is due."""
    SAID = "said"
    """Stored, with an answer waiting to be written."""
    FULL = "full"
    """The chat may hold no more messages; nothing was stored."""
    STOPPED = "stopped"
    """It was the word that ends an answer."""
    ADDED = "added"
    """Files for a question that waits for its model."""
    UNREADABLE = "unreadable"
    """Nothing but files that cannot be read; nothing was stored."""
    UNSEEN = "unseen"
    """Nothing but images, for a model that cannot see; nothing was stored."""


@dataclass(frozen=True, slots=True)
class HandleResult:
    outcome: Outcome
    request: ChatRequest | None = None
    said: StoredMessage | None = None
    model: ModelRef | None = None
    """The one that cannot see, with UNSEEN."""


class ModelChoiceOutcome(StrEnum):
    """What became of choosing a model."""

    STARTED = "started"
    KEPT = "kept"
    """The model is chosen; the chat starts when the thread so far has been read (`choose_model`)."""
    NEEDS_TEXT = "needs text"
    NOT_YOURS = "not yours"
    ALREADY = "already started"
    CANNOT_SEE = "cannot see"
    """The question is nothing but images, and this model sees none; nothing was chosen."""


@dataclass(frozen=True, slots=True)
class ModelChosen:
    outcome: ModelChoiceOutcome
    request: ChatRequest
    said: StoredMessage | None = None
    also: tuple[StoredMessage, ...] = ()
    """What the same person had said besides, before choosing."""
