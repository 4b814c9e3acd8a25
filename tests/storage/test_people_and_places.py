"""Names in texts, channels that change their id, further requests before a choice, and retries with another model."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import ModelRef, Status, Thread, User
from bot.errors import ModelGone
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from storage.people import Account, People
from tests.storage.chat_builder import MODEL, ChatBuilder

OTHER = ModelRef("ollama", "tiny:1b")
THIRD = ModelRef("ollama", "small:3b")


async def test_known_names_are_read_in_one_query(people: People) -> None:
    ann, bob, eve = User("T1", "U1"), User("T1", "U2"), User("T2", "U1")
    await people.set_account(ann, Account("Ann", "de-DE"))
    await people.set_account(ann, Account("Ann B."))
    await people.set_account(eve, Account("Eve"))
    await people.set_last_model(bob, MODEL)
    assert await people.accounts([ann, bob, eve, User("T1", "U9")]) == {
        ann: Account("Ann B.", "de-DE"),
        eve: Account("Eve"),
    }
    assert await people.accounts([]) == {}


async def test_replace_text_changes_only_that_messages_text(
    chats: Chats, requests: ChatRequests, builder: ChatBuilder, thread: Thread
) -> None:
    said = await builder.start("100.1", "ask @U2")
    other = await builder.start("200.1", "ask @U2")
    asked, _ = await requests.create(
        thread=Thread("T1", "C1", "300.1"), ts="300.1", user="U1", text="ask @U2"
    )
    for ts in ("100.1", "300.1"):
        await chats.replace_text(Thread("T1", "C1", ts), ts, "ask @U2", "ask @Bob")
    await chats.replace_text(thread, "100.1", "something else", "never")
    assert (await chats.message(said.message.id)).text == "ask @Bob"
    assert (await chats.message(other.message.id)).text == "ask @U2"
    assert (await requests.get(asked.id)).text == "ask @Bob"


async def test_chats_and_requests_move_when_a_channel_changes_its_id(
    chats: Chats, requests: ChatRequests, builder: ChatBuilder
) -> None:
    """Except where the thread exists already; another team's channel with the same id stays."""
    moved = (await builder.start("100.1")).chat
    blocked = (await builder.start("200.1")).chat
    there = await chats.start(
        team="T1",
        owner="U1",
        model=MODEL,
        thread=Thread("T1", "C2", "200.1"),
        message=_message("200.1"),
    )
    foreign = await chats.start(
        team="T2",
        owner="U1",
        model=MODEL,
        thread=Thread("T2", "C1", "100.1"),
        message=_message("100.1"),
    )
    asked, _ = await requests.create(
        thread=Thread("T1", "C1", "300.1"), ts="300.1", user="U1", text="well?"
    )

    await chats.move_channel("T1", "C1", "C2")
    await chats.move_channel("T1", "C1", "C2")

    places = [
        (await chats.get(chat.id)).thread for chat in (moved, blocked, there.chat, foreign.chat)
    ]
    assert [thread and (thread.team, thread.channel) for thread in places] == [
        ("T1", "C2"), ("T1", "C1"), ("T1", "C2"), ("T2", "C1"),
    ]  # fmt: skip
    assert (await requests.get(asked.id)).thread == Thread("T1", "C2", "300.1")
    assert (await chats.any_in_channel("T1", "C2"), await chats.any_in_channel("T2", "C2")) == (
        True,
        False,
    )


def _message(ts: str) -> NewMessage:
    return NewMessage("hello", "U1", source=ts, ts=ts)


async def test_other_requests_of_a_user_without_a_model_are_found(
    requests: ChatRequests, thread: Thread
) -> None:
    """The same user's open requests in the same thread that have a text and no model, oldest first."""
    asked = []
    for ts, user, text in (
        ("100.1", "U1", "one"), ("100.2", "U1", "two"), ("100.3", "U2", "another's"), ("100.4", "U1", "three"),
        ("100.5", "U1", None), ("100.6", "U1", "given up"), ("100.7", "U1", "chosen"),
    ):  # fmt: skip
        asked.append((await requests.create(thread=thread, ts=ts, user=user, text=text))[0])
        await asyncio.sleep(0.002)
    await requests.close(asked[5].id)
    await requests.set_model(asked[6].id, MODEL)
    await requests.create(
        thread=Thread("T1", "C1", "900.1"), ts="900.1", user="U1", text="elsewhere"
    )
    assert [q.text for q in await requests.others_without_model(asked[1])] == ["one", "three"]


async def test_retry_with_another_model_needs_an_answer_whose_model_is_gone(
    builder: ChatBuilder, answers: Answers, chats: Chats
) -> None:
    chat = (await builder.start()).chat
    otherwise = await builder.answer(chat, status=Status.FAILED)
    assert await answers.retry(otherwise.id, OTHER) is None
    assert (await chats.get(chat.id)).model == MODEL
    assert (await answers.get(otherwise.id)).status is Status.FAILED


@pytest.mark.parametrize("again", range(3))
async def test_one_of_several_retries_with_another_model_succeeds(
    builder: ChatBuilder, chats: Chats, rivals: list[Database], again: int
) -> None:
    chat = (await builder.start()).chat
    gone = await builder.answer(chat, status=Status.FAILED, error=ModelGone.code)
    models = [OTHER, THIRD, ModelRef("ollama", f"tiny:{again}")]
    tries = [
        Answers(rival).retry(gone.id, model) for rival, model in zip(rivals, models, strict=True)
    ]
    taken = [
        model
        for model, answer in zip(models, await asyncio.gather(*tries), strict=True)
        if answer is not None
    ]
    assert taken == [(await chats.get(chat.id)).model]
    assert (await Answers(rivals[0]).retry(gone.id, OTHER)) is None
