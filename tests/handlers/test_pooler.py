"""PostgreSQL behind PgBouncer, in both of its modes, without a setting."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from pydantic import SecretStr
from sqlalchemy import literal, select

from bot.domain import User
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_mute_database import PostgresReader
from tests.storage.chat_builder import MODEL

pytestmark = pytest.mark.postgres


async def test_every_statement_gets_its_own_answer(pooled_url: str) -> None:
    """Different statements from many connections, often enough that a driver would prepare them."""
    database = Database.open(pooled_url, timing=patient_timing())
    await asyncio.gather(*(database.migrate() for _ in range(2)))

    async def ask(number: int) -> bool:
        columns = [literal(number * 100 + at) for at in range(1 + number % 7)]
        async with database.read() as connection:
            row = (await connection.execute(select(*columns))).one()
        return list(row) == [number * 100 + at for at in range(1 + number % 7)]

    found: Counter[bool] = Counter()
    for start in range(0, 300, 60):
        found += Counter(await asyncio.gather(*map(ask, range(start, start + 60))))
    assert found == {True: 300}
    await database.close()


async def test_writes_and_searches_work(pooled_url: str) -> None:
    database, ann = Database.open(pooled_url, timing=patient_timing()), User("T1", "U1")
    await database.migrate()
    chats = Chats(database)
    said = [NewMessage(f"boat {number} of the fleet", ann.id) for number in range(70)]
    await asyncio.gather(
        *(chats.start(team=ann.team, owner=ann.id, model=MODEL, message=each) for each in said)
    )
    for word, expected in (("boat", 70), ("boat 69", 1), ("nowhere", 0)):
        found = await asyncio.gather(*(chats.list_for(ann, limit=5, words=word) for _ in range(8)))
        assert {page.total for page in found} == {expected}
    await database.ping()
    await database.close()


async def test_the_whole_product_works_without_a_setting(
    worlds: WorldFactory, postgresql_url: str, pooled_url: str
) -> None:
    """Half of the answers are long enough for leases to be renewed several times."""
    questions = {f"Question {number}?": f"Answer {number}, " * 30 for number in range(8)}
    timing = patient_timing(lease_renew_interval=0.5)
    async with worlds(database_url=SecretStr(pooled_url), timing=timing) as world:
        world._reader = PostgresReader(postgresql_url)
        world.reply_to(questions, rate=40)
        threads = [await world.start(question) for question in questions]
        for thread, answer in zip(threads, questions.values(), strict=True):
            assert [each.strip() for each in await world.answered(thread)] == [answer.strip()]
        for thread in threads[:3]:
            await world.slack.conversations.say("alice", "general", "Question 0?", thread)
        for thread in threads[:3]:
            assert len(await world.answered(thread, 2)) == 2
        await world.idle()
        warned = [
            line for line in world.lines() if line["event"].startswith(("storage", "database"))
        ]
        assert warned == []
