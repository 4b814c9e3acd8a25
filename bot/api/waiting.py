"""One message and its answer, waited for: by blocking until it is whole, or piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.api.errors import going_down
from bot.chats.api_service import ApiService, MessagePair
from bot.chats.feed import Feed
from bot.chats.feed_events import (
    AnswerEnded,
    AnswerRestarted,
    FeedSubscription,
    TextAppended,
    TitleChanged,
)
from bot.domain import Answer, Chat, Status, TitleBy, User
from storage.coordination import SlowSubscriber

TITLE_WITHIN = 6.0
"""Seconds that the first answer waits for the conversation's title."""


class Waiting:
    """Somebody who waits for one answer. What becomes of the answer does not depend on them."""

    def __init__(
        self, api: ApiService, feed: Feed, listener: FeedSubscription, chat: Chat, answer: Answer
    ) -> None:
        self._api, self._feed, self.listener = api, feed, listener
        self._chat, self._answer = chat, answer

    async def pieces(self) -> AsyncIterator[TextAppended | AnswerRestarted]:
        """The text as it comes, from its beginning on, until it is whole. Raises ApiError when Bobbin goes down."""
        await self._feed.track(self._chat, self._answer)
        so_far = await self._api.pair_of(self._answer)
        if so_far.answer.status.ended:  # before anybody listened
            yield TextAppended(self._chat.id, self._answer.id, so_far.answer.text)
            return
        async for change in self.listener:
            if isinstance(change, TitleChanged) or change.message != self._answer.id:
                continue
            if isinstance(change, AnswerEnded):
                return
            if isinstance(change, TextAppended | AnswerRestarted):
                yield change
        raise going_down()

    async def exchange(self) -> MessagePair:
        """As it is now."""
        return await self._api.pair_of(self._answer)

    async def whole(self) -> MessagePair:
        """The exchange when its answer has ended."""
        async for _ in self.pieces():
            pass
        return await self._api.pair_of(self._answer)

    async def title(self, exchange: MessagePair) -> str | None:
        """With the first exchange, the title that the model gave it, if it does so within moments."""
        if not exchange.is_first or exchange.answer.status is not Status.DONE:
            return None
        if exchange.chat.title_by is TitleBy.DEFAULT:
            try:
                async with asyncio.timeout(TITLE_WITHIN):
                    await self._until_entitled()
            except (TimeoutError, SlowSubscriber):
                pass
            exchange = await self._api.pair_of(self._answer)
        return exchange.chat.title if exchange.chat.title_by is TitleBy.MODEL else None

    async def _until_entitled(self) -> None:
        async for change in self.listener:
            if isinstance(change, TitleChanged) and change.chat == self._chat.id:
                return


@asynccontextmanager
async def waiting(
    api: ApiService, feed: Feed, user: User, chat: Chat, answer: Answer
) -> AsyncIterator[Waiting]:
    async with feed.subscribe(user) as listener:
        yield Waiting(api, feed, listener, chat, answer)
