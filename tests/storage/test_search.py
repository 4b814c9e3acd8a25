"""Searches find the same in every way to search."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import text

from bot.domain import AnswerResult, Chat, Status, TitleBy, User
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from storage.statements.search import SearchLimits
from tests.storage.chat_builder import MODEL, ChatBuilder

ANN, BEN = User("T1", "U1"), User("T1", "U2")
WORDS = (
    "boat",
    "Lighthouse",
    "100%",
    "a_b",
    "a/b",
    "ÄRGER",
    "it's",
    "ab",
    "日本語",
    "\\n",
    "back\\slash",
    '"quoted"',
)
WAYS = pytest.mark.parametrize(
    ("dialect", "way"),
    [
        ("sqlite", "read"),
        pytest.param("postgresql", "indexed first", marks=pytest.mark.postgres),
        pytest.param("postgresql", "read", marks=(pytest.mark.postgres, pytest.mark.slow)),
        pytest.param("postgresql", "indexed later", marks=(pytest.mark.postgres, pytest.mark.slow)),
    ],
)
"""Whether messages are in PostgreSQL's index: not at all, from the start, or indexed later at once."""
ON_POSTGRESQL = pytest.mark.parametrize("dialect", ["postgresql"])


async def _index(database: Database) -> None:
    """Indexes everything, as if every user had had many chats before."""
    if database.dialect == "postgresql":
        async with database.begin() as connection:
            everything = text("UPDATE participants SET indexed = true WHERE NOT indexed")
            await connection.execute(everything)


async def _indexed(database: Database, user: User) -> int:
    async with database.read() as connection:
        query = text('SELECT count(*) FROM participants WHERE "user" = :user AND indexed')
        return await connection.scalar(query, {"user": user.id}) or 0


async def _start(chats: Chats, said: str, user: User = ANN) -> Chat:
    message = NewMessage(said, user.id)
    return (await chats.start(team=user.team, owner=user.id, model=MODEL, message=message)).chat


async def _fill(database: Database, way: str) -> dict[str, list[str]]:
    """Chats of two users with random words in titles and messages; the texts of Ann's, by chat."""
    chats, chance, texts = Chats(database), random.Random(7), {}
    for number in range(60):
        user = BEN if number % 3 == 0 else ANN
        said = [" ".join(chance.choices(WORDS, k=chance.randrange(1, 4))) for _ in range(3)]
        chat = await _start(chats, said[0], user)
        if way == "indexed first":
            await _index(database)
        await chats.add_message(chat.id, NewMessage(said[1], user.id))
        await chats.set_title(chat.id, said[2], TitleBy.PERSON)
        if user is ANN:
            texts[chat.id] = said
    if way == "indexed later":
        await _index(database)
    return texts


def _expected(texts: dict[str, list[str]], words: str) -> set[str]:
    wanted = [word.lower() for word in words.split()]
    return {
        chat
        for chat, said in texts.items()
        if all(any(word in each.lower() for each in said) for word in wanted)
    }


@WAYS
async def test_words_are_found_paged_and_counted(database: Database, way: str) -> None:
    """All in one database: filling it takes longer than searching it."""
    texts = await _fill(database, way)
    await _assert_each_word_is_found_in_titles_and_messages(database, texts)
    await _assert_a_search_is_paged_and_counted(database, texts)
    await _assert_counting_stops_at_its_limits(database)


async def _assert_each_word_is_found_in_titles_and_messages(
    database: Database, texts: dict[str, list[str]]
) -> None:
    chats = Chats(database)
    more = (
        "BOAT",
        "house",
        "ärger",
        "boat lighthouse",
        "boat 100%",
        "ab 日本語",
        "nowhere",
        "boat nowhere",
        "b",
        "%",
        "本",
    )
    for words in (*WORDS, *more):
        page = await chats.list_for(ANN, limit=100, words=words)
        assert {chat.id for chat in page.chats} == _expected(texts, words), words
        assert (page.total, page.at_least) == (len(page.chats), False)


async def _assert_a_search_is_paged_and_counted(
    database: Database, texts: dict[str, list[str]]
) -> None:
    chats, wanted = Chats(database), _expected(texts, "boat")
    found: list[str] = []
    cursor = None
    while True:
        page = await chats.list_for(ANN, limit=4, words="boat", cursor=cursor)
        found += [chat.id for chat in page.chats]
        assert page.total == len(wanted)
        if (cursor := page.next_cursor) is None:
            break
    assert (len(found), set(found)) == (len(wanted), wanted)
    everything = await chats.list_for(ANN, limit=100)
    assert found == [chat.id for chat in everything.chats if chat.id in wanted]


