"""An upgrade leaves the search index to be filled while people write: afterwards it holds all that was ever said."""

from __future__ import annotations

import asyncio

import pytest
from alembic import command
from sqlalchemy import text

from bot.chats.index_filling import IndexFilling
from bot.domain import User
from storage.action_claims import ActionClaims
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.migrate import configuration
from storage.messages import NewMessage
from storage.search_index import SearchIndex

CHATS = 200
ANN = User("T1", "U1")
# As a version before the index stored them: Ann takes part in all chats, everybody else in one.
OLD_ROWS = (
    f"""
INSERT INTO chats (id, team, owner, title, title_by, provider, model, message_count, created_at, updated_at)
SELECT lpad(n::text, 32, '0'), 'T1', 'U1', 'Title ' || n, 'model', 'a', 'b', 2, now(), now()
FROM generate_series(1, {CHATS}) n
""",
    f"""
INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at)
SELECT lpad((n * 2 + m)::text, 32, '0'), lpad(n::text, 32, '0'), m, CASE m WHEN 1 THEN 'user' ELSE 'assistant' END,
  'word' || n, 'done', CASE m WHEN 1 THEN 'U1' END, now(), now()
FROM generate_series(1, {CHATS}) n, generate_series(1, 2) m
""",
    f"""
INSERT INTO participants (team, "user", chat_id, active_at, away)
SELECT 'T1', person, lpad(n::text, 32, '0'), now() - n * interval '1 s', false
FROM generate_series(1, {CHATS}) n, unnest(ARRAY['U1', 'U' || (n + 10)]) person
""",
)
MISSING = text(
    """
SELECT count(*) FROM participants JOIN messages USING (chat_id)
LEFT JOIN passages USING (team, "user", chat_id, number)
WHERE participants.indexed AND messages.text <> '' AND passages.text IS DISTINCT FROM lower(messages.text)
"""
)


async def _old_database(url: str) -> Database:
    database = Database.open(url)
    async with database.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(configuration(sync), "0007"))
        for statement in OLD_ROWS:
            await connection.execute(text(statement))
    await database.migrate()
    return database


async def _talk(chats: Chats, turn: int) -> None:
    """Somebody writes in chats that are just being indexed."""
    for number in range(turn, CHATS + 1, 4):
        message = NewMessage(f"later{number}", ANN.id)
        await chats.add_message(f"{number:032}", message, limit=100)


@pytest.mark.postgres
async def test_old_chats_are_indexed_while_people_write_in_them(postgresql_url: str) -> None:
    database = await _old_database(postgresql_url)
    index = SearchIndex(database)
    fillings = [IndexFilling(index, ActionClaims(database)) for _ in range(2)]
    chats = Chats(database)
    await asyncio.gather(
        *(filling.run() for filling in fillings), *(_talk(chats, turn) for turn in (1, 2, 3, 4))
    )
    async with database.read() as connection:
        indexed = await connection.scalar(
            text("SELECT count(*) FROM participants WHERE indexed AND \"user\" = 'U1'")
        )
        others = await connection.scalar(
            text("SELECT count(*) FROM participants WHERE indexed AND \"user\" <> 'U1'")
        )
        assert (indexed, others) == (CHATS - 50, 0)
        assert await connection.scalar(MISSING) == 0
    for words in ("word17", "later17", "later199", "word3"):
        found = await chats.list_for(ANN, limit=10, words=words)
        assert found.chats, words
    assert await index.next_person(("", "")) is None
    await database.close()


async def test_without_an_index_there_is_nothing_to_fill(database: Database) -> None:
    await IndexFilling(SearchIndex(database), ActionClaims(database)).run()
