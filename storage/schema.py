"""Whether a database has the schema of this version, without changing it."""

from __future__ import annotations

from enum import StrEnum

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.database import Database
from storage.migrate import configuration


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
    scripts = ScriptDirectory.from_config(configuration(connection))
    here = set(MigrationContext.configure(connection).get_current_heads())
    if here == set(scripts.get_heads()):
        return Schema.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema.OLDER if here <= known else Schema.NEWER
