"""Continuations and branches: how they become ready for Slack, and how they are linked. See `storage.successors`."""

from __future__ import annotations

from dataclasses import dataclass

from bot.chats.branches import BranchService
from bot.domain import Chat, Message
from storage.chats import Chats
from storage.successors import Successors

MAX_LINKED_BRANCHES = 5


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The chats that a chat came from or led to."""

    before: Chat | None = None
    """The chat that it continues, or whose question it asks another model."""
    question: Message | None = None
    """The question that it asks another model."""
    after: Chat | None = None
    """The chat that continues it."""
    branches: tuple[Chat, ...] = ()
    """The newest few chats that ask other models its questions."""


class SuccessorService:
    """What continuations and branches have in common until they are in Slack."""

    def __init__(
        self,
        chats: Chats,
        successors: Successors,
        branches: BranchService,
    ) -> None:
        self._chats = chats
        self._successors = successors
        self._branches = branches

    async def set_thread(self, chat: Chat, ts: str) -> Chat:
        """Stores the message that begins its thread, unless another process has done so; returns the chat as it is
        then.
        """
        if chat.branch_of is not None:
            return await self._branches.set_thread(chat, ts)
        return await self._successors.set_thread(chat.id, ts)

    async def give_up_thread(self, chat: Chat) -> None:
        """Records that the chat cannot be posted in Slack."""
        await self._successors.give_up_thread(chat.id)

    async def predecessor(self, chat: Chat) -> Chat:
        """Raises ChatNotFound."""
        return await self._chats.get(await self._predecessor_id(chat) or "")

    async def neighbours(self, chat: Chat) -> Neighbours:
        before = await self._predecessor_id(chat)
        return Neighbours(
            before=None if before is None else await self._chats.get(before),
            question=None if chat.branch_of is None else await self._chats.message(chat.branch_of),
            after=await self._successors.continuation_of(chat.id),
            branches=tuple(await self._successors.branches_of(chat.id, MAX_LINKED_BRANCHES)),
        )

    async def _predecessor_id(self, chat: Chat) -> str | None:
        if chat.branch_of is None:
            return chat.continues
        return (await self._chats.message(chat.branch_of)).chat_id
