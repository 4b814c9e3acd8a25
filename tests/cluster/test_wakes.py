"""Two processes' engines on one database and no sweep: whoever is told of a message, its answer is begun at once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bot.answers.engine import Engine
from bot.answers.events import EventPublisher
from bot.answers.recovery import Recovery
from bot.answers.sink import AnswerControl, AnswerSink, NullSink
from bot.domain import (
    Answer,
    AnswerResult,
    Chat,
    Done,
    MessageRef,
    ModelRef,
    Status,
    StreamEvent,
    TextDelta,
)
from bot.observability import Metrics
from bot.providers.base import Request
from storage.answers import Answers
from storage.chats import Chats, NewMessage
from storage.coordination import Coordination
from storage.coordination.memory import MemoryCoordination
from storage.engine.database import Database
from tests.deadlines import WAIT_TIMEOUT

pytestmark = pytest.mark.usefixtures("no_sweep")

TEAM, USER = "T1", "U1"
MODEL = ModelRef("openai", "any")


@pytest.fixture
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for forgotten work after the start."""
    monkeypatch.setattr("bot.answers.recovery.SWEEP_EVERY", 3600.0)


class Quick:
    """A model that says one word after `pause()` seconds."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause

    async def stream(self, request: Request) -> AsyncIterator[StreamEvent]:
        await asyncio.sleep(self._pause())
        yield TextDelta("word")
        yield Done("stop")


async def nowhere(chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
    return NullSink()


async def brief(chat: Chat, answer: Answer) -> Request:
    return Request(chat.model, "", ())


async def nothing(chat: Chat, answer: Answer, result: AnswerResult) -> None:
    return


class Replica:
    """What one process has of its own."""

    def __init__(
        self, database: Database, coordination: Coordination, pause: Callable[[], float], name: str
    ) -> None:
        self.chats, self.replies, self.metrics = Chats(database), Answers(database), Metrics()
        self.live = EventPublisher(coordination)
        self.engine = Engine(
            chats=self.chats,
            answers=self.replies,
            models=Quick(pause),
            sinks=nowhere,
            publisher=self.live,
            prompt_builder=brief,
            after=nothing,
            metrics=self.metrics,
            owner=name,
        )
        self.recovery = Recovery(self.engine, self.replies, coordination, self.metrics)

    async def say(self, chat_id: str, text: str) -> Answer:
        said = await self.chats.add_message(
            chat_id, NewMessage(text, USER, source=text), limit=10_000
        )
        self.engine.wake(chat_id)
        return said.answer


@asynccontextmanager
async def replicas(
    url: str, pause: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[list[Replica]]:
    """Two of them."""
    async with AsyncExitStack() as stack:
        coordination = MemoryCoordination()
        found = []
        for name in ("one", "two"):
            database = Database.open(url)
            stack.push_async_callback(database.close)
            replica = Replica(database, coordination, pause, name)
            await stack.enter_async_context(replica.live.running())
            await stack.enter_async_context(replica.recovery.running())
            found.append(replica)
        yield found
        for replica in found:
            await replica.engine.drain(5.0)


async def start(replica: Replica) -> str:
    said = await replica.chats.start(
        team=TEAM, owner=USER, model=MODEL, message=NewMessage("first", USER)
    )
    replica.engine.wake(said.chat.id)
    return said.chat.id


async def ended(replica: Replica, answer: Answer, seconds: float = 20.0) -> Answer:
    async with asyncio.timeout(seconds):
        while not (now := await replica.replies.get(answer.id)).status.ended:
            await asyncio.sleep(0.02)
    return now


async def test_no_message_waits_for_the_sweep_wherever_it_is_said(migrated_url: str) -> None:
    """Messages come just while answers end: somebody always finds the next one."""
    chance = random.Random(4)
    async with replicas(migrated_url, lambda: chance.uniform(0.0, 0.01)) as both:

        async def talk(number: int) -> list[Answer]:
            chat_id = await start(both[0])
            answers = []
            for turn in range(15):
                answers.append(await both[chance.randrange(2)].say(chat_id, f"{number}.{turn}"))
                await asyncio.sleep(chance.uniform(0.0, 0.03))
            return [await ended(both[0], answer) for answer in answers]

        for answers in await asyncio.gather(*map(talk, range(4))):
            assert [(answer.status, answer.attempt) for answer in answers] == [
                (Status.DONE, 1)
            ] * 15


async def test_a_process_that_ends_leaves_its_work_to_the_others_at_once(migrated_url: str) -> None:
    async with replicas(migrated_url, lambda: 0.5) as (leaving, staying):
        chat_id = await start(leaving)
        await _running(leaving, chat_id)
        behind = [await leaving.say(chat_id, f"behind {n}") for n in range(2)]
        await leaving.engine.drain(5.0)  # the running answer ends, those behind it are not begun
        late = await leaving.say(chat_id, "said to a process that takes nothing any more")
        answers = [await ended(staying, answer) for answer in (*behind, late)]
        assert [answer.status for answer in answers] == [Status.DONE] * 3
        assert [message.text for message in await staying.chats.messages(chat_id)][1::2] == [
            "word"
        ] * 4


async def test_a_process_without_grace_hands_over_what_it_was_writing(migrated_url: str) -> None:
    seconds = iter((60.0, 0.1))  # the model would not be done before the process leaves
    async with replicas(migrated_url, lambda: next(seconds)) as both:
        chat_id = await start(both[0])
        first = await _running(both[0], chat_id)
        leaving, staying = sorted(
            both, key=lambda replica: replica.engine.worker_id != first.worker_id
        )  # a sweep may be quicker
        await leaving.engine.drain(0.0)
        now = await ended(staying, first)
        assert (now.status, now.attempt) == (Status.DONE, 2)
        assert (
            b"bobbin_leases_taken_over_total 0.0" in staying.metrics.render()
        )  # given back, not fallen silent


async def test_what_a_silent_process_was_writing_is_counted_where_it_goes_on(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.answers.recovery.SWEEP_EVERY", 0.1)
    async with replicas(migrated_url) as (silent, other):
        said = await silent.chats.start(
            team=TEAM, owner=USER, model=MODEL, message=NewMessage("first", USER)
        )
        assert await silent.replies.claim(said.chat.id, "killed", 0.3)
        await silent.say(said.chat.id, "second")
        assert (await ended(other, said.answer)).attempt == 2
        taken_over = [
            replica.metrics.render().count(b"bobbin_leases_taken_over_total 1.0")
            for replica in (silent, other)
        ]
        assert sum(taken_over) == 1


class Board(NullSink):
    """Shows the answer in one message, at its end."""

    def __init__(self, control: AnswerControl) -> None:
        self._control = control

    async def close(self, result: AnswerResult) -> None:
        await self._control.record_messages((MessageRef("1.5", streaming=False),))


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_no_answer_ends_before_it_is_known_where_it_stands(migrated_url: str) -> None:
    """Else the next answer, taken over, would find the messages of this one and take them for its own."""

    async def on_the_board(chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
        return Board(control)

    refuse = "CREATE TRIGGER away BEFORE UPDATE OF parts ON answers BEGIN SELECT RAISE(ABORT, 'away'); END"
    async with replicas(migrated_url) as (one, other):
        one.engine._sinks = on_the_board
        await _execute(migrated_url, refuse)
        chat_id = await start(one)
        answer = await _running(one, chat_id)
        await asyncio.sleep(1.0)
        assert (await other.replies.get(answer.id)).status is Status.RUNNING
        await _execute(migrated_url, "DROP TRIGGER away")
        assert (await ended(one, answer)).slack_messages == (MessageRef("1.5", streaming=False),)


async def _execute(url: str, statement: str) -> None:
    def change() -> None:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=5)
        connection.execute(statement)
        connection.commit()
        connection.close()

    await asyncio.to_thread(change)


async def _running(replica: Replica, chat_id: str) -> Answer:
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (answer := await replica.replies.running(chat_id)):
            await asyncio.sleep(0.01)
    return answer
