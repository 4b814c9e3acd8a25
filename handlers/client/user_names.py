"""What people are called: from memory, else the database, else Slack, and kept for the next time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from weakref import WeakValueDictionary

from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.text import plain
from storage.people import People

log = get_logger(__name__)

KEEP = 3600.0
"""Seconds that a name is believed without looking again."""
NOBODY = 300.0
"""Seconds that Slack is not asked again for somebody whose name it did not tell."""
SOON = 20.0
"""Seconds until Slack is asked again when it was too busy, or not there."""
PATIENCE = 3.0
"""Seconds that an answer waits for a name."""
MOST = 10_000
LONGEST = 80
_MENTION = re.compile(r"@([UW][A-Z0-9]{3,20})\b")


class UserNames:
    """Calling it gives a person's name, or None when nobody knows it. It never raises and never waits for long."""

    def __init__(self, people: People, workspaces: WorkspaceResolver) -> None:
        self._people, self._workspaces = people, workspaces
        self._names: dict[User, str] = {}
        self._asked: dict[User, float] = {}
        """When Slack was last asked, with whatever result."""
        self._asking: WeakValueDictionary[User, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, user: User) -> str | None:
        return (await self.known([user])).get(user) or await self._ask(user, NOBODY)

    async def known(self, users: Iterable[User]) -> dict[User, str]:
        """Those names that are known without asking Slack."""
        wanted = set(users)
        missing = wanted - self._names.keys()
        if missing:
            try:
                self._keep(await self._people.names(missing))
            except StorageError as error:
                log.warning("names_not_read", reason=str(error))
        return {user: self._names[user] for user in wanted if user in self._names}

    async def refresh(self, user: User) -> None:
        """Look again whether the person is still called so, if that was long ago. For the background."""
        await self._ask(user, KEEP if user in self._names else NOBODY)

    async def replace_ids(self, team: str, text: str, *, ask: bool = True) -> str:
        """The text with names in the place of ids: "@U024BE7LH" becomes "@Ada". Without `ask`, only known ones."""
        users = {User(team, user) for user in _MENTION.findall(text)}
        if not users:
            return text
        if ask:
            found = dict(zip(users, await asyncio.gather(*map(self, users)), strict=True))
        else:
            found = {**dict.fromkeys(users), **await self.known(users)}
        return _MENTION.sub(lambda mention: f"@{found[User(team, mention[1])] or mention[1]}", text)

    async def _ask(self, user: User, every: float) -> str | None:
        """Slack's word for it, unless it was asked within `every` seconds."""
        async with self._asking.setdefault(user, asyncio.Lock()):
            if time.monotonic() - self._asked.get(user, -every) < every:
                return self._names.get(user)
            return await self._look_up(user)

    async def _look_up(self, user: User) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                slack = await self._workspaces.client_for(user.team)
                answer = await slack.call_with_retry("users.info", patience=PATIENCE, user=user.id)
            name = _name_of(answer.get("user") or {})
            if name and self._names.get(user) != name:
                await self._people.set_name(user, name)
        except (SlackError, NotInstalled, TimeoutError, StorageError) as error:
            log.info("name_unknown", reason=str(error) or type(error).__name__)
            soon = 0.0 if isinstance(error, SlackRejected | NotInstalled) else NOBODY - SOON
            self._asked[user] = time.monotonic() - soon
            return self._names.get(user)
        self._keep({user: name} if name else {})
        self._asked[user] = time.monotonic()
        return self._names.get(user)

    def _keep(self, names: dict[User, str]) -> None:
        if len(self._names) >= MOST or len(self._asked) >= MOST:
            self._names.clear()
            self._asked.clear()
        self._names |= names


def _name_of(user: dict[str, object]) -> str | None:
    """What a person goes by; one line, so that nobody can speak in another's name."""
    profile = user.get("profile")
    told = profile if isinstance(profile, dict) else {}
    for name in (
        told.get("display_name"),
        told.get("real_name"),
        user.get("real_name"),
        user.get("name"),
    ):
        if name and (clean := plain(str(name), LONGEST)):
            return clean
    return None
