"""Answers as jobs: claiming, leases, fencing, results."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from bot.domain import AnswerResult, MessageRef, Status, Usage
from bot.errors import ChatNotFound
from bot.usage.calls import Estimate
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.types import new_id
from storage.tables import ledger
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.storage.chat_builder import ChatBuilder

DONE = AnswerResult(Status.DONE, "well")


async def test_claim_leases_the_oldest_waiting_answer_to_one_worker(
    answers: Answers, builder: ChatBuilder
) -> None:
    said = await builder.start()
    second = await builder.say(said.chat, "second")
    answer = await answers.claim(said.chat.id, "me", 30)
    assert answer is not None
    assert (answer.id, answer.status, answer.worker_id, answer.attempt) == (
        said.answer.id,
        Status.RUNNING,
        "me",
        1,
    )
    assert await answers.get(answer.id) == answer == await answers.running(said.chat.id)
    assert not await answers.is_waiting(answer.id)
    assert await answers.is_waiting(second.answer.id)
    assert await answers.next_waiting(said.chat.id) == second.answer
    assert await answers.for_message(second.message.id) == second.answer


async def test_claim_gives_no_second_answer_of_a_chat_while_one_runs(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "second")
    assert await answers.claim(chat.id, "me", 30)
    assert await answers.claim(chat.id, "me", 30) is None
    assert await answers.claim(chat.id, "other", 30) is None


async def test_answers_of_different_chats_do_not_wait_for_each_other(
    answers: Answers, builder: ChatBuilder
) -> None:
    one, two = (await builder.start("1.0")).chat, (await builder.start("2.0")).chat
    assert await answers.claim(one.id, "me", 30)
    assert await answers.claim(two.id, "me", 30)


async def test_claim_without_a_waiting_answer_is_none(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.answer(chat)
    assert await answers.claim(chat.id, "me", 30) is None
    assert await answers.claim("0" * 32, "me", 30) is None
    assert await answers.next_waiting(chat.id) is None
    assert await answers.running(chat.id) is None


async def test_a_lapsed_answer_is_taken_over_with_its_stored_state(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "second")
    mine = await answers.claim(chat.id, "me", 30)
    assert mine is not None
    parts = (MessageRef("5.1", streaming=False), MessageRef("5.2", streaming=True))
    assert await answers.save_slack_messages(mine.id, "me", parts)
    await answers.renew("me", 0)
    assert await answers.chats_to_claim(10) == [chat.id]
    taken = await answers.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.id, taken.worker_id, taken.attempt, taken.slack_messages) == (
        mine.id,
        "other",
        2,
        parts,
    )
    assert (mine.taken_over, taken.taken_over) == (False, True)
    assert await answers.chats_to_claim(10) == []


async def test_a_released_answer_does_not_count_as_taken_over(
    answers: Answers, builder: ChatBuilder
) -> None:
    """The previous worker can write nothing afterwards."""
    chat = (await builder.start()).chat
    assert await answers.claim(chat.id, "me", 30)
    assert await answers.release("me") == [chat.id]
    taken = await answers.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.attempt, taken.taken_over) == (2, False)


async def test_a_worker_that_lost_the_lease_can_change_nothing(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    mine = await answers.claim(chat.id, "me", 0)
    assert mine is not None
    assert await answers.claim(chat.id, "other", 30)
    assert not await answers.save_slack_messages(mine.id, "me", (MessageRef("1", streaming=True),))
    assert not await answers.save_result(mine.id, "me", DONE)
    assert not await answers.finish(mine.id, "me")
    assert await answers.renew("me", 30) == {}
    assert await answers.release("me") == []
    now = await answers.get(mine.id)
    assert (now.worker_id, now.slack_messages, now.text_complete, now.text, now.status) == (
        "other",
        (),
        False,
        "",
        Status.RUNNING,
    )


async def test_renew_extends_all_leases_of_a_worker_and_no_others(
    answers: Answers, builder: ChatBuilder
) -> None:
    chats = [(await builder.start(f"{number}.0")).chat for number in range(3)]
    mine = [await answers.claim(chat.id, "me", 0) for chat in chats[:2]]
    await answers.claim(chats[2].id, "other", 0)
    assert await answers.renew("me", 30) == {answer.id: False for answer in mine if answer}
    assert await answers.chats_to_claim(10) == [chats[2].id]


async def test_an_earlier_turns_use_is_not_taken_for_that_of_the_call_under_way(
    database: Database, answers: Answers, builder: ChatBuilder
) -> None:
    """Its worker renews just when the next call has been noted, and dies."""
    chat = (await builder.start()).chat
    answer = await answers.claim(chat.id, "me", 0)
    assert answer is not None
    earlier, under_way = new_id(), new_id()
    await answers.begin_call(answer.id, "me", earlier, Estimate(10, 0.1))
    await answers.renew("me", 0, used={earlier: Estimate(1000, 10.0)})
    await answers.begin_call(answer.id, "me", under_way, Estimate(20, 0.2))
    await answers.renew("me", 0, used={earlier: Estimate(2000, 20.0)})
    await answers.renew("me", 0, used={under_way: Estimate(21, 0.21)})
    await answers.renew("me", 0, used={earlier: Estimate(3000, 30.0)})
    assert await answers.claim(chat.id, "other", 30)
    counted = select(ledger.c.id, ledger.c.estimated_tokens, ledger.c.estimated_cost)
    async with database.read() as connection:
        assert (await connection.execute(counted)).all() == [(under_way, 21, 0.21)]


async def test_an_answer_with_a_result_is_complete_and_then_ends(
    answers: Answers, chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    answer = await answers.claim(chat.id, "me", 30)
    assert answer is not None
    assert await answers.result(answer.id) is None
    assert not await answers.finish(answer.id, "me"), "nothing is written yet"
    result = AnswerResult(
        Status.DONE, "**well**", usage=Usage(10, 20, 0.001), seconds=1.5, truncated=True
    )
    assert await answers.save_result(answer.id, "me", result)
    written = await answers.get(answer.id)
    assert (written.text_complete, written.text) == (True, "**well**")
    assert written.status is Status.DONE, "its text is stored, though it may not be visible yet"
    assert await answers.result(answer.id) == result
    assert await answers.finish(answer.id, "me")
    assert not await answers.finish(answer.id, "me")
    ended = await answers.get(answer.id)
    assert (ended.status, ended.worker_id, ended.text) == (Status.DONE, None, "**well**")
    assert await answers.result(answer.id) == result
    assert (await chats.messages(chat.id))[1].status is Status.DONE
    assert (await chats.get(chat.id)).updated_at > chat.updated_at


async def test_a_complete_answer_is_taken_over_complete(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    answer = await answers.claim(chat.id, "me", 30)
    assert answer is not None
    result = AnswerResult(
        Status.FAILED, "half", error="timeout", detail="no byte", usage=Usage(1, 2), seconds=60.0
    )
    assert await answers.save_result(answer.id, "me", result)
    assert await answers.release("me") == [chat.id]
    taken = await answers.claim(chat.id, "other", 30)
    assert taken is not None
    assert (taken.text_complete, taken.error, taken.text) == (True, "timeout", "half")
    assert await answers.result(taken.id) == result
    assert await answers.finish(taken.id, "other")
    assert (await answers.get(taken.id)).status is Status.FAILED


async def test_a_released_answer_can_be_claimed_at_once_and_not_written_by_its_old_worker(
    answers: Answers, builder: ChatBuilder
) -> None:
    one, two = (await builder.start("1.0")).chat, (await builder.start("2.0")).chat
    first = await answers.claim(one.id, "me", 30)
    await answers.claim(two.id, "other", 30)
    assert first is not None
    assert await answers.release("me") == [one.id]
    assert not await answers.save_slack_messages(first.id, "me", (MessageRef("1", streaming=True),))
    assert await answers.chats_to_claim(10) == [one.id]
    taken = await answers.claim(one.id, "other", 30)
    assert taken is not None
    assert taken.attempt == 2


async def test_chats_to_claim_are_found_oldest_first(
    answers: Answers, builder: ChatBuilder
) -> None:
    chats = [(await builder.start(f"{number}.0")).chat for number in range(4)]
    await builder.say(chats[0], "more")
    await answers.claim(chats[1].id, "me", 30)
    await builder.say(chats[1], "waits its turn")
    await builder.answer(chats[2])
    await answers.claim(chats[3].id, "dead", 0)
    assert await answers.chats_to_claim(10) == [chats[0].id, chats[3].id]
    assert await answers.chats_to_claim(1) == [chats[0].id]


async def test_a_worker_sees_a_stop_request_when_it_renews(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    answer = await answers.claim(chat.id, "me", 30)
    await builder.say(chat, "second")
    assert answer is not None
    stopped = await answers.request_stop(chat.id)
    assert stopped is not None
    assert stopped.id == answer.id
    assert await answers.renew("me", 30) == {answer.id: True}
    assert await answers.save_result(answer.id, "me", AnswerResult(Status.STOPPED, "so f"))
    assert await answers.finish(answer.id, "me")
    following = await answers.claim(chat.id, "me", 30)
    assert following is not None
    assert await answers.renew("me", 30) == {following.id: False}


async def test_retry_makes_a_failed_answer_wait_again_with_its_text(
    answers: Answers, chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    claimed = await answers.claim(chat.id, "me", 30)
    assert claimed is not None
    parts = (MessageRef("5.1", streaming=False),)
    await answers.save_slack_messages(claimed.id, "me", parts)
    await answers.request_stop(chat.id)
    failure = AnswerResult(
        Status.FAILED, "half", error="broken_off", detail="why", usage=Usage(1, 1), seconds=1.0
    )
    await answers.save_result(claimed.id, "me", failure)
    await answers.finish(claimed.id, "me")
    again = await answers.retry(claimed.id)
    assert again is not None
    assert (again.status, again.text_complete, again.error) == (Status.WAITING, False, None)
    assert (again.text, again.slack_messages, again.attempt) == ("half", parts, 1)
    assert await answers.result(claimed.id) is None
    assert (await chats.messages(chat.id))[1].error is None
    taken = await answers.claim(chat.id, "me", 30)
    assert taken is not None
    assert (taken.id, taken.attempt) == (claimed.id, 2)
    assert await answers.renew("me", 30) == {taken.id: False}


async def test_only_failed_and_stopped_answers_can_be_retried(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    answer = await builder.answer(chat, "well", Status.DONE)
    assert await answers.retry(answer.id) is None
    await builder.say(chat, "and")
    stopped = await builder.answer(chat, "half", Status.STOPPED)
    again = await answers.retry(stopped.id)
    assert again is not None
    assert (again.status, again.text) == (Status.WAITING, "half")
    await builder.answer(chat)
    waiting = await builder.say(chat, "more")
    assert await answers.retry(waiting.answer.id) is None
    assert await answers.retry("0" * 32) is None


async def test_an_answer_that_was_queued_stays_marked_until_it_ends(
    answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "second")
    assert not (await builder.answer(chat)).was_queued
    taken = await answers.claim(chat.id, "me", 30)
    assert taken is not None
    assert taken.was_queued, (
        "whoever takes it, now or after a crash, must know that there is a mark to remove"
    )
    await answers.save_result(taken.id, "me", DONE)
    await answers.finish(taken.id, "me")
    assert not (await answers.get(taken.id)).was_queued


async def test_an_unknown_answer_raises_or_is_none(answers: Answers) -> None:
    with pytest.raises(ChatNotFound):
        await answers.get("0" * 32)
    assert await answers.for_message("0" * 32) is None
    assert await answers.result("0" * 32) is None
    assert not await answers.is_waiting("0" * 32)


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.postgres
async def test_a_renewal_does_not_wait_when_every_connection_is_in_use(migrated_url: str) -> None:
    database = Database.open(migrated_url, pool_size=2, timing=patient_timing())
    async with database.begin(), database.begin(), asyncio.timeout(WAIT_TIMEOUT):
        assert await Answers(database).renew("me", 30) == {}
    await database.close()
