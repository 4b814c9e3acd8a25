"""The nouns that cross borders: frozen values, standard library only.

A *chat* stands in a *place* (a Slack thread) or, started through the API, nowhere yet. It holds numbered *messages*;
an assistant message that is still to be written is an *answer*: the row is the work to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEFAULT_TITLE = "New conversation"
"""The title of a chat until its model has written one."""


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Status(StrEnum):
    """How far a message is. User messages are always `DONE`."""

    WAITING = "waiting"
    """An answer nobody has begun."""
    RUNNING = "running"
    """An answer that an owner writes under a lease."""
    DONE = "done"
    STOPPED = "stopped"
    """Ended by a person; what was written stays and is history."""
    FAILED = "failed"
    """Ended by an error; never sent to a model as history; may be retried."""

    @property
    def ended(self) -> bool:
        return self in (Status.DONE, Status.STOPPED, Status.FAILED)


class TitleBy(StrEnum):
    """Who gave a chat its title; a person's title is never replaced by a model's."""

    DEFAULT = "default"
    MODEL = "model"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class User:
    """One member of one Slack workspace."""

    team: str
    id: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A Slack thread: where a chat stands. `thread` is the ts of the thread's root message."""

    team: str
    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model by its provider's short name and the provider's own id for it."""

    provider: str
    name: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """The reference that `str()` printed. Raises ValueError when there is no `provider:` in front."""
        provider, colon, name = text.partition(":")
        if not (provider and colon and name):
            raise ValueError(f"not a model reference: {text!r}")
        return cls(provider, name)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of a provider's list of models."""

    ref: ModelRef
    label: str
    provider_label: str
    context: int | None = None
    """Tokens the model can take in, where the provider tells."""
    vision: bool = False
    """Whether images may be sent to it."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture for a model that can see."""

    name: str
    mime: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file that somebody shared in Slack, as Slack describes it. What it holds is fetched when it is needed."""

    id: str
    name: str
    mime: str = ""
    """What it is said to be; the bytes are looked at all the same."""
    size: int | None = None
    """Bytes, where Slack tells."""
    url: str | None = None
    """None as long as it is being uploaded, or when Slack must be asked first."""
    thumb: str | None = None
    """The largest of Slack's own small pictures of it, which are always png or jpeg."""
    mode: str = "hosted"
    """`hosted`, `snippet`, `external`, `tombstone`, `hidden_by_limit`, …"""
    problem: str | None = None
    """Why it could not be read (a key of `words.FILE_PROBLEMS`); None while that is not settled."""
    before: bool = False
    """Shared in the thread before the chat began there, by whomever: what cannot be used of it bothers nobody."""


@dataclass(frozen=True, slots=True)
class Chat:
    id: str
    team: str
    owner: str
    """Slack user id of the person who started it."""
    title: str
    title_by: TitleBy
    model: ModelRef
    message_count: int
    created_at: datetime
    updated_at: datetime
    thread: Thread | None = None
    header_ts: str | None = None
    """The Slack message that shows title, model and Stop."""
    context: str | None = field(default=None, repr=False)
    """What people had said in the thread before the chat began there, for the model."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, in the order of `number` (1, 2, 3 …)."""

    id: str
    chat_id: str
    number: int
    role: Role
    text: str = field(repr=False)
    status: Status = Status.DONE
    created_at: datetime | None = None
    author: str | None = None
    """Slack user id of who wrote it; None for answers."""
    author_name: str | None = None
    source: str | None = None
    """What it came from, unique within the chat: the ts of a Slack message, or a client's key."""
    images: tuple[Image, ...] = ()
    omitted: tuple[str, ...] = ()
    """Names of images that it has too and that were left out of this reading."""
    files: tuple[SharedFile, ...] = ()
    """Files that belong to it and are neither in its text nor among its images: not fetched yet, or not readable."""
    error: str | None = None
    """For a failed answer: the code of its `ProviderError`."""


@dataclass(frozen=True, slots=True)
class MessageRef:
    """One Slack message that shows a piece of an answer."""

    ts: str
    native: bool
    """Still a native stream, as far as this row knows: must be stopped before it can be edited."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An assistant message with what its writer must know: the job."""

    id: str
    chat_id: str
    number: int
    question_id: str
    """The user message that it answers."""
    status: Status
    attempt: int
    """1 the first time it is claimed; more after a take-over or a retry."""
    inherited: bool = False
    """Taken over from somebody who has not given it back, and whose last words may still be on their way."""
    owner: str | None = None
    text: str = field(default="", repr=False)
    """Whole text once the model has ended (`complete`), else what a failed attempt had written."""
    complete: bool = False
    """The model has ended and `text` is stored; what remains is to show it."""
    ending: Status | None = None
    """With `complete`: how it is to end."""
    error: str | None = None
    parts: tuple[MessageRef, ...] = ()
    asker: str | None = None
    """Slack user id of who asked: the recipient of a native stream."""
    asker_team: str | None = None
    """That person's own workspace, which in a shared channel is not the bot's."""
    question_ts: str | None = None
    """The Slack message that asked, where there is one."""
    queued: bool = False
    """It had to wait its turn, so that its question bears the mark of waiting until it is taken."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of an answer's text, as the model sent it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The model reasons before it answers: a sign of life, never shown as text."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
    """US dollars, where the provider says."""


@dataclass(frozen=True, slots=True)
class Done:
    """The model has ended. `reason`: `stop`, `length` (cut by a limit of tokens), or what the provider says."""

    reason: str = "stop"


StreamEvent = TextDelta | ReasoningDelta | Usage | Done


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """How an answer ended: what its last write must show."""

    status: Status
    text: str = field(repr=False)
    error: str | None = None
    """Code of the `ProviderError`, for FAILED."""
    detail: str | None = None
    """What the provider said, cleaned and short, for FAILED."""
    usage: Usage | None = None
    seconds: float | None = None
    """From the claim to the model's end."""
    cut: bool = False
    """The model stopped because it reached its limit of tokens."""
