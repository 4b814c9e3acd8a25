"""API tokens: shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import and_, or_, update

from bot.domain import Person
from storage.columns import database_time, utc_now
from storage.database import Database
from storage.tables import api_tokens

_PREFIX = "bobbin_"


class Tokens:
    """Every method is one transaction; all raise StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, person: Person, *, valid_for: timedelta | None = None) -> str:
        """A new token that names this person; it cannot be read again."""
        token = _PREFIX + secrets.token_urlsafe(32)
        now = utc_now()
        async with self._database.begin() as connection:
            await connection.execute(
                api_tokens.insert().values(
                    hash=_hash(token),
                    team=person.team,
                    user=person.user,
                    created_at=now,
                    expires_at=None if valid_for is None else now + valid_for,
                )
            )
        return token

    async def person(self, token: str) -> Person | None:
        """Whom a token names; None for an unknown, expired or revoked one."""
        valid = and_(
            api_tokens.c.hash == _hash(token),
            api_tokens.c.revoked_at.is_(None),
            or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > database_time()),
        )
        query = update(api_tokens).where(valid).values(last_used_at=database_time())
        async with self._database.begin() as connection:
            row = (await connection.execute(query.returning(api_tokens.c.team, api_tokens.c.user))).one_or_none()
        return None if row is None else Person(row.team, row.user)

    async def revoke(self, person: Person) -> int:
        """End all tokens of this person; how many there were."""
        valid = and_(
            api_tokens.c.team == person.team, api_tokens.c.user == person.user, api_tokens.c.revoked_at.is_(None)
        )
        async with self._database.begin() as connection:
            done = await connection.execute(update(api_tokens).where(valid).values(revoked_at=database_time()))
            return done.rowcount


def _hash(token: str) -> str:
    # The token has 256 random bits: nothing slower than SHA-256 would make it harder to guess.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
