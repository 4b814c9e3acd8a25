"""Continues a chat in a new one that begins with a summary: at the message limit, or when it has become too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.chats.estimate import room_for_prompt
from bot.chats.models import ModelChoice
from bot.chats.summarizer import Summarizer, transcript
from bot.domain import Chat
from bot.providers.base import ChatMessage
from bot.timing import Timing
from bot.usage.calls import payer_of
from storage.chats import Chats
from storage.continuations import Continuation, Continuations
from storage.ledger import Ledger

EXCERPT_TURNS = 6
EXCERPT_LENGTH = 3_000
"""Bytes of the newest turns that stand in place of a summary that could not be written."""

TurnsOf = Callable[[Chat], Awaitable[Sequence[ChatMessage]]]
"""Everything that was said in a chat, as a model reads it."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The chats that a chat continues, and is continued by."""

    before: Chat | None = None
    after: Chat | None = None


class ContinueService:
    """The use cases of continuations. All raise StorageError when the database fails."""

    def __init__(
        self,
        chats: Chats,
        continuations: Continuations,
        models: ModelChoice,
        summarizer: Summarizer,
        turns_of: TurnsOf,
        ledger: Ledger,
        timing: Timing = Timing(),
    ) -> None:
        self._chats = chats
        self._continuations = continuations
        self._models = models
        self._summarizer = summarizer
        self._turns_of = turns_of
        self._ledger = ledger
        self._timing = timing

    async def create(self, old: Chat, user: str, *, in_slack: bool) -> Continuation:
        """The chat that continues `old`, however often it is asked for. `in_slack`: it is to get a thread there.

        Raises BudgetReached, because a summary costs.
        """
        if await self._continuations.of(old.id) is None:
            await self._ledger.check(payer_of(old, user))
        channel = old.thread.channel if in_slack and old.thread is not None else None
        return await self._continuations.create(old, user, channel)

    async def summarised(self, chat: Chat) -> Chat:
        """The continuation with what is known of the earlier chat: a summary, or the newest turns where none comes.

        Takes as long as a summary may take.
        """
        if chat.thread_context is not None or chat.continues is None:
            return chat
        old = await self._chats.get(chat.continues)
        turns = await self._turns_of(old)
        info = self._models.info(old.model)
        room = room_for_prompt(info.context) if info and info.context else None
        summary = await self._summarizer.write(
            payer_of(old, chat.owner),
            old.model,
            turns,
            since=1,
            through=old.message_count,
            room=room,
            wait=self._timing.longest_summary,
        )
        text = summary.text if summary else transcript(turns[-EXCERPT_TURNS:], EXCERPT_LENGTH)
        return await self._continuations.set_summary(chat.id, text)

    async def neighbours(self, chat: Chat) -> Neighbours:
        before = None if chat.continues is None else await self._chats.get(chat.continues)
        return Neighbours(before, await self._continuations.of(chat.id))

    async def set_thread(self, chat: Chat, ts: str) -> Chat:
        """The message that begins its thread in Slack."""
        return await self._continuations.set_thread(chat.id, ts)

    async def give_up_thread(self, chat: Chat) -> None:
        """Records that the continuation cannot be posted in Slack."""
        await self._continuations.give_up_thread(chat.id)

    async def without_thread(self, min_age: float, limit: int) -> list[Continuation]:
        """Continuations that are to be in Slack and are not yet. `min_age`: in seconds."""
        return await self._continuations.without_thread(min_age, limit)
