"""Workspaces that have installed the app: who the bot is there, and its token, sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update

from storage.columns import utc_now
from storage.database import Database
from storage.exchange import insert_new
from storage.sealing import Seal
from storage.tables import installations, workspaces


@dataclass(frozen=True, slots=True)
class Installed:
    """One installation: of a workspace, or (`org_wide`) of every workspace of an organisation."""

    enterprise: str
    """Empty for a workspace of its own."""
    team: str
    """Empty for an organisation's."""
    bot_user: str
    bot_token: str = field(repr=False)
    bot_id: str | None = None
    scopes: str = ""
    installed_by: str | None = None

    @property
    def org_wide(self) -> bool:
        return not self.team


class Installations:
    """Every method is one transaction or one read; all raise StorageError when the database fails."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database, self._seal = database, seal

    async def save(self, installed: Installed) -> None:
        """Keep an installation; a later one of the same place replaces it."""
        values = {
            "bot_user": installed.bot_user,
            "bot_id": installed.bot_id,
            "bot_token": self._seal.seal(installed.bot_token),
            "scopes": installed.scopes,
            "installed_by": installed.installed_by,
            "installed_at": utc_now(),
        }
        row = {"enterprise": installed.enterprise, "team": installed.team, **values}
        async with self._database.begin() as connection:
            await connection.execute(
                insert_new(connection, installations)
                .values(row)
                .on_conflict_do_update(index_elements=["enterprise", "team"], set_=values)
            )

    async def find(self, enterprise: str | None, team: str | None) -> Installed | None:
        """The installation that serves this workspace: its own, else its organisation's."""
        places: list[ColumnElement[bool]] = []
        if team:
            places.append(installations.c.team == team)
        if enterprise:
            places.append(and_(installations.c.enterprise == enterprise, installations.c.team == ""))
        if not places:
            return None
        query = select(installations).where(or_(*places)).order_by(installations.c.team.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
            return None if row is None else self._open(row)

    async def of_team(self, team: str) -> Installed | None:
        """The same by the workspace alone: its organisation is known from earlier events."""
        async with self._database.read() as connection:
            enterprise = await connection.scalar(select(workspaces.c.enterprise).where(workspaces.c.team == team))
        return await self.find(enterprise, team)

    async def note(self, team: str, enterprise: str) -> None:
        """Remember the organisation that a workspace belongs to."""
        async with self._database.begin() as connection:
            await connection.execute(
                insert_new(connection, workspaces)
                .values(team=team, enterprise=enterprise)
                .on_conflict_do_update(index_elements=["team"], set_={"enterprise": enterprise})
            )

    async def remove(self, enterprise: str | None, team: str | None) -> None:
        """The app was uninstalled or its token revoked: the token is forgotten, the chats stay."""
        where = and_(installations.c.enterprise == (enterprise or ""), installations.c.team == (team or ""))
        if team:
            where = installations.c.team == team
        async with self._database.begin() as connection:
            await connection.execute(delete(installations).where(where))

    async def reseal(self) -> int:
        """Seal every token with the newest key; says how many there are. Raises StorageError when one has no key."""
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(installations))).all()
            for row in rows:
                place = and_(installations.c.enterprise == row.enterprise, installations.c.team == row.team)
                sealed = self._seal.renew(row.bot_token)
                await connection.execute(update(installations).where(place).values(bot_token=sealed))
            return len(rows)

    def _open(self, row: Row[Any]) -> Installed:
        return Installed(
            enterprise=row.enterprise,
            team=row.team,
            bot_user=row.bot_user,
            bot_token=self._seal.open(row.bot_token),
            bot_id=row.bot_id,
            scopes=row.scopes,
            installed_by=row.installed_by,
        )
