"""Somebody looks at a list of their chats: what changes in them is told for as long as that may be."""

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
    feed: Feed, user: User, until: Callable[[], float], changed: Callable[[], None]
) -> None:
    """Calls `changed` whenever this person's lists may have changed, until that time (of the event loop).

    Ends earlier when nothing more can be told.
    """
    while until() > _now():
        try:
            async with feed.subscribe(user) as changes:
                await _hear(changes, until, changed)
            return
        except SlowSubscriber:  # whatever was missed, the list as it is now has it
            changed()
        except StorageError as error:
            log.warning("list_not_followed", reason=str(error))
            return


async def _hear(
    changes: FeedSubscription, until: Callable[[], float], changed: Callable[[], None]
) -> None:
    while (left := until() - _now()) > 0:
        try:
            async with asyncio.timeout(left):
                change = await anext(changes)
        except TimeoutError:
            continue
        except StopAsyncIteration:
            return
        if not isinstance(
            change, TextAppended | AnswerRestarted
        ):  # a list shows no words of answers
            changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
