"""From a waiting answer to its end: claim, ask the model, show, store. Whatever happens, the end is written.

One task serves one chat, so its answers come one at a time and in order; the claim in the database holds that across
processes. A running answer belongs to its owner as long as the lease is renewed; `bot.answers.recovery` does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from bot.answers.events import EventPublisher
from bot.answers.lease import LEASE, ClockReading, Lease
from bot.answers.retry import until_stored
from bot.answers.sink import AnswerSink, SinkFactory
from bot.domain import (
    Answer,
    AnswerResult,
    Chat,
    Done,
    MessageRef,
    Status,
    StreamEvent,
    TextDelta,
    Usage,
)
from bot.errors import ChatNotFound, EmptyAnswer, ProviderError, StorageError, StreamInterrupted
from bot.observability import Metrics, bound, get_logger
from bot.providers.base import Request
from storage.answers import Answers
from storage.chats import Chats

log = get_logger(__name__)

MAX_ATTEMPTS = 3
"""How often a model is asked before a person is bothered, as long as nothing was shown."""
RETRY_DELAYS = (0.5, 2.0)
"""Seconds before the second and the third try."""
MAX_RETRY_AFTER = 10.0
"""Seconds: a model that asks for more patience than this is reported as busy."""


class Models(Protocol):
    """What the engine needs of `bot.providers.registry`."""

    def stream(self, request: Request) -> AsyncIterator[StreamEvent]: ...


BuildPrompt = Callable[[Chat, Answer], Awaitable[Request]]
"""What is sent to the model for this answer."""
AfterAnswer = Callable[[Chat, Answer, AnswerResult], Awaitable[None]]
"""Told of every answer that has ended, when it is stored: titles, lists."""


@dataclass(eq=False)
class RunningAnswer:
    """One answer that this process is writing (the sink's `Control`)."""

    answer: Answer
    replies: Answers
    owner: str
    lease: Lease
    text: list[str] = field(default_factory=list)
    length: int = 0
    """Characters in `text`."""
    usage: Usage | None = None
    finish_reason: str = "stop"
    stopped: bool = False
    ending: bool = False
    """Its end is being stored, after which no lease is left to renew."""
    unrecorded_messages: tuple[MessageRef, ...] | None = None
    """Where the answer stands, as far as the database has not been told: that goes with the end."""
    asking: asyncio.Task[None] | None = None
    serving: asyncio.Task[None] | None = None

    async def record_messages(self, parts: tuple[MessageRef, ...]) -> None:
        self.unrecorded_messages = parts
        with contextlib.suppress(
            StorageError
        ):  # a later record repeats it; a take-over finds the message by itself
            if not await self.replies.save_parts(self.answer.id, self.owner, parts):
                self.lose()
            self.unrecorded_messages = None

    def note_final_messages(self, parts: tuple[MessageRef, ...]) -> None:
        self.unrecorded_messages = parts

    async def confirm(self) -> None:
        await self.lease.confirm()

    def invalidate(self) -> None:
        self.lease.invalidate()

    def stop(self) -> None:
        self.stopped = True
        if self.asking is not None:
            self.asking.cancel()

    def lose(self) -> None:
        """Another process has it now: fall silent."""
        self.lease.lose()
        if self.serving is not None:
            self.serving.cancel()


class Engine:
    """Writes the answers that this process claims."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        models: Models,
        sinks: SinkFactory,
        publisher: EventPublisher,
        prompt_builder: BuildPrompt,
        after: AfterAnswer,
        metrics: Metrics,
        owner: str,
    ) -> None:
        self._chats, self._answers, self._models, self._sinks, self._publisher = (
            chats,
            answers,
            models,
            sinks,
            publisher,
        )
        self._prompt_builder, self._after, self._metrics = prompt_builder, after, metrics
        self.worker_id = owner
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._runs: dict[str, RunningAnswer] = {}
        self._closing = False
        self.renewal_wanted = asyncio.Event()
        """Set while somebody waits to hear whether a lease still holds."""
        self.lapsed: frozenset[str] = frozenset()
        """Answers whose owner was found silent."""

    @property
    def running(self) -> dict[str, RunningAnswer]:
        """The answers that this process is writing, by id."""
        return self._runs

    def wake(self, chat_id: str) -> None:
        """There may be work in this chat. Returns at once."""
        if self._closing:
            self._publisher.request_wake(
                chat_id
            )  # stored here a moment before the end, for the others to take
            return
        if chat_id in self._serving:
            self._again.add(chat_id)
            return
        task = asyncio.create_task(self._serve(chat_id), name=f"chat {chat_id}")
        self._serving[chat_id] = task
        task.add_done_callback(lambda _: self._served(chat_id))

    def look_for_work(self, chat_id: str) -> None:
        """Another process leaves work in this chat."""
        if not self._closing:
            self.wake(chat_id)

    def stop(self, answer_id: str) -> None:
        """End this answer if this process writes it; what was written stays."""
        if run := self._runs.get(answer_id):
            run.stop()

    async def drain(self, grace: float) -> None:
        """Take nothing new, give what runs `grace` seconds to end, hand the rest over. An idle engine ends at once."""
        self._closing = True
        if self._runs and grace > 0:
            await asyncio.wait(
                [run.serving for run in self._runs.values() if run.serving], timeout=grace
            )
        tasks = list(self._serving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StorageError):
            for chat_id in await self._answers.release(self.worker_id):
                self._publisher.request_wake(chat_id)

    # -- one chat ----------------------------------------------------------------------------------------------

    def _served(self, chat_id: str) -> None:
        self._serving.pop(chat_id, None)
        if chat_id in self._again:
            self._again.discard(chat_id)
            self.wake(chat_id)

    async def _serve(self, chat_id: str) -> None:
        with bound(chat=chat_id):
            try:
                while not self._closing and (run := await self._claim(chat_id)):
                    self._again.discard(chat_id)
                    await self._own(run)
                    if (
                        await self._answers.next_waiting(chat_id) is None
                    ):  # a look is cheaper than a claim
                        break
                if self._closing:
                    self._publisher.request_wake(chat_id)  # what waited behind the last answer
            except StorageError as error:
                log.warning("storage_unreachable", reason=str(error))
            except Exception:
                log.exception("answer_failed_inside")

    async def _claim(self, chat_id: str) -> RunningAnswer | None:
        asked = ClockReading()
        answer = await self._answers.claim(chat_id, self.worker_id, LEASE)
        return (
            None
            if answer is None
            else RunningAnswer(
                answer, self._answers, self.worker_id, Lease(asked, self.renewal_wanted.set)
            )
        )

    async def _own(self, run: RunningAnswer) -> None:
        """Writes one claimed answer; losing it to another process is not an error."""
        answer = run.answer
        self._runs[answer.id] = run
        self._metrics.running(len(self._runs))
        if answer.attempt > 1:
            log.info("answer_taken_up", answer=answer.id, attempt=answer.attempt)
        if answer.id in self.lapsed:
            self._metrics.lease_taken_over()
        run.serving = asyncio.create_task(self._answer(run), name=f"answering {answer.id}")
        try:
            await asyncio.wait([run.serving])
        except asyncio.CancelledError:
            run.serving.cancel()
            await asyncio.wait([run.serving])
            raise
        finally:
            run.lease.lose()  # whatever was to be done beside it is not ours any more
            self._runs.pop(answer.id, None)
            self._metrics.running(len(self._runs))
        if not run.serving.cancelled():
            run.serving.result()

    async def _answer(self, run: RunningAnswer) -> None:
        chat = await self._chats.get(run.answer.chat_id)
        with bound(team=chat.team, answer=run.answer.id):
            await self._write(run, chat)

    async def _write(self, run: RunningAnswer, chat: Chat) -> None:
        sink = await self._sinks(chat, run.answer, run)
        await sink.open()
        try:
            result = await self._ending(run, chat, sink)
            await sink.close(result)
        except BaseException:
            await asyncio.shield(sink.abandon())
            raise
        run.ending = True
        await self._persist(
            lambda: self._answers.finish(run.answer.id, self.worker_id, run.unrecorded_messages),
            run,
        )
        self._metrics.answer_ended(result.status)
        log.info("answer_ended", answer=run.answer.id, outcome=result.status, error=result.error)
        await self._publisher.answer_ended(chat, run.answer, result)
        await self._after(chat, run.answer, result)

    async def _ending(self, run: RunningAnswer, chat: Chat, sink: AnswerSink) -> AnswerResult:
        """How the answer ends: as stored when only showing it remains, else as the model makes it."""
        if run.answer.text_complete:
            stored = await self._answers.result(run.answer.id)
            if stored is not None:
                return stored
        began = time.monotonic()
        result = await self._ask(run, chat, sink, began)
        await self._persist(
            lambda: self._answers.save_result(run.answer.id, self.worker_id, result), run
        )
        return result

    async def _persist(self, store: Callable[[], Awaitable[bool]], run: RunningAnswer) -> None:
        """Stores what must not be lost, however long the database is away. A lost lease ends the run."""
        if not await until_stored(store, run.answer.id):
            run.lease.lose()
            raise asyncio.CancelledError

    # -- the model ---------------------------------------------------------------------------------------------

    async def _ask(
        self, run: RunningAnswer, chat: Chat, sink: AnswerSink, began: float
    ) -> AnswerResult:
        run.asking = asyncio.create_task(self._listen(run, chat, sink, began))
        if run.stopped:
            run.asking.cancel()
        error: ProviderError | None = None
        try:
            await run.asking
        except asyncio.CancelledError:
            run.asking.cancel()
            await asyncio.wait([run.asking])
            if not run.stopped or run.lease.lost:
                raise
        except ProviderError as raised:
            error = raised
            self._metrics.model_error(chat.model.provider, raised.code)
        except ChatNotFound:
            raise
        except Exception as inside:
            log.exception("answer_failed_inside", answer=run.answer.id)
            error = ProviderError(type(inside).__name__)
        return _conclude(run, error, time.monotonic() - began)

    async def _listen(self, run: RunningAnswer, chat: Chat, sink: AnswerSink, began: float) -> None:
        request = await until_stored(lambda: self._prompt_builder(chat, run.answer), run.answer.id)
        for attempt in range(MAX_ATTEMPTS):
            try:
                await self._read(run, chat, request, sink, began)
                if not "".join(run.text).strip():
                    raise EmptyAnswer
                return
            except ProviderError as error:
                pause = (
                    error.retry_after
                    if error.retry_after is not None
                    else RETRY_DELAYS[min(attempt, 1)]
                )
                last = attempt == MAX_ATTEMPTS - 1 or pause > MAX_RETRY_AFTER
                if run.text or last or not error.retried_automatically:
                    raise
                log.info("model_asked_again", answer=run.answer.id, code=error.code)
                await asyncio.sleep(pause)

    async def _read(
        self, run: RunningAnswer, chat: Chat, request: Request, sink: AnswerSink, began: float
    ) -> None:
        ended = False
        async with aclosing(_closable(self._models.stream(request))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    if not run.text:
                        self._metrics.first_word(time.monotonic() - began)
                    run.text.append(event.text)
                    sink.write(event.text)
                    self._publisher.text_appended(chat, run.answer, event.text, run.length)
                    run.length += len(event.text)
                elif isinstance(event, Usage):
                    run.usage = event
                elif isinstance(event, Done):
                    run.finish_reason, ended = event.reason, True
        if not ended:
            raise StreamInterrupted


async def _closable(events: AsyncIterator[StreamEvent]) -> AsyncGenerator[StreamEvent, None]:
    """Closing this closes the source, whatever kind of iterator it is."""
    try:
        async for event in events:
            yield event
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _conclude(run: RunningAnswer, error: ProviderError | None, seconds: float) -> AnswerResult:
    text = "".join(run.text)
    if run.stopped:
        return AnswerResult(Status.STOPPED, text, usage=run.usage, seconds=seconds)
    if error is not None:
        return AnswerResult(
            Status.FAILED, text, error=error.code, detail=error.detail or None, seconds=seconds
        )
    return AnswerResult(
        Status.DONE, text, usage=run.usage, seconds=seconds, truncated=run.finish_reason == "length"
    )
