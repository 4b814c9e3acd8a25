"""Successors: only one for each chat, however many people ask for it at once; what was stored first stays."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import Chat, Thread
from storage.chats import Chats
from storage.engine.database import Database
from storage.successors import Successor, Successors
from tests.storage.chat_builder import ChatBuilder


@pytest.fixture
def continuations(database: Database) -> Successors:
    return Successors(database)


@pytest.fixture
async def old(builder: ChatBuilder) -> Chat:
    return await builder.filled(4)


async def test_a_chat_is_continued_once_however_many_ask(rivals: list[Database], old: Chat) -> None:
    """Some ask in a thread and some through the API; the first channel stays."""
    places = [None, "C1", "C2", None]

    async def ask(number: int) -> Successor:
        repository = Successors(rivals[number % len(rivals)])
        return await repository.create_continuation(old, f"U{number}", places[number % len(places)])

    got = await asyncio.gather(*(ask(number) for number in range(20)))
    stored = await Successors(rivals[0]).continuation_of(old.id)
    assert stored is not None
    assert {one.chat for one in got} == {stored}
    channels = {one.channel for one in got} - {None}
    assert len(channels) == 1
    (waiting,) = await Successors(rivals[1]).without_thread(0, 10)
    assert waiting.chat.id == stored.id
    assert {waiting.channel} == channels
    assert (stored.team, stored.model, stored.continues) == (old.team, old.model, old.id)


async def test_chats_are_continued_each_by_its_own(
    continuations: Successors, builder: ChatBuilder
) -> None:
    first, second = [await builder.filled(2, f"{number}.0") for number in range(2)]
    made = [
        (await continuations.create_continuation(chat, "U1", "C1")).chat for chat in (first, second)
    ]
    third = (await continuations.create_continuation(made[0], "U1", "C1")).chat
    assert [chat.continues for chat in (*made, third)] == [first.id, second.id, made[0].id]
    assert await continuations.continuation_of(third.id) is None


@pytest.mark.parametrize("what", ["summary", "thread"])
async def test_the_first_of_many_values_stays(
    rivals: list[Database], chats: Chats, old: Chat, what: str
) -> None:
    new = (await Successors(rivals[0]).create_continuation(old, "U1", "C1")).chat

    async def store(number: int) -> Chat:
        repository = Successors(rivals[number % len(rivals)])
        if what == "summary":
            return await repository.set_summary(new.id, f"summary {number}")
        return await repository.set_thread(new.id, f"200.{number}")

    got = await asyncio.gather(*(store(number) for number in range(20)))
    stored = await chats.get(new.id)
    assert {(one.thread_context, one.thread, one.header_ts) for one in got} == {
        (stored.thread_context, stored.thread, stored.header_ts)
    }
    if what == "summary":
        assert (stored.thread_context or "").startswith("summary ")
    else:
        assert stored.thread is not None
        assert stored.header_ts == stored.thread.ts
        assert await chats.find_by_thread(Thread("T1", "C1", stored.thread.ts)) == stored


async def test_those_without_a_thread_are_found_oldest_first_until_they_have_one(
    continuations: Successors, builder: ChatBuilder
) -> None:
    new = []
    for number in range(4):
        chat = await builder.filled(2, f"{number}.0")
        new.append(
            (await continuations.create_continuation(chat, "U1", "C1" if number else None)).chat.id
        )

    async def found(age: float = 0.0, limit: int = 10) -> list[str]:
        return [each.chat.id for each in await continuations.without_thread(age, limit)]

    assert await found(age=3600) == []
    assert await found(limit=2) == new[1:3]
    await continuations.set_thread(new[1], "200.1")
    await continuations.give_up_thread(new[2])
    await continuations.give_up_thread(new[1])  # too late: it has one
    assert await found() == new[3:]
