"""Chats, their users and threads, and the messages in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.files import Attachment, SharedFile
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.domain.models import ModelRef
from bot.domain.steps import Step

DEFAULT_TITLE = "New conversation"
"""The title of a chat until its model has written one."""


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Status(StrEnum):
    """The state of a message. User messages are always `DONE`."""

    WAITING = "waiting"
    """An answer that no worker has claimed."""
    RUNNING = "running"
    """An answer that a worker is writing under a lease."""
    DONE = "done"
    STOPPED = "stopped"
    """Ended by a user. The text written so far stays and is part of the history."""
    FAILED = "failed"
    """Ended by an error. Never sent to a model as history; can be retried."""

    @property
    def ended(self) -> bool:
        """Whether no worker will write to it any more."""
        return self in (Status.DONE, Status.STOPPED, Status.FAILED)


class TitleBy(StrEnum):
    """Who gave a chat its title. A model's title never replaces a user's."""

    DEFAULT = "default"
    MODEL = "model"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class User:
    """One member of one Slack workspace."""

    team: str
    """Slack id of the workspace (`T…`)."""
    id: str
    """Slack id of the member (`U…` or `W…`)."""


@dataclass(frozen=True, slots=True)
class Thread:
    """A Slack thread."""

    team: str
    channel: str
    ts: str
    """Timestamp of the thread's root message."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation with one model."""

    id: str
    team: str
    """Slack id of the workspace."""
    owner: str
    """Slack id of the user who started it."""
    title: str
    title_by: TitleBy
    model: ModelRef
    message_count: int
    created_at: datetime
    updated_at: datetime
    thread: Thread | None = None
    header_ts: str | None = None
    """Timestamp of the Slack message that shows title, model and Stop button."""
    thread_context: str | None = field(default=None, repr=False)
    """What the model is told about the time before the chat: the thread's earlier messages or, if the chat continues
    another one, a summary of that chat.
    """
    continues: str | None = None
    """Id of the chat that this one continues."""
    branch_of: str | None = None
    """Id of the question in another chat that this chat asks another model."""
    instructions: str = field(default="", repr=False)
    """The channel's instructions when the chat started; sent after the fixed system prompt."""
    options: ModelOptions = NO_OPTIONS
    """What was chosen with the model."""
    origin_channel: str | None = None
    """The channel of the chat that it continues or branches from, through any number of steps: that channel's rules
    apply.
    """
    stop_shown: bool = True
    """The header may have a Stop button. A new header has one, because the first answer starts with it."""

    @property
    def joined_a_thread(self) -> bool:
        """Whether it began in a thread where people had written before."""
        return bool(self.thread_context) and self.continues is None and self.branch_of is None


@dataclass(frozen=True, slots=True)
class Source:
    """A page that an answer draws on, as the model's provider names it. Stored as JSON: see `SharedFile`."""

    url: str
    """An https address."""
    title: str
    """One line; the host's name if the provider gives no title."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. Messages are ordered by `number` (1, 2, 3 …)."""

    id: str
    chat_id: str
    number: int
    role: Role
    text: str = field(repr=False)
    status: Status = Status.DONE
    created_at: datetime | None = None
    marked_text: str | None = field(default=None, repr=False)
    """The text with the MENTION_MARK in mentions whose names are not known yet; None if there are none."""
    author: str | None = None
    """Slack id of the user who wrote it; None for answers."""
    author_name: str | None = None
    """The name by which the model knows the author, once it has been sent."""
    source: str | None = None
    """Its origin, unique within the chat: a Slack message's ts, or an API client's idempotency key."""
    images: tuple[Attachment, ...] = ()
    omitted_images: tuple[Attachment, ...] = ()
    """Attachments that are not sent to a model, or that this query did not load."""
    files: tuple[SharedFile, ...] = ()
    """Shared files whose content is in neither `text` nor `images`: not downloaded yet, or not readable."""
    error: str | None = None
    """For a failed answer: the `code` of the `ProviderError`."""
    sources: tuple[Source, ...] = ()
    """For an answer: the pages that it draws on."""
    steps: tuple[Step, ...] = ()
    """For an answer, only when an export reads it: what its model did besides writing."""
    quotes_others: bool = False
    """Whether its text contains what others wrote in the thread that it was asked in."""

    @property
    def people(self) -> int:
        """1 for an author and 1 if it quotes others: less once somebody has been erased from it."""
        return int(self.author is not None) + int(self.quotes_others)
