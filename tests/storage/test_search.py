"""Searches find the same by every way that there is to look."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from bot.domain import Person, TitleBy
from storage.chats import Chats, NewMessage
from storage.database import Database
from tests.storage.saying import MODEL

ANN, BEN = Person("T1", "U1"), Person("T1", "U2")
WORDS = ("boat", "Lighthouse", "100%", "a_b", "a/b", "ÄRGER", "it's", "ab", "日本語", "\\n", "back\\slash", '"quoted"')


async def _fill(chats: Chats) -> dict[str, list[str]]:
    """Chats of two people with random words in titles and messages; the texts of Ann's, by chat."""
    chance, texts = random.Random(7), {}
    for number in range(60):
        person = BEN if number % 3 == 0 else ANN
        said = [" ".join(chance.choices(WORDS, k=chance.randrange(1, 4))) for _ in range(3)]
        first = await chats.start(team="T1", owner=person.user, model=MODEL, message=NewMessage(said[0], person.user))
        await chats.say(first.chat.id, NewMessage(said[1], person.user))
        await chats.set_title(first.chat.id, said[2], TitleBy.PERSON)
        if person is ANN:
            texts[first.chat.id] = said
    return texts


def _expected(texts: dict[str, list[str]], words: str) -> set[str]:
    wanted = [word.lower() for word in words.split()]
    return {chat for chat, said in texts.items() if all(any(word in each.lower() for each in said) for word in wanted)}


@pytest.mark.parametrize("indexed", [True, False])
async def test_each_word_is_found_wherever_it_stands(database: Database, indexed: bool) -> None:
    if not indexed and database.dialect == "postgresql":
        async with database.begin() as connection:
            await connection.execute(text("DROP INDEX ix_messages_trigrams, ix_chats_trigrams"))
    chats = Chats(database)
    texts = await _fill(chats)
    for words in (
        *WORDS,
        "BOAT",
        "house",
        "ärger",
        "boat lighthouse",
        "boat 100%",
        "ab 日本語",
        "nowhere",
        "boat nowhere",
    ):
        page = await chats.list_for(ANN, limit=100, words=words)
        assert {chat.id for chat in page.chats} == _expected(texts, words), words
        assert (page.total, page.at_least) == (len(page.chats), False)


async def test_a_search_is_paged_and_counted(database: Database) -> None:
    chats = Chats(database)
    wanted = _expected(await _fill(chats), "boat")
    found: list[str] = []
    cursor = None
    while True:
        page = await chats.list_for(ANN, limit=4, words="boat", cursor=cursor)
        found += [chat.id for chat in page.chats]
        assert page.total == len(wanted)
        if (cursor := page.next_cursor) is None:
            break
    assert (len(found), set(found)) == (len(wanted), wanted)


async def test_counting_ends_where_it_would_become_dear(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.listing.MOST_COUNTED", 12)
    monkeypatch.setattr("storage.listing.MOST_FOUND", 5)
    chats = Chats(database)
    await _fill(chats)
    listed, found = await chats.list_for(ANN, limit=3), await chats.list_for(ANN, limit=3, words="a")
    assert [(page.total, page.at_least) for page in (listed, found)] == [(12, True), (5, True)]


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_a_rare_word_is_looked_up_in_the_index(database: Database) -> None:
    """Only PostgreSQL has it; what is asked of it must fit it, or searches of people with many chats become slow."""
    await _fill(Chats(database))
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        query = "EXPLAIN SELECT 1 FROM messages WHERE text ILIKE '%' || 'lighthouse' || '%' ESCAPE '/'"
        plan = "\n".join(await connection.scalars(text(query)))
    assert "ix_messages_trigrams" in plan
