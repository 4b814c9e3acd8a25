"""Whether a database has the schema of this version, without changing it."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection

from storage.engine.database import Database
from storage.engine.migrate import revision_of, revisions


class Schema(StrEnum):
    """How a database's schema stands to this version of the program."""

    CURRENT = "current"
    OLDER = "older"
    """Or there is none yet: the next start brings it up."""
    NEWER = "newer"
    """A newer version has been here; this one must not write."""


async def schema_of(database: Database) -> Schema:
    """Raises StorageError when the database cannot be asked."""
    async with database.read() as connection:
        return await connection.run_sync(_compare)


def _compare(connection: Connection) -> Schema:
    here, known = revision_of(connection), revisions()
    if here == known[-1]:
        return Schema.CURRENT
    return Schema.OLDER if here is None or here in known else Schema.NEWER
