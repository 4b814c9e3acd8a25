"""Model calls that are not answers: titles, summaries, transcripts. The ledger records what they use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from bot.answers.storage_retry import until_stored
from bot.chats.prompt_size import tokens_of_request
from bot.domain.stream_events import (
    StreamEvent,
)
from bot.observability import Metrics
from bot.providers.base import ModelRequest, whole_text
from bot.providers.transcription import Transcriber, VoiceClip
from bot.usage.calls import (
    Call,
    CallKind,
    CallOutcome,
    Meter,
    Payer,
    PriceOf,
    estimate_before,
    metered,
    no_price,
)
from bot.usage.estimate import tokens_of_speech
from storage.engine.types import new_id
from storage.ledger import Ledger


class Models(Protocol):
    """What such calls need from `bot.providers.registry`."""

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]: ...


class AuxiliaryCalls:
    """Asks models, and stores each call before it is made, so that a kill does not lose it, and after."""

    def __init__(
        self, models: Models, ledger: Ledger, metrics: Metrics, price_of: PriceOf = no_price
    ) -> None:
        self._models = models
        self._price_of = price_of
        self._ledger = ledger
        self._metrics = metrics

    async def text(self, request: ModelRequest, kind: CallKind, payer: Payer) -> str:
        """The text that the model writes. Raises ProviderError, StorageError."""
        asked = Call(new_id(), payer, kind, request.model)
        async with self._stored(asked, tokens_of_request(request)) as meter:
            return await whole_text(_read(self._models.stream(request), meter))

    async def check(self, payer: Payer) -> None:
        """Raises BudgetReached if none of their messages would be answered now."""
        await self._ledger.check(payer)

    async def transcribe(self, transcriber: Transcriber, clip: VoiceClip, payer: Payer) -> str:
        """The transcript of a clip. Raises ProviderError, StorageError."""
        asked = Call(new_id(), payer, CallKind.TRANSCRIPTION, transcriber.model)
        async with self._stored(asked, tokens_of_speech(clip.data)) as meter:
            transcription = await transcriber.transcribe(clip)
            meter.usage = transcription.usage
            meter.received = len(transcription.text.encode())
        return transcription.text

    @asynccontextmanager
    async def _stored(self, asked: Call, tokens: int) -> AsyncIterator[Meter]:
        """Stores the call that is made inside the block. `tokens`: of what is sent, by our own estimate."""
        price = self._price_of(asked.model)
        await self._ledger.ask(asked.estimated(estimate_before(tokens, price)))
        ended: list[Call] = []
        try:
            with metered(asked, ended, tokens, price) as meter:
                yield meter
        finally:
            not_made = replace(asked, outcome=CallOutcome.FAILED)
            await self._complete(ended[0] if ended else not_made)

    async def _complete(self, call: Call) -> None:
        await until_stored(lambda: self._ledger.complete(call), call.id)
        self._metrics.count_usage(call.model.provider, call.usage)


async def _read(events: AsyncIterator[StreamEvent], meter: Meter) -> AsyncIterator[StreamEvent]:
    async for event in events:
        meter.note(event)
        yield event
