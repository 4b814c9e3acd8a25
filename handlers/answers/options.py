"""Decisions about an answer's appearance in Slack, made before it is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.languages.language import Language


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How one answer is shown."""

    native_streaming: bool
    """Slack's native streaming may be used, because only the asker watches."""
    markdown_text: bool
    """This Slack supports messages with `markdown_text`."""
    model_label: str
    """For the footer."""
    messages_left: int | None
    """How many messages the chat may still hold; None while there are too many to mention."""
    question_link: str
    """A link to the question in mrkdwn, if other questions were waiting at the same time; else empty."""
    language: Language
    """The language of the person who started the chat."""
    find_other_messages: Callable[[], Awaitable[frozenset[str]]]
    """Finds the ts of the bot's messages in this thread that show something else. Raises StorageError."""
