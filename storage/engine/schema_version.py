"""Compares a database's schema with this version's, without changing it."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection

from storage.engine.database import Database
from storage.engine.migrate import revision_of, revisions


class Schema(StrEnum):
    """A database's schema relative to this version of the program."""

    CURRENT = "current"
    OLDER = "older"
    """Or it does not exist yet; the next start upgrades it."""
    NEWER = "newer"
    """A newer version has migrated it; this version must not write."""


async def schema_of(database: Database) -> Schema:
    """Compares the schemas. Raises StorageError when the database cannot be reached."""
    async with database.read() as connection:
        return await connection.run_sync(_compare)


def _compare(connection: Connection) -> Schema:
    current = revision_of(connection)
    known = revisions()
    if current == known[-1]:
        return Schema.CURRENT
    return Schema.OLDER if current is None or current in known else Schema.NEWER
