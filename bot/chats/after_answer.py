"""What the end of an answer leads to: a title for a new chat, and a model that no longer exists leaves the menus."""

from __future__ import annotations

from bot.chats.models import ModelChoice
from bot.chats.titles import Titles
from bot.domain import Answer, AnswerResult, Chat
from bot.errors import ProviderError


class AfterAnswer:
    """The engine's `AfterAnswer`."""

    def __init__(self, models: ModelChoice, titles: Titles) -> None:
        self._models = models
        self._titles = titles

    async def __call__(self, chat: Chat, answer: Answer, result: AnswerResult) -> None:
        if ProviderError.class_of(result.error).hides_model:
            self._models.mark_gone(chat.model)
        await self._titles.after_answer(chat, answer, result)
