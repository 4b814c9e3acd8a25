"""The nouns that all layers share, as frozen values that need hardly more than the standard library.

A *chat* belongs to a Slack thread or, when it was started through the API, to no thread yet. It holds numbered
*messages*. An assistant message that is still to be written is an *answer*; its row in the database is the job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.model_options import NO_OPTIONS, ModelOptions
from bot.steps import Step

DEFAULT_TITLE = "New conversation"
"""The title of a chat until its model has written one."""


PDF = "application/pdf"


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
class ModelRef:
    """Identifies a model. Written as `provider:name`."""

    provider: str
    """The provider's short name, such as `openrouter`."""
    name: str
    """The provider's own id for the model."""

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """The inverse of `str()`. Raises ValueError for a text without `provider:`."""
        provider, colon, name = text.partition(":")
        if not (provider and colon and name):
            raise ValueError(f"not a model reference: {text!r}")
        return cls(provider, name)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs according to its provider's list of models, in US dollars per token."""

    prompt: float
    completion: float
    cached: float | None = None
    """For tokens of the prompt that the provider has cached; None: the same as `prompt`."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of a provider's list of models."""

    ref: ModelRef
    label: str
    provider_label: str
    context: int | None = None
    """Size of the context window in tokens, if the provider states it."""
    vision: bool = False
    """Whether the model accepts images."""
    draws: bool = False
    """Whether it makes pictures."""
    writes: bool = True
    """Whether it writes text; a model that does not only makes pictures."""
    takes_pdfs: bool = False
    """Whether its provider reads PDFs itself, including scanned ones."""
    searches: bool = False
    """Whether its provider can search the web."""
    takes_effort: bool = False
    """Whether its reasoning effort can be chosen."""
    price: Price | None = None
    """None if the list names none."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image for a model that accepts images."""

    name: str
    mime: str
    data: bytes = field(repr=False)


class AttachmentKind(StrEnum):
    """How people refer to an attachment."""

    IMAGE = "image"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A stored image, or a stored scanned PDF, without its bytes, which are read when they are sent.

    It belongs to a message, or to the tool call that returned it.
    """

    holder_id: str
    """The id of its message, or of the tool call that returned it."""
    position: int
    """From 0, within its message or call."""
    name: str
    mime: str
    size: int
    """Bytes."""
    of_call: bool = False
    """Whether `holder_id` is the id of a call."""

    @property
    def kind(self) -> AttachmentKind:
        return AttachmentKind.DOCUMENT if self.is_pdf else AttachmentKind.IMAGE

    @property
    def is_pdf(self) -> bool:
        return self.mime == PDF


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file shared in Slack, as Slack describes it. Its content is downloaded when a prompt needs it.

    Stored as JSON: renaming a field needs a migration.
    """

    id: str
    name: str
    mime: str = ""
    """The type that Slack states. The content itself is checked as well."""
    size: int | None = None
    """Bytes, if Slack states it."""
    url: str | None = None
    """None while the file is being uploaded, or when `files.info` must be called first."""
    thumb: str | None = None
    """URL of Slack's largest thumbnail, which is always png or jpeg."""
    mode: str = "hosted"
    """`hosted`, `snippet`, `external`, `tombstone`, `hidden_by_limit`, …"""
    problem: str | None = None
    """Why it cannot be read: a key of `bot.strings.FILE_PROBLEMS`. None while unknown, or when it was read."""
    before: bool = False
    """Shared by anyone in the thread before the chat started. No notice is sent if it cannot be used."""


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


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A Slack message that shows one part of an answer."""

    ts: str
    streaming: bool
    """Whether it was last stored as an open native stream, which must be stopped before the message can be edited."""
    leftover: bool = False
    """Whether it is no longer needed: an earlier attempt posted it, and the complete answer does not use it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An assistant message with what a worker needs to write it: the job."""

    id: str
    chat_id: str
    number: int
    question_id: str
    """Id of the user message that it answers."""
    status: Status
    attempt: int
    """1 for the first claim; each takeover and each retry adds one."""
    taken_over: bool = False
    """Claimed from a worker that did not release it, whose last Slack calls may still take effect."""
    worker_id: str | None = None
    """The worker that holds the lease."""
    text: str = field(default="", repr=False)
    """The whole text once `text_complete` is true, else what a failed attempt had written."""
    text_complete: bool = False
    """The model has finished and `text` is stored. The only thing left is to show it in Slack."""
    error: str | None = None
    """For a failed answer: the `code` of the `ProviderError`."""
    slack_messages: tuple[MessageRef, ...] = ()
    """The Slack messages that show it, in order."""
    asker: str | None = None
    """Slack id of the user who asked, which is the recipient of a native stream."""
    asker_team: str | None = None
    """That user's own workspace, which in a shared channel is not the bot's."""
    question_ts: str | None = None
    """Timestamp of the Slack message that asked; None for messages from the API."""
    was_queued: bool = False
    """It had to wait for another answer, so its question carries a reaction until a worker claims it."""
    resumed: bool = False
    """Claimed with the work partly done: an earlier worker left it unfinished."""
    follows_unshown: bool = False
    """When it was claimed, the text of an earlier answer of its chat was stored but not yet completely visible."""
    among_several: bool = False
    """Whether other questions of the chat were waiting at the same time, so that the answer says which one it answers.
    """
    stop_hidden: bool = False
    """The chat's header has no Stop button when the answer begins."""
    stop_requested: bool = False
    """A user has asked to stop it."""
    trace: str | None = None
    """The trace that its question began (W3C's `traceparent`), if traces are collected."""
    refusal: str | None = None
    """The surface's error code if it does not let the answer be written."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call to a model consumed."""

    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
    """US dollars, if the provider states it."""
    cached_tokens: int = 0
    """Tokens of the prompt that the provider had cached from an earlier call, which cost less."""


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """How much of a chat one prompt contains."""

    estimated_tokens: int = 0
    """Its estimated size, before the model has counted it."""
    summarised: int = 0
    """Messages that are replaced by a summary."""
    omitted: int = 0
    """Messages that were left out without a summary, because it was not ready in time."""


WHOLE_CHAT = PromptFacts()
"""The prompt holds the whole chat, or nothing is known about it."""


@dataclass(frozen=True, slots=True)
class NearBudget:
    """A budget that is nearly used up. Stored as JSON: see `SharedFile`."""

    scope: str
    """`user`, `channel` or `workspace`."""
    budget: str
    """Such as `5 USD/month`."""


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """How an answer ended, and what its last Slack message must show."""

    status: Status
    text: str = field(repr=False)
    error: str | None = None
    """With FAILED: the `code` of the `ProviderError`."""
    detail: str | None = None
    """With FAILED: the provider's message, cleaned and shortened."""
    usage: Usage | None = None
    seconds: float | None = None
    """From the claim to the end of the model's stream."""
    truncated: bool = False
    """Whether the answer was cut: at the model's token limit, or at the maximum length or time."""
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()
    """What the model did besides writing, in order; all of the steps have ended."""
    pictures: int = 0
    """How many pictures the model has made."""
    prompt: PromptFacts = WHOLE_CHAT
    """What of the chat the model was sent."""
    stopped_by: str | None = None
    """With STOPPED: Slack id of the user who stopped it, once the result is stored."""
    near_budgets: tuple[NearBudget, ...] = ()
    """The budgets that this answer has nearly used up, once the result is stored."""
