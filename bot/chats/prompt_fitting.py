"""Selects what is sent of a chat that no longer fits the model's window: its beginning, a summary, and the newest
turns.

Stored messages never change. A summary is written once and reused, so that the beginning of the prompt stays the same
from turn to turn until the next part of the chat has to be summarised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.chats.models import ModelChoice
from bot.chats.prompt_size import (
    MAX_CORRECTION,
    correction,
    room_for_prompt,
    tokens_of_turns,
)
from bot.chats.summarizer import EARLIER, Summarizer
from bot.domain import WHOLE_CHAT, Answer, Chat, Message, PromptFacts
from bot.providers.base import ChatMessage
from bot.usage.calls import payer_of
from bot.usage.estimate import tokens_of_text
from storage.answers import Answers
from storage.summaries import Summaries, Summary

OMITTED = "[{count} earlier messages are left out here]"
FIRST_NUMBER_AFTER_BEGINNING = 3
"""The first exchange is always sent."""
SHARE_AFTER_SUMMARY = 0.7
"""The share of the room that is filled after a new summary, so that the chat can grow before the next one is due."""
SHARE_AFTER_REFUSAL = 1 / 3
"""The share of a prompt refused as too long that the next prompt may fill."""
ROOM_FOR_SUMMARY = 600
"""Estimated tokens of a summary that is not written yet."""

TurnsOf = Callable[[Sequence[Message], Mapping[int, str]], list[ChatMessage]]
"""Turns some messages of a chat into turns, with notes inserted before the messages with these numbers."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a chat that is sent."""

    turns: Sequence[ChatMessage] = field(repr=False)
    facts: PromptFacts = WHOLE_CHAT


@dataclass(frozen=True, slots=True)
class History:
    """The messages before one answer, and how they can be sent."""

    messages: Sequence[Message] = field(repr=False)
    turns_of: TurnsOf
    system_prompt: str = field(repr=False)
    beside: int = 0
    """Estimated tokens of what is sent besides these messages: tools, and their results for this answer."""

    def excerpt(self, start: int | None = None, summary: Summary | None = None) -> Excerpt:
        """The beginning, the summary, and the messages from number `start` on; without a start, all messages."""
        messages, notes, omitted = self.messages, dict[int, str](), 0
        if start is not None:
            covered = summary.through if summary else FIRST_NUMBER_AFTER_BEGINNING - 1
            omitted = start - 1 - covered
            notes[start] = "\n\n".join(
                [
                    *([EARLIER.format(text=summary.text)] if summary else ()),
                    *([OMITTED.format(count=omitted)] if omitted else ()),
                ]
            )
            messages = [
                m for m in messages if m.number < FIRST_NUMBER_AFTER_BEGINNING or m.number >= start
            ]
        turns = self.turns_of(messages, notes)
        tokens = self.beside + tokens_of_text(self.system_prompt) + tokens_of_turns(turns)
        return Excerpt(turns, PromptFacts(tokens, summary.count if summary else 0, omitted))

    def people(self, since: int, through: int) -> int:
        """The sum of these messages' `people`."""
        return sum(m.people for m in self.messages if since <= m.number <= through)

    def starts(self) -> list[int]:
        """The numbers at which the newest messages may begin: each question after the beginning, oldest first."""
        last = self.messages[-1].number
        return list(range(FIRST_NUMBER_AFTER_BEGINNING, last + 1, 2))

    def longest_within(self, room: float, summary: Summary | None, after: int) -> Excerpt | None:
        """The excerpt with the most messages after number `after` that has at most this many tokens.

        If even the last question alone has more, the excerpt contains only that; None if there is nothing to leave out.
        """
        starts = [start for start in self.starts() if start > after]
        if not starts:
            return None
        low, high = 0, len(starts) - 1
        while low < high:
            middle = (low + high) // 2
            if self.excerpt(starts[middle], summary).facts.estimated_tokens <= room:
                high = middle
            else:
                low = middle + 1
        return self.excerpt(starts[low], summary)


