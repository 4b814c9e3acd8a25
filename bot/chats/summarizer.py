"""Has a model summarise part of a chat: in one process, once, within a limited time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from bot.chats.auxiliary_calls import AuxiliaryCalls
from bot.domain import ModelRef, Role
from bot.errors import ContextTooLong, ProviderError, StorageError
from bot.observability import get_logger
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.model_search import fair_shares
from bot.providers.tool_messages import without_rounds
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from bot.usage.calls import CallKind, Payer
from bot.usage.estimate import BYTES_PER_TOKEN
from storage.action_claims import ActionClaims
from storage.summaries import Summaries, Summary

log = get_logger(__name__)

SUMMARY_INSTRUCTION = (
    "Summarise the conversation below for the language model that will continue it and cannot read it any more. Keep "
    "names, figures, decisions, open questions and what the people want; leave out pleasantries. Reply with the "
    "summary alone, in the language of the conversation, in at most 300 words."
)
MAX_SUMMARY_LENGTH = 6_000
"""Characters of the model's reply that are read."""
MAX_TRANSCRIPT_LENGTH = 300_000
"""Characters of a conversation that are summarised if the model's window is unknown."""
EARLIER = "[Summary of what was said before]\n{text}"
SPEAKERS = {Role.USER: "User", Role.ASSISTANT: "Assistant"}
_PARTS = (1, 3, 9)
"""The divisor of the transcript's length after each refusal as too long."""
CLAIM = "summary"
PAUSE_AFTER_FAILURE = 60.0
"""Seconds for which a failed summary of the same part is not tried again."""


class Summarizer:
    def __init__(
        self,
        summaries: Summaries,
        claims: ActionClaims,
        auxiliary_calls: AuxiliaryCalls,
        tasks: Tasks,
        timing: Timing = Timing(),
    ) -> None:
        self._summaries = summaries
        self._claims = claims
        self._auxiliary_calls = auxiliary_calls
        self._tasks = tasks
        self._timing = timing
        self._writing: dict[tuple[str, int], asyncio.Task[None]] = {}
        """By chat and first message: what this process is writing, which may outlast the answer that wanted it."""

    async def write(
        self,
        payer: Payer,
        model: ModelRef,
        turns: Sequence[ChatMessage],
        *,
        since: int,
        through: int,
        people: int,
        room: float | None,
        wait: float | None = None,
    ) -> Summary | None:
        """A new summary of the messages `since` to `through` of the payer's chat, once it is stored.

        `turns`: those messages, or an earlier summary and what followed it. `room`: estimated tokens that they may
        have. `people`: the sum of the messages' `people` before they were read. None if it is not ready in time,
        another process is writing one, or somebody has been erased from the messages meanwhile; a summary that has
        begun is finished and stored anyway. Raises StorageError.
        """
        chat_id = payer.chat_id
        key = (chat_id, since)
        if key not in self._writing:
            seconds = self._timing.lease_duration
            if not await self._claims.claim(CLAIM, chat_id, str(since), seconds=seconds):
                return None
            length = MAX_TRANSCRIPT_LENGTH if room is None else int(room * BYTES_PER_TOKEN)
            work = self._write(payer, model, turns, length, since, through, people)
            task = self._tasks.start(work, name="summary")
            self._writing[key] = task
            task.add_done_callback(lambda _: self._writing.pop(key, None))
        await asyncio.wait([self._writing[key]], timeout=wait or self._timing.summary_wait)
        return await self._summaries.find(chat_id, since, through + 1)

    async def _write(
        self,
        payer: Payer,
        model: ModelRef,
        turns: Sequence[ChatMessage],
        length: int,
        since: int,
        through: int,
        people: int,
    ) -> None:
        """Asks the model. After a failure the claim stays, so that the next answers do not wait for it again."""
        chat_id = payer.chat_id
        claim = (CLAIM, chat_id, str(since))
        try:
            async with self._claims.renewing(*claim, seconds=self._timing.lease_duration):
                text = await self._ask(payer, model, turns, length)
            if text:
                await self._summaries.store(chat_id, Summary(since, through, text), people)
                await self._claims.release(*claim)
                return
        except (ProviderError, StorageError) as error:
            log.info("summary_failed", chat=chat_id, reason=type(error).__name__)
        with suppress(StorageError):
            await self._claims.keep(*claim, seconds=PAUSE_AFTER_FAILURE)

    async def _ask(
        self, payer: Payer, model: ModelRef, turns: Sequence[ChatMessage], length: int
    ) -> str:
        """The summary, made from less and less of the turns' text as long as it is too long. Raises ProviderError."""
        for part in _PARTS[:-1]:
            with suppress(ContextTooLong):
                return await self._read(payer, model, transcript(turns, length // part))
        return await self._read(payer, model, transcript(turns, length // _PARTS[-1]))

    async def _read(self, payer: Payer, model: ModelRef, text: str) -> str:
        request = self._request(model, text)
        return (await self._auxiliary_calls.text(request, CallKind.SUMMARY, payer)).strip()

    def _request(self, model: ModelRef, text: str) -> ModelRequest:
        return ModelRequest(
            model=model,
            system=SUMMARY_INSTRUCTION,
            messages=[ChatMessage(Role.USER, text)],
            max_characters=MAX_SUMMARY_LENGTH,
            max_seconds=self._timing.longest_summary,
        )


def transcript(turns: Sequence[ChatMessage], length: int) -> str:
    """The conversation, with tool results, as one text of at most this many bytes; long turns are cut first."""
    texts = [f"{SPEAKERS[turn.role]}: {turn.text}" for turn in without_rounds(turns)]
    sizes = [len(text.encode()) for text in texts]
    shares = fair_shares(sizes, max(0, length - 4 * len(texts)))
    return "\n\n".join(
        text if size <= share else _cut(text, share)
        for text, size, share in zip(texts, sizes, shares, strict=True)
    )


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore") + "…"
