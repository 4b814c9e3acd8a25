"""Subscribes to the changes in one user's chats for a view that lists them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.chats.feed import Feed
from bot.chats.feed_events import AnswerRestarted, FeedSubscription, TextAppended
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from storage.coordination import SlowSubscriber

log = get_logger(__name__)


async def follow(
    feed: Feed, user: User, *, until: Callable[[], float], changed: Callable[[User], None]
) -> None:
    """Calls `changed(user)` whenever the user's list of chats may have changed.

    Returns when the event loop's time reaches `until()`, or earlier when the feed ends or cannot be subscribed to.
    """
    while until() > _now():
        try:
            async with feed.subscribe(user) as events:
                await _read(events, until, lambda: changed(user))
            return
        except SlowSubscriber:  # events were lost, but the list is drawn from what is stored
            changed(user)
        except StorageError as error:
            log.warning("list_not_followed", reason=str(error))
            return


async def _read(
    events: FeedSubscription, until: Callable[[], float], changed: Callable[[], None]
) -> None:
    while (left := until() - _now()) > 0:
        try:
            async with asyncio.timeout(left):
                event = await anext(events)
        except TimeoutError:
            continue
        except StopAsyncIteration:
            return
        if not isinstance(event, TextAppended | AnswerRestarted):  # a list shows no answer's text
            changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
