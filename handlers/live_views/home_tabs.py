"""The Home tabs: published when they are opened or used, and again when a chat changes while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.chats.feed import Feed
from bot.chats.service import ChatService
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.tasks import Tasks
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_page import chat_list
from handlers.live_views.subscription import follow
from handlers.views.blocks import View
from handlers.views.chat_list import ListQuery
from handlers.views.home_tab import HOME_PAGE_ACTION, home_tab

log = get_logger(__name__)

STAY = 900.0
"""Seconds after which somebody who neither opens nor uses the Home tab counts as gone: Slack does not say."""
EVERY = 3.0
"""Seconds between two renewals of one Home tab that nobody asked for."""
SHARE = 1.2
"""Seconds of Slack's budget (100 a minute) that each renewal takes: two thirds of it may be spent on those at most."""
MOST = 1_000
"""Home tabs that are followed at once."""


@dataclass(eq=False, slots=True)
class _Viewer:
    """Somebody who may be looking at the own Home tab."""

    look: ListQuery
    seen: float
    hash: str = ""
    """Slack's name for the state that we published last."""
    published: float = 0.0
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    watching: asyncio.Task[None] | None = None
    renewing: asyncio.Task[None] | None = None

    def leave(self) -> None:
        for task in (self.watching, self.renewing):
            if task is not None and task is not asyncio.current_task():
                task.cancel()


class HomeTabs:
    def __init__(
        self,
        service: ChatService,
        workspaces: WorkspaceResolver,
        feed: Feed,
        membership: ChannelMembership,
    ) -> None:
        self._service, self._workspaces, self._feed = service, workspaces, feed
        self._membership = membership
        self._viewers: dict[User, _Viewer] = {}
        self._without_home: set[str] = set()
        self._tasks = Tasks(exit_timeout=0.0)
        membership.on_change(self.touch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Home tabs are kept up to date while this is open."""
        async with self._tasks:
            yield

    def show(self, user: User, look: ListQuery | None = None) -> None:
        """Publishes the Home tab: what is looked at from now on, or what was. Returns at once."""
        if user.team in self._without_home:
            return
        viewer = self._viewers.pop(user, None)
        if viewer is None:
            viewer = _Viewer(look or ListQuery(), _now())
            viewer.watching = self._tasks.start(self._watch(user, viewer), "home")
        viewer.look, viewer.seen = look or viewer.look, _now()
        self._viewers[user] = viewer
        while len(self._viewers) > MOST:
            self._forget(next(iter(self._viewers)))
        self._tasks.start(self._publish(user, viewer), "home")

    def touch(self, user: User) -> None:
        """Something in this person's list has changed."""
        viewer = self._viewers.get(user)
        if viewer is not None and viewer.renewing is None:
            viewer.renewing = self._tasks.start(self._renew(user, viewer), "home")

    def _forget(self, user: User) -> None:
        viewer = self._viewers.pop(user, None)
        if viewer is not None:
            viewer.leave()

    # -- following what changes --------------------------------------------------------------------------------

    async def _watch(self, user: User, viewer: _Viewer) -> None:
        await follow(self._feed, user, lambda: viewer.seen + STAY, lambda: self.touch(user))
        if self._viewers.get(user) is viewer:
            self._forget(user)

    async def _renew(self, user: User, viewer: _Viewer) -> None:
        beside = sum(other.team == user.team for other in self._viewers)
        await asyncio.sleep(max(0.0, viewer.published + max(EVERY, beside * SHARE) - _now()))
        viewer.renewing = None
        if self._viewers.get(user) is viewer:
            await self._publish(user, viewer, unasked=True)

    # -- publishing --------------------------------------------------------------------------------------------

    async def _publish(self, user: User, viewer: _Viewer, *, unasked: bool = False) -> None:
        async with viewer.one:
            try:
                slack = await self._workspaces.client_for(user.team)
                view = await self._view(slack, user, viewer)
                guard: dict[str, Any] = {"hash": viewer.hash} if unasked and viewer.hash else {}
                answer = await slack.call_with_retry(
                    "views.publish", user_id=user.id, view=view, **guard
                )
                viewer.hash = str((answer.get("view") or {}).get("hash") or "")
                viewer.published = _now()
            except NotInstalled:
                self._forget(user)
            except SlackRejected as error:
                self._refused(user, viewer, error)
            except (SlackError, StorageError) as error:
                log.info("home_not_published", reason=type(error).__name__)

    def _refused(self, user: User, viewer: _Viewer, error: SlackRejected) -> None:
        if self._viewers.get(user) is viewer:
            self._forget(user)
        if (
            error.code == "hash_conflict"
        ):  # another process shows this person something newer, and follows it
            return
        if error.code == "not_enabled":
            if user.team not in self._without_home:
                log.warning(
                    "home_tab_not_enabled",
                    team=user.team,
                    cure="switch it on in the app's App Home settings",
                )
            self._without_home.add(user.team)
            return
        log.warning("home_refused", reason=error.code)

    async def _view(self, slack: SlackClient, user: User, viewer: _Viewer) -> View:
        models = self._service.models
        listing = await chat_list(self._service, slack, user.id, viewer.look, HOME_PAGE_ACTION)
        viewer.look = listing.look
        self._membership.check(slack, user.id, listing.chats)
        profile = await self._service.profile(user)
        own = profile.default_model
        gone = models.label(own) if own is not None and models.info(own) is None else None
        return home_tab(
            listing,
            shown=models.preselected_for(profile),
            gone=gone,
            always=profile.always,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
