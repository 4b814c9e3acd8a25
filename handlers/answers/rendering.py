"""How an answer's text and footer become the arguments of a Slack call, in a simpler format after each refusal.

FULL ──refused──▶ NO_FEEDBACK ──refused──▶ TEXT ──refused──▶ TEXT_RETRY ──refused──▶ give up
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from bot import strings
from bot.domain import Answer, AnswerResult
from handlers.answers.options import AnswerOptions
from handlers.markdown.plain_text import plain
from handlers.views import blocks

_MAX_FALLBACK_CHARS = 300


class Format(IntEnum):
    """The formats of an answer's message, from the richest to the simplest."""

    FULL = 0
    """Text, and at the end a footer with facts and feedback buttons."""
    NO_FEEDBACK = 1
    """The footer without the feedback buttons, a block type that not every Slack has."""
    TEXT = 2
    """Text alone, without blocks."""
    TEXT_RETRY = 3
    """Text alone, once more."""

    def simpler(self) -> Format | None:
        """The format to try after Slack refused this one; None: there is none left."""
        return None if self is Format.TEXT_RETRY else Format(self + 1)


class AnswerRenderer:
    """Renders one answer, in the richest format that Slack has not refused for it."""

    def __init__(self, answer: Answer, options: AnswerOptions) -> None:
        self._answer = answer
        self._options = options
        self._format = Format.FULL

    def simplify(self) -> bool:
        """Moves on to a simpler format after a refusal; False where none is left."""
        simpler = self._format.simpler()
        self._format = simpler or self._format
        return simpler is not None

    def content(
        self, text: str, result: AnswerResult | None, *, has_blocks: bool
    ) -> dict[str, Any]:
        """Arguments of `chat.postMessage` or `chat.update`; `result` adds the footer.

        `has_blocks`: the message carries blocks, which only other blocks replace.
        """
        footer = self.footer(result) if result is not None else []
        if self._format >= Format.TEXT or not (footer or has_blocks):
            return {"markdown_text": text or strings.NOTHING_WRITTEN}
        body = blocks.markdown(text) if text.strip() else []
        fallback = plain(text, _MAX_FALLBACK_CHARS) or strings.ANSWER_FALLBACK
        return {"blocks": [*body, *footer], "text": fallback}

    def footer(self, result: AnswerResult) -> list[dict[str, Any]]:
        """The blocks below a complete answer; empty where Slack takes no blocks."""
        if self._format >= Format.TEXT:
            return []
        return blocks.answer_footer(
            self._answer,
            result,
            self._options.model_label,
            self._options.messages_left,
            self._format is Format.FULL,
        )


def stream_chunks(text: str) -> list[dict[str, str]]:
    """The `chunks` argument of the native streaming methods."""
    return [{"type": "markdown_text", "text": text}]
