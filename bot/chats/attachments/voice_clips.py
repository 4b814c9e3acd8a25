"""Transcribes voice clips with the model that the operator has configured."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from bot.chats.attachments.rules import NOT_TRANSCRIBED
from bot.errors import FileProblem, ProviderError
from bot.observability import get_logger
from bot.providers.transcription import Transcriber, VoiceClip
from bot.usage.calls import Payer

log = get_logger(__name__)

_PAUSE = 0.5
"""Seconds before the second and last attempt."""
_REPEATED_WITHIN = 10.0
"""Seconds: an attempt that fails later than this is the last one, so that nobody waits for two long ones."""


class TranscriptionCalls(Protocol):
    """What transcription needs from `bot.chats.auxiliary_calls`."""

    async def check(self, payer: Payer) -> None: ...
    async def transcribe(self, transcriber: Transcriber, clip: VoiceClip, payer: Payer) -> str: ...


class VoiceClips:
    def __init__(self, transcriber: Transcriber | None, calls: TranscriptionCalls) -> None:
        self._transcriber = transcriber
        self._calls = calls

    @property
    def transcribes(self) -> bool:
        """Whether a transcription model is configured."""
        return self._transcriber is not None

    async def transcribe_if_allowed(self, clip: VoiceClip, payer: Payer) -> str:
        """Like `transcribe`, for a clip whose message has not been admitted yet. Raises BudgetReached too."""
        await self._calls.check(payer)
        return await self.transcribe(clip, payer)

    async def transcribe(self, clip: VoiceClip, payer: Payer) -> str:
        """The transcript. Raises FileProblem, StorageError."""
        if self._transcriber is None:
            raise FileProblem("kind")
        try:
            words = await self._repeatedly_transcribed(self._transcriber, clip, payer)
        except ProviderError as error:
            log.warning("clip_not_transcribed", reason=error.code)
            raise FileProblem(NOT_TRANSCRIBED) from error
        if not words:
            raise FileProblem("no_words")
        return words

    async def _repeatedly_transcribed(
        self, transcriber: Transcriber, clip: VoiceClip, payer: Payer
    ) -> str:
        """Raises ProviderError when the second attempt fails too, or is not worth making."""
        began = time.monotonic()
        try:
            return await self._calls.transcribe(transcriber, clip, payer)
        except ProviderError as error:
            late = time.monotonic() - began > _REPEATED_WITHIN
            if late or not error.retried_automatically:
                raise
        await asyncio.sleep(_PAUSE)
        return await self._calls.transcribe(transcriber, clip, payer)
