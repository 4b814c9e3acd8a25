"""The lists of chats shown by `/chats`: updated when a chat changes, as far as Slack permits.

Slack has no method that updates an ephemeral message. Only the `response_url` that comes with the press of one of its
buttons can replace it, five times within 30 minutes. So a list is kept up to date from the first press on (Refresh,
Newer or Older): the press takes one use, and four updates follow at growing intervals. The `response_url` of the
command itself can only post another message.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot import strings
from bot.access.membership import Membership
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from handlers.client.errors import NotInstalled
from handlers.client.response_urls import RESPONSE_URL_LIFETIME
from handlers.client.user_names import UserNames
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.chat_list_page import load_chat_list, why_not_listed
from handlers.live_views.live_view import LiveView, LiveViews, now
from handlers.threads.private_notices import notify
from handlers.views.chat_list import ChatListView, ListQuery, as_message
from handlers.views.payloads import Reader
from storage.chats import Chats
from storage.coordination import Coordination

log = get_logger(__name__)

RESUBSCRIBE_INTERVAL = 1.0
"""Seconds before reopening a lost subscription."""
LISTS = "lists"
"""The topic on which a process announces that it now keeps a user's list up to date."""


@dataclass(eq=False, slots=True, kw_only=True)
class LiveChatList(LiveView):
    response_url: str
    content: object = None
    """What it last showed, except how long ago each chat was active."""
    updates: int = 0
    """How many times it has been updated."""


class ChatLists:
    """Keeps each user's last used list up to date."""

    def __init__(
        self,
        *,
        chats: Chats,
        models: ModelChoice,
        workspaces: WorkspaceResolver,
        feed: Feed,
        membership: Membership,
        names: UserNames,
        coordination: Coordination,
        timing: Timing,
    ) -> None:
        self._chats = chats
        self._models = models
        self._workspaces = workspaces
        self._membership = membership
        self._coordination = coordination
        self._update_delays = timing.chat_list_update_delays
        self._process_id = secrets.token_hex(8)
        self._tasks = Tasks(exit_timeout=0.0)
        self._views = LiveViews[LiveChatList](
            name="chat list",
            feed=feed,
            tasks=self._tasks,
            names=names,
            draw=self._draw,
            update_delay=self._update_delay,
        )
        membership.on_change(self._views.schedule_update)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lists are kept up to date while this is open."""
        async with self._tasks:
            self._tasks.repeat(self._forget_taken_over, RESUBSCRIBE_INTERVAL, name="chat lists")
            yield

    def show(self, user: User, query: ListQuery, response_url: str | None) -> None:
        """Shows the page that the user requested with a button of the list. Returns immediately."""
        if not response_url:
            return
        view = LiveChatList(
            query=query, expires_at=now() + RESPONSE_URL_LIFETIME, response_url=response_url
        )
        self._tasks.start(self._announce(user), name="chat list")
        self._views.show(user, view)

    async def _announce(self, user: User) -> None:
        event = {"team": user.team, "user": user.id, "by": self._process_id}
        await self._coordination.publish(LISTS, event)

    async def _forget_taken_over(self) -> None:
        """Stops updating lists that another process has shown again, because this process knows an older page of
        them.
        """
        async with self._coordination.subscribe(LISTS) as signals:
            async for signal in signals:
                if signal.event.get("by") != self._process_id:
                    user = User(str(signal.event.get("team")), str(signal.event.get("user")))
                    self._views.forget(user)

    def _update_delay(self, _: User, view: LiveChatList) -> float | None:
        left = self._update_delays[view.updates :]
        return left[0] if left else None

    async def _draw(self, user: User, view: LiveChatList, *, is_update: bool) -> None:
        try:
            slack = await self._workspaces.client_for(user.team)
        except (NotInstalled, StorageError) as error:
            log.info("chat_list_not_shown", reason=type(error).__name__)
            return
        try:
            found = await load_chat_list(self._chats, self._models, slack, user.id, view.query)
            if is_update and _content(found) == view.content:
                return
            self._membership.check(user, found.chats)
            accepted = await slack.respond(
                view.response_url,
                replace_original=True,
                text=strings.CHATS_FALLBACK,
                blocks=as_message(found),
            )
        except StorageError as error:
            log.info("chat_list_not_shown", reason=type(error).__name__)
            if not is_update:
                reader = Reader(user.id, response_url=view.response_url)
                await notify(slack, reader, why_not_listed(error))
            return
        view.query = found.query
        view.content = _content(found)
        view.drawn_at = now()
        view.updates += is_update
        if not accepted:
            self._views.forget(user, view)
            if not is_update:
                await notify(slack, Reader(user.id), strings.LIST_NOT_UPDATED)


def _content(found: ChatListView) -> object:
    chats = [(chat.id, chat.title, chat.message_count, chat.model) for chat in found.chats]
    return found.query, found.total, chats
