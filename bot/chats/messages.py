"""Messages and choices from Slack, and their outcomes: the values passed between listeners and use cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain import ModelRef, SharedFile, Thread
from bot.errors import LimitReached
from bot.usage.limits import BudgetReached
from storage.chat_requests import ChatRequest
from storage.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """What a user wrote in Slack."""

    thread: Thread
    """The thread that contains the message; for a message outside of threads, the one that a reply would start."""
    ts: str
    user: str
    text: str = field(repr=False)
    addressed: bool
    """Whether it is addressed to Bobbin: it mentions Bobbin, or is a direct message."""
    to_others: bool = False
    """Whether it begins by mentioning another user, and does not mention Bobbin."""
    user_team: str | None = None
    """The user's own workspace, if it is not the bot's."""
    edited: bool = False
    """Whether the message was written earlier, and an edit has added the mention."""
    files: tuple[SharedFile, ...] = ()
    """The files shared with it, reviewed (`bot.chats.attachments.rules.mark_unreadable`)."""
    mentions: frozenset[str] = frozenset()
    """Ids of the users and channels that it mentions in Slack's own markup; in the text they look like any other
    words.
    """

    @property
    def in_thread(self) -> bool:
        return self.thread.ts != self.ts


class Outcome(StrEnum):
    """What happened to a message."""

    IGNORED = "ignored"
    """It is not for Bobbin, or was handled before."""
    REQUESTED = "requested"
    """It is a new chat request; the user is asked to choose a model."""
    STORED = "stored"
    """It is stored in its chat, and an answer is waiting to be written."""
    WAITING_FOR_CONTEXT = "waiting for context"
    """It completed a chat request; the chat starts when the rest of the thread has been read."""
    CHAT_FULL = "chat full"
    """The chat has no room for it; nothing was stored."""
    BUDGET_REACHED = "budget reached"
    """Its author, channel or workspace has used up a budget or rate; nothing was stored."""
    STOPPED = "stopped"
    """It was the word that stops an answer."""
    FILES_ADDED = "files added"
    """Its files were added to a chat request that waits for a model."""
    UNREADABLE = "unreadable"
    """It consists of files that cannot be read; nothing was stored."""
    MODEL_CANNOT_SEE = "model cannot see"
    """It consists of images, and the model cannot see; nothing was stored."""


@dataclass(frozen=True, slots=True)
class HandleResult:
    """The result of handling one incoming message."""

    outcome: Outcome
    request: ChatRequest | None = None
    """With REQUESTED and WAITING_FOR_CONTEXT; also with STORED, when the message completed a chat request."""
    stored: StoredMessage | None = None
    """With STORED."""
    model: ModelRef | None = None
    """With MODEL_CANNOT_SEE: the model."""
    chat_id: str = ""
    """With CHAT_FULL: the chat."""
    reached: BudgetReached | None = None
    """With BUDGET_REACHED: the budget or rate."""


class ModelChoiceOutcome(StrEnum):
    """What happened when a model was chosen."""

    STARTED = "started"
    WAITING_FOR_CONTEXT = "waiting for context"
    """The model is chosen; the chat starts when the thread's earlier messages have been read."""
    WAITING_FOR_TEXT = "waiting for text"
    """The model is chosen; the chat starts with the user's next message in the thread."""
    NOT_ASKER = "not asker"
    """Only the user who asked may choose."""
    ALREADY_STARTED = "already started"
    REPEATED = "repeated"
    """The chat has already started with just this choice, as when Slack delivers it twice."""
    CHAT_FULL = "chat full"
    """The thread has a chat by now, and it has no room for the question."""
    MODEL_CANNOT_SEE = "model cannot see"
    """The question consists of images, and the model cannot see; nothing was chosen."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request whose question was not stored."""

    request: ChatRequest
    reason: LimitReached | BudgetReached


@dataclass(frozen=True, slots=True)
class ModelChosen:
    """The result of one choice of a model."""

    outcome: ModelChoiceOutcome
    request: ChatRequest
    stored: StoredMessage | None = None
    """The chat's first message, once the chat has started."""
    more_stored: tuple[StoredMessage, ...] = ()
    """Messages that the same user wrote in the thread before choosing, stored as the chat's next messages."""
    more_refused: tuple[RefusedRequest, ...] = ()
    """Further such messages for which the chat or a budget has no room. Their requests are given up."""
    model: ModelRef | None = None
    """With MODEL_CANNOT_SEE: the model."""
    chat_id: str | None = None
    """With CHAT_FULL: the chat."""
