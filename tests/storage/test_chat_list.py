"""Lists of chats: their order, pages, cursors and searches."""

from __future__ import annotations

import pytest

from bot.domain import Thread, TitleBy, User
from bot.errors import ChatNotFound, InvalidInput
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.storage.chat_builder import MODEL, ChatBuilder


async def test_lists_are_paged_with_the_most_recently_active_chat_first(
    chats: Chats, builder: ChatBuilder
) -> None:
    started = [(await builder.start(f"{number}.0")).chat for number in range(7)]
    await builder.say(started[2], "again", author="U2")
    expected = [started[number].id for number in (2, 6, 5, 4, 3, 1, 0)]
    ann = User("T1", "U1")
    seen: list[str] = []
    cursor = None
    for size in (3, 3, 1):
        page = await chats.list_for(ann, limit=3, cursor=cursor)
        assert (len(page.chats), page.total) == (size, 7)
        seen += [chat.id for chat in page.chats]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == expected
    assert [chat.id for chat in (await chats.list_for(User("T1", "U2"), limit=9)).chats] == [
        started[2].id
    ]


async def test_chats_of_other_channels_are_not_listed_or_counted(
    database: Database, chats: Chats, builder: ChatBuilder
) -> None:
    """Pages are as full as if there were no such chats; those of the API alone are in no channel."""
    ann = User("T1", "U1")
    for number, channel in enumerate(("C1", "C2", "D1", None) * 3):
        thread = Thread("T1", channel, f"{number}.0") if channel else None
        message = NewMessage("A boat.", "U1", source=f"{number}")
        await chats.start(team="T1", owner="U1", model=MODEL, thread=thread, message=message)
    for patterns, count in ((("c1", "T1/D*"), 9), (("C2",), 6), (("T2/*",), 3), ((), 12)):
        restricted = Chats(database, channels=patterns)
        for words in ("", "boat"):
            first = await restricted.list_for(ann, limit=4, words=words)
            assert (len(first.chats), first.total) == (min(count, 4), count)
            seen = list(first.chats)
            cursor = first.next_cursor
            while cursor:
                page = await restricted.list_for(ann, limit=4, words=words, cursor=cursor)
                seen += page.chats
                cursor = page.next_cursor
            assert len(seen) == count


async def test_pages_can_be_followed_back(chats: Chats, builder: ChatBuilder) -> None:
    ann = User("T1", "U1")
    for number in range(7):
        await builder.start(f"{number}.0")
    first = await chats.list_for(ann, limit=3)
    second = await chats.list_for(ann, limit=3, cursor=first.next_cursor)
    third = await chats.list_for(ann, limit=3, cursor=second.next_cursor)
    assert first.previous_cursor is None
    assert third.next_cursor is None

    back = await chats.list_for(ann, limit=3, cursor=third.previous_cursor, newer=True)
    assert (back.chats, back.next_cursor) == (second.chats, second.next_cursor)
    start = await chats.list_for(ann, limit=3, cursor=back.previous_cursor, newer=True)
    assert (start.chats, start.previous_cursor) == (first.chats, None)
    assert (
        await chats.list_for(ann, limit=3, cursor=first.next_cursor, newer=True)
    ).chats == first.chats[:2]


async def test_chats_of_a_private_channel_are_hidden_from_a_user_who_left_it(
    chats: Chats, builder: ChatBuilder, thread: Thread
) -> None:
    ann, bob = User("T1", "U1"), User("T1", "U2")
    chat = (await builder.start()).chat
    await builder.say(chat, "me too", author="U2")
    await chats.set_away(ann, thread.channel, True)
    assert (await chats.list_for(ann, limit=5)).total == 0
    assert (await chats.list_for(bob, limit=5)).total == 1
    assert await chats.participants(chat.id) == [bob]
    with pytest.raises(ChatNotFound):
        await chats.get_visible_to(ann, chat.id)

    await builder.say(chat, "I go on", author="U2")
    assert (await chats.list_for(ann, limit=5)).total == 0
    await chats.set_away(ann, "C9", False)
    assert (await chats.list_for(ann, limit=5)).total == 0
    await chats.set_away(ann, thread.channel, False)
    assert (await chats.get_visible_to(ann, chat.id)).id == chat.id

    await chats.set_away(ann, thread.channel, True)
    await builder.say(chat, "back, without an event", author="U1")
    assert (await chats.list_for(ann, limit=5)).total == 1


async def test_a_page_that_ends_the_list_has_no_next_cursor(
    chats: Chats, builder: ChatBuilder
) -> None:
    for number in range(3):
        await builder.start(f"{number}.0")
    assert (await chats.list_for(User("T1", "U1"), limit=3)).next_cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "!", "äö", "AAAA", "MjAyNi0xMS0yMFQwMDowMDowMCB4", "x" * 1000]
)
async def test_a_forged_cursor_is_invalid_input(chats: Chats, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await chats.list_for(User("T1", "U1"), limit=3, cursor=cursor)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("pears", {"1.0"}),
        ("PEARS apples", {"1.0"}),
        ("äpfel", {"2.0"}),
        ("ÄPFEL BIRNEN", {"2.0"}),
        ("title", {"3.0"}),
        ("TITLE answer", {"3.0"}),
        ("100%", {"2.0"}),
        ("a_b", {"3.0"}),
        ("axb", set()),
        ("back\\slash", {"1.0"}),
        ("fruit", {"1.0", "2.0"}),
        ("fruit nothing", set()),
        ("' OR 1=1 --", set()),
        ("  ", {"1.0", "2.0", "3.0"}),
    ],
)
async def test_every_word_must_occur_somewhere(
    chats: Chats, builder: ChatBuilder, words: str, found: set[str]
) -> None:
    await builder.start("1.0", "Apples and pears: fruit; back\\slash")
    await builder.start("2.0", "Äpfel und Birnen: 100% FRUIT")
    third = (await builder.start("3.0", "a_b")).chat
    await chats.set_title(third.id, "A Title", TitleBy.MODEL)
    await builder.answer(third, "The Answer")
    page = await chats.list_for(User("T1", "U1"), limit=10, words=words)
    assert {chat.thread.ts for chat in page.chats if chat.thread} == found
    assert page.total == len(found)
