"""Every way to search finds what reading everything finds, in the same order and with the same total."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from bot.domain import TitleBy, User
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from storage.statements.chat_list import ChatPage
from storage.statements.search import SearchLimits
from tests.slow import slow_after
from tests.storage.chat_builder import MODEL

ANN, BEN = User("T1", "U1"), User("T1", "U2")
CHATS = 110
PAGE = 5
SEARCHES = (
    *(
        "every",
        "most",
        "half",
        "third",
        "tenth",
        "rare",
        "older",
        "newer",
        "often",
        "nowhere",
        "title",
        "e",
        "er",
        "%",
    ),
    *(
        "even odd",
        "every rare",
        "third tenth",
        "half most",
        "often every",
        "older newer",
        "most nowhere",
        "rare rare",
    ),
    "e v r y m o s t every",  # more words than are sampled
)
LIMITS = pytest.mark.parametrize(
    ("limits", "seed"),
    slow_after(
        1,
        [
            (SearchLimits(sample_size=8, max_counted=9, max_index_hits=14), 31),
            (SearchLimits(), 0),
            (SearchLimits(sample_size=6, min_sample_hits=1, max_counted=4), 11),
        ],
    ),
    ids=["small", "production", "tiny"],
)
"""With small limits, few chats are enough to take every way."""


def _says(number: int, chance: random.Random) -> list[str]:
    """Two messages and a title of this chat."""
    said = ["every", "even" if number % 2 else "odd"]
    for word, part in (
        ("most", 0.8),
        ("half", 0.5),
        ("third", 0.34),
        ("tenth", 0.1),
        ("rare", 0.03),
        ("often", 0.2),
    ):
        said += [word] if chance.random() < part else []
    said += ["older"] if number < 60 and number % 3 else []
    said += ["newer"] if number > 100 else []
    chance.shuffle(said)
    at = chance.randrange(len(said))
    first, second = " ".join(said[:at]) or "-", " ".join(said[at:])
    again = " often, often" if "often" in said else ""
    return [first + again, second + again, "Title" if chance.random() < 0.1 else "50% of it"]


async def _fill(database: Database, seed: int) -> dict[str, list[str]]:
    """Ann's chats with their texts, in the order of her list; Ben shares some, and she has left some."""
    chats, chance, texts = Chats(database), random.Random(seed), {}
    for number in range(CHATS):
        said = _says(number, chance)
        user = BEN if number % 13 == 5 else ANN
        first = NewMessage(said[0], user.id)
        chat = (await chats.start(team="T1", owner=user.id, model=MODEL, message=first)).chat
        await chats.set_title(chat.id, said[2], TitleBy.PERSON)
        texts[chat.id] = said
    for chat_id in chance.sample(list(texts), CHATS):  # any chat may become active again
        await chats.add_message(
            chat_id, NewMessage(texts[chat_id][1], chance.choice((ANN, ANN, ANN, BEN)).id)
        )
    away = chance.sample(list(texts), 9)
    async with database.begin() as connection:
        for chat_id in away:
            left = text(
                "UPDATE participants SET away = true WHERE \"user\" = 'U1' AND chat_id = :chat"
            )
            await connection.execute(left, {"chat": chat_id})
    listed = await chats.list_for(ANN, limit=CHATS)
    assert not {chat.id for chat in listed.chats} & set(away)
    return {chat.id: texts[chat.id] for chat in listed.chats}


def _expected(texts: dict[str, list[str]], words: str) -> list[str]:
    wanted = words.lower().split()
    return [
        chat
        for chat, said in texts.items()
        if all(any(word in each.lower() for each in said) for word in wanted)
    ]


async def _pages(chats: Chats, words: str) -> list[ChatPage]:
    """All pages from the first to the last and back to the first."""
    pages = [await chats.list_for(ANN, limit=PAGE, words=words)]
    while cursor := pages[-1].next_cursor:
        pages.append(await chats.list_for(ANN, limit=PAGE, words=words, cursor=cursor))
    last = len(pages)
    while cursor := pages[-1].previous_cursor:
        pages.append(await chats.list_for(ANN, limit=PAGE, words=words, cursor=cursor, newer=True))
    assert len(pages) == 2 * last - 1
    return pages


@LIMITS
async def test_every_way_to_search_finds_the_same(
    database: Database, limits: SearchLimits, seed: int
) -> None:
    texts = await _fill(database, seed)
    chats = Chats(database, search_limits=limits)
    for words in SEARCHES:
        expected = _expected(texts, words)
        pages = await _pages(chats, words)
        forth = pages[: (len(pages) + 1) // 2]
        assert [chat.id for page in forth for chat in page.chats] == expected, words
        for page in pages:
            assert page.total <= len(expected), words
            assert page.at_least or page.total == len(expected), words
            assert not page.at_least or page.total >= min(limits.max_counted, len(expected)), words
        for there, back in zip(forth[:-1], pages[: len(forth) - 1 : -1], strict=True):
            assert [chat.id for chat in there.chats] == [chat.id for chat in back.chats], words


@pytest.mark.parametrize("next_ones", slow_after(2, [2, 3, 0, 4]))
async def test_chats_after_the_sample_may_not_fill_the_page(
    database: Database, next_ones: int
) -> None:
    """The sample suggests that the next chats fill the page; these contain too few matches, just enough, or more."""
    chats = Chats(database, search_limits=SearchLimits(sample_size=8))
    wanted = {*range(5, 20), *(60 - at for at in range(next_ones)), *(79, 76, 73)}
    zebras: list[str] = []
    for number in range(80):
        said = NewMessage("zebra" if number in wanted else "horse", ANN.id)
        chat = (await chats.start(team="T1", owner=ANN.id, model=MODEL, message=said)).chat
        zebras = [chat.id, *zebras] if number in wanted else zebras
    pages = await _pages(chats, "zebra")
    assert [chat.id for page in pages[: (len(pages) + 1) // 2] for chat in page.chats] == zebras
    assert {(page.total, page.at_least) for page in pages} == {(len(wanted), False)}


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_a_word_that_occurs_often_in_few_chats_is_counted_completely(
    database: Database,
) -> None:
    """The first hits of the index are then repeatedly the same chat."""
    limits = SearchLimits(sample_size=20, max_index_hits=5)
    chats, talked = Chats(database, search_limits=limits), []
    for number in range(66):
        said = NewMessage("zebra" if number % 6 == 0 else "horse", ANN.id)
        talked.append(
            (await chats.start(team="T1", owner=ANN.id, model=MODEL, message=said)).chat.id
        )
    for _ in range(6):
        await chats.add_message(talked[60], NewMessage("zebra, zebra", ANN.id))
    page = await chats.list_for(ANN, limit=2, words="zebra")
    assert (len(page.chats), page.total, page.at_least) == (2, 11, False)


async def test_a_repeated_word_counts_once(database: Database) -> None:
    chats = Chats(database)
    for number in range(60):
        said = NewMessage("a lonely boat" if number == 3 else "a boat", ANN.id)
        await chats.start(team="T1", owner=ANN.id, model=MODEL, message=said)
    assert (await chats.list_for(ANN, limit=5, words="lonely boat lonely")).total == 1
