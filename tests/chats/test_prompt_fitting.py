"""What is sent of a chat that is known to be too long, if even its summary leaves too little room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from bot.chats.prompt_fitting import History, PromptFitter
from bot.domain import Answer, Chat, Message, ModelRef, Role
from bot.providers.base import ChatMessage
from storage.summaries import Summary

LONG = "words " * 400


class Known:
    """A window of 4,000 tokens, and a summary of everything but the question."""

    context = 4_000

    def info(self, model: ModelRef) -> Known:
        return self

    async def find(self, chat: str, since: int, until: int) -> Summary:
        return Summary(since=3, through=20, text="What was said.")

    async def last_measure(self, chat: str, number: int) -> None:
        return None


def _turns(messages: Sequence[Message], notes: Mapping[int, str]) -> list[ChatMessage]:
    return [ChatMessage(m.role, notes.get(m.number, "") + m.text) for m in messages]


@pytest.mark.parametrize("beside", [0, 10_000], ids=["alone", "beside long results of tools"])
async def test_a_chat_with_a_summary_is_never_sent_whole(beside: int) -> None:
    """Tool results in this answer may take all the room, but that is no reason to send the whole chat again."""
    messages = [
        Message(
            id=str(number),
            chat_id="c",
            number=number,
            role=Role.USER if number % 2 else Role.ASSISTANT,
            text=LONG,
        )
        for number in range(1, 22)
    ]
    known = cast("Any", Known())
    history = History(messages, _turns, "", beside)
    chats = PromptFitter(known, known, known, known, summarise=True)
    chat = cast("Chat", type("C", (), {"id": "c", "model": ModelRef("openai", "m")}))
    answer = cast("Answer", type("A", (), {"number": 22, "asker": None}))
    excerpt = await chats.fit(chat, answer, history)
    assert excerpt.facts.summarised == 18
    assert len(excerpt.turns) == 3
