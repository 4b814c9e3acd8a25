"""Keeps one view per user up to date: watches the user's chats, and draws the view again when one changes.

show() ──> draw ──> watch the feed ──> a chat changes ──> wait for update_delay ──> draw ──> …
                          └──> expires_at has passed, or the feed has ended ──> forget
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from bot.chats.feed import Feed
from bot.domain import User
from bot.runtime.tasks import Tasks
from handlers.client.user_names import UserNames
from handlers.live_views.subscription import follow
from handlers.views.chat_list import ListQuery

MAX_VIEWS = 1_000
"""Views of one kind that are kept up to date at once."""


@dataclass(eq=False, slots=True, kw_only=True)
class LiveView:
    """A view that a user may be looking at. Times are those of the event loop."""

    query: ListQuery
    """The part of the list of chats that it shows."""
    expires_at: float
    """When the user is assumed to have stopped looking at it."""
    drawn_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it is drawn."""
    watch_task: asyncio.Task[None] | None = None
    update_task: asyncio.Task[None] | None = None


View = TypeVar("View", bound=LiveView)
View_contra = TypeVar("View_contra", bound=LiveView, contravariant=True)


class Draw(Protocol[View_contra]):
    def __call__(self, user: User, view: View_contra, *, is_update: bool) -> Awaitable[None]:
        """Draws the view. `is_update`: because a chat changed, not because the user asked."""
        ...


class LiveViews(Generic[View]):
    """The views of one kind, at most one for each user."""

    def __init__(
        self,
        *,
        name: str,
        feed: Feed,
        tasks: Tasks,
        names: UserNames,
        draw: Draw[View],
        update_delay: Callable[[User, View], float | None],
    ) -> None:
        """`update_delay`: seconds that must pass between the last drawing and an update; None: no more updates."""
        self._name = name
        self._feed = feed
        self._tasks = tasks
        self._names = names
        self._draw_view = draw
        self._update_delay = update_delay
        self._views: dict[User, View] = {}

    def get(self, user: User) -> View | None:
        return self._views.get(user)

    def count(self, team: str) -> int:
        """How many views are kept up to date in this workspace."""
        return sum(user.team == team for user in self._views)

    def show(self, user: User, view: View) -> None:
        """Draws the view and keeps it up to date, replacing the user's earlier one. Returns immediately."""
        if self.get(user) is not view:
            self.forget(user)
            view.watch_task = self._tasks.start(self._watch(user, view), self._name)
        self._views.pop(user, None)
        self._views[user] = (
            view  # at the end: the view that was shown least recently is dropped first
        )
        while len(self._views) > MAX_VIEWS:
            self.forget(next(iter(self._views)))
        self._tasks.start(self._draw(user, view, is_update=False), self._name)

    def schedule_update(self, user: User) -> None:
        """Something in this user's list of chats has changed."""
        view = self.get(user)
        if view is not None and view.update_task is None:
            view.update_task = self._tasks.start(self._update(user, view), self._name)

    def forget(self, user: User, view: View | None = None) -> None:
        """Stops keeping the user's view up to date; with `view`, only if it is still that one."""
        if view is not None and self.get(user) is not view:
            return
        found = self._views.pop(user, None)
        for task in (found.watch_task, found.update_task) if found is not None else ():
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _watch(self, user: User, view: View) -> None:
        await follow(self._feed, user, until=lambda: view.expires_at, changed=self.schedule_update)
        self.forget(user, view)

    async def _update(self, user: User, view: View) -> None:
        async with (
            view.lock
        ):  # a drawing in progress decides when and whether the next one may follow
            delay = self._update_delay(user, view)
        if delay is not None:
            await asyncio.sleep(max(0.0, view.drawn_at + delay - now()))
        view.update_task = None
        if delay is not None and self.get(user) is view:
            await self._draw(user, view, is_update=True)

    async def _draw(self, user: User, view: View, *, is_update: bool) -> None:
        async with view.lock, self._names.using_language_of(user):
            await self._draw_view(user, view, is_update=is_update)


def now() -> float:
    """The event loop's time in seconds."""
    return asyncio.get_running_loop().time()
