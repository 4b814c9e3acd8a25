"""Asks the model for one answer, and passes its text on as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Protocol

from bot.answers.answer_result import result_of
from bot.answers.events import EventPublisher
from bot.answers.pictures import PictureIntake
from bot.answers.retry import until_stored
from bot.answers.running_answer import FitPrompt, RunningAnswer, RunState
from bot.answers.sink import AnswerSink
from bot.answers.step_log import THOUGHTS_TIMED, StepLog, Thoughts
from bot.answers.tool_loop import Parked, ToolLoop
from bot.domain import Answer, AnswerResult, Chat, Usage
from bot.errors import (
    ChatNotFound,
    ContextTooLong,
    EmptyAnswer,
    OwnFault,
    PicturesOnly,
    ProviderError,
    StorageError,
    StreamInterrupted,
)
from bot.observability import Metrics, get_logger
from bot.providers.base import ModelRequest
from bot.steps import Step
from bot.stream_events import (
    Done,
    ImagesMade,
    ReasoningDelta,
    Sources,
    StepChanged,
    StreamEvent,
    TextDelta,
    TextRetracted,
    ToolsCalled,
)
from bot.tool_calls import StoredCall
from bot.usage.calls import Call, Meter, call_for_answer, metered
from bot.usage.tokens import tokens_of_round, tokens_of_tool
from storage.engine.types import new_id

log = get_logger(__name__)

MAX_RETRY_AFTER = 10.0
"""Seconds: a model that wants a longer pause than this is reported as busy."""


class Models(Protocol):
    """What the generator needs of `bot.providers.registry`."""

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]: ...


ReadPrompt = Callable[[Chat, Answer], Awaitable[FitPrompt]]
"""Reads what an answer needs of its chat, files included; gives what makes the requests for it.

