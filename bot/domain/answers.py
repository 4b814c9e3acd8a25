"""Answers: the job of writing one, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain.chats import Source, Status
from bot.domain.steps import Step


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
