"""Builds what is sent to a model: the system prompt, then the chat so far in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from bot import strings
from bot.chats.turns import chat_messages
from bot.domain import Answer, Chat, Message, Role, User
from bot.errors import ProviderError
from bot.providers.base import ModelRequest
from storage.chats import Chats
from storage.images import ImageBudget

IMAGE_BUDGET = ImageBudget(count=20, size=16_000_000)
"""The newest images are sent with every request, up to this many and this many bytes; of older ones only the names."""
NO_IMAGES = ImageBudget(0, 0)


class UserNames(Protocol):
    """What a prompt needs of `handlers.client.user_names`."""

    async def find(self, users: Iterable[User]) -> dict[User, str]:
        """The names of those users whose name is known, or can be learned in a moment."""
        ...

    async def settle(self, team: str, texts: Iterable[str]) -> None:
        """Waits a moment for names in these texts that are just being learned."""
        ...

    async def replace_ids(self, team: str, text: str) -> str:
        """The text with known names instead of user ids."""
        ...


class Attachments(Protocol):
    """What a prompt needs of `bot.chats.attachments.loader`."""

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message]
    ) -> bool: ...
    def can_see(self, chat: Chat) -> bool: ...


class PromptBuilder:
    """Makes the request for an answer from the stored chat."""

    def __init__(
        self, chats: Chats, system_prompt: str, names: UserNames, attachments: Attachments
    ) -> None:
        self._chats = chats
        self._system_prompt = system_prompt
        self._names = names
        self._attachments = attachments

    async def build(self, chat: Chat, answer: Answer) -> ModelRequest:
        """Raises AttachmentsUnreadable when the message consists of files that could not be read, and nothing else."""
        can_see = self._attachments.can_see(chat)
        budget = IMAGE_BUDGET if can_see else NO_IMAGES
        history = await self._chats.history(chat.id, answer.number, budget=budget)
        left_out = await self._left_out(chat, answer, history)
        sent = [message for message in history if message.id not in left_out]
        if await self._attachments.load_pending(chat, answer, sent):
            history = await self._chats.history(chat.id, answer.number, budget=budget)
        # Both at the same time, so that they share their deadline.
        names, _ = await asyncio.gather(
            self._author_names(chat, history),
            self._names.settle(chat.team, (message.text for message in history)),
        )
        messages = [
            replace(message, text=await self._names.replace_ids(chat.team, message.text))
            for message in history
        ]
        return ModelRequest(
            model=chat.model,
            system=self._system_prompt,
            messages=chat_messages(
                messages, names, chat.thread_context, can_see=can_see, left_out=left_out
            ),
        )

    async def _left_out(
        self, chat: Chat, answer: Answer, history: Sequence[Message]
    ) -> frozenset[str]:
        """Ids of earlier messages that would make this answer fail too, or are to be answered after it."""
        answered = sum(message.role is Role.ASSISTANT for message in history)
        if answered >= len(history) - answered - 1:  # all but the one to answer
            return frozenset()
        unanswered = await self._chats.unanswered(chat.id, answer.number)
        return frozenset(
            question_id
            for question_id, ended in unanswered.items()
            if not ended.status.ended or ProviderError.class_of(ended.error).refuses_message
        )

    async def _author_names(self, chat: Chat, history: Sequence[Message]) -> dict[str, str]:
        """Names by user id; empty where the model need not know who wrote the messages."""
        authors = dict.fromkeys(m.author for m in history if m.author is not None)
        if len(authors) <= 1 and not chat.thread_context:
            return {}
        found = await self._names.find(User(chat.team, author) for author in authors)
        return {
            author: found.get(User(chat.team, author), strings.UNKNOWN_PERSON) for author in authors
        }
