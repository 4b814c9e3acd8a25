"""The tool calls of earlier answers that a model is sent: a fixed share of its window."""

from __future__ import annotations

from collections.abc import Collection

from bot.chats.models import ModelChoice
from bot.chats.prompt_size import room_for_prompt
from bot.domain import Chat
from bot.domain.tool_calls import ToolRound
from bot.usage.estimate import BYTES_PER_TOKEN
from storage.tool_call_history import ToolCallHistory

SHARE_OF_RESULTS = 0.25
MAX_RESULTS = 200_000
"""Characters, however large the window is."""
UNKNOWN_WINDOW = 32_768
"""Tokens assumed for a model whose window is unknown."""


class EarlierToolCallsReader:
    """Reads the calls of a chat's earlier answers."""

    def __init__(self, history: ToolCallHistory, models: ModelChoice) -> None:
        self._history = history
        self._models = models

    async def read(
        self, chat: Chat, number: int, answered: Collection[str]
    ) -> dict[str, tuple[ToolRound, ...]]:
        """The calls before message `number`, by the id of the answer, or by the id of its question if it isn't
        `answered`.

        Raises StorageError.
        """
        info = self._models.info(chat.model)
        room = room_for_prompt(info.context if info and info.context else UNKNOWN_WINDOW)
        budget = min(MAX_RESULTS, int(room * SHARE_OF_RESULTS * BYTES_PER_TOKEN))
        return {
            each.answer_id if each.answer_id in answered else each.question_id: each.rounds
            for each in await self._history.before(chat.id, number, budget)
        }
