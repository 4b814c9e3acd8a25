"""Home tabs: published when a user opens or uses theirs, and updated when a chat changes while they may be looking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bot import strings
from bot.access.membership import Membership
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice, own_options
from bot.chats.usage import UsageService
from bot.domain import User
from bot.errors import SearchTooLong, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.chat_list_page import load_chat_list
from handlers.live_views.live_view import LiveView, LiveViews, now
from handlers.rate_limits.urgency import Urgency
from handlers.threads.private_notices import notify
from handlers.views import model_options
from handlers.views.blocks import View
from handlers.views.chat_list import ListQuery
from handlers.views.home_tab import HOME_PAGE_ACTION, HOME_PREFIX, home_tab
from handlers.views.payloads import Reader
from handlers.views.usage import usage_line
from storage.chats import Chats
from storage.people import People

log = get_logger(__name__)

VIEWING_TIMEOUT = 900.0
"""Seconds without opening or using the Home tab after which a user is assumed to be gone. Slack sends no event for
that.
"""
MIN_UPDATE_INTERVAL = 3.0
"""Seconds between two updates of one Home tab."""
UPDATE_INTERVAL_PER_VIEW = 1.2
"""Seconds that each open Home tab of a workspace adds to that interval.

Slack allows 100 views.publish calls a minute, so updates use at most half of them.
"""


@dataclass(eq=False, slots=True, kw_only=True)
class LiveHomeTab(LiveView):
    hash: str = ""
    """Slack's identifier of the state that was published last."""
    pressed: bool = False
    """Whether the user has used one of its elements and has not seen the effect yet."""


class HomeTabs:
    """Publishes Home tabs and keeps up to date those that their users may be looking at."""

    def __init__(
        self,
        *,
        chats: Chats,
        people: People,
        models: ModelChoice,
        usage: UsageService,
        workspaces: WorkspaceResolver,
        feed: Feed,
        membership: Membership,
        names: UserNames,
    ) -> None:
        self._chats = chats
        self._people = people
        self._models = models
        self._usage = usage
        self._workspaces = workspaces
        self._membership = membership
        self._teams_without_home_tab: set[str] = set()
        self._tasks = Tasks(exit_timeout=0.0)
        self._views = LiveViews[LiveHomeTab](
            name="home tab",
            feed=feed,
            tasks=self._tasks,
            names=names,
            draw=self._publish,
            update_delay=self._update_delay,
        )
        membership.on_change(self._views.schedule_update)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Home tabs are kept up to date while this is open."""
        async with self._tasks:
            yield

    def show(self, user: User, query: ListQuery | None = None) -> None:
        """Publishes the user's Home tab. Returns immediately.

        `query`: the part of the list to show; None: the part that was shown before, or else the first page.
        """
        if user.team in self._teams_without_home_tab:
            return
        expires_at = now() + VIEWING_TIMEOUT
        view = self._views.get(user) or LiveHomeTab(query=ListQuery(), expires_at=expires_at)
        view.query = query or view.query
        view.pressed = query is not None
        view.expires_at = expires_at
        self._views.show(user, view)

    def _update_delay(self, user: User, _: LiveHomeTab) -> float:
        return max(MIN_UPDATE_INTERVAL, self._views.count(user.team) * UPDATE_INTERVAL_PER_VIEW)

    async def _publish(self, user: User, view: LiveHomeTab, *, is_update: bool) -> None:
        try:
            slack = await self._workspaces.client_for(user.team)
            content = await self._content(slack, user, view)
            # With the hash, Slack refuses to replace what another process has published since.
            guard: dict[str, Any] = {"hash": view.hash} if is_update and view.hash else {}
            response = await slack.call_with_retry(
                "views.publish",
                urgency=Urgency.DECORATION if is_update else Urgency.REPLY,
                max_wait=slack.timing.home_tab_timeout,
                user_id=user.id,
                view=content,
                **guard,
            )
            view.hash = str((response.get("view") or {}).get("hash") or "")
            view.drawn_at = now()
            view.pressed = False
        except NotInstalled:
            self._views.forget(user)
        except SlackRejected as error:
            self._views.forget(user, view)
            self._log_rejection(user, error)
        except SearchTooLong:
            view.query = ListQuery()  # otherwise each update would search again
            await self._notify_failure(user, view, strings.SEARCH_TOO_LONG)
        except (SlackError, StorageError) as error:
            log.info("home_tab_not_published", reason=type(error).__name__)
            await self._notify_failure(user, view, strings.HOME_NOT_SHOWN)

    async def _notify_failure(self, user: User, view: LiveHomeTab, reason: str) -> None:
        if view.pressed:
            view.pressed = False
            with suppress(NotInstalled, StorageError):
                slack = await self._workspaces.client_for(user.team)
                await notify(slack, Reader(user.id), reason)

    def _log_rejection(self, user: User, error: SlackRejected) -> None:
        if error.code == "hash_conflict":  # another process keeps this Home tab up to date now
            return
        if error.code != "not_enabled":
            log.warning("home_tab_rejected", reason=error.code)
        elif user.team not in self._teams_without_home_tab:
            self._teams_without_home_tab.add(user.team)
            log.warning(
                "home_tab_not_enabled",
                team=user.team,
                advice="switch it on in the app's App Home settings",
            )

    async def _content(self, slack: SlackClient, user: User, view: LiveHomeTab) -> View:
        found = await load_chat_list(
            self._chats, self._models, slack, user.id, view.query, action=HOME_PAGE_ACTION
        )
        view.query = found.query
        self._membership.check(user, found.chats)
        profile = await self._people.get(user)
        own = profile.default_model
        gone = self._models.label(own) if own and self._models.info(own) is None else None
        shown = self._models.preselected_for(profile)
        offered = self._models.options_of(shown)
        return home_tab(
            found,
            shown=shown,
            options=model_options.elements(offered, own_options(profile, shown), HOME_PREFIX),
            gone=gone,
            always=profile.always,
            usage=usage_line(await self._usage.this_month(user)),
        )
