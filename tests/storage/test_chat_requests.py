"""Chat requests that wait for a model, for their text, or for both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain import ModelRef, SharedFile, Thread
from bot.errors import ChatNotFound
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.messages import NewMessage
from tests.storage.chat_builder import MODEL

PNG = SharedFile("F1", "a.png", "image/png", 3, "https://files.slack.com/a.png")
GIF = SharedFile(
    "F2", "b.gif", "image/gif", thumb="https://files.slack.com/b", mode="snippet", problem="kind"
)


async def test_a_request_is_stored_as_it_was_asked(requests: ChatRequests, thread: Thread) -> None:
    question, created = await requests.create(
        thread=thread,
        ts="100.1",
        user="U1",
        user_team="T9",
        text="why?",
        files=(PNG, GIF),
        context="…",
    )
    assert created
    assert question == await requests.get(question.id)
    assert (question.thread, question.ts, question.user, question.user_team) == (
        thread,
        "100.1",
        "U1",
        "T9",
    )
    assert (question.text, question.source) == ("why?", "100.1")
    assert (question.files, question.context, question.open) == ((PNG, GIF), "…", True)
    assert (question.model, question.menu_ts, question.message_id) == (None, None, None)


async def test_the_same_mention_again_is_the_same_request(
    requests: ChatRequests, thread: Thread
) -> None:
    first, _ = await requests.create(
        thread=thread, ts="100.1", user="U1", text="why?", files=(PNG,)
    )
    again, created = await requests.create(
        thread=thread, ts="100.1", user="U1", text="why?", files=(PNG,)
    )
    assert (again, created) == (first, False)
    other, created = await requests.create(
        thread=replace(thread, team="T2"), ts="100.1", user="U1", text="why?"
    )
    assert created
    assert other.id != first.id


async def test_find_open_prefers_a_request_without_text_then_the_newest(
    requests: ChatRequests, thread: Thread
) -> None:
    empty, _ = await requests.create(thread=thread, ts="100.1", user="U1")
    older, _ = await requests.create(thread=thread, ts="100.2", user="U1", text="older")
    newer, _ = await requests.create(thread=thread, ts="100.3", user="U1", text="newer")
    await requests.create(thread=thread, ts="100.4", user="U2")
    assert await requests.find_open(thread, "U1") == empty
    await requests.close(empty.id)
    assert await requests.find_open(thread, "U1") == newer
    await requests.close(newer.id)
    assert await requests.find_open(thread, "U1") == older
    assert await requests.find_open(replace(thread, ts="9"), "U1") is None
    assert await requests.find_open(replace(thread, channel="C9"), "U1") is None


async def test_only_the_first_reply_becomes_the_text(
    requests: ChatRequests, thread: Thread
) -> None:
    question, _ = await requests.create(thread=thread, ts="100.1", user="U1", files=(PNG,))
    assert (question.text, question.source) == (None, "100.1")
    filled = await requests.set_text(question.id, text="why?", source="100.5", files=(GIF,))
    assert filled is not None
    assert (filled.text, filled.source, filled.files) == ("why?", "100.5", (PNG, GIF))
    assert await requests.set_text(question.id, text="and?", source="100.6") is None
    assert await requests.get(question.id) == filled


async def test_model_menu_and_context_are_stored_while_a_request_is_open(
    requests: ChatRequests, chats: Chats, thread: Thread
) -> None:
    question, _ = await requests.create(thread=thread, ts="100.1", user="U1", text="why?")
    await requests.set_menu(question.id, "100.2")
    await requests.set_context(question.id, "they said")
    chosen = await requests.set_model(question.id, MODEL)
    assert (chosen.menu_ts, chosen.context, chosen.model) == ("100.2", "they said", MODEL)
    said = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        thread=thread,
        message=NewMessage("why?", "U1", source="100.1"),
        request_id=question.id,
    )
    late = await requests.set_model(question.id, replace(MODEL, name="other"))
    assert (late.open, late.model, late.message_id) == (False, MODEL, said.message.id)
    assert await requests.find_open(thread, "U1") is None
    assert await requests.set_text(question.id, text="x", source="y") is None


async def test_requests_without_a_confirmed_menu_are_found_oldest_first(
    requests: ChatRequests, chats: Chats, thread: Thread
) -> None:
    asked = [
        (await requests.create(thread=thread, ts=f"100.{n}", user="U1", text="?"))[0]
        for n in range(4)
    ]
    await requests.set_menu(asked[1].id, "100.9")
    await requests.close(asked[2].id)
    assert [question.id for question in await requests.without_menu(0, 10)] == [
        asked[0].id,
        asked[3].id,
    ]
    assert [question.id for question in await requests.without_menu(0, 1)] == [asked[0].id]
    assert await requests.without_menu(60, 10) == []


async def test_requests_with_a_model_that_started_no_chat_are_found(
    requests: ChatRequests, chats: Chats, thread: Thread
) -> None:
    asked = [
        (await requests.create(thread=thread, ts=f"100.{n}", user="U1", text="?"))[0]
        for n in range(3)
    ]
    empty, _ = await requests.create(thread=thread, ts="100.8", user="U1")
    for question in (asked[0], asked[1], empty):
        await requests.set_model(question.id, MODEL)
    await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        thread=thread,
        message=NewMessage("?", "U1"),
        request_id=asked[1].id,
    )
    assert [question.id for question in await requests.ready_to_start(0, 10)] == [asked[0].id]
    assert await requests.ready_to_start(60, 10) == []


async def test_an_unknown_request_raises(requests: ChatRequests) -> None:
    with pytest.raises(ChatNotFound):
        await requests.get("0" * 32)
    with pytest.raises(ChatNotFound):
        await requests.set_model("0" * 32, MODEL)


async def test_a_request_from_a_dialog_waits_until_it_is_posted(
    requests: ChatRequests, chats: Chats, thread: Thread
) -> None:
    """It needs no menu, and it is ready once it is posted in Slack."""
    wanted = replace(thread, ts="")
    question, created = await requests.create(
        thread=wanted, ts="V1", user="U1", text="why?", model=MODEL, in_dialog=True
    )
    again, twice = await requests.create(
        thread=wanted, ts="V1", user="U1", text="why?", model=MODEL, in_dialog=True
    )
    assert (created, twice, again) == (True, False, question)
    assert (question.source, question.model, question.text) == (None, MODEL, "why?")
    assert await requests.not_posted(0, 9) == [question]
    assert await requests.without_menu(0, 9) == await requests.ready_to_start(0, 9) == []

    moved = await requests.set_thread(question.id, replace(wanted, channel="D1"), None)
    assert (moved.thread.channel, await requests.not_posted(0, 9)) == ("D1", [moved])
    said = await requests.set_thread(
        question.id, replace(thread, channel="D1", ts="200.1"), "200.1"
    )
    assert (said.thread.ts, said.source) == ("200.1", "200.1")
    assert await requests.not_posted(0, 9) == await requests.without_menu(0, 9) == []
    assert await requests.ready_to_start(0, 9) == [said]
    message = NewMessage("why?", "U1", source="200.1")
    started = await chats.start(
        team="T1", owner="U1", model=MODEL, thread=said.thread, message=message, request_id=said.id
    )
    assert await requests.started_in_dialog(started.chat.id)
    assert not await requests.started_in_dialog("nothing")
    assert (
        question.mention_ts,
        (await requests.create(thread=thread, ts="100.9", user="U1"))[0].mention_ts,
    ) == (
        None,
        "100.9",
    )


async def test_files_are_added_once_to_a_request_that_waits_for_its_model(
    requests: ChatRequests, thread: Thread
) -> None:
    question, _ = await requests.create(
        thread=thread, ts="100.1", user="U1", text="what is this?", files=(PNG,)
    )
    for _ in range(2):
        joined = await requests.add_files(question.id, "the second one is newer", (PNG, GIF))

    assert (joined.text, joined.files) == ("what is this?\nthe second one is newer", (PNG, GIF))


async def test_files_that_only_the_second_event_of_a_mention_has_are_stored(
    requests: ChatRequests, thread: Thread
) -> None:
    await requests.create(thread=thread, ts="100.1", user="U1", text="what is this?")
    question, new = await requests.create(
        thread=thread, ts="100.1", user="U1", text="what is this?", files=(PNG,)
    )
    again, _ = await requests.create(
        thread=thread, ts="100.1", user="U1", text="what is this?", files=(GIF,)
    )

    assert (new, question.files, again.files) == (False, (PNG,), (PNG,))


async def test_a_request_with_a_model_and_only_files_is_ready(
    requests: ChatRequests, thread: Thread
) -> None:
    question, _ = await requests.create(thread=thread, ts="100.1", user="U1", files=(PNG,))
    await requests.set_model(question.id, ModelRef("demo", "eye"))

    assert [each.id for each in await requests.ready_to_start(0, 10)] == [question.id]


async def test_one_query_finds_a_threads_chat_and_open_request(
    requests: ChatRequests, chats: Chats, thread: Thread
) -> None:
    elsewhere = replace(thread, ts="200.1")
    assert await chats.chat_and_open_request(thread, "U1") == (None, False, False)
    question, _ = await requests.create(thread=thread, ts="100.1", user="U1")
    assert await chats.chat_and_open_request(thread, "U1") == (None, True, True)
    assert await chats.chat_and_open_request(thread, "U2") == (None, False, True)
    assert await chats.chat_and_open_request(elsewhere, "U1") == (None, False, False)
    said = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        message=NewMessage("hi", "U1"),
        thread=thread,
        request_id=question.id,
    )
    assert await chats.chat_and_open_request(thread, "U1") == (
        await chats.get(said.chat.id),
        False,
        False,
    )
    await requests.create(thread=thread, ts="100.2", user="U2")
    assert await chats.chat_and_open_request(thread, "U2") == (
        await chats.get(said.chat.id),
        True,
        True,
    )
