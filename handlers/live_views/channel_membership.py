"""Who is still in the private channels where their chats stand.

Slack tells of leaving and joining by events, which take effect at once and cost nothing. Those that were never
delivered (Slack gives up after minutes) are made good for here: who lists chats has the channels on that page looked
at, beside the list, each at most every ten minutes. That costs one call a day for a public channel, and two calls for a
private one.
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

log = get_logger(__name__)

Key = TypeVar("Key")

PUBLIC_FOR = 86_400.0
"""Seconds that a channel which is not private is taken for one."""
MEMBERS_FOR = 600.0
"""Seconds that a person is taken for a member of a private channel."""
MOST = 20_000


class ChannelMembership:
    def __init__(self, service: ChatService, tasks: Tasks) -> None:
        self._service = service
        self._tasks = tasks
        self._observers: list[Callable[[User], None]] = []
        self._public: dict[tuple[str, str], float] = {}
        self._members: dict[tuple[str, User], float] = {}

    def on_change(self, observer: Callable[[User], None]) -> None:
        """`observer` is called with each person whose list of chats became shorter or longer."""
        self._observers.append(observer)

    def check(self, slack: SlackClient, user: str, chats: Iterable[Chat]) -> None:
        """Looks, beside everything else, whether the person may still see these chats. Returns at once."""
        person, now = User(slack.team, user), time.monotonic()
        channels = {
            chat.thread.channel
            for chat in chats
            if chat.thread and not chat.thread.channel.startswith("D")
        }
        due = [
            channel
            for channel in sorted(channels)
            if self._public.get((person.team, channel), 0.0) < now
            and self._members.get((channel, person), 0.0) < now
        ]
        if due:
            self._remember(self._members, {(channel, person): now + MEMBERS_FOR for channel in due})
            self._tasks.start(self._look(slack, person, due), name="membership")

    async def moved(self, user: User, channel: str, away: bool) -> None:
        """The person has left a private channel, or has joined one."""
        await self._service.set_away(user, channel, away)
        self._members.pop((channel, user), None)
        for observer in self._observers:
            observer(user)

    async def _look(self, slack: SlackClient, user: User, channels: list[str]) -> None:
        for channel in channels:
            try:
                if await self._is_public(slack, channel):
                    self._remember(
                        self._public, {(user.team, channel): time.monotonic() + PUBLIC_FOR}
                    )
                elif not await self._is_member(slack, user, channel):
                    await self.moved(user, channel, away=True)
            except (SlackError, StorageError) as error:  # where the bot is no more, nobody can tell
                log.info("membership_unknown", reason=str(error))

    async def _is_public(self, slack: SlackClient, channel: str) -> bool:
        shown = (
            await slack.call_with_retry("conversations.info", patience=30.0, channel=channel)
        ).get("channel") or {}
        return not (shown.get("is_private") or shown.get("is_group") or shown.get("is_mpim"))

    async def _is_member(self, slack: SlackClient, user: User, channel: str) -> bool:
        async for page in slack.pages(
            "conversations.members", patience=30.0, channel=channel, limit=999
        ):
            if user.id in page.get("members", ()):
                return True
        return False

    def _remember(self, known: dict[Key, float], more: dict[Key, float]) -> None:
        if len(known) + len(more) > MOST:
            known.clear()
        known.update(more)
