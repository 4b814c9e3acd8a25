"""Workspaces that have installed the app: who the bot is there, and its token, sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update

from storage.encryption import TokenCipher, WrongKey
from storage.engine.database import Database
from storage.engine.types import database_time, utc_now
from storage.queries import dialect_insert
from storage.tables import api_tokens, installations, workspaces


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation: of a workspace, or (`org_wide`) of every workspace of an organisation."""

    enterprise: str
    """Empty for a workspace of its own."""
    team: str
    """Empty for an organisation's."""
    bot_user: str
    bot_token: str = field(repr=False)
    bot_id: str | None = None
    url: str = ""
    """Where the workspace is, or the organisation."""
    scopes: str = ""
    installed_by: str | None = None

    @property
    def org_wide(self) -> bool:
        return not self.team


@dataclass(frozen=True, slots=True)
class InstallationStatus:
    """What can be told of an installation without using it."""

    workspace: str
    """The workspace, or the organisation."""
    scopes: frozenset[str]
    """What the app was granted there."""
    decryptable: bool
    """Whether one of our keys opens its token."""


class Installations:
    """Every method is one transaction or one read; all raise StorageError when the database fails."""

    def __init__(self, database: Database, cipher: TokenCipher) -> None:
        self._database, self._cipher = database, cipher

    async def save(self, installed: Installation) -> None:
        """Keep an installation; a later one of the same place replaces it."""
        values = {
            "bot_user": installed.bot_user,
            "bot_id": installed.bot_id,
            "bot_token": self._cipher.encrypt(installed.bot_token),
            "url": installed.url,
            "scopes": installed.scopes,
            "installed_by": installed.installed_by,
            "installed_at": utc_now(),
        }
        row = {"enterprise": installed.enterprise, "team": installed.team, **values}
        before_it_moved = and_(
            installations.c.team == installed.team,
            installations.c.enterprise != installed.enterprise,
        )
        async with self._database.begin() as connection:
            if not installed.org_wide:
                await connection.execute(delete(installations).where(before_it_moved))
            await connection.execute(
                dialect_insert(connection, installations)
                .values(row)
                .on_conflict_do_update(index_elements=["enterprise", "team"], set_=values)
            )

    async def find(self, team: str | None, enterprise: str | None = None) -> Installation | None:
        """The installation that serves this workspace: its own, else its organisation's.

        Which organisation that is may be known from earlier (`note`). Raises WrongKey too.
        """
        known = select(workspaces.c.enterprise).where(workspaces.c.team == team).scalar_subquery()
        of_org = and_(
            installations.c.team == "", installations.c.enterprise == (enterprise or known)
        )
        where = or_(installations.c.team == team, of_org) if team else of_org
        query = select(installations).where(where).order_by(installations.c.team.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._open(row)

    async def remember_organisation(self, team: str, enterprise: str) -> None:
        """Remember the organisation that a workspace belongs to."""
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, workspaces)
                .values(team=team, enterprise=enterprise)
                .on_conflict_do_update(index_elements=["team"], set_={"enterprise": enterprise})
            )

    async def remove(
        self, team: str | None, enterprise: str | None = None, before: datetime | None = None
    ) -> bool:
        """The app was uninstalled or its token revoked: the token is forgotten, the chats stay.

        With it end the API tokens of the people there. Without a `team` it is an organisation's installation. One that
        was made after `before` stays: Slack may tell of an end when the app is there again. Says whether there was one.
        """
        where = installations.c.team == team
        if not team:
            where = and_(
                installations.c.team == "", installations.c.enterprise == (enterprise or "")
            )
        if before is not None:
            where = and_(where, installations.c.installed_at <= before)
        async with self._database.begin() as connection:
            if not (await connection.execute(delete(installations).where(where))).rowcount:
                return False
            lost = api_tokens.c.team == team if team else _in_organisation(enterprise or "")
            ended = and_(lost, api_tokens.c.revoked_at.is_(None))
            await connection.execute(
                update(api_tokens).where(ended).values(revoked_at=database_time())
            )
            return True

    async def statuses(self) -> list[InstallationStatus]:
        """How all installations stand."""
        return [
            InstallationStatus(
                row.team or row.enterprise,
                frozenset(filter(None, row.scopes.split(","))),
                self._opens(row.bot_token),
            )
            for row in await self._all()
        ]

    async def rotate_tokens(self) -> int:
        """Re-encrypt every token with the newest key; says how many were not.

        Raises WrongKey when one cannot be opened.
        """
        renewed = [(row, self._cipher.rotate(row.bot_token)) for row in await self._all()]
        changed = [(row, sealed) for row, sealed in renewed if sealed != row.bot_token]
        if changed:
            async with self._database.begin() as connection:
                for row, sealed in changed:
                    same = and_(
                        installations.c.enterprise == row.enterprise,
                        installations.c.team == row.team,
                        installations.c.bot_token
                        == row.bot_token,  # not one that somebody has just installed
                    )
                    await connection.execute(
                        update(installations).where(same).values(bot_token=sealed)
                    )
        return len(changed)

    async def _all(self) -> Sequence[Row[Any]]:
        async with self._database.read() as connection:
            return (await connection.execute(select(installations))).all()

    def _opens(self, sealed: str) -> bool:
        try:
            self._cipher.decrypt(sealed)
        except WrongKey:
            return False
        return True

    def _open(self, row: Row[Any]) -> Installation:
        return Installation(
            enterprise=row.enterprise,
            team=row.team,
            bot_user=row.bot_user,
            bot_token=self._cipher.decrypt(row.bot_token),
            bot_id=row.bot_id,
            url=row.url,
            scopes=row.scopes,
            installed_by=row.installed_by,
        )


def _in_organisation(enterprise: str) -> ColumnElement[bool]:
    """Whatever belongs to a workspace that had the app by its organisation alone."""
    own = select(installations.c.team).where(installations.c.team != "")
    teams = select(workspaces.c.team).where(workspaces.c.enterprise == enterprise)
    return and_(api_tokens.c.team.in_(teams), api_tokens.c.team.not_in(own))
