"""Branches: one for each question and model, however many ask at once, filled once, without the old chat's costs."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import delete

from bot.domain import Chat, ModelRef, Role, Status, User
from bot.errors import ChatNotFound
from storage import tables
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.erasure import Erasure
from storage.messages import StoredMessage
from storage.successors import Successors
from tests.storage.chat_builder import ChatBuilder

OTHER = ModelRef("openai", "other")


async def test_a_question_is_asked_of_a_model_once_however_many_ask(
    rivals: list[Database], builder: ChatBuilder, chats: Chats
) -> None:
    old = await builder.filled(6)
    question = (await chats.messages(old.id))[2]

    async def ask(number: int) -> Chat:
        successors = Successors(rivals[number % len(rivals)])
        branch = await successors.create_branch(old, question, f"U{number}", OTHER, "C1")
        chat, asked = await successors.set_branch_thread(branch.chat.id, f"300.{number}")
        stored.append(asked)
        return chat

    stored: list[StoredMessage | None] = []
    got = await asyncio.gather(*(ask(number) for number in range(20)))
    assert len({chat.id for chat in got}) == 1
    assert len({chat.thread for chat in got}) == 1
    (told,) = [each for each in stored if each is not None and not each.duplicate]
    assert {each and each.answer.id for each in stored} == {told.answer.id}
    copied = await chats.messages(got[0].id)
    assert (told.message.id, told.answer.id) == (copied[2].id, copied[3].id)
    before = await chats.messages(old.id)
    assert [message.text for message in copied[:3]] == [message.text for message in before[:3]]
    assert [message.number for message in copied] == [1, 2, 3, 4]
    assert (copied[3].role, copied[3].status) == (Role.ASSISTANT, Status.WAITING)
    assert {message.id for message in copied}.isdisjoint(message.id for message in before)
    assert (await chats.get(got[0].id)).message_count == 4
    assert [branch.id for branch in await Successors(rivals[0]).branches_of(old.id, 5)] == [
        got[0].id
    ]


async def test_each_model_and_each_question_has_its_own(
    database: Database, builder: ChatBuilder, chats: Chats
) -> None:
    successors, old = Successors(database), await builder.filled(4)
    first, _, third, _ = await chats.messages(old.id)
    third_model = ModelRef("openai", "third")
    made = [
        (await successors.create_branch(old, question, "U1", model, None)).chat.id
        for question in (first, third)
        for model in (OTHER, third_model)
    ]
    assert len(set(made)) == 4
    assert len(await successors.branches_of(old.id, 3)) == 3


async def test_an_erased_persons_question_is_asked_of_another_model(
    database: Database, builder: ChatBuilder, chats: Chats
) -> None:
    """For the person who asks, though nobody is its author any more."""
    successors, old = Successors(database), await builder.filled(4)
    question = (await chats.messages(old.id))[2]
    branch = (await successors.create_branch(old, question, "U9", OTHER, None)).chat
    assert question.author
    assert await Erasure(database).empty_messages(User(old.team, question.author), 10)
    filled = await successors.fill_branch(branch.id)
    assert filled is not None
    assert filled.message.author is None
    assert filled.answer.asker == "U9"


async def test_what_the_old_answers_cost_is_not_copied(
    database: Database, builder: ChatBuilder, chats: Chats, answers: Answers
) -> None:
    successors, old = Successors(database), await builder.filled(4)
    question = (await chats.messages(old.id))[2]
    branch = (await successors.create_branch(old, question, "U1", OTHER, None)).chat
    first, again = [await successors.fill_branch(branch.id) for _ in range(2)]
    assert first is not None
    assert again is not None
    assert (again.answer.id, first.duplicate, again.duplicate) == (first.answer.id, False, True)
    copied = (await chats.messages(branch.id))[1]
    answer = await answers.get(copied.id)
    assert answer.status is Status.DONE
    assert answer.question_id == (await chats.messages(branch.id))[0].id


async def test_a_branch_that_was_given_up_gets_no_thread(
    database: Database, builder: ChatBuilder, chats: Chats
) -> None:
    """Neither does a continuation whose chat is gone; the message that was posted for it can be deleted then."""
    successors, old = Successors(database), await builder.filled(2)
    (question, _) = await chats.messages(old.id)
    branch = (await successors.create_branch(old, question, "U1", OTHER, "C1")).chat
    await successors.give_up_thread(branch.id)
    for setting in (successors.set_branch_thread, successors.set_thread, successors.set_summary):
        with pytest.raises(ChatNotFound):
            await setting(branch.id, "300.1")


async def test_an_answered_branch_outlives_its_question(
    database: Database, builder: ChatBuilder, chats: Chats
) -> None:
    successors, old = Successors(database), await builder.filled(2)
    (question, _) = await chats.messages(old.id)
    branch = (await successors.create_branch(old, question, "U1", OTHER, None)).chat
    assert await successors.fill_branch(branch.id) is not None
    async with database.begin() as connection:
        await connection.execute(delete(tables.chats).where(tables.chats.c.id == old.id))
    assert await successors.fill_branch(branch.id) is None
    assert (await chats.get(branch.id)).message_count == 2
