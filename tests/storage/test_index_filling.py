"""After an upgrade the search index is filled while people write; afterwards it contains every message."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.chats.index_filling import IndexFilling
from storage.action_claims import ActionClaims
from storage.chats import Chats
from storage.engine.database import Database
from storage.search_index import SearchIndex
from tests.storage.old_database import ANN, MISSING, WRITERS, OldDatabase, people_writing

CHATS = 200
INDEXED = text("SELECT count(*) FROM participants WHERE indexed AND \"user\" = 'U1'")
OTHERS_INDEXED = text("SELECT count(*) FROM participants WHERE indexed AND \"user\" <> 'U1'")


async def check_filled(old: OldDatabase, words: tuple[str, ...]) -> None:
    """The index holds all of whoever has many chats, but of the newest fifty."""
    async with old.database.read() as connection:
        assert await connection.scalar(INDEXED) == old.chats - 50
        assert await connection.scalar(OTHERS_INDEXED) == 0
        assert await connection.scalar(MISSING) == 0
    for word in words:
        assert (await Chats(old.database).list_for(ANN, limit=10, words=word)).chats, word
    assert await SearchIndex(old.database).next_person(("", "")) is None
    await old.database.close()


async def _talk(old: OldDatabase, turn: int) -> None:
    """Writes in chats that are being indexed."""
    for number in range(turn, CHATS, WRITERS):
        await old.write(number)


@pytest.mark.postgres
async def test_old_chats_are_indexed_while_people_write_in_them(postgresql_url: str) -> None:
    old = await OldDatabase.create(postgresql_url, CHATS, messages=2)
    await old.database.migrate()
    await asyncio.gather(old.fill(), *(_talk(old, turn) for turn in range(WRITERS)))
    await check_filled(old, ("word17", "later17", "later199", "word3"))


@pytest.mark.slow
@pytest.mark.postgres
async def test_two_hundred_thousand_messages_are_upgraded_while_people_are_served(
    postgresql_url: str,
) -> None:
    """By the replicas of the version before while the tables change, by the new ones while the index is filled."""
    old = await OldDatabase.create(postgresql_url, 2_500, messages=80)
    async with people_writing(old.write_as_before) as before:
        await old.database.migrate()
    async with people_writing(old.write) as after:
        await old.fill()
        while_filled = len(after.seconds)
    written = len(before.seconds) + 2 * len(after.seconds)  # each of the latter has an answer
    async with old.database.read() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM messages"))
    assert count == 200_000 + written
    assert while_filled >= WRITERS
    await check_filled(old, ("word17", "later3", "old"))


async def test_without_an_index_there_is_nothing_to_fill(database: Database) -> None:
    await IndexFilling(SearchIndex(database), ActionClaims(database)).run()
