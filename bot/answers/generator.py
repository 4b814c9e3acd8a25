"""Asks the model for one answer, and passes its text on as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from bot.answers.answer_result import result_of
from bot.answers.events import EventPublisher
from bot.answers.pictures import FitPicture, fit_pictures
from bot.answers.running_answer import FitPrompt, RunningAnswer, RunState
from bot.answers.sink import AnswerSink
from bot.answers.step_log import TIMED_REASONING, ReasoningDisplay, StepLog
from bot.answers.storage_retry import until_stored
from bot.answers.tool_loop import AnswerTools, Parked, ToolLoop
from bot.domain import Answer, AnswerResult, Chat, Usage
from bot.domain.steps import Step
from bot.domain.stream_events import (
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
from bot.domain.tool_calls import StoredCall
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
from bot.usage.calls import (
    Call,
    Meter,
    PriceOf,
    call_for_answer,
    estimate_before,
    metered,
    no_price,
)
from bot.usage.estimate import tokens_of_round, tokens_of_tool
from storage.engine.types import new_id
from storage.ledger import Ledger

log = get_logger(__name__)

MAX_RETRY_AFTER = 10.0
"""Seconds: if a model asks for a longer pause than this, it is reported as busy."""


class Models(Protocol):
    """What the generator needs of `bot.providers.registry`."""

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]: ...


ReadPrompt = Callable[[Chat, Answer], Awaitable[FitPrompt]]
"""Reads what an answer needs from its chat, including files; returns the function that makes its requests.

Raises ProviderError when there is nothing to ask, StorageError.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class AnswerGenerator:
    """Turns a waiting answer into its result. One instance serves all answers of the process."""

    models: Models
    read_prompt: ReadPrompt
    publisher: EventPublisher
    metrics: Metrics
    ledger: Ledger
    fit_picture: FitPicture
    tool_loop: ToolLoop
    reasoning_display: ReasoningDisplay = TIMED_REASONING
    price_of: PriceOf = no_price

    async def generate(self, run: RunningAnswer, chat: Chat, sink: AnswerSink) -> AnswerResult:
        """The result of the model's work, whether it succeeds, fails or is stopped.

        Raises only when cancelled, or Parked.
        """
        tools = self.tool_loop.for_answer(run, chat)
        return await _Generation(self, run, chat, sink, tools).result()

    def count_usage(self, calls: Iterable[Call]) -> None:
        """Counts what stored calls have used."""
        for call in calls:
            self.metrics.count_usage(call.model.provider, call.usage)


