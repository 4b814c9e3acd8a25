"""The operator's rules about who may use Bobbin and where. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from bot.domain import User

DIRECT = "D"
"""Begins the ids of direct messages; by itself, a direct message whose id is not known yet."""


class Treatment(StrEnum):
    """What a kind of people gets."""

    ANSWER = "answer"
    IGNORE = "ignore"


class Standing(StrEnum):
    """How somebody belongs to the workspace that they act in."""

    MEMBER = "member"
    GUEST = "guest"
    OUTSIDER = "outsider"
    """Of another organisation, in a channel that both share."""
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"
    """Slack does not tell."""


class Verdict(StrEnum):
    """Whether somebody may do something, and if not, why not."""

    ALLOWED = "allowed"
    USER_NOT_ALLOWED = "user_not_allowed"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    CHANNEL_LEFT = "channel_left"
    """They are not in the private channel any more that it is about."""
    OUTSIDER = "outsider"
    GUEST = "guest"
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"
    """Refused, because Slack does not tell how they belong to the workspace."""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """All of them apply: somebody must be allowed by each.

    `users`, `channels` and `admins` are glob patterns of ids, or of ids with their workspace (`T…/U…`).
    """

    users: tuple[str, ...] = ()
    """Empty: everybody."""
    channels: tuple[str, ...] = ()
    """Empty: everywhere. Direct messages are channels too (`D*`)."""
    outsiders: Treatment = Treatment.IGNORE
    guests: Treatment = Treatment.ANSWER
    admins: tuple[str, ...] = ()
    """Who may do what admins of the workspace may."""

    @property
    def ask_for_standing(self) -> bool:
        """Whether it matters how somebody belongs to the workspace."""
        return Treatment.IGNORE in (self.outsiders, self.guests)

    def allows_user(self, user: User) -> bool:
        return not self.users or _matches(user.team, user.id, self.users)

    def allows_channel(self, team: str, channel: str) -> bool:
        """`channel`: its id; empty for what happens in none, such as a Home tab."""
        return not (self.channels and channel) or _matches(team, channel, self.channels)

    def names_admin(self, user: User) -> bool:
        return _matches(user.team, user.id, self.admins)

    def by_name(self, user: User, channel: str) -> Verdict:
        """What can be said without knowing how the user belongs to the workspace."""
        if not self.allows_user(user):
            return Verdict.USER_NOT_ALLOWED
        if not self.allows_channel(user.team, channel):
            return Verdict.CHANNEL_NOT_ALLOWED
        return Verdict.ALLOWED

    def by_standing(self, standing: Standing) -> Verdict:
        if standing is Standing.DEACTIVATED:
            return Verdict.DEACTIVATED
        if standing is Standing.GUEST and self.guests is Treatment.IGNORE:
            return Verdict.GUEST
        if standing in (Standing.OUTSIDER, Standing.UNKNOWN):
            refusal = Verdict.OUTSIDER if standing is Standing.OUTSIDER else Verdict.UNKNOWN
            return refusal if self.outsiders is Treatment.IGNORE else Verdict.ALLOWED
        return Verdict.ALLOWED

    def describe(self) -> str:
        """The rules in one line."""
        people = f"users {', '.join(self.users)}" if self.users else "everybody"
        places = f"in {', '.join(self.channels)}" if self.channels else "everywhere"
        outsiders = _verb(self.outsiders)
        guests = _verb(self.guests)
        admins = f", {', '.join(self.admins)}" if self.admins else ""
        return (
            f"{people} {places}; people of other organisations are {outsiders}, guests are {guests}; "
            f"admins: the workspace's admins and owners{admins}"
        )


def standing_of(own_team: str | None, home_team: str, organisation: str) -> Standing | None:
    """What an account's workspace tells about it in the workspace `home_team`; None if that decides nothing.

    `own_team`: id of its workspace, or of its organisation (`E…`). `organisation`: that of `home_team`; empty for none.
    A member may turn out to be a guest.
    """
    if own_team in (home_team, organisation or home_team):
        return Standing.MEMBER
    if own_team is None or (organisation and not own_team.startswith("E")):
        return None  # another workspace, which may be of the same organisation
    return Standing.OUTSIDER


def _matches(team: str, id: str, patterns: Iterable[str]) -> bool:
    names = (id.upper(), f"{team}/{id}".upper())
    return any(fnmatchcase(name, pattern.upper()) for pattern in patterns for name in names)


def _verb(treatment: Treatment) -> str:
    return "answered" if treatment is Treatment.ANSWER else "ignored"
