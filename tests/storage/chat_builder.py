"""Puts chats and answers into a state with little code."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain import Answer, AnswerResult, Chat, ModelRef, Status, Thread
from storage.answers import Answers
from storage.chats import Chats
from storage.messages import NewMessage, StoredMessage

MODEL = ModelRef("openrouter", "meta/llama-3:free")


@dataclass
class ChatBuilder:
    chats: Chats
    replies: Answers

    async def start(
        self,
        thread: str = "100.1",
        text: str = "hello",
        author: str = "U1",
        team: str = "T1",
    ) -> StoredMessage:
        return await self.chats.start(
            team=team,
            owner=author,
            model=MODEL,
            thread=Thread(team, "C1", thread),
            message=NewMessage(text, author, source=thread, ts=thread),
        )

    async def say(
        self, chat: Chat, text: str, author: str = "U1", source: str | None = None
    ) -> StoredMessage:
        return await self.chats.add_message(chat.id, NewMessage(text, author, source=source))

    async def answer(
        self, chat: Chat, text: str = "well", status: Status = Status.DONE, error: str = "timeout"
    ) -> Answer:
        """Answer the chat's next waiting message."""
        answer = await self.replies.claim(chat.id, "writer", 30)
        assert answer is not None
        result = AnswerResult(status, text, error=error if status is Status.FAILED else None)
        assert await self.replies.save_result(answer.id, "writer", result)
        assert await self.replies.finish(answer.id, "writer")
        return await self.replies.get(answer.id)

    async def filled(self, count: int, thread: str = "100.1") -> Chat:
        """A chat with this (even) number of messages, all answered."""
        chat = (await self.start(thread)).chat
        await self.answer(chat)
        for _ in range(count // 2 - 1):
            await self.say(chat, "more")
            await self.answer(chat)
        return await self.chats.get(chat.id)
