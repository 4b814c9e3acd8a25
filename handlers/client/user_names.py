"""Names of Slack users: from memory, else the database, else Slack; what Slack answers is stored."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable

from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.tasks import KeyedLocks
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.plain_text import plain
from storage.people import People

log = get_logger(__name__)

NAME_TTL = 3600.0
"""Seconds for which a name is used without asking Slack again."""
UNKNOWN_TTL = 300.0
"""Seconds for which Slack is not asked again for a name that it did not give."""
RETRY_DELAY = 20.0
"""Seconds until Slack is asked again after it was too busy or could not be reached."""
MAX_NAMES = 10_000
MAX_NAME_LENGTH = 80
_MENTION = re.compile(r"@([UW][A-Z0-9]{3,20})\b")


class UserNames:
    """Looks up names. Calling it returns a user's name, or None if it is unknown; it never raises and waits at most
    `timing.user_name_timeout`."""

    def __init__(
        self, people: People, workspaces: WorkspaceResolver, timing: Timing = Timing()
    ) -> None:
        self._people = people
        self._workspaces = workspaces
        self._timeout = timing.user_name_timeout
        self._names: dict[User, str] = {}
        self._asked_at: dict[User, float] = {}
        """When Slack was last asked, whatever the result."""
        self._locks: KeyedLocks[User] = KeyedLocks()

    async def __call__(self, user: User) -> str | None:
        return (await self.known([user])).get(user) or await self._ask(user, UNKNOWN_TTL)

    async def known(self, users: Iterable[User]) -> dict[User, str]:
        """The names among these that are known without asking Slack."""
        wanted = set(users)
        missing = wanted - self._names.keys()
        if missing:
            try:
                self._keep(await self._people.names(missing))
            except StorageError as error:
                log.warning("names_not_read", reason=str(error))
        return {user: self._names[user] for user in wanted if user in self._names}

    async def refresh(self, user: User) -> None:
        """Asks Slack for the user's present name, if it was last asked long ago."""
        await self._ask(user, NAME_TTL if user in self._names else UNKNOWN_TTL)

    async def replace_ids(self, team: str, text: str, *, ask: bool = True) -> str:
        """The text with names instead of ids: "@U024BE7LH" becomes "@Ada". Without `ask`, only known names are used."""
        users = {User(team, user) for user in _MENTION.findall(text)}
        if not users:
            return text
        if ask:
            found = dict(zip(users, await asyncio.gather(*map(self, users)), strict=True))
        else:
            found = {**dict.fromkeys(users), **await self.known(users)}
        return _MENTION.sub(lambda mention: f"@{found[User(team, mention[1])] or mention[1]}", text)

    async def _ask(self, user: User, every: float) -> str | None:
        """The name that Slack gives, or the known one if Slack was asked in the last `every` seconds."""
        async with self._locks[user]:
            if time.monotonic() - self._asked_at.get(user, -every) < every:
                return self._names.get(user)
            return await self._look_up(user)

    async def _look_up(self, user: User) -> str | None:
        try:
            async with asyncio.timeout(self._timeout):
                slack = await self._workspaces.client_for(user.team)
                answer = await slack.call_with_retry(
                    "users.info", patience=self._timeout, user=user.id
                )
            name = _name_of(answer.get("user") or {})
            if name and self._names.get(user) != name:
                await self._people.set_name(user, name)
        except (SlackError, NotInstalled, TimeoutError, StorageError) as error:
            log.info("name_unknown", reason=str(error) or type(error).__name__)
            early = (
                0.0
                if isinstance(error, SlackRejected | NotInstalled)
                else UNKNOWN_TTL - RETRY_DELAY
            )
            self._asked_at[user] = time.monotonic() - early
            return self._names.get(user)
        self._keep({user: name} if name else {})
        self._asked_at[user] = time.monotonic()
        return self._names.get(user)

    def _keep(self, names: dict[User, str]) -> None:
        if len(self._names) >= MAX_NAMES or len(self._asked_at) >= MAX_NAMES:
            self._names.clear()
            self._asked_at.clear()
        self._names |= names


def _name_of(user: dict[str, object]) -> str | None:
    """The display name, else the real name; always one line, so that a name cannot imitate another user's message."""
    profile = user.get("profile")
    fields = profile if isinstance(profile, dict) else {}
    for name in (
        fields.get("display_name"),
        fields.get("real_name"),
        user.get("real_name"),
        user.get("name"),
    ):
        if name and (clean := plain(str(name), MAX_NAME_LENGTH)):
            return clean
    return None
