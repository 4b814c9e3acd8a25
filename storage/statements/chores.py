"""Adds chores inside the caller's transaction; `storage.chores` draws their states."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.chores import Chore
from storage.engine.types import database_time
from storage.statements.queries import dialect_insert
from storage.tables import answers, chores


async def add_chores(
    connection: AsyncConnection, answer_id: str, added: Mapping[Chore, float]
) -> None:
    """Adds chores to an answer, each with the seconds until it is due.

    A chore that already exists starts over, but not before the claim on it has ended.
    """
    if added:  # the answer first, as in all transactions, to prevent deadlocks
        await connection.execute(
            select(answers.c.message_id).where(answers.c.message_id == answer_id).with_for_update()
        )
    for chore, delay in added.items():
        new = dialect_insert(connection, chores).values(
            message_id=answer_id, kind=chore, due_at=database_time(delay), tries=0
        )
        later = case(
            (new.excluded.due_at > chores.c.due_at, new.excluded.due_at), else_=chores.c.due_at
        )
        await connection.execute(
            new.on_conflict_do_update(
                index_elements=[chores.c.message_id, chores.c.kind],
                set_={"due_at": later, "tries": 0},
            )
        )
