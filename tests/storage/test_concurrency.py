"""Guarantees when replicas do the same thing at once, each with its own connections, on real databases."""

from __future__ import annotations

import asyncio
from collections import Counter

from bot.domain import AnswerResult, SharedFile, Status, Thread
from bot.errors import LimitReached
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage, StoredMessage
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import MODEL, ChatBuilder


def _of(rivals: list[Database], number: int) -> Database:
    return rivals[number % len(rivals)]


async def test_twenty_concurrent_messages_to_a_chat_of_ninety_store_five_pairs(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    chat = await builder.filled(90)

    async def say(number: int) -> StoredMessage | None:
        try:
            return await Chats(_of(rivals, number)).add_message(
                chat.id, NewMessage(f"m{number}", "U1", source=f"s{number}")
            )
        except LimitReached:
            return None

    said = [one for one in await asyncio.gather(*(say(number) for number in range(20))) if one]
    assert len(said) == 5
    messages = await chats.messages(chat.id)
    assert [message.number for message in messages] == list(range(1, 101))
    assert (await chats.get(chat.id)).message_count == 100
    assert {one.message.id for one in said} <= {message.id for message in messages}
    assert sorted(one.answer.number - one.message.number for one in said) == [1] * 5


async def test_the_last_pair_goes_to_one_message_and_its_redelivery_is_a_duplicate(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    chat = await builder.filled(98)

    async def say(number: int) -> StoredMessage:
        return await Chats(_of(rivals, number)).add_message(
            chat.id, NewMessage("the last", "U1", source="same")
        )

    said = await asyncio.gather(*(say(number) for number in range(9)))
    assert Counter(one.duplicate for one in said) == {False: 1, True: 8}
    assert len({one.message.id for one in said}) == len({one.answer.id for one in said}) == 1
    assert (await chats.get(chat.id)).message_count == 100


async def test_one_of_many_concurrent_deliveries_is_stored(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat

    async def say(number: int) -> StoredMessage:
        return await Chats(_of(rivals, number)).add_message(
            chat.id, NewMessage("hello", "U1", source="s")
        )

    said = await asyncio.gather(*(say(number) for number in range(12)))
    assert sum(not one.duplicate for one in said) == 1
    assert (await chats.get(chat.id)).message_count == 4 == len(await chats.messages(chat.id))


async def test_concurrent_starts_of_one_request_make_one_chat(
    rivals: list[Database], chats: Chats, requests: ChatRequests, thread: Thread
) -> None:
    picture = SharedFile("F1", "a.png", "image/png")
    question, _ = await requests.create(
        thread=thread, ts="100.1", user="U1", text="hello", files=(picture,)
    )

    async def start(number: int) -> StoredMessage:
        message = NewMessage("hello", "U1", source="100.1", files=(picture,))
        return await Chats(_of(rivals, number)).start(
            team="T1",
            owner="U1",
            model=MODEL,
            thread=thread,
            message=message,
            request_id=question.id,
        )

    said = await asyncio.gather(*(start(number) for number in range(12)))
    assert sum(not one.duplicate for one in said) == 1
    assert len({(one.chat.id, one.message.id, one.answer.id) for one in said}) == 1
    assert len(await chats.messages(said[0].chat.id)) == 2
    assert (await chats.history(said[0].chat.id, 2))[0].files == (picture,)


async def test_different_requests_started_in_one_thread_become_one_chat(
    rivals: list[Database], chats: Chats, thread: Thread
) -> None:
    async def start(number: int) -> StoredMessage:
        message = NewMessage(f"m{number}", f"U{number}", source=f"100.{number}")
        return await Chats(_of(rivals, number)).start(
            team="T1", owner=f"U{number}", model=MODEL, thread=thread, message=message
        )

    said = await asyncio.gather(*(start(number) for number in range(9)))
    assert not any(one.duplicate for one in said)
    assert len({one.chat.id for one in said}) == 1
    messages = await chats.messages(said[0].chat.id)
    assert [message.number for message in messages] == list(range(1, 19))
    assert Counter(one.queued for one in said) == {False: 1, True: 8}


async def test_numbers_follow_the_order_in_which_messages_are_stored(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    for number in range(10):
        await Chats(_of(rivals, number)).add_message(chat.id, NewMessage(f"m{number}", "U1"))
    said = [message.text for message in await chats.messages(chat.id) if message.author]
    assert said == ["hello", *(f"m{number}" for number in range(10))]


async def test_one_of_many_workers_claims_the_answer(
    rivals: list[Database], builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    await builder.say(chat, "second")
    claims = await asyncio.gather(
        *(
            Answers(_of(rivals, number)).claim(chat.id, f"owner {number}", 30)
            for number in range(15)
        )
    )
    got = [answer for answer in claims if answer]
    assert len(got) == 1
    assert (got[0].number, got[0].attempt, got[0].status) == (2, 1, Status.RUNNING)
    stored = await builder.replies.get(got[0].id)
    assert stored.worker_id == got[0].worker_id


async def test_one_of_many_workers_takes_over_a_lapsed_answer(
    rivals: list[Database], builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    left = await builder.replies.claim(chat.id, "dead", 0)
    assert left is not None
    claims = await asyncio.gather(
        *(
            Answers(_of(rivals, number)).claim(chat.id, f"owner {number}", 30)
            for number in range(15)
        )
    )
    got = [answer for answer in claims if answer]
    assert [(answer.id, answer.attempt) for answer in got] == [(left.id, 2)]


async def test_two_answers_of_a_chat_never_run_at_once(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    """Many messages and many workers, each claiming the next answer as soon as it has finished one."""
    chat = (await builder.start()).chat
    for number in range(9):
        await builder.say(chat, f"m{number}")
    taken: list[int] = []
    running = 0

    async def work(number: int) -> None:
        nonlocal running
        replies, owner = Answers(_of(rivals, number)), f"owner {number}"
        while len(taken) < 10:
            answer = await replies.claim(chat.id, owner, 30)
            if answer is None:
                await asyncio.sleep(0.005)
                continue
            running += 1
            assert running == 1
            taken.append(answer.number)
            assert await replies.save_result(
                answer.id, owner, AnswerResult(Status.DONE, f"to {answer.number - 1}")
            )
            running -= 1
            assert await replies.finish(answer.id, owner)

    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(work(number) for number in range(6)))
    assert taken == list(range(2, 21, 2))
    answers = [message for message in await chats.messages(chat.id) if message.number % 2 == 0]
    assert [message.text for message in answers] == [f"to {number}" for number in range(1, 20, 2)]


async def test_one_of_many_concurrent_retries_succeeds(
    rivals: list[Database], builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    failed = await builder.answer(chat, "half", Status.FAILED)
    tries = await asyncio.gather(
        *(Answers(_of(rivals, number)).retry(failed.id) for number in range(12))
    )
    got = [answer for answer in tries if answer]
    assert len(got) == 1
    assert (got[0].status, got[0].attempt, got[0].error, got[0].text) == (
        Status.WAITING,
        1,
        None,
        "half",
    )


async def test_one_of_many_concurrent_replies_becomes_the_text(
    rivals: list[Database], requests: ChatRequests, thread: Thread
) -> None:
    question, _ = await requests.create(thread=thread, ts="100.1", user="U1")
    filled = await asyncio.gather(
        *(
            ChatRequests(_of(rivals, number)).set_text(
                question.id, text=f"t{number}", source=f"{number}"
            )
            for number in range(9)
        )
    )
    got = [one for one in filled if one]
    assert len(got) == 1
    assert await requests.get(question.id) == got[0]


async def test_concurrent_deliveries_of_one_mention_make_one_request(
    rivals: list[Database], thread: Thread
) -> None:
    asked = await asyncio.gather(
        *(
            ChatRequests(_of(rivals, number)).create(
                thread=thread, ts="100.1", user="U1", text="hi"
            )
            for number in range(9)
        )
    )
    assert sum(created for _, created in asked) == 1
    assert len({question.id for question, _ in asked}) == 1


async def test_everything_at_once_ends_in_order_and_without_deadlock(
    rivals: list[Database], chats: Chats, builder: ChatBuilder
) -> None:
    """Chats, authors, workers and renewals that compete with each other."""
    started = [(await builder.start(f"{number}.0")).chat for number in range(4)]

    async def speak(number: int) -> None:
        for turn in range(5):
            await Chats(_of(rivals, number)).add_message(
                started[number % 4].id,
                NewMessage(f"{number}/{turn}", f"U{number}", source=f"{number}/{turn}"),
            )

    async def work(number: int) -> int:
        answers, owner, done = Answers(_of(rivals, number)), f"owner {number}", 0
        while chat_ids := await answers.chats_to_claim(10):
            for chat_id in chat_ids:
                answer = await answers.claim(chat_id, owner, 30)
                if answer is None:
                    continue
                await answers.renew(owner, 30)
                await answers.request_stop(chat_id)
                assert await answers.save_result(
                    answer.id, owner, AnswerResult(Status.DONE, "well")
                )
                assert await answers.finish(answer.id, owner)
                done += 1
        return done

    async with asyncio.timeout(WAIT_TIMEOUT):
        first = await asyncio.gather(
            *(speak(number) for number in range(8)), *(work(number) for number in range(3))
        )
        rest = await work(0)
    assert sum(one or 0 for one in first) + rest == 44
    for chat in started:
        messages = await chats.messages(chat.id)
        assert [message.number for message in messages] == list(range(1, 23))
        assert {message.status for message in messages} == {Status.DONE}
