"""The lists that `/chats` shows: rebuilt when a chat changes, as far as Slack lets a private message change.

Slack has no call that changes a private message. Only the address that comes with the press of a button in it can, five
times in half an hour: so a list is kept up to date from its first button on (Refresh, Newer, Older), four times more,
farther and farther apart. The address of the command itself can only say something new.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot import strings
from bot.chats.feed import Feed
from bot.chats.service import ChatService
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.tasks import Tasks
from handlers.client.errors import NotInstalled, SlackError
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_page import chat_list
from handlers.live_views.subscription import follow
from handlers.views.chat_list import ChatListView, ListQuery, refreshable
from storage.coordination import Coordination

log = get_logger(__name__)

PAUSES = (2.0, 10.0, 60.0, 300.0)
"""Seconds before each renewal that nobody asked for: as many as the address can be used after the press itself."""
LIFE = 1_740.0
"""Seconds that the address is good for, with a minute to spare."""
MOST = 1_000
"""Lists that are kept up to date at once: one for each person, the one they used last."""
LISTS = "lists"
"""Where a process tells the others whose list it keeps up to date now."""


@dataclass(eq=False, slots=True)
class _Shown:
    """A list that somebody may be looking at."""

    look: ListQuery
    address: str
    until: float
    gist: object = None
    """What it showed last, but for how long ago things were."""
    drawn: float = 0.0
    renewals: int = 0
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    watching: asyncio.Task[None] | None = None
    renewing: asyncio.Task[None] | None = None


class ChatLists:
    def __init__(
        self,
        service: ChatService,
        workspaces: WorkspaceResolver,
        feed: Feed,
        membership: ChannelMembership,
        coordination: Coordination,
    ) -> None:
        self._service, self._workspaces, self._feed = service, workspaces, feed
        self._membership, self._coordination = membership, coordination
        self._id = secrets.token_hex(8)
        self._chat_lists: dict[User, _Shown] = {}
        self._tasks = Tasks(exit_timeout=0.0)
        membership.on_change(self.touch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lists are kept up to date while this is open."""
        async with self._tasks:
            self._tasks.repeat(self._hear, 1.0, "list")
            yield

    def show(self, user: User, look: ListQuery, address: str | None) -> None:
        """Shows what somebody asked for with a button of the list. Returns at once."""
        if not address:
            return
        self._forget(user)
        shown = self._chat_lists[user] = _Shown(look, address, _now() + LIFE)
        while len(self._chat_lists) > MOST:
            self._forget(next(iter(self._chat_lists)))
        shown.watching = self._tasks.start(self._watch(user, shown), "list")
        self._tasks.start(self._draw(user, shown), "list")

    def touch(self, user: User) -> None:
        """Something in this person's list has changed."""
        shown = self._chat_lists.get(user)
        if shown is not None and shown.renewing is None and shown.renewals < len(PAUSES):
            shown.renewing = self._tasks.start(self._renew(user, shown), "list")

    def _forget(self, user: User) -> None:
        shown = self._chat_lists.pop(user, None)
        for task in () if shown is None else (shown.watching, shown.renewing):
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _hear(self) -> None:
        """Another process has shown a person's list anew: what this one knows of it is an older page."""
        async with self._coordination.subscribe(LISTS) as signals:
            async for signal in signals:
                if signal.event.get("by") != self._id:
                    self._forget(User(str(signal.event.get("team")), str(signal.event.get("user"))))

    async def _watch(self, user: User, shown: _Shown) -> None:
        await self._coordination.publish(
            LISTS, {"team": user.team, "user": user.id, "by": self._id}
        )
        await follow(self._feed, user, lambda: shown.until, lambda: self.touch(user))
        if self._chat_lists.get(user) is shown:
            self._forget(user)

    async def _renew(self, user: User, shown: _Shown) -> None:
        await asyncio.sleep(max(0.0, shown.drawn + PAUSES[shown.renewals] - _now()))
        shown.renewing = None
        if self._chat_lists.get(user) is shown:
            await self._draw(user, shown, unasked=True)

    async def _draw(self, user: User, shown: _Shown, *, unasked: bool = False) -> None:
        async with shown.one:
            try:
                slack = await self._workspaces.client_for(user.team)
                listing = await chat_list(self._service, slack, user.id, shown.look)
                if unasked and _gist(listing) == shown.gist:
                    return
                self._membership.check(slack, user.id, listing.chats)
                taken = await slack.respond(
                    shown.address,
                    replace_original=True,
                    text=strings.CHATS_FALLBACK,
                    blocks=refreshable(listing),
                )
            except (NotInstalled, SlackError, StorageError) as error:
                log.info("list_not_shown", reason=type(error).__name__)
                return
            shown.look, shown.gist, shown.drawn = listing.look, _gist(listing), _now()
            shown.renewals += unasked
            if not taken and self._chat_lists.get(user) is shown:
                self._forget(user)


def _gist(listing: ChatListView) -> object:
    chats = [(chat.id, chat.title, chat.message_count, chat.model) for chat in listing.chats]
    return listing.look, listing.total, chats


def _now() -> float:
    return asyncio.get_running_loop().time()
