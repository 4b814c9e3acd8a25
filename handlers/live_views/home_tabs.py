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
from handlers.client.web_api import FindWorkspace, NotInstalled, SlackClient, SlackError, SlackRejected
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_page import ListQuery, chat_list
from handlers.live_views.subscription import follow
from handlers.views import modals

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
        self, service: ChatService, workspaces: FindWorkspace, feed: Feed, memberships: ChannelMembership
    ) -> None:
        self._service, self._workspaces, self._feed = service, workspaces, feed
        self._memberships = memberships
        self._viewers: dict[User, _Viewer] = {}
        self._without_home: set[str] = set()
        self._tasks = Tasks(patience=0.0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Home tabs are kept up to date while this is open."""
        async with self._tasks:
            yield

    def show(self, person: User, look: ListQuery | None = None) -> None:
        """Publishes the Home tab: what is looked at from now on, or what was. Returns at once."""
        if person.team in self._without_home:
            return
        viewer = self._viewers.pop(person, None)
        if viewer is None:
            viewer = _Viewer(look or ListQuery(), _now())
            viewer.watching = self._tasks.start(self._watch(person, viewer), "home")
        viewer.look, viewer.seen = look or viewer.look, _now()
        self._viewers[person] = viewer
        while len(self._viewers) > MOST:
            self._forget(next(iter(self._viewers)))
        self._tasks.start(self._publish(person, viewer), "home")

    def touch(self, person: User) -> None:
        """Something in this person's list has changed."""
        viewer = self._viewers.get(person)
        if viewer is not None and viewer.renewing is None:
            viewer.renewing = self._tasks.start(self._renew(person, viewer), "home")

    def _forget(self, person: User) -> None:
        viewer = self._viewers.pop(person, None)
        if viewer is not None:
            viewer.leave()

    # -- following what changes --------------------------------------------------------------------------------

    async def _watch(self, person: User, viewer: _Viewer) -> None:
        await follow(self._feed, person, lambda: viewer.seen + STAY, lambda: self.touch(person))
        if self._viewers.get(person) is viewer:
            self._forget(person)

    async def _renew(self, person: User, viewer: _Viewer) -> None:
        beside = sum(other.team == person.team for other in self._viewers)
        await asyncio.sleep(max(0.0, viewer.published + max(EVERY, beside * SHARE) - _now()))
        viewer.renewing = None
        if self._viewers.get(person) is viewer:
            await self._publish(person, viewer, unasked=True)

    # -- publishing --------------------------------------------------------------------------------------------

    async def _publish(self, person: User, viewer: _Viewer, *, unasked: bool = False) -> None:
        async with viewer.one:
            try:
                slack = await self._workspaces(person.team)
                view = await self._view(slack, person, viewer)
                guard: dict[str, Any] = {"hash": viewer.hash} if unasked and viewer.hash else {}
                answer = await slack.errand("views.publish", user_id=person.user, view=view, **guard)
                viewer.hash = str((answer.get("view") or {}).get("hash") or "")
                viewer.published = _now()
            except NotInstalled:
                self._forget(person)
            except SlackRejected as error:
                self._refused(person, viewer, error)
            except (SlackError, StorageError) as error:
                log.info("home_not_published", reason=type(error).__name__)

    def _refused(self, person: User, viewer: _Viewer, error: SlackRejected) -> None:
        if self._viewers.get(person) is viewer:
            self._forget(person)
        if error.code == "hash_conflict":  # another process shows this person something newer, and follows it
            return
        if error.code == "not_enabled":
            if person.team not in self._without_home:
                log.warning(
                    "home_tab_not_enabled", team=person.team, cure="switch it on in the app's App Home settings"
                )
            self._without_home.add(person.team)
            return
        log.warning("home_refused", reason=error.code)

    async def _view(self, slack: SlackClient, person: User, viewer: _Viewer) -> modals.View:
        models = self._service.models
        listing = await chat_list(self._service, slack, person.user, viewer.look, modals.HOME_PAGE)
        viewer.look = listing.look
        self._memberships.check(slack, person.user, listing.chats)
        profile = await self._service.profile(person)
        own = profile.default_model
        gone = models.label(own) if own is not None and models.info(own) is None else None
        return modals.home(
            listing,
            shown=models.preselected_for(profile),
            gone=gone,
            always=profile.always,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
