"""The operator's rules about who may use Bobbin and where. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from bot.domain import User

DIRECT = "D"
"""The first letter of ids of direct messages; by itself, a direct message whose id is not known yet."""


class Treatment(StrEnum):
    """How a kind of people is treated."""

    ANSWER = "answer"
    IGNORE = "ignore"


class Standing(StrEnum):
    """How an account belongs to the workspace that it acts in."""

    MEMBER = "member"
    GUEST = "guest"
    OUTSIDER = "outsider"
    """Belongs to another organisation, and acts in a channel that both share."""
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"
    """Slack does not say."""


class Verdict(StrEnum):
    """Whether somebody may do something, and if not, the reason."""

    ALLOWED = "allowed"
    USER_NOT_ALLOWED = "user_not_allowed"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    CHANNEL_LEFT = "channel_left"
    """The action is about a private channel that they have left."""
    OUTSIDER = "outsider"
    GUEST = "guest"
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"
    """Refused, because Slack does not say how they belong to the workspace."""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules, all of which must allow a person.

    `users`, `channels` and `admins` are glob patterns of ids, or of ids with their workspace (`T…/U…`).
    """

    users: tuple[str, ...] = ()
    """Empty: everybody."""
    channels: tuple[str, ...] = ()
    """Empty: everywhere. Direct messages are channels too (`D*`)."""
    outsiders: Treatment = Treatment.IGNORE
    guests: Treatment = Treatment.ANSWER
    admins: tuple[str, ...] = ()
    """People who may do what admins of the workspace may."""

    @property
    def ask_for_standing(self) -> bool:
        """Whether the rules depend on how somebody belongs to the workspace."""
        return Treatment.IGNORE in (self.outsiders, self.guests)

    def allows_user(self, user: User) -> bool:
        return not self.users or _matches(user.team, user.id, self.users)

    def allows_channel(self, team: str, channel: str) -> bool:
        """`channel`: its id; empty for actions in no channel, such as in a Home tab."""
        return not (self.channels and channel) or _matches(team, channel, self.channels)

    def names_admin(self, user: User) -> bool:
        return _matches(user.team, user.id, self.admins)

    def by_name(self, user: User, channel: str) -> Verdict:
        """The verdict as far as it does not depend on how the user belongs to the workspace."""
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


def standing_by_own_team(
    own_team: str | None, home_team: str, organisation: str
) -> Standing | None:
    """What an account's own workspace says about its standing in the workspace `home_team`; None if that is
    inconclusive.

    `own_team`: id of its workspace, or of its organisation (`E…`). `organisation`: that of `home_team`; empty if it has
    none. A member may turn out to be a guest.
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
