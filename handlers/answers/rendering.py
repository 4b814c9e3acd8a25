"""Turns an answer's text and footer into the arguments of a Slack call, in a simpler format after each refusal.

FULL ──refused──▶ NO_FEEDBACK ──refused──▶ TEXT ──refused──▶ BLOCKS ──refused──▶ PLAIN ──refused──▶ give up
 └──── refused without a footer: only the text can be the reason ────────▲
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from bot import strings
from bot.domain import Answer, AnswerResult
from bot.domain.steps import Step
from handlers.answers.options import AnswerOptions
from handlers.answers.step_cards import Chunk
from handlers.markdown.plain_text import plain
from handlers.views import answer_footer, blocks
from handlers.views.step_lines import step_lines

_MAX_FALLBACK_CHARS = 300


class Format(IntEnum):
    """The formats of an answer's message, from the richest to the simplest."""

    FULL = 0
    """Text, and at the end a footer with facts and feedback buttons."""
    NO_FEEDBACK = 1
    """The footer without the feedback buttons, a block type that not every Slack supports."""
    TEXT = 2
    """Text alone, without blocks."""
    BLOCKS = 3
    """Text alone, as a Markdown block: for a Slack without `markdown_text`."""
    PLAIN = 4
    """Text alone, as sections of plain text: for a Slack without Markdown."""

    def simpler(self) -> Format | None:
        """The format to try after Slack rejected this one; None if none is left."""
        return None if self is Format.PLAIN else Format(self + 1)


class AnswerRenderer:
    """Renders one answer, in the richest format that Slack has not refused for it."""

    def __init__(self, answer: Answer, options: AnswerOptions) -> None:
        self._answer = answer
        self._options = options
        self._format = Format.FULL
        self._had_blocks = False
        """Whether the last content had any."""

    def simplify(self) -> bool:
        """Moves on to a simpler format after a rejection; False if none is left."""
        simpler = self._format.simpler()
        if simpler is Format.TEXT and not self._options.markdown_text:
            simpler = Format.BLOCKS
        if simpler is not None and not self._had_blocks:
            simpler = max(
                simpler, Format.BLOCKS
            )  # the formats in between would be rejected for the same reason
        self._format = simpler or self._format
        return simpler is not None

    @property
    def was_text_alone(self) -> bool:
        """Whether the last content was `markdown_text` without blocks."""
        return not self._had_blocks

    def content(
        self,
        text: str,
        result: AnswerResult | None,
        *,
        has_blocks: bool,
        steps: Sequence[Step] = (),
    ) -> dict[str, Any]:
        """Arguments of `chat.postMessage` or `chat.update`; `result` adds the footer, which includes these steps.

        `has_blocks`: the message carries blocks, which only other blocks replace.
        """
        footer = self.footer(result, steps) if result is not None else []
        self._had_blocks = self._format is not Format.TEXT and bool(
            footer or has_blocks or self._format > Format.TEXT or not self._options.markdown_text
        )
        if not self._had_blocks:
            return {"markdown_text": text or strings.NOTHING_WRITTEN}
        fallback = plain(text, _MAX_FALLBACK_CHARS) or strings.ANSWER_FALLBACK
        return {"blocks": [*self._body(text, footer), *footer], "text": fallback}

    def _body(self, text: str, footer: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not text.strip():
            return [] if footer else blocks.plain_sections(strings.NOTHING_WRITTEN)
        if self._format is Format.PLAIN:
            return blocks.plain_sections(text)
        return blocks.markdown(text)

    def footer(self, result: AnswerResult, steps: Sequence[Step] = ()) -> list[dict[str, Any]]:
        """The blocks below a complete answer, with these steps; empty if Slack accepts no blocks."""
        if self._format >= Format.TEXT:
            return []
        return step_lines(steps) + answer_footer.answer_footer(
            self._answer,
            result,
            self._options.model_label,
            self._options.messages_left,
            self._format is Format.FULL,
            self._options.question_link,
        )


def stream_chunks(text: str, cards: Sequence[Chunk] = ()) -> list[Chunk]:
    """The `chunks` argument of the native streaming methods: cards of steps, and the text that follows them."""
    return [*cards, *([{"type": "markdown_text", "text": text}] if text else [])]
