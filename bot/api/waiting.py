"""Waits for one answer on behalf of an API client: for its end, or for each piece of its text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.api.errors import shutting_down
from bot.chats.api_service import ApiService, Exchange
from bot.chats.feed import Feed
from bot.chats.feed_events import (
    AnswerEnded,
    AnswerRestarted,
    ApprovalUpdated,
    FeedSubscription,
    TextAppended,
    TitleChanged,
)
from bot.domain import Answer, Chat, Status, TitleBy, User
from storage.coordination import SlowSubscriber

TITLE_TIMEOUT = 6.0
"""Seconds for which the response with a chat's first answer waits for the chat's title."""


class AnswerWaiter:
    """Waits for one answer. If the client disconnects, the answer is written anyway."""

    def __init__(
        self,
        *,
        api: ApiService,
        feed: Feed,
        subscription: FeedSubscription,
        chat: Chat,
        answer: Answer,
    ) -> None:
        self._api = api
        self._feed = feed
        self.subscription = subscription
        self._chat = chat
        self._answer = answer

    @property
    def chat_id(self) -> str:
        return self._chat.id

    async def current(self) -> Exchange:
        """The message and its answer as they are now."""
        return await self._api.exchange_of(self._answer)

    async def events(self) -> AsyncIterator[TextAppended | AnswerRestarted | ApprovalUpdated]:
        """The answer's text from its beginning, piece by piece, until it has ended.

        Raises ApiError when Bobbin shuts down first.
        """
        await self._feed.track(self._chat, self._answer)
        current = await self.current()
        if current.answer.status.ended:  # before the subscription began
            yield TextAppended(self._chat.id, self._answer.id, current.answer.text)
            return
        async for event in self.subscription:
            if isinstance(event, TitleChanged) or event.message != self._answer.id:
                continue
            if isinstance(event, AnswerEnded):
                return
            if isinstance(event, TextAppended | AnswerRestarted | ApprovalUpdated):
                yield event
        raise shutting_down()

    async def until_ended(self) -> Exchange:
        """The message and its answer when the answer has ended."""
        async for _ in self.events():
            pass
        return await self.current()

    async def title(self, exchange: Exchange) -> str | None:
        """With the first answer of a chat: the title from the model, if it arrives within TITLE_TIMEOUT."""
        if not exchange.is_first or exchange.answer.status is not Status.DONE:
            return None
        if exchange.chat.title_by is TitleBy.DEFAULT:
            try:
                async with asyncio.timeout(TITLE_TIMEOUT):
                    await self._until_titled()
            except (TimeoutError, SlowSubscriber):
                pass
            exchange = await self.current()
        return exchange.chat.title if exchange.chat.title_by is TitleBy.MODEL else None

    async def _until_titled(self) -> None:
        async for event in self.subscription:
            if isinstance(event, TitleChanged) and event.chat == self._chat.id:
                return


@asynccontextmanager
async def wait_for_answer(
    api: ApiService, feed: Feed, user: User, chat: Chat, answer: Answer
) -> AsyncIterator[AnswerWaiter]:
    async with feed.subscribe(user) as subscription:
        yield AnswerWaiter(api=api, feed=feed, subscription=subscription, chat=chat, answer=answer)