class PromptFitter:
    """Makes chats fit their models' windows."""

    def __init__(
        self,
        models: ModelChoice,
        answers: Answers,
        summaries: Summaries,
        summarizer: Summarizer,
        *,
        summarise: bool,
    ) -> None:
        """`summarise`: False sends every chat whole, however long it is."""
        self._models = models
        self._answers = answers
        self._summaries = summaries
        self._summarizer = summarizer
        self._summarise = summarise

    async def fit(
        self, chat: Chat, answer: Answer, history: History, limit: int | None = None
    ) -> Excerpt:
        """What is sent of the chat. `limit`: estimated tokens that turned out to be too many. Raises StorageError."""
        whole = history.excerpt()
        if not self._summarise:
            return whole
        room = await self._room(chat, answer, whole.facts.estimated_tokens, limit)
        if room == math.inf:
            return await self._as_before(chat, answer, history) or whole
        if whole.facts.estimated_tokens <= room:
            return whole
        return await self._shortened(chat, answer, history, room) or whole

    async def _as_before(self, chat: Chat, answer: Answer, history: History) -> Excerpt | None:
        """The history with the stored summary, if there is one: the chat was too long before, so it still is."""
        known = await self._summaries.find(chat.id, FIRST_NUMBER_AFTER_BEGINNING, answer.number - 1)
        return history.excerpt(known.through + 1, known) if known else None

    async def _room(self, chat: Chat, answer: Answer, wanted: int, limit: int | None) -> float:
        """The estimated tokens that the prompt may have. `wanted`: those of the whole chat."""
        room = math.inf if limit is None else limit * SHARE_AFTER_REFUSAL
        info = self._models.info(chat.model)
        if info is None or info.context is None:
            return room
        window = room_for_prompt(info.context)
        if wanted * MAX_CORRECTION > window:
            window /= correction(await self._answers.last_measure(chat.id, answer.number))
        return min(room, window)

    async def _shortened(
        self, chat: Chat, answer: Answer, history: History, room: float
    ) -> Excerpt | None:
        """The beginning, a summary and the newest turns; None if there is nothing to leave out."""
        since, known_excerpt = FIRST_NUMBER_AFTER_BEGINNING, None
        known = await self._summaries.find(chat.id, since, answer.number - 1)
        if known is not None:
            known_excerpt = history.excerpt(known.through + 1, known)
            if known_excerpt.facts.estimated_tokens <= room:
                return known_excerpt
        through = self._end_of_summary(history, known, room)
        if through is None:
            return known_excerpt
        turns = _to_summarise(history, known, through)
        written = await self._summarizer.write(
            payer_of(chat, answer.asker),
            chat.model,
            turns,
            since=since,
            through=through,
            people=history.people(since, through),
            room=room * 0.9,
        )
        summary = written or known
        return history.longest_within(room, summary, summary.through if summary else since - 1)

    def _end_of_summary(self, history: History, known: Summary | None, room: float) -> int | None:
        """The number of the last message that a new summary must cover."""
        covered = known.through if known else FIRST_NUMBER_AFTER_BEGINNING - 1
        target = room * SHARE_AFTER_SUMMARY - ROOM_FOR_SUMMARY
        rest = history.longest_within(target, None, covered + 1)
        return None if rest is None else rest.facts.omitted + FIRST_NUMBER_AFTER_BEGINNING - 1


def _to_summarise(history: History, known: Summary | None, through: int) -> list[ChatMessage]:
    """The input for a new summary: the earlier summary, if there is one, and the messages since."""
    begin = known.through + 1 if known else FIRST_NUMBER_AFTER_BEGINNING
    notes = {begin: EARLIER.format(text=known.text)} if known else {}
    messages = [
        replace(m, images=(), omitted_images=(*m.omitted_images, *m.images))
        for m in history.messages
        if begin <= m.number <= through
    ]
    return history.turns_of(messages, notes)