Raises ProviderError when there is nothing to ask, StorageError.
"""


RecordCalls = Callable[[Sequence[Call]], Awaitable[None]]
"""Stores ended model calls, if they are not stored yet. Raises StorageError."""


class AnswerGenerator:
    """Turns a waiting answer into its result. One for all answers of the process."""

    def __init__(
        self,
        models: Models,
        read_prompt: ReadPrompt,
        publisher: EventPublisher,
        metrics: Metrics,
        record: RecordCalls,
        pictures: PictureIntake,
        tools: ToolLoop,
        thoughts: Thoughts = THOUGHTS_TIMED,
    ) -> None:
        self._tools = tools
        self._models = models
        self._record = record
        self._thoughts = thoughts
        self._read_prompt = read_prompt
        self._publisher = publisher
        self._metrics = metrics
        self._pictures = pictures

    async def generate(self, run: RunningAnswer, chat: Chat, sink: AnswerSink) -> AnswerResult:
        """The result of the model's work, whether it succeeds, fails or is stopped.

        Raises only when cancelled, or Parked.
        """
        started = time.monotonic()
        run.steps = self._step_log(run, chat, sink)
        turns = await self._tools.stored(run)
        for turn in turns:
            run.begin_turn()
            self._add_text(run, chat, sink, turn[0].said, started)
        run.model_task = asyncio.create_task(self._ask(run, chat, sink, started, turns))
        if run.state is RunState.STOPPING:
            run.model_task.cancel()
        error: ProviderError | None = None
        try:
            await run.model_task
        except asyncio.CancelledError:
            run.model_task.cancel()
            await asyncio.wait([run.model_task])
            if run.state is not RunState.STOPPING:
                raise
        except ProviderError as raised:
            error = raised
            self._count_error(chat, raised)
        except (ChatNotFound, Parked):
            raise
        except Exception as unexpected:
            log.exception("generator_crashed", answer=run.answer.id)
            error = OwnFault(type(unexpected).__name__)
        if error is not None or run.state is RunState.STOPPING:
            await self._tools.end(run, chat)
            await self._take_pictures(run, arrived=True)
        run.fit_prompt = None  # what it holds of the chat may be large, and Slack may take minutes
        run.steps.end(failed=error is not None)
        return result_of(run, error, time.monotonic() - started)

    def _count_error(self, chat: Chat, error: ProviderError) -> None:
        """Counts what the model or its provider did wrong."""
        if isinstance(error, OwnFault):
            log.error("answer_failed_here", reason=error.detail)
        else:
            self._metrics.count_model_error(chat.model.provider, error.code)

    def _step_log(self, run: RunningAnswer, chat: Chat, sink: AnswerSink) -> StepLog:
        """A log of steps that are shown and told as they change."""

        def on_change(step: Step) -> None:
            sink.step(step)
            self._publisher.step_changed(chat, run.answer, step)

        return StepLog(on_change, self._thoughts)

    async def _ask(
        self,
        run: RunningAnswer,
        chat: Chat,
        sink: AnswerSink,
        started: float,
        turns: Sequence[Sequence[StoredCall]],
    ) -> None:
        """Asks the model until it has answered, and makes the tool calls that it wants before.

        `turns`: calls of earlier attempts. Raises Parked, ProviderError.
        """
        await self._tools.ready()
        for turn in turns:
            await self._tools.go_on(run, chat, turn)
        read = partial(self._read_prompt, chat, run.answer)
        run.fit_prompt = await until_stored(read, run.answer.id)
        request = await self._request(run, chat)
        run.begin_asking()
        while True:
            run.begin_turn()
            await self._ask_once(run, chat, request, sink, started)
            if run.called is None:
                return
            if self._tools.exhausted(run):
                raise EmptyAnswer("it kept calling tools")
            await self._tools.carry_out(run, chat, run.turn_text, run.called)
            request = await self._request(run, chat)

    async def _ask_once(
        self,
        run: RunningAnswer,
        chat: Chat,
        request: ModelRequest,
        sink: AnswerSink,
        started: float,
    ) -> None:
        """One turn of the model, asked for again after some failures as long as none of it has been shown."""
        for delay in (*run.timing.model_retry_delays, None):
            try:
                await self._stream_when_readable(run, chat, request, sink, started)
                return
            except ProviderError as error:
                pause = _pause_before_next(error, delay)
                if pause is None or run.has_content or pause >= run.seconds_to_ask:
                    raise
                log.info("model_retried", answer=run.answer.id, code=error.code)
                await asyncio.gather(asyncio.sleep(pause), self._record_repeated(run))

    async def _stream_when_readable(
        self,
        run: RunningAnswer,
        chat: Chat,
        request: ModelRequest,
        sink: AnswerSink,
        started: float,
    ) -> None:
        """Streams the answer; asks again while the database is away with pictures that the model is to be sent.

        That takes nothing of the model's time.
        """
        ask = partial(self._stream_what_fits, run, chat, request, sink, started)

        async def ask_again() -> None:
            run.begin_asking()
            await ask()

        ways: Iterator[Callable[[], Awaitable[None]]] = chain((ask,), repeat(ask_again))
        await until_stored(lambda: next(ways)(), run.answer.id)

    async def _record_repeated(self, run: RunningAnswer) -> None:
        """Stores what failed calls used while there is time; what can't be stored now is, with the answer's end."""
        run.calls[:] = [call.repeated() for call in run.calls]
        with contextlib.suppress(StorageError):
            await self._record(list(run.calls))
            run.calls.clear()

    async def _request(
        self, run: RunningAnswer, chat: Chat, limit: int | None = None
    ) -> ModelRequest:
        """The request for the answer. `limit`: estimated tokens of one that was too long."""
        tools = await self._tools.offered(run, chat)
        beside = sum(map(tokens_of_tool, tools)) + sum(map(tokens_of_round, run.rounds))
        assert run.fit_prompt is not None
        request = await until_stored(partial(run.fit_prompt, beside, limit), run.answer.id)
        run.prompt = request.facts
        return replace(request, tools=tools)

    async def _stream_what_fits(
        self,
        run: RunningAnswer,
        chat: Chat,
        request: ModelRequest,
        sink: AnswerSink,
        started: float,
    ) -> None:
        """Streams the answer; asks again with less of the chat while the prompt turns out to be too long."""
        while True:
            try:
                await self._stream(run, chat, request, sink, started)
                return
            except ContextTooLong:
                tokens = request.facts.estimated_tokens
                if not run.turn_text:
                    request = await self._request(run, chat, tokens)
                if request.facts.estimated_tokens < tokens:
                    run.calls[:] = [call.repeated() for call in run.calls]
                if request.facts.estimated_tokens >= tokens:
                    raise

    async def _stream(
        self,
        run: RunningAnswer,
        chat: Chat,
        request: ModelRequest,
        sink: AnswerSink,
        started: float,
    ) -> None:
        """Reads one stream to its end. Raises ProviderError."""
        run.usage, run.finish_reason, run.called = None, "", None
        run.sources = run.sources_before  # none of a call that is repeated
        run.steps.call_begun()
        request = replace(
            request,
            max_seconds=run.seconds_to_ask,
            held=run.held,
            **self._tools.called(run, chat, request),
        )
        asked = call_for_answer(new_id(), chat, run.answer, request.model)
        estimated = request.facts.estimated_tokens
        async with run.noting(asked, estimated):
            with metered(asked, run.calls, estimated) as meter:
                run.meter = meter
                await self._read(run, chat, request, sink, started, meter)

    async def _read(
        self,
        run: RunningAnswer,
        chat: Chat,
        request: ModelRequest,
        sink: AnswerSink,
        started: float,
        meter: Meter,
    ) -> None:
        """Makes the call, and takes what its stream yields."""
        async with aclosing(_closable(self._models.stream(request))) as events:
            async for event in events:
                meter.note(event)
                if isinstance(event, TextDelta):
                    self._add_text(run, chat, sink, event.text, started)
                elif isinstance(event, TextRetracted):
                    self._retract(run, sink)
                else:
                    _note(run, event)
        if not run.finish_reason:
            raise StreamInterrupted
        await self._take_pictures(run)
        if run.called is None and not "".join(run.text).strip() and not run.pictures:
            raise PicturesOnly if run.received_pictures else EmptyAnswer

    async def _take_pictures(self, run: RunningAnswer, *, arrived: bool = False) -> None:
        """Makes of the received pictures those that are kept. `arrived`: without fetching any."""
        received = [each for each in run.received_pictures if each.arrived or not arrived]
        if received and run.held is not None:
            run.pictures = await self._pictures.fitted(received, run.held)

    def _retract(self, run: RunningAnswer, sink: AnswerSink) -> None:
        """Takes back what the present turn has shown."""
        run.steps.reasoning(run.turn_text)
        run.retract()
        sink.restart()
        if run.text:
            sink.write("".join(run.text))

    def _add_text(
        self, run: RunningAnswer, chat: Chat, sink: AnswerSink, text: str, started: float
    ) -> None:
        if not text:
            return
        if not run.text:
            self._metrics.observe_first_word(time.monotonic() - started)
        run.steps.text()
        if run.text and len(run.text) == run.turn_start and not run.text[-1].endswith("\n"):
            text = f"\n\n{text.lstrip()}"
        run.text.append(text)
        sink.write(text)
        if not run.retracted:
            self._publisher.text_appended(chat, run.answer, text, run.length)
        run.length += len(text)


def _note(run: RunningAnswer, event: StreamEvent) -> None:
    """What a model's stream says besides text."""
    if isinstance(event, Usage):
        run.usage = event
    elif isinstance(event, Done):
        run.finish_reason = event.reason
    elif isinstance(event, Sources):
        run.sources = event.sources
    elif isinstance(event, ReasoningDelta):
        run.steps.reasoning(event.text)
    elif isinstance(event, StepChanged):
        run.steps.change(event)
    elif isinstance(event, ImagesMade):
        run.note_pictures(event.images)
    elif isinstance(event, ToolsCalled):
        run.called = event


def _pause_before_next(error: ProviderError, delay: float | None) -> float | None:
    """Seconds before the next request, `delay` unless the provider says how long; None: there is no next one."""
    if delay is None or not error.retried_automatically:
        return None
    pause = delay if error.retry_after is None else error.retry_after
    return pause if pause <= MAX_RETRY_AFTER else None


async def _closable(events: AsyncIterator[StreamEvent]) -> AsyncGenerator[StreamEvent, None]:
    """The same events; closing this closes the source, whatever kind of iterator it is."""
    try:
        async for event in events:
            yield event
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
