"""Daily sums of usage that are moved from people to nobody in particular."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.statements.queries import dialect_insert
from storage.tables import usage_days

_KEYS = tuple(usage_days.primary_key)


async def anonymise_days(
    connection: AsyncConnection, selected: ColumnElement[bool], limit: int
) -> int:
    """Moves some of these sums; returns how many."""
    some = select(usage_days).where(selected, usage_days.c.user != "").limit(limit)
    rows = (await connection.execute(some)).mappings().all()
    for row in rows:
        own = and_(*(usage_days.c[key.name] == row[key.name] for key in _KEYS))
        await connection.execute(delete(usage_days).where(own))
        added = dialect_insert(connection, usage_days).values({**row, "user": ""})
        sums = {
            column.name: column + added.excluded[column.name]
            for column in usage_days.c
            if column not in _KEYS
        }
        keys = [key.name for key in _KEYS]
        await connection.execute(added.on_conflict_do_update(index_elements=keys, set_=sums))
    return len(rows)
