"""What people may see of usage: their own or, for admins, everybody's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from bot.domain import User
from bot.usage.figures import Figures, GroupBy
from bot.usage.limits import Period
from storage.ledger import Ledger

IsAdmin = Callable[[User], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Overview:
    """A user's own usage, and for admins that of their workspace this month."""

    today: Sequence[Figures]
    """By model, like the following fields; in UTC."""
    month: Sequence[Figures]
    people: Sequence[Figures] = ()
    channels: Sequence[Figures] = ()
    is_admin: bool = False


class UsageService:
    """The use cases of usage. All raise StorageError when the database fails."""

    def __init__(self, ledger: Ledger, is_admin: IsAdmin) -> None:
        self._ledger = ledger
        self._is_admin = is_admin

    async def overview(self, user: User) -> Overview:
        day, month = _begin(Period.DAY), _begin(Period.MONTH)
        today = await self._ledger.figures(day, GroupBy.MODEL, user=user)
        this_month = await self._ledger.figures(month, GroupBy.MODEL, user=user)
        if not await self._is_admin(user):
            return Overview(today, this_month)
        people = await self._ledger.figures(month, GroupBy.USER, team=user.team)
        channels = await self._ledger.figures(month, GroupBy.CHANNEL, team=user.team)
        return Overview(today, this_month, people, channels, is_admin=True)

    async def this_month(self, user: User) -> Figures | None:
        """Everything that the user has used this month; None if nothing."""
        found = await self._ledger.figures(_begin(Period.MONTH), user=user)
        return found[0] if found else None

    async def figures(self, user: User, since: date, by: GroupBy) -> list[Figures]:
        """What was used since that day (UTC): by the whole workspace, if the user is an admin."""
        if await self._is_admin(user):
            return await self._ledger.figures(since, by, team=user.team)
        return await self._ledger.figures(since, by, user=user)


def _begin(period: Period) -> date:
    return period.begin(datetime.now(UTC)).date()
