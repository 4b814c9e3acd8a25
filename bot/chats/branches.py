"""Asks another model a question from an existing chat: the same conversation up to there, in its own chat."""

from __future__ import annotations

from bot.chats.announcing import Announce
from bot.chats.models import ModelChoice
from bot.domain import Chat, Message, ModelRef, Role
from storage.answers import Answers
from storage.chats import Chats
from storage.messages import StoredMessage
from storage.successors import Successor, Successors


class BranchService:
    """The use cases of branches. All raise StorageError when the database fails."""

    def __init__(
        self,
        chats: Chats,
        answers: Answers,
        successors: Successors,
        models: ModelChoice,
        announce: Announce,
    ) -> None:
        self._chats = chats
        self._answers = answers
        self._successors = successors
        self._models = models
        self._announce = announce

    async def question(self, message_id: str) -> Message:
        """The question with this id, or the question of the answer with this id. Raises ChatNotFound."""
        message = await self._chats.message(message_id)
        if message.role is Role.USER:
            return message
        return await self._chats.message((await self._answers.get(message.id)).question_id)

    async def create(
        self, old: Chat, question: Message, user: str, model: ModelRef, *, in_slack: bool
    ) -> Successor:
        """The chat that asks `model` this question from `old`, which contains it; the same chat at every call.

        `in_slack`: it will get a thread there, and is answered then; otherwise it is answered immediately. Raises
        BudgetReached.
        """
        channel = old.thread.channel if in_slack and old.thread is not None else None
        successor = await self._successors.create_branch(old, question, user, model, channel)
        if successor.channel is None:
            self._announce_new(await self._successors.fill_branch(successor.chat.id))
        return successor

    async def set_thread(self, chat: Chat, ts: str) -> Chat:
        """Stores the message that begins its thread in Slack, and has the question answered."""
        opened, asked = await self._successors.set_branch_thread(chat.id, ts)
        self._announce_new(asked)
        return opened

    def _announce_new(self, asked: StoredMessage | None) -> None:
        if asked is not None:
            self._announce(asked)

    def model(self, key: str) -> ModelRef:
        """The model of a menu's option value. Raises ModelNotAllowed."""
        return self._models.by_key(key).ref
