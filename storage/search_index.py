"""Fills the search index of people with many chats in the background, on PostgreSQL, after the upgrade that introduced
it.

Migration 0008 creates the index empty. Until a chat is indexed, searches read the chat itself: slower, but correct.
"""

from __future__ import annotations

from sqlalchemy import text

from storage.engine.database import Database

BATCH = 20
"""Chats of one person that are indexed in one transaction, during which nobody else can write in them."""

# People who have more chats than are read without the index (migration 0008). The sample keeps the query short.
_NEXT_PERSON = text(
    """
SELECT team, "user" FROM participants WHERE NOT away AND NOT indexed AND (team, "user") > (:team, :user)
GROUP BY team, "user" HAVING count(*) > 50 ORDER BY team, "user" LIMIT 1
"""
)
_NEXT_CHATS = text(
    """
SELECT chat_id FROM (
  SELECT chat_id, row_number() OVER (ORDER BY active_at DESC, chat_id) AS turn FROM participants
  WHERE team = :team AND "user" = :user AND NOT away AND NOT indexed
) AS own WHERE turn > 50 LIMIT :most
"""
)
# Adding a message requires the chat's row. So either what is added is seen here, or its transaction sees that the chat
# is indexed.
_LOCK = text("SELECT id FROM chats WHERE id = ANY (:chats) ORDER BY id FOR UPDATE")
_INDEX = text(
    """
UPDATE participants SET indexed = true
WHERE team = :team AND "user" = :user AND chat_id = ANY (:chats) AND NOT indexed
"""
)


class SearchIndex:
    """The repository of chats that are not indexed yet. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def exists(self) -> bool:
        return self._database.dialect == "postgresql"

    async def next_person(self, after: tuple[str, str]) -> tuple[str, str] | None:
        """Team and id of the next person with chats that should be indexed, in order."""
        async with self._database.search() as connection:
            found = await connection.execute(_NEXT_PERSON, {"team": after[0], "user": after[1]})
            row = found.one_or_none()
        return None if row is None else (row.team, row.user)

    async def index_some(self, team: str, user: str) -> int:
        """Indexes some of a person's chats, all but their newest; returns how many, 0 when there are no more."""
        async with self._database.begin() as connection:
            person = {"team": team, "user": user}
            chats = list((await connection.scalars(_NEXT_CHATS, person | {"most": BATCH})).all())
            if chats:
                await connection.execute(_LOCK, {"chats": chats})
                await connection.execute(_INDEX, person | {"chats": chats})
        return len(chats)
