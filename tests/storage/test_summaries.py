"""Summaries: only one for the same messages, whoever writes it first; the one that covers the most messages is
found.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from bot.domain import Chat
from storage.engine.database import Database
from storage.summaries import Summaries, Summary
from storage.tables import summaries as table
from tests.storage.chat_builder import ChatBuilder


@pytest.fixture
def summaries(database: Database) -> Summaries:
    return Summaries(database)


@pytest.fixture
async def chat(builder: ChatBuilder) -> Chat:
    return await builder.filled(2)


async def test_the_first_of_many_summaries_stays(rivals: list[Database], chat: Chat) -> None:
    async def store(number: int) -> Summary | None:
        repository = Summaries(rivals[number % len(rivals)])
        await repository.store(chat.id, Summary(1, 40, f"{number}"), 1)
        return await repository.find(chat.id, 1, 41)

    found = set(await asyncio.gather(*(store(number) for number in range(20))))
    assert len(found) == 1
    async with rivals[0].read() as connection:
        (row,) = (await connection.execute(select(table))).all()
    assert found == {Summary(1, 40, row.text)}


@pytest.mark.parametrize(
    ("since", "before", "found"),
    [
        (1, 61, 60),
        (1, 60, 40),
        (1, 41, 40),
        (1, 40, 20),
        (1, 20, None),
        (2, 99, None),
        (41, 99, 60),
    ],
)
async def test_the_summary_that_reaches_furthest_is_found(
    summaries: Summaries, chat: Chat, since: int, before: int, found: int | None
) -> None:
    for first, last in ((1, 40), (1, 60), (1, 20), (41, 60)):
        await summaries.store(chat.id, Summary(first, last, f"{first}-{last}"), first == 1)
    expected = None if found is None else Summary(since, found, f"{since}-{found}")
    assert await summaries.find(chat.id, since, before) == expected


async def test_a_summary_holds_any_text_and_belongs_to_its_chat(
    summaries: Summaries, chat: Chat, builder: ChatBuilder
) -> None:
    other = await builder.filled(2, "9.0")
    await summaries.store(chat.id, Summary(1, 2, "a\x00b\ud800 'ü' %s :x"), 1)
    found = await summaries.find(chat.id, 1, 3)
    assert found is not None
    assert found.text == "a\ufffdb? 'ü' %s :x"
    assert found.count == 2
    assert await summaries.find(other.id, 1, 3) is None
