"""Answers as work: claims, leases, fences, endings."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import AnswerResult, MessageRef, ModelRef, Status, Usage
from bot.errors import ChatNotFound
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from tests.storage.saying import Teller

DONE = AnswerResult(Status.DONE, "well")


async def test_a_claim_takes_the_oldest_waiting_answer_for_one_owner(replies: Answers, teller: Teller) -> None:
    said = await teller.start()
    second = await teller.say(said.chat, "second")
    answer = await replies.claim(said.chat.id, "me", 30)
    assert answer is not None
    assert (answer.id, answer.status, answer.owner, answer.attempt) == (said.answer.id, Status.RUNNING, "me", 1)
    assert await replies.get(answer.id) == answer == await replies.running(said.chat.id)
    assert not await replies.is_waiting(answer.id)
    assert await replies.is_waiting(second.answer.id)
    assert await replies.next_waiting(said.chat.id) == second.answer
    assert await replies.of_question(second.message.id) == second.answer


async def test_nobody_gets_a_second_answer_while_one_runs(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    await teller.say(chat, "second")
    assert await replies.claim(chat.id, "me", 30)
    assert await replies.claim(chat.id, "me", 30) is None
    assert await replies.claim(chat.id, "other", 30) is None


async def test_chats_do_not_wait_for_each_other(replies: Answers, teller: Teller) -> None:
    one, two = (await teller.start("1.0")).chat, (await teller.start("2.0")).chat
    assert await replies.claim(one.id, "me", 30)
    assert await replies.claim(two.id, "me", 30)


async def test_where_nothing_waits_nothing_is_claimed(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    await teller.answer(chat)
    assert await replies.claim(chat.id, "me", 30) is None
    assert await replies.claim("0" * 32, "me", 30) is None
    assert await replies.next_waiting(chat.id) is None
    assert await replies.running(chat.id) is None


async def test_a_lapsed_answer_is_taken_over_with_what_is_known_of_it(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    await teller.say(chat, "second")
    mine = await replies.claim(chat.id, "me", 30)
    assert mine is not None
    parts = (MessageRef("5.1", native=False), MessageRef("5.2", native=True))
    assert await replies.record(mine.id, "me", parts)
    await replies.renew("me", 0)
    assert await replies.unattended(10) == [chat.id]
    taken = await replies.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.id, taken.owner, taken.attempt, taken.parts) == (mine.id, "other", 2, parts)
    assert (mine.inherited, taken.inherited) == (False, True)
    assert await replies.unattended(10) == []


async def test_what_was_given_back_is_not_inherited(replies: Answers, teller: Teller) -> None:
    """Nothing of the one before can come after it."""
    chat = (await teller.start()).chat
    assert await replies.claim(chat.id, "me", 30)
    assert await replies.release("me") == [chat.id]
    taken = await replies.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.attempt, taken.inherited) == (2, False)


async def test_who_lost_the_lease_can_do_nothing_more(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    mine = await replies.claim(chat.id, "me", 0)
    assert mine is not None
    assert await replies.claim(chat.id, "other", 30)
    assert not await replies.record(mine.id, "me", (MessageRef("1", native=True),))
    assert not await replies.written(mine.id, "me", DONE)
    assert not await replies.finish(mine.id, "me")
    assert await replies.renew("me", 30) == {}
    assert await replies.release("me") == []
    now = await replies.get(mine.id)
    assert (now.owner, now.parts, now.complete, now.text, now.status) == ("other", (), False, "", Status.RUNNING)


async def test_renewing_reaches_all_of_an_owners_answers_and_no_others(replies: Answers, teller: Teller) -> None:
    chats = [(await teller.start(f"{number}.0")).chat for number in range(3)]
    mine = [await replies.claim(chat.id, "me", 0) for chat in chats[:2]]
    await replies.claim(chats[2].id, "other", 0)
    assert await replies.renew("me", 30) == {answer.id: False for answer in mine if answer}
    assert await replies.unattended(10) == [chats[2].id]


async def test_a_written_answer_is_complete_and_then_ends(replies: Answers, chats: Chats, teller: Teller) -> None:
    chat = (await teller.start()).chat
    answer = await replies.claim(chat.id, "me", 30)
    assert answer is not None
    assert await replies.ending(answer.id) is None
    assert not await replies.finish(answer.id, "me"), "nothing is written yet"
    ending = AnswerResult(Status.DONE, "**well**", usage=Usage(10, 20, 0.001), seconds=1.5, cut=True)
    assert await replies.written(answer.id, "me", ending)
    written = await replies.get(answer.id)
    assert (written.complete, written.ending, written.text) == (True, Status.DONE, "**well**")
    assert written.status is Status.RUNNING
    assert await replies.ending(answer.id) == ending
    assert await replies.finish(answer.id, "me")
    assert not await replies.finish(answer.id, "me")
    ended = await replies.get(answer.id)
    assert (ended.status, ended.owner, ended.text) == (Status.DONE, None, "**well**")
    assert await replies.ending(answer.id) == ending
    assert (await chats.messages(chat.id))[1].status is Status.DONE
    assert (await chats.get(chat.id)).updated_at > chat.updated_at


async def test_a_complete_answer_is_taken_over_complete(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    answer = await replies.claim(chat.id, "me", 30)
    assert answer is not None
    ending = AnswerResult(Status.FAILED, "half", error="timeout", detail="no byte", usage=Usage(1, 2), seconds=60.0)
    assert await replies.written(answer.id, "me", ending)
    assert await replies.release("me") == [chat.id]
    taken = await replies.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.complete, taken.ending, taken.error, taken.text) == (True, Status.FAILED, "timeout", "half")
    assert await replies.ending(taken.id) == ending
    assert await replies.finish(taken.id, "other")
    assert (await replies.get(taken.id)).status is Status.FAILED


async def test_what_is_released_is_anybodys_at_once_and_no_longer_ones_own(replies: Answers, teller: Teller) -> None:
    one, two = (await teller.start("1.0")).chat, (await teller.start("2.0")).chat
    first = await replies.claim(one.id, "me", 30)
    await replies.claim(two.id, "other", 30)
    assert first is not None
    assert await replies.release("me") == [one.id]
    assert not await replies.record(first.id, "me", (MessageRef("1", native=True),))
    assert await replies.unattended(10) == [one.id]
    taken = await replies.claim(one.id, "other", 30)
    assert taken is not None
    assert taken.attempt == 2


async def test_unattended_work_is_found_oldest_first(replies: Answers, teller: Teller) -> None:
    chats = [(await teller.start(f"{number}.0")).chat for number in range(4)]
    await teller.say(chats[0], "more")
    await replies.claim(chats[1].id, "me", 30)
    await teller.say(chats[1], "waits its turn")
    await teller.answer(chats[2])
    await replies.claim(chats[3].id, "dead", 0)
    assert await replies.unattended(10) == [chats[0].id, chats[3].id]
    assert await replies.unattended(1) == [chats[0].id]


async def test_a_stop_is_seen_by_the_owner_when_it_renews(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    assert await replies.request_stop(chat.id) is None, "nothing is being written"
    answer = await replies.claim(chat.id, "me", 30)
    await teller.say(chat, "second")
    assert answer is not None
    stopped = await replies.request_stop(chat.id)
    assert stopped is not None
    assert stopped.id == answer.id
    assert await replies.renew("me", 30) == {answer.id: True}
    assert await replies.written(answer.id, "me", AnswerResult(Status.STOPPED, "so f"))
    assert await replies.finish(answer.id, "me")
    following = await replies.claim(chat.id, "me", 30)
    assert following is not None
    assert await replies.renew("me", 30) == {following.id: False}


async def test_a_failed_answer_waits_again_as_it_was(replies: Answers, chats: Chats, teller: Teller) -> None:
    chat = (await teller.start()).chat
    claimed = await replies.claim(chat.id, "me", 30)
    assert claimed is not None
    parts = (MessageRef("5.1", native=False),)
    await replies.record(claimed.id, "me", parts)
    await replies.request_stop(chat.id)
    failure = AnswerResult(Status.FAILED, "half", error="broken_off", detail="why", usage=Usage(1, 1), seconds=1.0)
    await replies.written(claimed.id, "me", failure)
    await replies.finish(claimed.id, "me")
    await chats.set_model(chat.id, ModelRef("ollama", "other"))
    again = await replies.retry(claimed.id)
    assert again is not None
    assert (again.status, again.complete, again.ending, again.error) == (Status.WAITING, False, None, None)
    assert (again.text, again.parts, again.attempt) == ("half", parts, 1)
    assert await replies.ending(claimed.id) is None
    assert (await chats.messages(chat.id))[1].error is None
    taken = await replies.claim(chat.id, "me", 30)
    assert taken is not None
    assert (taken.id, taken.attempt) == (claimed.id, 2)
    assert await replies.renew("me", 30) == {taken.id: False}


@pytest.mark.parametrize("status", [Status.DONE, Status.STOPPED])
async def test_only_failed_answers_are_retried(replies: Answers, teller: Teller, status: Status) -> None:
    chat = (await teller.start()).chat
    answer = await teller.answer(chat, "well", status)
    assert await replies.retry(answer.id) is None
    waiting = await teller.say(chat, "more")
    assert await replies.retry(waiting.answer.id) is None
    assert await replies.retry("0" * 32) is None


async def test_an_answer_that_had_to_wait_keeps_its_mark_until_it_ends(replies: Answers, teller: Teller) -> None:
    chat = (await teller.start()).chat
    await teller.say(chat, "second")
    assert not (await teller.answer(chat)).queued
    taken = await replies.claim(chat.id, "me", 30)
    assert taken is not None
    assert taken.queued, "whoever takes it, now or after a crash, must know that there is a mark to remove"
    await replies.written(taken.id, "me", DONE)
    await replies.finish(taken.id, "me")
    assert not (await replies.get(taken.id)).queued


async def test_unknown_answers(replies: Answers) -> None:
    with pytest.raises(ChatNotFound):
        await replies.get("0" * 32)
    assert await replies.of_question("0" * 32) is None
    assert await replies.ending("0" * 32) is None
    assert not await replies.is_waiting("0" * 32)


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.postgres
async def test_a_crowd_that_has_taken_every_connection_delays_no_renewal(migrated_url: str) -> None:
    database = Database.open(migrated_url, pool_size=2)
    async with database.begin(), database.begin(), asyncio.timeout(10):
        assert await Answers(database).renew("me", 30) == {}
    await database.close()
