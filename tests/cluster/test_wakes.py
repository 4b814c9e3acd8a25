"""Two engines on one database, without a sweep: a new message is answered at once, whichever process receives it."""

from __future__ import annotations

import asyncio
import errno
import math
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from bot.answers.after_work import DONE, AfterWork, ChoreJob, ChoreResult
from bot.answers.engine import Engine
from bot.answers.events import EventPublisher
from bot.answers.generator import AnswerGenerator, Models
from bot.answers.recovery import Recovery
from bot.answers.running_answer import FitPrompt
from bot.answers.sink import AnswerControl, AnswerSink, NullSink, SinkFactory
from bot.answers.tool_loop import ToolLoop
from bot.answers.tool_pictures import ToolPictures
from bot.answers.tool_servers import NoTools
from bot.chats.attachments.fitting import ImageFitter
from bot.domain import Answer, AnswerResult, Chat, MessageRef, ModelRef, Status
from bot.domain.chores import Chore
from bot.domain.stream_events import (
    Done,
    StreamEvent,
    TextDelta,
)
from bot.domain.tool_calls import ALL_TOOLS, ChannelTools
from bot.errors import OwnFault, StorageError
from bot.observability import Metrics
from bot.providers.base import ModelRequest
from bot.runtime.memory import MemoryBudget
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from storage.answers import Answers
from storage.chats import Chats
from storage.chores import Chores
from storage.coordination import Coordination
from storage.coordination.memory import MemoryCoordination
from storage.engine.database import Database
from storage.ledger import Ledger
from storage.messages import NewMessage
from storage.tables import ledger
from storage.tool_calls import ToolCalls
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.slow import slow_after

TEAM, USER = "T1", "U1"
MODEL = ModelRef("openai", "any")


NO_SWEEP = patient_timing(sweep_interval=3600.0)
"""Nobody looks for forgotten work after the start."""


async def all_tools(chat: Chat) -> ChannelTools:
    return ALL_TOOLS


class OneWordModel:
    """Answers with one word after `pause()` seconds."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        await asyncio.sleep(self._pause())
        yield TextDelta("word")
        yield Done("stop")


class HeldModel(OneWordModel):
    """Answers with one word once it is released."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.asked, self.released = asyncio.Event(), asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        self.asked.set()
        await self.released.wait()
        async for event in super().stream(request):
            yield event


