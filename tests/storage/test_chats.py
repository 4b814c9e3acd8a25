"""Chats and messages, without concurrency."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bot.domain import DEFAULT_TITLE, Image, Role, SharedFile, Status, Thread, TitleBy, User
from bot.errors import ChatNotFound, LimitReached
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.messages import NewMessage
from storage.statements.images import ImageBudget, first_kept
from tests.storage.chat_builder import MODEL, ChatBuilder

PNG = Image("a.png", "image/png", b"\x89PNG\x00")
GIF = Image("b.gif", "image/gif", b"GIF")
SHARED = SharedFile("F1", "c.txt", "text/plain", 3, "https://files.slack.com/c.txt")


async def test_start_stores_the_chat_its_message_and_a_waiting_answer(
    chats: Chats, thread: Thread
) -> None:
    said = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        thread=thread,
        context="before",
        header_ts="100.2",
        message=NewMessage("hello", "U1", author_team="T9", source="100.1", ts="100.1"),
    )
    assert (said.duplicate, said.queued) == (False, False)
    chat = await chats.get(said.chat.id)
    assert chat == said.chat == await chats.find_by_thread(thread)
    assert (chat.title, chat.title_by, chat.model, chat.message_count) == (
        DEFAULT_TITLE,
        TitleBy.DEFAULT,
        MODEL,
        2,
    )
    assert (chat.thread, chat.thread_context, chat.header_ts, chat.owner) == (
        thread,
        "before",
        "100.2",
        "U1",
    )
    user, assistant = await chats.messages(chat.id)
    assert user == said.message
    assert (user.number, user.role, user.text, user.status) == (1, Role.USER, "hello", Status.DONE)
    assert (user.author, user.source) == ("U1", "100.1")
    assert (assistant.number, assistant.role, assistant.text, assistant.status) == (
        2,
        Role.ASSISTANT,
        "",
        Status.WAITING,
    )
    answer = said.answer
    assert (answer.id, answer.number, answer.question_id) == (assistant.id, 2, user.id)
    assert (answer.asker, answer.asker_team, answer.question_ts, answer.attempt) == (
        "U1",
        "T9",
        "100.1",
        0,
    )


async def test_the_same_start_again_stores_nothing_new(
    chats: Chats, builder: ChatBuilder, thread: Thread
) -> None:
    first = await builder.start()
    again = await builder.start()
    assert again == replace(first, chat=again.chat, duplicate=True)
    assert again.chat.id == first.chat.id
    assert len(await chats.messages(first.chat.id)) == 2


async def test_start_in_a_thread_with_a_chat_adds_the_message_to_it(
    chats: Chats, builder: ChatBuilder, thread: Thread
) -> None:
    first = await builder.start()
    other = NewMessage("and this?", "U2", source="100.7")
    said = await chats.start(team="T1", owner="U2", model=MODEL, thread=thread, message=other)
    assert (said.chat.id, said.duplicate, said.queued) == (first.chat.id, False, True)
    assert [message.text for message in await chats.messages(first.chat.id)] == [
        "hello",
        "",
        "and this?",
        "",
    ]
    assert said.chat.owner == "U1"


async def test_a_request_becomes_one_message_however_often_it_is_started(
    chats: Chats, requests: ChatRequests, thread: Thread
) -> None:
    question, _ = await requests.create(
        thread=thread, ts="100.1", user="U1", text="hello", files=(SHARED,)
    )
    # No source: only the request identifies the message.
    message = NewMessage("hello", "U1", files=question.files)
    first = await chats.start(
        team="T1", owner="U1", model=MODEL, thread=thread, message=message, request_id=question.id
    )
    again = await chats.start(
        team="T1", owner="U1", model=MODEL, thread=thread, message=message, request_id=question.id
    )
    assert again.duplicate
    assert again.message.id == first.message.id
    used = await requests.get(question.id)
    assert (used.open, used.message_id) == (False, first.message.id)
    assert (await chats.history(first.chat.id, 2))[0].files == (SHARED,)


async def test_a_chat_of_the_api_is_listed_from_its_first_message(chats: Chats) -> None:
    chat = await chats.create(team="T1", owner="U1", model=MODEL)
    ann = User("T1", "U1")
    assert (await chats.list_for(ann, limit=10)).total == 0
    assert await chats.get_visible_to(ann, chat.id) == chat
    assert chat.thread is None
    await chats.add_message(chat.id, NewMessage("hello", "U1"))
    page = await chats.list_for(ann, limit=10)
    assert ([found.id for found in page.chats], page.total) == ([chat.id], 1)


async def test_a_title_given_at_creation_counts_as_a_persons(chats: Chats) -> None:
    chat = await chats.create(team="T1", owner="U1", model=MODEL, title="Mine")
    assert not await chats.set_title(chat.id, "The model's", TitleBy.MODEL)
    assert (await chats.get(chat.id)).title == "Mine"


async def test_messages_are_numbered_and_a_second_answer_is_queued(
    chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    second = await builder.say(chat, "second", source="101")
    assert second.queued
    assert second.answer.was_queued
    await builder.answer(chat)
    await builder.answer(chat)
    third = await builder.say(chat, "third")
    assert not third.queued
    assert [message.number for message in await chats.messages(chat.id)] == [1, 2, 3, 4, 5, 6]
    assert third.chat.message_count == 6


async def test_the_same_source_is_the_same_message(chats: Chats, builder: ChatBuilder) -> None:
    chat = (await builder.start()).chat
    first = await builder.say(chat, "once", source="101")
    again = await builder.say(chat, "once", source="101")
    assert again.duplicate
    assert (again.message, again.answer) == (first.message, first.answer)
    assert (await chats.get(chat.id)).message_count == 4


async def test_messages_without_a_source_are_never_duplicates(
    chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "yes")
    await builder.say(chat, "yes")
    assert (await chats.get(chat.id)).message_count == 6


async def test_adding_a_message_to_an_unknown_chat_raises(chats: Chats) -> None:
    with pytest.raises(ChatNotFound):
        await chats.add_message("0" * 32, NewMessage("hello", "U1"))
    with pytest.raises(ChatNotFound):
        await chats.get("0" * 32)


async def test_the_limit_is_the_last_pair_that_fits(chats: Chats, builder: ChatBuilder) -> None:
    chat = (await builder.start()).chat
    assert (
        await chats.add_message(chat.id, NewMessage("fits", "U1", source="s"), limit=4)
    ).chat.message_count == 4
    for limit in (4, 5):
        with pytest.raises(LimitReached):
            await chats.add_message(chat.id, NewMessage("no", "U1"), limit=limit)
    assert (
        await chats.add_message(chat.id, NewMessage("fits", "U1", source="s"), limit=4)
    ).duplicate
    assert [message.text for message in await chats.messages(chat.id)] == ["hello", "", "fits", ""]
    assert (await chats.get(chat.id)).message_count == 4


async def test_a_chat_of_98_messages_takes_two_more_and_then_none(
    chats: Chats, builder: ChatBuilder
) -> None:
    chat = await builder.filled(98)
    assert chat.message_count == 98
    said = await builder.say(chat, "the last")
    assert (said.message.number, said.answer.number, said.chat.message_count) == (99, 100, 100)
    with pytest.raises(LimitReached):
        await builder.say(chat, "one too many")
    assert len(await chats.messages(chat.id)) == 100


async def test_history_leaves_out_failed_and_unfinished_answers(
    chats: Chats, builder: ChatBuilder
) -> None:
    said = await chats.start(
        team="T1", owner="U1", model=MODEL, message=NewMessage("look", "U1", images=(PNG, GIF))
    )
    chat = said.chat
    await builder.answer(chat, "I see")
    await builder.say(chat, "fail", author="U2")
    await builder.answer(chat, "half of", Status.FAILED)
    await builder.say(chat, "stop")
    await builder.answer(chat, "cut short", Status.STOPPED)
    await builder.say(chat, "stop at once")
    await builder.answer(chat, "", Status.STOPPED)
    await builder.say(chat, "waiting")
    await builder.say(chat, "later")
    history = await chats.history(chat.id, before_number=10)
    assert [(message.number, message.text) for message in history] == [
        (1, "look"),
        (2, "I see"),
        (3, "fail"),
        (5, "stop"),
        (6, "cut short"),
        (7, "stop at once"),
        (9, "waiting"),
    ]
    assert [(i.name, i.size) for i in history[0].images] == [("a.png", 5), ("b.gif", 3)]
    assert history[1].images == ()
    assert history[2].author == "U2"
    assert all(message.images == () for message in await chats.messages(chat.id))


async def test_only_owner_and_participants_can_read_a_chat(
    chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "me too", author="U2")
    for user in ("U1", "U2"):
        assert (await chats.get_visible_to(User("T1", user), chat.id)).id == chat.id
    for stranger in (User("T1", "U3"), User("T2", "U1"), User("T2", "U2")):
        with pytest.raises(ChatNotFound):
            await chats.get_visible_to(stranger, chat.id)
        assert (await chats.list_for(stranger, limit=5)).total == 0
    assert await chats.author_count(chat.id) == 2
    assert await chats.participants(chat.id) == [User("T1", "U1"), User("T1", "U2")]


async def test_equal_threads_of_two_workspaces_are_different_chats(
    chats: Chats, builder: ChatBuilder, thread: Thread
) -> None:
    await builder.start()
    elsewhere = replace(thread, team="T2")
    assert await chats.find_by_thread(elsewhere) is None
    await chats.start(
        team="T2", owner="U1", model=MODEL, thread=elsewhere, message=NewMessage("hi", "U1")
    )
    assert (await chats.list_for(User("T1", "U1"), limit=5)).total == 1


async def test_a_search_is_paged_too(chats: Chats, builder: ChatBuilder) -> None:
    for number in range(5):
        await builder.start(f"{number}.0", "same" if number % 2 == 0 else "other")
    first = await chats.list_for(User("T1", "U1"), limit=2, words="same")
    second = await chats.list_for(User("T1", "U1"), limit=2, words="same", cursor=first.next_cursor)
    threads = [chat.thread.ts for chat in first.chats + second.chats if chat.thread]
    assert (threads, first.total, second.next_cursor) == (["4.0", "2.0", "0.0"], 3, None)


async def test_a_models_title_replaces_only_the_default(chats: Chats, builder: ChatBuilder) -> None:
    chat = (await builder.start()).chat
    assert await chats.set_title(chat.id, "First", TitleBy.MODEL)
    assert not await chats.set_title(chat.id, "Second", TitleBy.MODEL)
    assert await chats.set_title(chat.id, "Mine", TitleBy.PERSON)
    assert await chats.set_title(chat.id, "Mine again", TitleBy.PERSON)
    assert not await chats.set_title(chat.id, "Third", TitleBy.MODEL)
    now = await chats.get(chat.id)
    assert (now.title, now.title_by) == ("Mine again", TitleBy.PERSON)
    assert now.updated_at > chat.updated_at


async def test_the_header_can_be_set(chats: Chats, builder: ChatBuilder) -> None:
    chat = (await builder.start()).chat
    await chats.set_header(chat.id, "100.5")
    assert (await chats.get(chat.id)).header_ts == "100.5"


async def test_adding_a_message_takes_few_statements(chats: Chats, builder: ChatBuilder) -> None:
    from sqlalchemy import event

    chat = (await builder.start()).chat
    statements: list[str] = []
    for engine in chats._database.engines:
        event.listen(
            engine.sync_engine,
            "before_cursor_execute",
            lambda *args: statements.append(str(args[2])),
        )
    await builder.say(chat, "hello", source="101")
    asked = [statement for statement in statements if "BEGIN" not in statement]
    assert len(asked) <= 7, asked


async def test_only_the_newest_images_within_the_budget_are_loaded(chats: Chats) -> None:
    big = Image("big.png", "image/png", b"0123456789")
    first = await chats.start(
        team="T1", owner="U1", model=MODEL, message=NewMessage("1", "U1", images=(big,))
    )
    await chats.add_message(first.chat.id, NewMessage("2", "U1", images=(PNG, GIF)))
    await chats.add_message(first.chat.id, NewMessage("3", "U1", images=(PNG,)))

    async def read(count: int, size: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        said = await chats.history(first.chat.id, 6, budget=ImageBudget(count, size))
        return [
            (tuple(i.name for i in m.images), tuple(i.name for i in m.omitted_images))
            for m in said
            if m.role is Role.USER
        ]

    assert await read(10, 1000) == [(("big.png",), ()), (("a.png", "b.gif"), ()), (("a.png",), ())]
    assert await read(3, 1000) == [((), ("big.png",)), ((), ("a.png", "b.gif")), (("a.png",), ())]
    assert await read(10, 16) == [((), ("big.png",)), (("a.png", "b.gif"), ()), (("a.png",), ())]
    assert await read(0, 0) == [((), ("big.png",)), ((), ("a.png", "b.gif")), ((), ("a.png",))]


def test_what_is_sent_of_many_images_stays_the_same_for_many_turns() -> None:
    budget = ImageBudget(20, 1_000)
    firsts = [first_kept([[1]] * count, budget) for count in range(1, 60)]
    assert Counter(firsts) == {0: 20, 11: 11, 22: 11, 33: 11, 44: 6}
    assert all(count - first <= 20 for count, first in enumerate(firsts, 1))
    large = [first_kept([[400]] * count, budget) for count in range(1, 9)]
    assert large == [0, 0, 2, 2, 4, 4, 6, 6]
    assert first_kept([[1]] * 15 + [[1] * 12], budget) == 15, "all of the newest message"


async def test_loaded_files_are_stored_once(chats: Chats) -> None:
    said = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        message=NewMessage("look", "U1", images=(PNG,), files=(SHARED,)),
    )
    left = (replace(SHARED, problem="gone"),)

    assert await chats.store_loaded_files(
        said.message, more_text=" at it", images=(GIF,), files=left
    )
    assert not await chats.store_loaded_files(
        said.message, more_text=" again", images=(GIF,), files=()
    )

    (read,) = await chats.history(said.chat.id, 2)
    assert (read.text, read.files) == ("look at it", left)
    assert [image.name for image in read.images] == ["a.png", "b.gif"]
    message = await chats.message(said.message.id)
    assert replace(read, images=(), omitted_images=read.images) == message
    assert await chats.store_loaded_files(message, more_text="", images=(), files=())
    assert (await chats.message(message.id)).files == ()
