"""Who is still in the private channels where their chats are: whoever has left one does not see its chats any more.

Slack sends an event when somebody leaves or joins, which takes effect at once and costs no calls. For events that were
never delivered (Slack gives up after some minutes), whoever reads chats of a private channel is looked for there again,
at most every ten minutes: in the background where a list is shown in Slack or a change is delivered, and before the
answer where the API is asked.
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
from bot.tasks import Tasks
from bot.timing import Timing
from storage.chats import Chats

log = get_logger(__name__)

PUBLIC_TTL = 3600.0
"""Seconds for which a channel that was public is taken to be public."""
RETRY_DELAY = 30.0
"""Seconds until Slack is asked again after it did not tell."""
MAX_REMEMBERED = 20_000


class Channels(Protocol):
    """What Slack tells about channels (`handlers.client.channels`). Each raises a BobbinError if it does not."""

    async def is_public(self, team: str, channel: str) -> bool: ...
    async def has_member(self, user: User, channel: str) -> bool: ...


class Membership:
    """Keeps the stored memberships in private channels true, and tells everybody of each change."""

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
        """`observer` is called with each user whose list of chats became shorter or longer."""
        self._observers.append(observer)

    def check(self, user: User, chats: Iterable[Chat]) -> list[asyncio.Task[bool]]:
        """Looks in the background whether the user is still in the channels of these chats. Returns at once.

        The tasks tell whether the user turned out to be away.
        """
        threads = [chat.thread for chat in chats if chat.thread is not None]
        channels = {thread.channel for thread in threads if not thread.channel.startswith(DIRECT)}
        return [task for channel in sorted(channels) if (task := self._start(user, channel))]

    async def confirm(self, user: User, chats: Iterable[Chat]) -> bool:
        """`check`, waited for as long as `Timing.membership_timeout`; whether the user turned out to be away."""
        tasks = self.check(user, chats)
        if not tasks:
            return False
        done, _ = await asyncio.wait(tasks, timeout=self._timing.membership_timeout)
        return any(task.result() for task in done)

    async def is_away(self, user: User, channel: str) -> bool:
        """Whether Slack says now that the user is not in this private channel. Waits as long as for a person.

        For what they began when they were in it: Slack says so of everything else by letting them do it.
        """
        is_known = (
            not channel or channel.startswith(DIRECT) or not self._is_due((user.team, channel))
        )
        if is_known:
            return False
        task = self._tasks.start(self._has_left(user, channel), name="channel membership")
        done, _ = await asyncio.wait([task], timeout=self._timing.person_timeout)
        return bool(done) and task.result()

    def heard(self, user: User, chat_id: str) -> None:
        """A change in this chat is delivered to the user. Returns at once."""
        if self._is_due((user, chat_id)):
            self._remember((user, chat_id), self._timing.membership_max_age)
            self._tasks.start(self._check_chat(user, chat_id), name="channel membership")

    async def moved(self, user: User, channel: str, away: bool) -> None:
        """The user has left a private channel, or has joined one. Raises StorageError."""
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
            await self.moved(user, channel, away=True)
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
