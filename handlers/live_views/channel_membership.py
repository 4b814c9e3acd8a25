"""Finds out who has left the private channels in which their chats are, so that lists no longer show those chats.

Slack sends an event when a user leaves or joins, which takes effect at once and costs no calls. For events that were
never delivered (Slack gives up after some minutes), the channels on each page of a list that is shown are checked in
the background, each at most every ten minutes: one call a day for a public channel, two calls for a private one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from bot.chats.service import ChatService
from bot.domain import Chat, User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.tasks import Tasks
from handlers.client.errors import SlackError
from handlers.client.web_api import SlackClient
from handlers.views.blocks import is_direct

log = get_logger(__name__)

Key = TypeVar("Key")

PUBLIC_CACHE_TTL = 86_400.0
"""Seconds for which a channel that was public is taken to be public."""
MEMBER_CACHE_TTL = 600.0
"""Seconds for which a user is not checked again in a channel."""
MAX_CACHED = 20_000
CALL_TIMEOUT = 30.0
"""Seconds for which a check waits for Slack's rate limits."""


class ChannelMembership:
    """Keeps the stored memberships in private channels true, and notifies observers of each change."""

    def __init__(self, service: ChatService, tasks: Tasks) -> None:
        self._service = service
        self._tasks = tasks
        self._observers: list[Callable[[User], None]] = []
        self._public_until: dict[tuple[str, str], float] = {}
        """By team and channel."""
        self._checked_until: dict[tuple[str, User], float] = {}
        """By channel and user."""

    def on_change(self, observer: Callable[[User], None]) -> None:
        """`observer` is called with each user whose list of chats became shorter or longer."""
        self._observers.append(observer)

    def check(self, slack: SlackClient, user_id: str, chats: Iterable[Chat]) -> None:
        """Checks in the background whether the user is still in the channels of these chats. Returns at once."""
        user = User(slack.team, user_id)
        now = time.monotonic()
        channels = {
            chat.thread.channel
            for chat in chats
            if chat.thread and not is_direct(chat.thread.channel)
        }
        due = [
            channel
            for channel in sorted(channels)
            if self._public_until.get((user.team, channel), 0.0) < now
            and self._checked_until.get((channel, user), 0.0) < now
        ]
        if due:
            until = now + MEMBER_CACHE_TTL
            _remember(self._checked_until, {(channel, user): until for channel in due})
            self._tasks.start(self._check(slack, user, due), name="channel membership")

    async def moved(self, user: User, channel: str, away: bool) -> None:
        """The user has left a private channel, or has joined one."""
        await self._service.set_away(user, channel, away)
        self._checked_until.pop((channel, user), None)
        for observer in self._observers:
            observer(user)

    async def _check(self, slack: SlackClient, user: User, channels: list[str]) -> None:
        for channel in channels:
            try:
                if await self._is_public(slack, channel):
                    until = time.monotonic() + PUBLIC_CACHE_TTL
                    _remember(self._public_until, {(user.team, channel): until})
                elif not await self._is_member(slack, user, channel):
                    await self.moved(user, channel, away=True)
            except (
                SlackError,
                StorageError,
            ) as error:  # for example a channel that the bot has left
                log.info("membership_unknown", reason=str(error))

    async def _is_public(self, slack: SlackClient, channel: str) -> bool:
        response = await slack.call_with_retry(
            "conversations.info", patience=CALL_TIMEOUT, channel=channel
        )
        found = response.get("channel") or {}
        return not (found.get("is_private") or found.get("is_group") or found.get("is_mpim"))

    async def _is_member(self, slack: SlackClient, user: User, channel: str) -> bool:
        async for page in slack.pages(
            "conversations.members", patience=CALL_TIMEOUT, channel=channel, limit=999
        ):
            if user.id in page.get("members", ()):
                return True
        return False


def _remember(cache: dict[Key, float], more: dict[Key, float]) -> None:
    if len(cache) + len(more) > MAX_CACHED:
        cache.clear()
    cache.update(more)
