"""The ledger: what every model call used, and its sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Select, func, literal, select

from bot.domain import User
from bot.usage.calls import Call, Payer
from bot.usage.figures import Figures, GroupBy
from bot.usage.limits import NO_LIMITS, Limits
from storage.engine.database import Database
from storage.statements.ledger_rows import SUMS, complete, payer_now, record
from storage.statements.spending import check, forget_old
from storage.tables import usage_days

_COLUMNS = {
    GroupBy.USER: usage_days.c.user,
    GroupBy.CHANNEL: usage_days.c.channel,
    GroupBy.MODEL: usage_days.c.model,
    GroupBy.DAY: usage_days.c.day,
}
_IN_WORKSPACE = (GroupBy.USER, GroupBy.CHANNEL)
"""Groupings that are meaningful within one workspace only."""


class Ledger:
    """The repository of calls. Every method raises StorageError when the database fails.

    The calls of answers are stored with the answers (`storage.answers`).
    """

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._limits = limits

    async def ask(self, call: Call) -> None:
        """Stores that a model is about to be called. Until the call is completed, it counts by its estimate."""
        await self.add([call])

    async def complete(self, call: Call) -> None:
        """Records how a call ended that is stored as asked."""
        async with self._database.begin() as connection:
            await complete(connection, self._limits, call)

    async def add(self, calls: Sequence[Call]) -> None:
        """Stores calls, all charged to one payer."""
        async with self._database.begin() as connection:
            payer = await payer_now(connection, calls[0])
            await record(connection, self._limits, payer, calls)

    async def check(self, payer: Payer) -> None:
        """Raises BudgetReached if none of their messages would be answered now."""
        if any(self._limits):
            async with self._database.read() as connection:
                await check(connection, self._limits, payer)

    async def priced_models(self) -> frozenset[str]:
        """The models, as `provider:name`, whose cost a provider has reported."""
        query = select(usage_days.c.model).where(usage_days.c.cost > 0).distinct()
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def figures(
        self,
        since: date,
        by: GroupBy | None = None,
        *,
        team: str | None = None,
        user: User | None = None,
    ) -> list[Figures]:
        """What was used since that day (UTC): by a user, a workspace or everybody.

        Most tokens first, days in order; without `by` one sum of everything.
        """
        query = _of(_select(by), since, team, user)
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [_to_figures(row) for row in rows if row.calls]

    async def forget_old_spending(self) -> None:
        """Deletes the counters of limits whose periods are long over."""
        async with self._database.begin() as connection:
            await forget_old(connection)


def _select(by: GroupBy | None) -> Select[Any]:
    sums = [func.coalesce(func.sum(usage_days.c[name]), 0).label(name) for name in SUMS]
    tokens = func.sum(usage_days.c.prompt_tokens + usage_days.c.completion_tokens)
    if by is None:
        return select(literal("").label("name"), literal("").label("team"), *sums)
    name = _COLUMNS[by]
    team = usage_days.c.team if by in _IN_WORKSPACE else literal("").label("team")
    groups = (name, usage_days.c.team) if by in _IN_WORKSPACE else (name,)
    query = select(name.label("name"), team, *sums).group_by(*groups)
    return query.order_by(name if by is GroupBy.DAY else tokens.desc(), name)


def _of(query: Select[Any], since: date, team: str | None, user: User | None) -> Select[Any]:
    query = query.where(usage_days.c.day >= since.isoformat())
    if user is not None:
        return query.where(usage_days.c.team == user.team, usage_days.c.user == user.id)
    return query if team is None else query.where(usage_days.c.team == team)


def _to_figures(row: Any) -> Figures:
    sums: dict[str, Any] = {
        name: (float if name.endswith("cost") else int)(getattr(row, name)) for name in SUMS
    }
    return Figures(group=row.name, team=row.team, **sums)