async def _assert_counting_stops_at_its_limits(database: Database) -> None:
    chats = Chats(database, search_limits=SearchLimits(max_scanned=12, max_counted=5))
    listed, found = (
        await chats.list_for(ANN, limit=3),
        await chats.list_for(ANN, limit=3, words="a"),
    )
    assert [(page.total, page.at_least) for page in (listed, found)] == [(12, True), (5, True)]


@WAYS
async def test_wildcards_in_words_are_literal(database: Database, way: str) -> None:
    said = (
        *(
            "q",
            "qu",
            "Quay",
            "50%",
            "50 %",
            "a_b",
            "axb",
            "1/2",
            "1\\2",
            "don't",
            "dont",
            "{}",
            "x\ny",
            "x\ty",
            "xy",
        ),
        *(
            "Straße",
            "strasse",
            "Ärger",
            "arger",
            "naïve",
            "naive",
            "ПРИВЕТ",
            "é",
            "e\u0301",
            "👍",
            "👍🏽",
            "\x00",
            "\ufffd",
        ),
        *(
            "灯",
            "灯台",
            "灯台守が見える。",
            "東京の灯",
            "台灯",
            "トウキョウ",
            "한국어",
            "한 국 어",
            "a灯",
            "word" * 40,
        ),
    )
    chats = Chats(database)
    texts: dict[str, list[str]] = {}
    for each in said:
        texts[(await _start(chats, f"{each} and more" if len(texts) % 2 else each)).id] = [
            each.replace("\x00", "\ufffd")
        ]
        if way == "indexed first":
            await _index(database)
    for number in range(100):  # so that none of the words is common
        await _start(chats, f"chat {number}")
    if way == "indexed later":
        await _index(database)
    for words in (
        *said,
        "Q",
        "QU",
        "uay",
        "0%",
        "_",
        "/2",
        "\\",
        "ÄR",
        "ß",
        "ß ST",
        "台",
        "台守",
        "守が見える。",
        "привет",
        "Ï",
    ):
        page = await chats.list_for(ANN, limit=100, words=words)
        expected = _expected(texts, words.replace("\x00", "\ufffd"))
        assert {chat.id for chat in page.chats if chat.id in texts} == expected, words


@WAYS
async def test_chats_of_others_are_not_found(database: Database, way: str) -> None:
    chats = Chats(database)
    for number in range(12):
        await _start(
            chats, "tangerine 橘 zq" if number % 2 else "apple 林檎", BEN if number % 2 else ANN
        )
        if way == "indexed first":
            await _index(database)
    if way == "indexed later":
        await _index(database)
    for words in ("tangerine", "橘", "zq", "q"):
        assert [
            (await chats.list_for(user, limit=10, words=words)).total for user in (ANN, BEN)
        ] == [0, 6], words
    stranger = User("T2", ANN.id)
    assert (await chats.list_for(stranger, limit=10, words="apple")).total == 0


@WAYS
async def test_a_rare_word_is_found_beyond_the_sample(database: Database, way: str) -> None:
    """Beyond the sample; and the pages can be followed in both directions."""
    chats = Chats(database)
    rare = [(await _start(chats, f"Zanzibar {number}")).id for number in range(5)]
    for number in range(70):
        await _start(chats, f"chat {number}")
    if way != "read":
        await _index(database)
    first = await chats.list_for(ANN, limit=3, words="ZANZI")
    rest = await chats.list_for(ANN, limit=3, words="ZANZI", cursor=first.next_cursor)
    back = await chats.list_for(
        ANN, limit=3, words="ZANZI", cursor=rest.previous_cursor, newer=True
    )
    assert [chat.id for chat in (*first.chats, *rest.chats)] == rare[::-1]
    assert [chat.id for chat in back.chats] == [chat.id for chat in first.chats]
    assert [(page.total, page.at_least) for page in (first, rest, back)] == [(5, False)] * 3


async def test_the_total_is_never_below_the_length_of_the_page(database: Database) -> None:
    chats = Chats(database, search_limits=SearchLimits(max_scanned=2))
    for number in range(20):
        await _start(chats, "old boat" if number < 12 else "new")
    page = await chats.list_for(ANN, limit=10, words="boat")
    assert (len(page.chats), page.total, page.at_least) == (10, 10, True)


# PostgreSQL's index


@pytest.mark.postgres
@ON_POSTGRESQL
async def test_the_index_is_used_for_words_of_any_length(database: Database) -> None:
    """Without the index, searches of users with many chats would be slow, and no other test would fail."""
    await _fill(database, "indexed later")
    async with database.read() as connection:
        # Autovacuum may have analysed the database while it was empty, between two tests. PostgreSQL then assumes that
        # the table is empty until it is vacuumed, and scans it.
        await connection.execute(text("VACUUM passages"))
    for word in ("灯", "zq", "zanzibar"):
        query = """EXPLAIN SELECT chat_id FROM passages WHERE search_grams(team, "user", text, 1)
            @> search_grams('T1', 'U1', lower(:word), least(length(lower(:word)), 4))"""
        async with database.read() as connection:
            plan = "\n".join(await connection.scalars(text(query), {"word": word}))
        assert "ix_passages_grams" in plan