@dataclass(frozen=True, eq=False)
class _Generation:
    """One answer that is being requested, with all its state."""

    by: AnswerGenerator
    run: RunningAnswer
    chat: Chat
    sink: AnswerSink
    tools: AnswerTools
    started: float = field(default_factory=time.monotonic)

    async def result(self) -> AnswerResult:
        run = self.run
        run.steps = StepLog(self._on_step, self.by.reasoning_display)
        turns = await self.tools.stored_turns()
        for turn in turns:
            run.begin_turn()
            self._add_text(turn[0].text_before)
        run.model_task = asyncio.create_task(self._ask(turns))
        if run.state is RunState.STOPPING:
            run.model_task.cancel()
        error = await self._error(run.model_task)
        if error is not None or run.state is RunState.STOPPING:
            await self.tools.end()
            await self._take_pictures(arrived=True)
        run.fit_prompt = None  # what it holds of the chat may be large, and Slack may take minutes
        run.steps.end(failed=error is not None)
        return result_of(run, error, time.monotonic() - self.started)

    def _on_step(self, step: Step) -> None:
        """Shows and publishes a step as it changes."""
        self.sink.step(step)
        self.by.publisher.step_changed(self.chat, self.run.answer, step)

    async def _error(self, model_task: asyncio.Task[None]) -> ProviderError | None:
        """Waits for the model to end; returns why it failed, or None if it did not fail or was stopped."""
        try:
            await model_task
        except asyncio.CancelledError:
            model_task.cancel()
            await asyncio.wait([model_task])
            if self.run.state is not RunState.STOPPING:
                raise
        except ProviderError as error:
            self._count_error(error)
            return error
        except (ChatNotFound, Parked):
            raise
        except Exception as unexpected:
            log.exception("generator_crashed", answer=self.run.answer.id)
            return OwnFault(type(unexpected).__name__)
        return None

    def _count_error(self, error: ProviderError) -> None:
        """Counts errors of the model or its provider."""
        if isinstance(error, OwnFault):
            log.error("answer_failed_internally", reason=error.detail)
        else:
            self.by.metrics.count_model_error(self.chat.model.provider, error.code)

    # -- asking ------------------------------------------------------------------------------------------------

    async def _ask(self, turns: Sequence[Sequence[StoredCall]]) -> None:
        """Asks the model until it has answered, making the tool calls that it requests along the way.

        `turns`: calls of earlier attempts. Raises Parked, ProviderError.
        """
        run, tools = self.run, self.tools
        await self.by.tool_loop.ready()
        for turn in turns:
            await tools.resume(turn)
        read = partial(self.by.read_prompt, self.chat, run.answer)
        run.fit_prompt = await until_stored(read, run.answer.id)
        request = await self._request()
        run.begin_asking()
        while True:
            run.begin_turn()
            await self._ask_once(request)
            if run.called is None:
                return
            if tools.exhausted():
                raise EmptyAnswer("it kept calling tools")
            await tools.carry_out(run.turn_text, run.called)
            request = await self._request()

    async def _request(self, limit: int | None = None) -> ModelRequest:
        """The request for the answer. `limit`: estimated tokens of a prompt that was too long."""
        run = self.run
        tools = await self.tools.offered()
        beside = sum(map(tokens_of_tool, tools)) + sum(map(tokens_of_round, run.rounds))
        assert run.fit_prompt is not None
        request = await until_stored(partial(run.fit_prompt, beside, limit), run.answer.id)
        run.prompt = request.facts
        return replace(request, tools=tools)

    async def _ask_once(self, request: ModelRequest) -> None:
        """One turn of the model, requested again after some failures as long as none of it has been shown."""
        run = self.run
        for delay in (*run.timing.model_retry_delays, None):
            try:
                await self._stream_when_readable(request)
                return
            except ProviderError as error:
                pause = _pause_before_next(error, delay)
                if pause is None or run.has_content or pause >= run.seconds_to_ask:
                    raise
                log.info("model_retried", answer=run.answer.id, code=error.code)
                await asyncio.gather(asyncio.sleep(pause), self._record_repeated())

    async def _record_repeated(self) -> None:
        """Stores what failed calls used if the database is available; otherwise it is stored with the answer's end."""
        calls = self.run.calls
        calls[:] = [call.repeated() for call in calls]
        with contextlib.suppress(StorageError):
            stored = list(calls)
            await self.by.ledger.add(stored)
            self.by.count_usage(stored)
            calls.clear()

    async def _stream_when_readable(self, request: ModelRequest) -> None:
        """Streams the answer; retries while the database, which holds the pictures to be sent, is down.

        That does not count as the model's time.
        """

        async def ask_again() -> None:
            self.run.begin_asking()
            await self._stream_what_fits(request)

        ask = partial(self._stream_what_fits, request)
        await until_stored(ask, self.run.answer.id, again=ask_again)

    async def _stream_what_fits(self, request: ModelRequest) -> None:
        """Streams the answer; asks again with less of the chat while the prompt turns out to be too long."""
        run = self.run
        while True:
            try:
                await self._stream(request)
                return
            except ContextTooLong:
                tokens = request.facts.estimated_tokens
                if not run.turn_text:
                    request = await self._request(tokens)
                if request.facts.estimated_tokens >= tokens:
                    raise
                run.calls[:] = [call.repeated() for call in run.calls]

    # -- one stream --------------------------------------------------------------------------------------------

    async def _stream(self, request: ModelRequest) -> None:
        """Reads one stream to its end. Raises ProviderError."""
        run = self.run
        run.usage, run.finish_reason, run.called = None, "", None
        run.sources = run.sources_before  # nothing of a call that is repeated counts
        run.steps.call_begun()
        request = replace(
            request,
            max_seconds=run.seconds_to_ask,
            reservation=run.reservation,
            **self.tools.request_fields(request),
        )
        asked = call_for_answer(new_id(), self.chat, run.answer, request.model)
        estimated, price = request.facts.estimated_tokens, self.by.price_of(asked.model)
        async with run.noting(asked, estimate_before(estimated, price)):
            with metered(asked, run.calls, estimated, price) as meter:
                run.meter = meter
                await self._read(request, meter)

    async def _read(self, request: ModelRequest, meter: Meter) -> None:
        """Makes the call, and applies the events of its stream."""
        run = self.run
        async with aclosing(_closable(self.by.models.stream(request))) as events:
            async for event in events:
                meter.note(event)
                if isinstance(event, TextDelta):
                    self._add_text(event.text)
                elif isinstance(event, TextRetracted):
                    self._retract()
                else:
                    _note(run, event)
        if not run.finish_reason:
            raise StreamInterrupted
        await self._take_pictures()
        if run.called is None and not "".join(run.text).strip() and not run.pictures:
            raise PicturesOnly if run.received_pictures else EmptyAnswer

    async def _take_pictures(self, *, arrived: bool = False) -> None:
        """Chooses the pictures to keep from those received. `arrived`: without fetching any."""
        run = self.run
        received = [each for each in run.received_pictures if each.arrived or not arrived]
        if received and run.reservation is not None:
            run.pictures = await fit_pictures(received, self.by.fit_picture, run.reservation)

    def _retract(self) -> None:
        """Retracts what the current turn has shown."""
        run = self.run
        run.steps.reasoning(run.turn_text)
        run.retract()
        self.sink.restart()
        if run.text:
            self.sink.write("".join(run.text))

    def _add_text(self, text: str) -> None:
        run = self.run
        if not text:
            return
        if not run.text:
            self.by.metrics.observe_first_word(time.monotonic() - self.started)
        run.steps.text()
        if run.text and len(run.text) == run.turn_start and not run.text[-1].endswith("\n"):
            text = f"\n\n{text.lstrip()}"
        run.text.append(text)
        self.sink.write(text)
        if not run.retracted:
            self.by.publisher.text_appended(self.chat, run.answer, text, run.length)
        run.length += len(text)


def _note(run: RunningAnswer, event: StreamEvent) -> None:
    """Applies an event of a model's stream that is not text."""
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
    """Seconds before the next request: the provider's, else `delay`; None if there is no next one."""
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
