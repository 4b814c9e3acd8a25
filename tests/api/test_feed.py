"""The feed delivers bursts of changes to subscribers that read, and drops those that do not."""

from __future__ import annotations

import asyncio

import pytest

from bot.answers.events import team_topic
from bot.chats.feed import Feed
from bot.chats.feed_events import AnswerEnded, AnswerRestarted, FeedSubscription, TextAppended
from bot.domain import AnswerResult, Status, User
from storage.answers import Answers
from storage.chats import Chats
from storage.coordination import SlowSubscriber
from storage.coordination.memory import MemoryCoordination
from storage.engine.database import Database
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

PIECES = [f"piece {number} " for number in range(300)]


async def read(listener: FeedSubscription) -> str:
    """All text, up to the answer's end."""
    text = ""
    async for change in listener:
        if isinstance(change, AnswerEnded):
            break
        if isinstance(change, TextAppended):
            text += change.text
    return text


async def test_subscriber_that_reads_is_never_dropped(database: Database) -> None:
    """Events pile up while the database is slow; a subscriber counts as too slow only if it does not read."""
    coordination, chats, answers = MemoryCoordination(), Chats(database), Answers(database)
    builder, alice = ChatBuilder(chats, answers), User("T1", "U1")
    said = await builder.start(author=alice.id)
    feed = Feed(coordination, chats, answers)
    async with (
        feed.running(),
        feed.subscribe(alice, 10) as listener,
        feed.subscribe(alice, 10) as idle,
    ):
        reading = asyncio.create_task(read(listener))
        about = {"chat": said.chat.id, "message": said.answer.id}
        at = 0
        for piece in PIECES:
            await coordination.publish(
                team_topic("T1"), {**about, "attempt": 1, "at": at, "token": piece}
            )
            at += len(piece)
        await builder.answer(said.chat, "".join(PIECES))
        await coordination.publish(
            team_topic("T1"), {**about, "ended": str(Status.DONE), "error": None}
        )

        assert await reading == "".join(PIECES)
        assert idle.dropped.is_set()
        with pytest.raises(SlowSubscriber):
            await read(idle)
    await coordination.close()


async def test_retry_restarts_the_answer_even_if_only_its_end_is_seen(database: Database) -> None:
    """The check in the database, or the end of the attempt before, may come before the retry's first word."""
    coordination, chats, answers = MemoryCoordination(), Chats(database), Answers(database)
    said = await ChatBuilder(chats, answers).start(author="U1")
    feed = Feed(coordination, chats, answers)
    about = {"chat": said.chat.id, "message": said.answer.id, "ended": "", "error": None}

    async def attempt(result: AnswerResult) -> None:
        claimed = await answers.claim(said.chat.id, "me", 60.0)
        assert claimed is not None
        await answers.save_result(claimed.id, "me", result)
        await answers.finish(claimed.id, "me")
        await coordination.publish(team_topic("T1"), about)

    async with (
        feed.running(),
        feed.subscribe(User("T1", "U1"), 100) as listener,
        asyncio.timeout(WAIT_TIMEOUT),
    ):
        await attempt(AnswerResult(Status.FAILED, "Half of an answer", error="refused"))
        assert await read(listener) == "Half of an answer"
        await answers.retry(said.answer.id)
        await attempt(AnswerResult(Status.DONE, "A whole answer."))
        assert isinstance(await anext(listener), AnswerRestarted)
        assert await read(listener) == "A whole answer."
    await coordination.close()
