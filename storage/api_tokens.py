"""API tokens: shown once, stored as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update

from bot.domain import User
from storage.engine.database import Database
from storage.engine.types import database_time
from storage.tables import api_tokens, workspaces

TOKEN_PREFIX = "bob_"  # noqa: S105 - a prefix, not a password
"""Starts every token, so that secret scanners and people recognise a leaked one."""
LAST_USE_INTERVAL = 60.0
"""Seconds between two updates of a token's last use, so that most requests write nothing."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known about a token, besides the token itself."""

    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""


class Tokens:
    """The repository of API tokens. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, user: User, *, valid_for: timedelta | None = None) -> str:
        """Creates a token for this user; it cannot be read again."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        expires_at = None if valid_for is None else database_time(valid_for.total_seconds())
        async with self._database.begin() as connection:
            await connection.execute(
                api_tokens.insert().values(
                    hash=_hash(token),
                    team=user.team,
                    user=user.id,
                    created_at=database_time(),
                    expires_at=expires_at,
                )
            )
        return token

    async def user_of(self, token: str) -> User | None:
        """The user of a token; None for an unknown, expired or revoked one."""
        digest = _hash(token)
        fresh = api_tokens.c.last_used_at > database_time(-LAST_USE_INTERVAL)
        query = select(api_tokens, fresh.label("fresh")).where(
            api_tokens.c.hash == digest, _valid()
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, digest):
            return None
        if not row.fresh:
            await self._record_use(digest)
        return User(row.team, row.user)

    async def listed(self, user: User) -> list[TokenInfo]:
        """The user's valid tokens, newest first."""
        query = (
            select(api_tokens)
            .where(api_tokens.c.team == user.team, api_tokens.c.user == user.id, _valid())
            .order_by(api_tokens.c.created_at.desc())
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [TokenInfo(row.created_at, row.expires_at, row.last_used_at) for row in rows]

    async def revoke(self, user: User) -> int:
        """Revokes all tokens of this user; returns how many there were."""
        return await self._revoke(api_tokens.c.team == user.team, api_tokens.c.user == user.id)

    async def revoke_account(self, user: User) -> int:
        """Revokes all tokens of this account, in every workspace of its organisation; returns how many there were."""
        organisation = select(workspaces.c.enterprise).where(workspaces.c.team == user.team)
        siblings = select(workspaces.c.team).where(workspaces.c.enterprise.in_(organisation))
        here = or_(api_tokens.c.team == user.team, api_tokens.c.team.in_(siblings))
        return await self._revoke(api_tokens.c.user == user.id, here)

    async def revoke_workspace(self, team: str) -> int:
        """Revokes all tokens of this workspace; returns how many there were."""
        return await self._revoke(api_tokens.c.team == team)

    async def _revoke(self, *where: ColumnElement[bool]) -> int:
        valid = and_(api_tokens.c.revoked_at.is_(None), *where)
        async with self._database.begin() as connection:
            done = await connection.execute(
                update(api_tokens).where(valid).values(revoked_at=database_time())
            )
            return done.rowcount

    async def _record_use(self, digest: str) -> None:
        query = (
            update(api_tokens)
            .where(api_tokens.c.hash == digest)
            .values(last_used_at=database_time())
        )
        async with self._database.begin() as connection:
            await connection.execute(query)


def _valid() -> ColumnElement[bool]:
    """Neither revoked nor expired."""
    unexpired = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > database_time())
    return and_(api_tokens.c.revoked_at.is_(None), unexpired)


def _hash(token: str) -> str:
    # The token has 256 random bits: a slower hash than SHA-256 would not make it harder to guess.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
