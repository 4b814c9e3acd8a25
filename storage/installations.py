"""Workspaces that have installed the app: its bot user there, and its encrypted token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update

from storage.encryption import TokenCipher, WrongKey
from storage.engine.database import Database
from storage.engine.types import database_time, utc_now
from storage.statements.queries import dialect_insert
from storage.tables import api_tokens, installations, workspaces


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of the app: in a workspace, or (`org_wide`) in every workspace of an organisation."""

    enterprise: str
    """Id of the organisation; empty for a workspace outside of one."""
    team: str
    """Id of the workspace; empty for an org-wide installation."""
    bot_user: str
    bot_token: str = field(repr=False)
    bot_id: str | None = None
    url: str = ""
    """URL of the workspace or the organisation."""
    scopes: str = ""
    installed_by: str | None = None

    @property
    def org_wide(self) -> bool:
        return not self.team


@dataclass(frozen=True, slots=True)
class InstallationStatus:
    """What is known about an installation without using its token."""

    workspace: str
    """Id of the workspace or the organisation."""
    scopes: frozenset[str]
    """The scopes that were granted to the app there."""
    decryptable: bool
    """Whether one of the configured keys decrypts its token."""


class Installations:
    """The repository of installations.

    Every method is one transaction or one read, and raises StorageError when the database fails.
    """

    def __init__(self, database: Database, cipher: TokenCipher) -> None:
        self._database = database
        self._cipher = cipher

    async def save(self, installed: Installation) -> None:
        """Stores an installation, replacing an earlier one of the same workspace or organisation."""
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
        before_the_move = and_(
            installations.c.team == installed.team,
            installations.c.enterprise != installed.enterprise,
        )
        async with self._database.begin() as connection:
            if not installed.org_wide:
                await connection.execute(delete(installations).where(before_the_move))
            await connection.execute(
                dialect_insert(connection, installations)
                .values(row)
                .on_conflict_do_update(index_elements=["enterprise", "team"], set_=values)
            )

    async def find(self, team: str | None, enterprise: str | None = None) -> Installation | None:
        """The installation that serves this workspace: its own, else its organisation's.

        Without `enterprise`, the organisation is looked up (`remember_organisation`). Also raises WrongKey.
        """
        known = select(workspaces.c.enterprise).where(workspaces.c.team == team).scalar_subquery()
        of_org = and_(
            installations.c.team == "", installations.c.enterprise == (enterprise or known)
        )
        where = or_(installations.c.team == team, of_org) if team else of_org
        query = select(installations).where(where).order_by(installations.c.team.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._to_installation(row)

    async def remember_organisation(self, team: str, enterprise: str) -> None:
        """Stores which organisation a workspace belongs to."""
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, workspaces)
                .values(team=team, enterprise=enterprise)
                .on_conflict_do_update(index_elements=["team"], set_={"enterprise": enterprise})
            )

    async def remove(
        self, team: str | None, enterprise: str | None = None, before: datetime | None = None
    ) -> bool:
        """Deletes an installation whose app was uninstalled or whose token was revoked; returns whether there was one.

        Chats stay; the API tokens of the users there are revoked. Without a `team` it is an org-wide installation. One
        made after `before` stays, because Slack's event may arrive when the app is already installed again.
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
            affected = api_tokens.c.team == team if team else _in_organisation(enterprise or "")
            valid = and_(affected, api_tokens.c.revoked_at.is_(None))
            await connection.execute(
                update(api_tokens).where(valid).values(revoked_at=database_time())
            )
            return True

    async def statuses(self) -> list[InstallationStatus]:
        """The status of every installation."""
        return [
            InstallationStatus(
                row.team or row.enterprise,
                frozenset(filter(None, row.scopes.split(","))),
                self._is_decryptable(row.bot_token),
            )
            for row in await self._all()
        ]

    async def rotate_tokens(self) -> int:
        """Encrypts every token with the newest key; returns how many were encrypted with an older one.

        Raises WrongKey when a token cannot be decrypted.
        """
        rotated = [(row, self._cipher.rotate(row.bot_token)) for row in await self._all()]
        changed = [(row, token) for row, token in rotated if token != row.bot_token]
        if changed:
            async with self._database.begin() as connection:
                for row, token in changed:
                    same = and_(
                        installations.c.enterprise == row.enterprise,
                        installations.c.team == row.team,
                        # Not a token that has just been installed:
                        installations.c.bot_token == row.bot_token,
                    )
                    await connection.execute(
                        update(installations).where(same).values(bot_token=token)
                    )
        return len(changed)

    async def _all(self) -> Sequence[Row[Any]]:
        async with self._database.read() as connection:
            return (await connection.execute(select(installations))).all()

    def _is_decryptable(self, encrypted: str) -> bool:
        try:
            self._cipher.decrypt(encrypted)
        except WrongKey:
            return False
        return True

    def _to_installation(self, row: Row[Any]) -> Installation:
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
    """Tokens in workspaces that had the app only through their organisation."""
    own = select(installations.c.team).where(installations.c.team != "")
    teams = select(workspaces.c.team).where(workspaces.c.enterprise == enterprise)
    return and_(api_tokens.c.team.in_(teams), api_tokens.c.team.not_in(own))
