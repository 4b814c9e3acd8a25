"""Tracks who is still in the private channels of their chats: people who have left don't see those chats any more.

Slack sends an event when somebody leaves or joins; it takes effect immediately and costs no calls. Slack gives up on
undelivered events after some minutes, so membership is also looked up when somebody reads chats of a private channel,
at most every ten minutes: in the background when a list is shown in Slack or a change is delivered, and before the
response in the API.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

from bot.access.rules import DIRECT
from bot.answers.events import EventPublisher
from bot.domain import Chat, User
from bot.errors import BobbinError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from storage.chats import Chats

log = get_logger(__name__)

PUBLIC_TTL = 3600.0
"""Seconds for which a channel that was public is assumed to be public."""
RETRY_DELAY = 30.0
"""Seconds until Slack is asked again after it did not respond."""
MAX_REMEMBERED = 20_000


class Channels(Protocol):
    """What Slack says about channels (`handlers.client.channels`). Each method raises a BobbinError if it fails."""

    async def is_public(self, team: str, channel: str) -> bool: ...
    async def has_member(self, user: User, channel: str) -> bool: ...


class Membership:
    """Keeps the stored memberships in private channels up to date, and announces each change."""

    def __init__(
        self,
        chats: Chats,
        channels: Channels,
        publisher: EventPublisher,
        tasks: Tasks,
        timing: Timing = Timing(),
    ) -> None:
        self._chats = chats
        self._channels = channels
        self._publisher = publisher
        self._tasks = tasks
        self._timing = timing
        self._observers: list[Callable[[User], None]] = []
        self._known_until: OrderedDict[Hashable, float] = OrderedDict()
        """Until when not to ask again: whether a channel is public, whether a user is in it, where a chat is."""
        self._checks: dict[tuple[User, str], asyncio.Task[bool]] = {}

    def on_change(self, observer: Callable[[User], None]) -> None:
        """Calls `observer` with each user whose list of chats became shorter or longer."""
        self._observers.append(observer)

    def check(self, user: User, chats: Iterable[Chat]) -> list[asyncio.Task[bool]]:
        """Checks in the background whether the user is still in the channels of these chats. Returns immediately.

        The tasks return whether the user turned out to be away.
        """
        threads = [chat.thread for chat in chats if chat.thread is not None]
        channels = {thread.channel for thread in threads if not thread.channel.startswith(DIRECT)}
        return [task for channel in sorted(channels) if (task := self._start(user, channel))]

    async def confirm(self, user: User, chats: Iterable[Chat]) -> bool:
        """Like `check`, but waits up to `Timing.membership_timeout`; returns whether the user turned out to be away."""
        tasks = self.check(user, chats)
        if not tasks:
            return False
        done, _ = await asyncio.wait(tasks, timeout=self._timing.membership_timeout)
        return any(task.result() for task in done)

    async def is_away(self, user: User, channel: str) -> bool:
        """Whether Slack says that the user is no longer in this private channel. Waits as long as for a person.

        For actions that began while the user was a member, such as a dialog; for everything else Slack enforces
        membership.
        """
        is_known = (
            not channel or channel.startswith(DIRECT) or not self._is_due((user.team, channel))
        )
        if is_known:
            return False
        task = self._tasks.start(self._has_left(user, channel), name="channel membership")
        done, _ = await asyncio.wait([task], timeout=self._timing.person_timeout)
        return bool(done) and task.result()

    def note_delivery(self, user: User, chat_id: str) -> None:
        """Called when a change in this chat is delivered to the user. Returns immediately."""
        if self._is_due((user, chat_id)):
            self._remember((user, chat_id), self._timing.membership_max_age)
            self._tasks.start(self._check_chat(user, chat_id), name="channel membership")

    async def record_move(self, user: User, channel: str, away: bool) -> None:
        """Called when the user has left or joined a private channel. Raises StorageError."""
        await self._chats.set_away(user, channel, away)
        self._known_until.pop((user, channel), None)
        self._publisher.access_changed(user.team, user.id)
        for observer in self._observers:
            observer(user)

    async def _check_chat(self, user: User, chat_id: str) -> None:
        self.check(user, [await self._chats.get(chat_id)])

    def _start(self, user: User, channel: str) -> asyncio.Task[bool] | None:
        running = self._checks.get((user, channel))
        if running is not None:
            return running
        if not (self._is_due((user, channel)) and self._is_due((user.team, channel))):
            return None
        task = self._tasks.start(self._has_left(user, channel), name="channel membership")
        self._checks[user, channel] = task
        task.add_done_callback(lambda _: self._checks.pop((user, channel), None))
        return task

    async def _has_left(self, user: User, channel: str) -> bool:
        try:
            if await self._channels.is_public(user.team, channel):
                self._remember((user.team, channel), PUBLIC_TTL)
                return False
            if await self._channels.has_member(user, channel):
                self._remember((user, channel), self._timing.membership_max_age)
                return False
            await self.record_move(user, channel, away=True)
        except BobbinError as error:  # for example a channel that the bot has left
            log.info("membership_unknown", reason=str(error))
            self._remember((user, channel), RETRY_DELAY)
            return False
        self._remember((user, channel), self._timing.membership_max_age)
        return True

    def _is_due(self, what: Hashable) -> bool:
        return self._known_until.get(what, 0.0) < time.monotonic()

    def _remember(self, what: Hashable, seconds: float) -> None:
        self._known_until[what] = time.monotonic() + seconds
        self._known_until.move_to_end(what)
        if len(self._known_until) > MAX_REMEMBERED:
            self._known_until.popitem(last=False)
