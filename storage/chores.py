"""Chores: what is left to do for an answer besides its text. Each is a row until it is done.

    added --claim--> being done --complete--> (no row)
      ^                 |
      +----postpone-----+   or the claim lapses, because its process died

`due_at` is when a chore may be claimed: by anyone, so it is the end of the claim while a process does the chore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, delete, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Chore
from storage.engine.database import Database
from storage.engine.types import database_time
from storage.queries import dialect_insert
from storage.tables import answers, chores

_KNOWN = chores.c.kind.in_(list(Chore))
"""A newer version, running beside this one, may have stored others."""
_DUE = and_(chores.c.due_at <= database_time(), _KNOWN)


@dataclass(frozen=True, slots=True)
class ClaimedChore:
    """A chore that this process does now."""

    answer_id: str
    chore: Chore
    tries: int
    """How often it has been claimed, this time included."""


class Chores:
    """The repository of chores. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, answer_id: str, seconds: float) -> list[ClaimedChore]:
        """The chores of an answer that are due. For `seconds` nobody else gets them.

        It waits for no other transaction: what another one is changing is left for later.
        """
        due = and_(chores.c.message_id == answer_id, _DUE)
        free = select(chores.c.kind).where(due).with_for_update(skip_locked=True)
        query = (
            update(chores)
            .where(due, chores.c.kind.in_(free))
            .values(due_at=database_time(seconds), tries=chores.c.tries + 1)
            .returning(chores.c.kind, chores.c.tries)
        )
        async with self._database.begin() as connection:
            rows = await connection.execute(query)
            return [ClaimedChore(answer_id, Chore(row.kind), row.tries) for row in rows]

    async def complete(self, claimed: ClaimedChore, then: Iterable[Chore] = ()) -> None:
        """The chore is done; `then` is what it leads to."""
        async with self._database.begin() as connection:
            await add_chores(connection, claimed.answer_id, dict.fromkeys(then, 0.0))
            await connection.execute(delete(chores).where(_is(claimed)))

    async def postpone(
        self, claimed: ClaimedChore, seconds: float, *, counted: bool = True
    ) -> None:
        """The chore may be claimed again after `seconds`. `counted`: as one more try."""
        tries = chores.c.tries if counted else chores.c.tries - 1
        query = update(chores).where(_is(claimed))
        async with self._database.begin() as connection:
            await connection.execute(query.values(due_at=database_time(seconds), tries=tries))

    async def show_again(self, answer_id: str) -> str | None:
        """Let any worker write an ended answer into its messages once more; the id of its chat, if it has ended."""
        query = (
            update(answers)
            .where(answers.c.message_id == answer_id, answers.c.state == "ended")
            .values(state="showing", owner=null(), lease_until=database_time())
            .returning(answers.c.chat_id)
        )
        async with self._database.begin() as connection:
            chat_id: str | None = await connection.scalar(query)
            return chat_id

    async def forget_leftovers(self, answer_id: str) -> None:
        """The leftovers of an ended answer are deleted."""
        ended = and_(answers.c.message_id == answer_id, answers.c.state == "ended")
        async with self._database.begin() as connection:
            parts = await connection.scalar(select(answers.c.parts).where(ended)) or []
            kept = [part for part in parts if not part.get("leftover")]
            await connection.execute(update(answers).where(ended).values(parts=kept))

    async def due(self, limit: int) -> list[str]:
        """Ids of answers with chores that are due, the longest waiting first."""
        query = select(chores.c.message_id).where(_DUE).order_by(chores.c.due_at).limit(limit)
        async with self._database.read() as connection:
            return list(dict.fromkeys(await connection.scalars(query)))


async def add_chores(
    connection: AsyncConnection, answer_id: str, added: Mapping[Chore, float]
) -> None:
    """Add chores to an answer, each with the seconds until it is due.

    One that is there already starts anew, but not before the claim on it has ended.
    """
    if added:  # the answer first, as in all transactions, so that no two ever wait for each other
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


def _is(claimed: ClaimedChore) -> ColumnElement[bool]:
    """The row, as long as nobody has claimed or added the chore again."""
    return and_(
        chores.c.message_id == claimed.answer_id,
        chores.c.kind == claimed.chore,
        chores.c.tries == claimed.tries,
    )