@pytest.mark.postgres
@ON_POSTGRESQL
@pytest.mark.parametrize(
    "said",
    ["the quick brown fox\njumps over \t it's 100% {lazy}  dogs", "灯台守が見える。 東京の灯", ""],
)
async def test_each_group_of_characters_is_one_index_entry_per_user(
    database: Database, said: str
) -> None:
    """Otherwise the index would find too much, which costs reading, or too little."""
    groups = {
        word[at : at + size]
        for word in said.split()
        for size in (1, 2, 3, 4)
        for at in range(len(word) - size + 1)
    }
    query = text("SELECT search_grams('T1', :user, :said, :shortest)")
    async with database.read() as connection:
        found = {
            (user, shortest): await connection.scalar(
                query, {"user": user, "said": said, "shortest": shortest}
            )
            for user in ("U1", "U2")
            for shortest in (1, 2, 3, 4)
        }
    for user in ("U1", "U2"):
        for shortest in (1, 2, 3, 4):
            assert len(set(found[user, shortest])) == sum(
                len(group) >= shortest for group in groups
            ), shortest
    assert not set(found["U1", 1]) & set(found["U2", 1])


@pytest.mark.postgres
@ON_POSTGRESQL
async def test_first_chats_are_not_indexed_and_later_ones_are(database: Database) -> None:
    chats = Chats(database)
    for number in range(53):
        await _start(chats, f"zebra{number}")
    await _start(chats, "zebra", BEN)
    assert (await _indexed(database, ANN), await _indexed(database, BEN)) == (3, 0)
    for number in (10, 49, 50, 52):
        assert (await chats.list_for(ANN, limit=10, words=f"zebra{number}")).total == 1
    found = await chats.list_for(
        ANN, limit=10, words="zebra5"
    )  # three are in the index, one is not
    assert [found.total, found.at_least] == [4, False]


@pytest.mark.postgres
@ON_POSTGRESQL
async def test_changed_text_is_found_as_it_is_now(database: Database, builder: ChatBuilder) -> None:
    chat = (await builder.start(text="the first question")).chat
    await _index(database)
    await builder.answer(chat, "a half", Status.FAILED)
    failed = (await builder.chats.messages(chat.id))[1]
    assert await builder.replies.retry(failed.id) is not None
    await builder.answer(chat, "the whole answer")
    await builder.say(chat, "second")
    await builder.answer(chat, "")
    await builder.chats.set_title(chat.id, "Fruit", TitleBy.PERSON)
    await builder.chats.set_title(chat.id, "Vegetables", TitleBy.PERSON)
    for number in range(3):
        await builder.start(f"{number}.0", "other")

    async def found(words: str) -> bool:
        return bool((await builder.chats.list_for(ANN, limit=10, words=words)).chats)

    for words in ("first", "whole", "SECOND", "vege", "answer vegetables"):
        assert await found(words), words
    for words in ("half", "fruit", "first fruit"):
        assert not await found(words), words
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM chats"))
        assert await connection.scalar(text("SELECT count(*) FROM passages")) == 0


@pytest.mark.postgres
@ON_POSTGRESQL
async def test_a_new_participant_finds_earlier_and_concurrent_messages(
    database: Database, builder: ChatBuilder, answers: Answers
) -> None:
    """An answer ends while the newcomer's first message is being stored: neither transaction sees the other."""
    for number in range(50):
        await _start(builder.chats, f"chat {number}", BEN)
    chat = (await builder.start(text="a question of Ann's")).chat
    answer = await answers.claim(chat.id, "writer", 30)
    assert answer is not None
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE chats SET message_count = message_count WHERE id = :id"), {"id": chat.id}
        )
        joins = text(
            "INSERT INTO participants (team, \"user\", chat_id, active_at) VALUES ('T1', 'U2', :id, now())"
        )
        await connection.execute(joins, {"id": chat.id})
        writing = asyncio.create_task(
            answers.save_result(
                answer.id, "writer", AnswerResult(Status.DONE, "an answer about cranes")
            )
        )
        await asyncio.sleep(0.3)
    assert await writing
    assert await _indexed(database, BEN) == 1
    for words in ("ann's", "cranes"):
        assert [
            one.id for one in (await builder.chats.list_for(BEN, limit=10, words=words)).chats
        ] == [chat.id], words