async def null_sink(chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
    return NullSink()


async def read_prompt(chat: Chat, answer: Answer) -> FitPrompt:
    async def fit(beside: int, limit: int | None) -> ModelRequest:
        return ModelRequest(chat.model, "", ())

    return fit


def do_nothing(chat: Chat, result: AnswerResult) -> None:
    return


async def no_title(job: ChoreJob) -> ChoreResult:
    return DONE


class Replica:
    """One process of the bot, as far as answers are concerned."""

    def __init__(
        self,
        database: Database,
        coordination: Coordination,
        name: str,
        *,
        pause: Callable[[], float],
        timing: Timing,
        sinks: SinkFactory,
        models: Models | None,
    ) -> None:
        self.database = database
        self.chats = Chats(database)
        self.answers = Answers(database)
        self.metrics = Metrics()
        self.publisher = EventPublisher(coordination)
        self.tasks = Tasks()
        after_work = AfterWork(Chores(database), self.chats, self.answers, self.tasks, timing, name)
        after_work.register({Chore.TITLE: no_title})
        tool_loop = ToolLoop(
            tools=NoTools(),
            calls=ToolCalls(database),
            publisher=self.publisher,
            worker_id=name,
            steps=10,
            seconds=60.0,
            rules=all_tools,
            pictures=ToolPictures(ImageFitter().fit, sees=lambda chat: False),
            room=lambda chat: math.inf,
        )
        generator = AnswerGenerator(
            models=models or OneWordModel(pause),
            read_prompt=read_prompt,
            publisher=self.publisher,
            metrics=self.metrics,
            ledger=Ledger(database),
            fit_picture=ImageFitter().fit,
            tool_loop=tool_loop,
        )
        self.engine = Engine(
            chats=self.chats,
            answers=self.answers,
            generator=generator,
            sinks=sinks,
            publisher=self.publisher,
            after_work=after_work,
            on_end=do_nothing,
            metrics=self.metrics,
            worker_id=name,
            memory=MemoryBudget(),
            tool_loop=tool_loop,
            timing=timing,
        )
        self.recovery = Recovery(
            self.engine, after_work, self.answers, coordination, self.metrics, timing=timing
        )

    async def say(self, chat_id: str, text: str) -> Answer:
        said = await self.chats.add_message(
            chat_id, NewMessage(text, USER, source=text), limit=10_000
        )
        self.engine.wake(chat_id)
        return said.answer


@asynccontextmanager
async def replicas(
    url: str,
    pause: Callable[[], float] = lambda: 0.0,
    timing: Timing = NO_SWEEP,
    sinks: SinkFactory = null_sink,
    models: Models | None = None,
) -> AsyncIterator[list[Replica]]:
    """Two replicas."""
    async with AsyncExitStack() as stack:
        coordination = MemoryCoordination()
        found = []
        for name in ("one", "two"):
            database = Database.open(url, timing=patient_timing())
            stack.push_async_callback(database.close)
            replica = Replica(
                database,
                coordination,
                name,
                pause=pause,
                timing=timing,
                sinks=sinks,
                models=models,
            )
            await stack.enter_async_context(replica.publisher.running())
            await stack.enter_async_context(replica.recovery.running())
            found.append(replica)
            await stack.enter_async_context(replica.tasks)
        yield found
        for replica in found:
            await replica.engine.drain(WAIT_TIMEOUT)


async def start(replica: Replica) -> str:
    said = await replica.chats.start(
        team=TEAM, owner=USER, model=MODEL, message=NewMessage("first", USER)
    )
    replica.engine.wake(said.chat.id)
    return said.chat.id


async def ended(replica: Replica, answer: Answer, seconds: float = WAIT_TIMEOUT) -> Answer:
    async with asyncio.timeout(seconds):
        while not (now := await replica.answers.get(answer.id)).status.ended:
            await asyncio.sleep(0.1)
    return now


async def test_message_is_answered_without_a_sweep_whichever_process_receives_it(
    migrated_url: str,
) -> None:
    """Messages arrive just as answers end: one of the engines always finds the next one."""
    chance = random.Random(4)
    async with replicas(migrated_url, lambda: chance.uniform(0.0, 0.01)) as both:

        async def converse(number: int) -> list[Answer]:
            chat_id = await start(both[0])
            answers = []
            for turn in range(8):
                answers.append(await both[chance.randrange(2)].say(chat_id, f"{number}.{turn}"))
                await asyncio.sleep(chance.uniform(0.0, 0.03))
            return [await ended(both[0], answer) for answer in answers]

        for answers in await asyncio.gather(*map(converse, range(4))):
            assert [(answer.status, answer.attempt) for answer in answers] == [(Status.DONE, 1)] * 8


async def test_closing_engine_leaves_waiting_answers_to_others_at_once(migrated_url: str) -> None:
    model = HeldModel()
    async with replicas(migrated_url, models=model) as (leaving, staying):
        chat_id = await start(leaving)
        async with asyncio.timeout(WAIT_TIMEOUT):
            await model.asked.wait()
        behind = [await leaving.say(chat_id, f"behind {n}") for n in range(2)]
        draining = asyncio.create_task(leaving.engine.drain(WAIT_TIMEOUT))
        await asyncio.sleep(0)
        model.released.set()
        await draining  # the running answer ends, the waiting ones do not start
        late = await leaving.say(chat_id, "sent to a process that claims nothing more")
        answers = [await ended(staying, answer) for answer in (*behind, late)]
        assert [answer.status for answer in answers] == [Status.DONE] * 3
        assert [message.text for message in await staying.chats.messages(chat_id)][1::2] == [
            "word"
        ] * 4


async def test_closing_engine_without_grace_hands_over_its_running_answer(
    migrated_url: str,
) -> None:
    pauses = [0.1, 60.0]  # the first model call is still busy when its engine closes
    async with replicas(migrated_url, pauses.pop) as both:
        chat_id = await start(both[0])
        first = await _running(both[0], chat_id)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(pauses) == 2:
                await asyncio.sleep(0.01)
        leaving, staying = sorted(
            both, key=lambda replica: replica.engine.worker_id != first.worker_id
        )  # the first sweep of either may have claimed it
        await leaving.engine.drain(0.0)
        now = await ended(staying, first)
        assert (now.status, now.attempt) == (Status.DONE, 2)
        assert (
            b"bobbin_leases_taken_over_total 0.0" in staying.metrics.render()
        )  # handed over, not lapsed


async def test_lapsed_answer_is_counted_as_taken_over(
    migrated_url: str, database: Database
) -> None:
    said = await Chats(database).start(
        team=TEAM, owner=USER, model=MODEL, message=NewMessage("first", USER)
    )
    assert await Answers(database).claim(said.chat.id, "killed", 0.3)  # before anybody sweeps
    async with replicas(migrated_url, timing=patient_timing(sweep_interval=0.1)) as both:
        await both[0].say(said.chat.id, "second")
        assert (await ended(both[1], said.answer)).attempt == 2
        taken_over = [
            replica.metrics.render().count(b"bobbin_leases_taken_over_total 1.0")
            for replica in both
        ]
        assert sum(taken_over) == 1


async def test_failing_statement_before_the_model_is_asked_is_repeated(migrated_url: str) -> None:
    """Neither the lease nor another attempt is lost to it."""
    failures = [StorageError("away"), StorageError("away")]

    async def unlucky(chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
        if failures:
            raise failures.pop()
        return NullSink()

    async with replicas(migrated_url, sinks=unlucky) as (one, other):
        chat_id = await start(one)
        second = await one.say(chat_id, "second")
        answer = await ended(other, second)
        first = await other.answers.get((await one.chats.messages(chat_id))[1].id)
    assert [(each.status, each.attempt) for each in (first, answer)] == [(Status.DONE, 1)] * 2


class FailingModel(OneWordModel):
    """Before its word, `failures` stand in its way."""

    failures: list[Exception]

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        if self.failures:
            raise self.failures.pop()
        async for event in super().stream(request):
            yield event


async def calls_of(replica: Replica, answer_id: str) -> int:
    """How many calls of a model the ledger holds for an answer."""
    query = select(func.count()).where(ledger.c.answer_id == answer_id)
    async with replica.database.read() as connection:
        return int(await connection.scalar(query) or 0)


AWAY = StorageError("away with the picture")
OURS: dict[str, tuple[list[Exception], str | None, int]] = {
    "the database is away": ([AWAY] * 3, None, 1),
    "too many open files": ([OwnFault("Too many open files")], None, 2),
    "too many for long": ([OwnFault("Too many open files")] * 9, "own_fault", 3),
    "an error of ours": ([KeyError("secret")], "own_fault", 1),
    "the disk is full": ([OSError(errno.ENOSPC, "No space left")], "own_fault", 1),
}
"""What fails while the model is asked; what is told of it, and the calls of the model in the ledger."""


@pytest.mark.parametrize("dialect", slow_after(1, ["sqlite", "postgresql"]))
async def test_local_failures_are_not_reported_as_the_models(migrated_url: str) -> None:
    quick = replace(NO_SWEEP, model_retry_delays=(0.0, 0.0))
    model = FailingModel()
    async with replicas(migrated_url, timing=quick, models=model) as (one, _):
        for failures, code, calls in OURS.values():
            model.failures = list(failures)
            chat_id = await start(one)
            answer = (await one.chats.messages(chat_id))[1]
            await ended(one, await one.answers.get(answer.id))
            result = await one.answers.result(answer.id)
            assert result is not None
            assert (result.error, result.detail) == (code, None), failures
            assert await calls_of(one, answer.id) == calls, failures
        assert b"bobbin_model_errors_total{" not in one.metrics.render()


class OneMessageSink(NullSink):
    """Shows the answer in one message, when it ends."""

    def __init__(self, control: AnswerControl) -> None:
        self._control = control

    async def close(self, result: AnswerResult) -> Mapping[Chore, float]:
        await self._control.record_messages((MessageRef("1.5", streaming=False),))
        return {}


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_answer_ends_only_when_its_messages_are_stored(migrated_url: str) -> None:
    """Otherwise a worker that takes over the next answer would take the messages of this one for its own."""

    async def one_message(chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink:
        return OneMessageSink(control)

    refuse = "CREATE TRIGGER away BEFORE UPDATE OF parts ON answers BEGIN SELECT RAISE(ABORT, 'away'); END"
    async with replicas(migrated_url, sinks=one_message) as (one, other):
        await _execute(migrated_url, refuse)
        chat_id = await start(one)
        answer = await other.answers.get((await one.chats.messages(chat_id))[1].id)
        await asyncio.sleep(1.0)
        assert await other.answers.is_busy(chat_id)
        await _execute(migrated_url, "DROP TRIGGER away")
        async with asyncio.timeout(WAIT_TIMEOUT):
            while await other.answers.is_busy(chat_id):
                await asyncio.sleep(0.01)
        assert (await ended(one, answer)).slack_messages == (MessageRef("1.5", streaming=False),)


async def _execute(url: str, statement: str) -> None:
    def change() -> None:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=WAIT_TIMEOUT)
        connection.execute(statement)
        connection.commit()
        connection.close()

    await asyncio.to_thread(change)


async def _running(replica: Replica, chat_id: str) -> Answer:
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (answer := await replica.answers.running(chat_id)):
            await asyncio.sleep(0.01)
    return answer
