"""What people are called: from the database, else from Slack, kept for the next time."""

from __future__ import annotations

import time

from bot.domain import Person
from handlers.slack import Directory, SlackError
from storage.people import People

KEEP = 3600.0
"""Seconds that a name is believed without looking again."""
MOST = 10_000


class Names:
    def __init__(self, people: People, workspaces: Directory) -> None:
        self._people, self._workspaces = people, workspaces
        self._known: dict[Person, tuple[float, str | None]] = {}

    async def __call__(self, person: Person) -> str | None:
        """The person's name, or None when neither knows it."""
        found = self._known.get(person)
        if found is not None and time.monotonic() - found[0] < KEEP:
            return found[1]
        name = await self._ask_slack(person)
        if name is None:
            name = (await self._people.get(person)).name
        elif found is None or found[1] != name:
            await self._people.remember_name(person, name)
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[person] = (time.monotonic(), name)
        return name

    async def _ask_slack(self, person: Person) -> str | None:
        try:
            slack = await self._workspaces(person.team)
            user = (await slack.errand("users.info", user=person.user)).get("user") or {}
        except (SlackError, KeyError):
            return None
        profile = user.get("profile") or {}
        return profile.get("display_name") or profile.get("real_name") or user.get("real_name") or user.get("name")
