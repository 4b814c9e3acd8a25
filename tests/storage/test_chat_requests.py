"""ChatRequests that wait for a model, for their text, or for both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain import ModelRef, SharedFile, Thread
from bot.errors import ChatNotFound
from storage.chat_requests import ChatRequests
from storage.chats import Chats, NewMessage
from tests.storage.saying import MODEL

PNG = SharedFile("F1", "a.png", "image/png", 3, "https://files.slack.com/a.png")
GIF = SharedFile("F2", "b.gif", "image/gif", thumb="https://files.slack.com/b", mode="snippet", problem="kind")


async def test_a_question_is_kept_as_it_was_asked(questions: ChatRequests, place: Thread) -> None:
    question, created = await questions.ask(
        place=place, ts="100.1", user="U1", user_team="T9", user_name="Ann", text="why?", files=(PNG, GIF), context="…"
    )
    assert created
    assert question == await questions.get(question.id)
    assert (question.place, question.ts, question.user, question.user_team) == (place, "100.1", "U1", "T9")
    assert (question.user_name, question.text, question.source) == ("Ann", "why?", "100.1")
    assert (question.files, question.context, question.open) == ((PNG, GIF), "…", True)
    assert (question.model, question.menu_ts, question.message_id) == (None, None, None)


async def test_the_same_mention_again_is_the_same_question(questions: ChatRequests, place: Thread) -> None:
    first, _ = await questions.ask(place=place, ts="100.1", user="U1", text="why?", files=(PNG,))
    again, created = await questions.ask(place=place, ts="100.1", user="U1", text="why?", files=(PNG,))
    assert (again, created) == (first, False)
    other, created = await questions.ask(place=replace(place, team="T2"), ts="100.1", user="U1", text="why?")
    assert created
    assert other.id != first.id


async def test_the_one_without_text_is_found_first_then_the_newest(questions: ChatRequests, place: Thread) -> None:
    empty, _ = await questions.ask(place=place, ts="100.1", user="U1")
    older, _ = await questions.ask(place=place, ts="100.2", user="U1", text="older")
    newer, _ = await questions.ask(place=place, ts="100.3", user="U1", text="newer")
    await questions.ask(place=place, ts="100.4", user="U2")
    assert await questions.open_in(place, "U1") == empty
    await questions.give_up(empty.id)
    assert await questions.open_in(place, "U1") == newer
    await questions.give_up(newer.id)
    assert await questions.open_in(place, "U1") == older
    assert await questions.open_in(replace(place, thread="9"), "U1") is None
    assert await questions.open_in(replace(place, channel="C9"), "U1") is None


async def test_the_first_reply_becomes_the_text(questions: ChatRequests, place: Thread) -> None:
    question, _ = await questions.ask(place=place, ts="100.1", user="U1", files=(PNG,))
    assert (question.text, question.source) == (None, "100.1")
    filled = await questions.fill(question.id, text="why?", source="100.5", files=(GIF,))
    assert filled is not None
    assert (filled.text, filled.source, filled.files) == ("why?", "100.5", (PNG, GIF))
    assert await questions.fill(question.id, text="and?", source="100.6") is None
    assert await questions.get(question.id) == filled


async def test_choice_menu_and_context_are_kept_while_it_is_open(
    questions: ChatRequests, chats: Chats, place: Thread
) -> None:
    question, _ = await questions.ask(place=place, ts="100.1", user="U1", text="why?")
    await questions.set_menu(question.id, "100.2")
    await questions.set_context(question.id, "they said")
    chosen = await questions.choose(question.id, MODEL)
    assert (chosen.menu_ts, chosen.context, chosen.model) == ("100.2", "they said", MODEL)
    said = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        place=place,
        message=NewMessage("why?", "U1", source="100.1"),
        question_id=question.id,
    )
    late = await questions.choose(question.id, replace(MODEL, name="other"))
    assert (late.open, late.model, late.message_id) == (False, MODEL, said.message.id)
    assert await questions.open_in(place, "U1") is None
    assert await questions.fill(question.id, text="x", source="y") is None


async def test_menus_that_slack_never_confirmed_are_found_oldest_first(
    questions: ChatRequests, chats: Chats, place: Thread
) -> None:
    asked = [(await questions.ask(place=place, ts=f"100.{n}", user="U1", text="?"))[0] for n in range(4)]
    await questions.set_menu(asked[1].id, "100.9")
    await questions.give_up(asked[2].id)
    assert [question.id for question in await questions.without_menu(0, 10)] == [asked[0].id, asked[3].id]
    assert [question.id for question in await questions.without_menu(0, 1)] == [asked[0].id]
    assert await questions.without_menu(60, 10) == []


async def test_chosen_questions_that_became_no_chat_are_found(
    questions: ChatRequests, chats: Chats, place: Thread
) -> None:
    asked = [(await questions.ask(place=place, ts=f"100.{n}", user="U1", text="?"))[0] for n in range(3)]
    empty, _ = await questions.ask(place=place, ts="100.8", user="U1")
    for question in (asked[0], asked[1], empty):
        await questions.choose(question.id, MODEL)
    await chats.start(
        team="T1", owner="U1", model=MODEL, place=place, message=NewMessage("?", "U1"), question_id=asked[1].id
    )
    assert [question.id for question in await questions.ready(0, 10)] == [asked[0].id]
    assert await questions.ready(60, 10) == []


async def test_an_unknown_question(questions: ChatRequests) -> None:
    with pytest.raises(ChatNotFound):
        await questions.get("0" * 32)
    with pytest.raises(ChatNotFound):
        await questions.choose("0" * 32, MODEL)


async def test_what_was_asked_in_a_dialog_waits_to_be_said(
    questions: ChatRequests, chats: Chats, place: Thread
) -> None:
    """It needs no menu; and it is ready once it stands in Slack."""
    wanted = replace(place, thread="")
    question, created = await questions.ask(place=wanted, ts="V1", user="U1", text="why?", model=MODEL, in_dialog=True)
    again, twice = await questions.ask(place=wanted, ts="V1", user="U1", text="why?", model=MODEL, in_dialog=True)
    assert (created, twice, again) == (True, False, question)
    assert (question.source, question.model, question.text) == (None, MODEL, "why?")
    assert await questions.unsaid(0, 9) == [question]
    assert await questions.without_menu(0, 9) == await questions.ready(0, 9) == []

    moved = await questions.put_in(question.id, replace(wanted, channel="D1"), None)
    assert (moved.place.channel, await questions.unsaid(0, 9)) == ("D1", [moved])
    said = await questions.put_in(question.id, replace(place, channel="D1", thread="200.1"), "200.1")
    assert (said.place.thread, said.source) == ("200.1", "200.1")
    assert await questions.unsaid(0, 9) == await questions.without_menu(0, 9) == []
    assert await questions.ready(0, 9) == [said]
    message = NewMessage("why?", "U1", source="200.1")
    started = await chats.start(
        team="T1", owner="U1", model=MODEL, place=said.place, message=message, question_id=said.id
    )
    assert await questions.began_in_dialog(started.chat.id)
    assert not await questions.began_in_dialog("nothing")
    assert (question.asked_at, (await questions.ask(place=place, ts="100.9", user="U1"))[0].asked_at) == (None, "100.9")


async def test_files_join_a_question_that_waits_for_its_model_once(questions: ChatRequests, place: Thread) -> None:
    question, _ = await questions.ask(place=place, ts="100.1", user="U1", text="what is this?", files=(PNG,))
    for _ in range(2):
        joined = await questions.add(question.id, "the second one is newer", (PNG, GIF))

    assert (joined.text, joined.files) == ("what is this?\nthe second one is newer", (PNG, GIF))


async def test_files_that_only_the_second_event_of_a_mention_tells_of_are_kept(
    questions: ChatRequests, place: Thread
) -> None:
    await questions.ask(place=place, ts="100.1", user="U1", text="what is this?")
    question, new = await questions.ask(place=place, ts="100.1", user="U1", text="what is this?", files=(PNG,))
    again, _ = await questions.ask(place=place, ts="100.1", user="U1", text="what is this?", files=(GIF,))

    assert (new, question.files, again.files) == (False, (PNG,), (PNG,))


async def test_a_chosen_question_of_files_alone_is_ready(questions: ChatRequests, place: Thread) -> None:
    question, _ = await questions.ask(place=place, ts="100.1", user="U1", files=(PNG,))
    await questions.choose(question.id, ModelRef("demo", "eye"))

    assert [each.id for each in await questions.ready(0, 10)] == [question.id]


async def test_one_look_tells_of_a_threads_chat_and_of_what_waits_there(
    questions: ChatRequests, chats: Chats, place: Thread
) -> None:
    elsewhere = replace(place, thread="200.1")
    assert await chats.heard_at(place, "U1") == (None, False)
    question, _ = await questions.ask(place=place, ts="100.1", user="U1")
    assert await chats.heard_at(place, "U1") == (None, True)
    assert await chats.heard_at(place, "U2") == (None, False)
    assert await chats.heard_at(elsewhere, "U1") == (None, False)
    said = await chats.start(
        team="T1", owner="U1", model=MODEL, message=NewMessage("hi", "U1"), place=place, question_id=question.id
    )
    assert await chats.heard_at(place, "U1") == (await chats.get(said.chat.id), False)
    await questions.ask(place=place, ts="100.2", user="U2")
    assert await chats.heard_at(place, "U2") == (await chats.get(said.chat.id), True)
