"""Continues a chat in a new one that begins with a summary: at the message limit, or when it has become too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from bot.chats.models import ModelChoice
from bot.chats.prompt_size import room_for_prompt
from bot.chats.summarizer import Summarizer, transcript
from bot.domain import Chat
from bot.providers.base import ChatMessage
from bot.timing import Timing
from bot.usage.calls import payer_of
from storage.chats import Chats
from storage.ledger import Ledger
from storage.successors import Successor, Successors
from storage.summaries import Summaries

EXCERPT_TURNS = 6
EXCERPT_LENGTH = 3_000
"""Bytes of the newest turns that replace a summary that could not be written."""

TurnsOf = Callable[[Chat], Awaitable[Sequence[ChatMessage]]]
"""Everything said in a chat, in the form that a model reads."""


class ContinueService:
    """The use cases of continuations. All raise StorageError when the database fails."""

    def __init__(
        self,
        chats: Chats,
        successors: Successors,
        models: ModelChoice,
        summaries: Summaries,
        summarizer: Summarizer,
        turns_of: TurnsOf,
        ledger: Ledger,
        timing: Timing = Timing(),
    ) -> None:
        self._chats = chats
        self._successors = successors
        self._models = models
        self._summaries = summaries
        self._summarizer = summarizer
        self._turns_of = turns_of
        self._ledger = ledger
        self._timing = timing

    async def create(self, old: Chat, user: str, *, in_slack: bool) -> Successor:
        """The chat that continues `old`; the same chat at every call. `in_slack`: it will get a thread there.

        Raises BudgetReached, because a summary costs money.
        """
        if await self._successors.continuation_of(old.id) is None:
            await self._ledger.check(payer_of(old, user))
        channel = old.thread.channel if in_slack and old.thread is not None else None
        return await self._successors.create_continuation(old, user, channel)

    async def summarised(self, chat: Chat) -> Chat:
        """The continuation with what the model is told about the earlier chat: a summary, or the newest turns if none
        can be written.

        Takes as long as a summary may take.
        """
        if chat.thread_context is not None or chat.continues is None:
            return chat
        old, people, turns = await self._read(chat.continues)
        through = old.message_count
        info = self._models.info(old.model)
        room = room_for_prompt(info.context) if info and info.context else None
        summary = await self._summarizer.write(
            payer_of(old, chat.owner),
            old.model,
            turns,
            since=1,
            through=through,
            people=people,
            room=room,
            wait=self._timing.longest_summary,
        )
        text = summary.text if summary else ""
        if summary is None:  # read again: somebody may have been erased while it was awaited
            old, people, turns = await self._read(old.id)
            text = transcript(turns[-EXCERPT_TURNS:], EXCERPT_LENGTH)
        through = old.message_count
        return await self._successors.set_summary(chat.id, text, through=through, people=people)

    async def _read(self, chat_id: str) -> tuple[Chat, int, Sequence[ChatMessage]]:
        """The chat, the count of its people, which is read first, and its turns."""
        through = (await self._chats.get(chat_id)).message_count
        people = await self._summaries.people(chat_id, 1, through)
        chat = replace(await self._chats.get(chat_id), message_count=through)
        return chat, people, await self._turns_of(chat)
