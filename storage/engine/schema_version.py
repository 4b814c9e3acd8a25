"""Compares a database's schema with this version's, without changing it."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection, text

from storage.engine.database import Database
from storage.engine.migrate import encoding_problem, revision_of, revisions


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


_MAY_CREATE = """
    SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
       AND coalesce((SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class
                     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
                       AND relname IN ('alembic_version', 'chats', 'messages')), true)
"""
_MAY_WRITE = """
    SELECT has_table_privilege('chats', 'SELECT') AND has_table_privilege('chats', 'INSERT')
       AND has_table_privilege('chats', 'UPDATE') AND has_table_privilege('chats', 'DELETE')
"""


async def setup_problem(database: Database, schema: Schema) -> str | None:
    """What must be changed in the database first: a new one's encoding, or a right that its user lacks to upgrade an
    older schema, or to write to the current one. One line.

    None if nothing is wrong, and for SQLite, where anyone who may write to the file may do everything.
    """
    if database.dialect == "sqlite":
        return None
    query = _MAY_WRITE if schema is Schema.CURRENT else _MAY_CREATE
    async with database.read() as connection:
        if problem := await connection.run_sync(encoding_problem):
            return problem
        if await connection.scalar(text(query)):
            return None
    if schema is Schema.CURRENT:
        return "its user may not write to Bobbin's tables; DATABASE_URL must name the user who owns them"
    return (
        "its user may not create or change tables in the schema; make it the owner of the database "
        "(ALTER DATABASE … OWNER TO …), or GRANT USAGE, CREATE ON SCHEMA public"
    )
