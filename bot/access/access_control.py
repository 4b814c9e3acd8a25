"""The check that runs before anything is stored, at every entry point: events, button presses, commands, the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.access.rules import AccessRules, Standing, Verdict
from bot.domain import User


@dataclass(frozen=True, slots=True)
class Person:
    """What Slack says about an account."""

    standing: Standing = Standing.UNKNOWN
    is_admin: bool = False
    """An admin or owner of the workspace or of its organisation."""


class People(Protocol):
    """What access control needs of `handlers.client.people`."""

    async def find(self, user: User) -> Person:
        """Waits for Slack for a bounded time, and never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who is about to do something."""

    user: User
    channel: str = ""
    """The channel's id; empty if it happens in no channel."""
    standing: Standing | None = None
    """Known from the request itself. None: Slack must be asked."""
    in_slack: bool = True
    """Whether they act in Slack itself, which shows that their account is active."""


class AccessControl:
    """Applies the operator's rules."""

    def __init__(self, rules: AccessRules, people: People) -> None:
        self.rules = rules
        self._people = people

    async def verdict(self, actor: Actor) -> Verdict:
        """Whether the actor is allowed. Asks Slack only if the answer depends on it."""
        by_name = self.rules.by_name(actor.user, actor.channel)
        if by_name is not Verdict.ALLOWED:
            return by_name
        if actor.in_slack and not self.rules.ask_for_standing:
            return Verdict.ALLOWED
        return self.rules.by_standing(await self._standing(actor))

    async def is_admin(self, user: User) -> bool:
        """Whether the user may change what affects other people. Waits for Slack for a bounded time."""
        return self.rules.names_admin(user) or (await self._people.find(user)).is_admin

    async def _standing(self, actor: Actor) -> Standing:
        stated = actor.standing
        if stated is Standing.OUTSIDER:
            return stated
        suffices = stated is Standing.MEMBER and self._guests_are_answered
        if suffices and actor.in_slack:
            return Standing.MEMBER
        found = (await self._people.find(actor.user)).standing
        if suffices and found is Standing.UNKNOWN:
            return Standing.MEMBER
        return found

    @property
    def _guests_are_answered(self) -> bool:
        return self.rules.by_standing(Standing.GUEST) is Verdict.ALLOWED
