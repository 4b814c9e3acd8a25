"""Summaries of the earlier part of a chat: each is written once, by one process, and never changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select

from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.statements.quotes import count_people
from storage.tables import summaries


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model wrote about the messages `since` to `through` of a chat."""

    since: int
    through: int
    text: str = field(repr=False)

    @property
    def count(self) -> int:
        """How many messages it replaces."""
        return self.through - self.since + 1


class Summaries:
    """The repository of summaries. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, chat_id: str, since: int, before: int) -> Summary | None:
        """The summary from message `since` on that reaches furthest, but not to message `before`."""
        query = (
            select(summaries)
            .where(
                summaries.c.chat_id == chat_id,
                summaries.c.since == since,
                summaries.c.through < before,
            )
            .order_by(summaries.c.through.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Summary(row.since, row.through, row.text)

    async def people(self, chat_id: str, since: int, through: int) -> int:
        """How many authors and quotes these messages have: fewer once somebody has been erased from them."""
        async with self._database.read() as connection:
            return await count_people(connection, chat_id, since, through)

    async def store(self, chat_id: str, summary: Summary, people: int) -> None:
        """Stores it, unless there is one of the same messages, or somebody has been erased from them.

        `people`: what `people` returned before the messages were read for it.
        """
        row = {
            "chat_id": chat_id,
            "since": summary.since,
            "through": summary.through,
            "text": summary.text,
            "created_at": utc_now(),
        }
        async with self._database.begin() as connection:
            known = await count_people(
                connection, chat_id, summary.since, summary.through, lock=True
            )
            if known != people:
                return
            insert = dialect_insert(connection, summaries)
            await connection.execute(insert.values(row).on_conflict_do_nothing())
