"""PDFs that a provider reads itself: what if it refuses them.

A refusal costs one more request, without the files; that the answer is without them is told as a step that was denied.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from bot import english_strings
from bot.errors import ModelGone, ProviderError, RequestRefused
from bot.observability import get_logger
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.refusals import Ask, ModelMemory, closing
from bot.steps import StepKind, StepStatus
from bot.stream_events import StepChanged, StreamEvent

log = get_logger(__name__)

_KEY = "pdf files"
_REFUSALS = (RequestRefused, ModelGone)
"""OpenRouter has no endpoint with files for some models, and says so with HTTP 404."""


def stream_with_pdfs(
    ask: Ask, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the first was refused with its PDFs and is not without them.

    `refusing`: models that are known to refuse.
    """
    without = [_without(message) for message in request.messages]
    if all(new is old for new, old in zip(without, request.messages, strict=True)):
        return ask(request)
    return _with_pdfs(ask, request, replace(request, messages=without), refusing)


async def _with_pdfs(
    ask: Ask, request: ModelRequest, without: ModelRequest, refusing: ModelMemory
) -> AsyncGenerator[StreamEvent, None]:
    refusal: ProviderError | None = None
    if request.model not in refusing:
        try:
            async with closing(ask(request)) as events:
                async for event in events:
                    yield event
            return
        except _REFUSALS as error:
            refusal = error
    async with closing(ask(without)) as events:
        first = True
        async for event in events:
            if first:
                first = False
                if refusal is not None:
                    log.info("pdfs_refused", model=str(request.model))
                    await refusing.add(request.model)
                yield StepChanged(_KEY, StepKind.DOCUMENT, StepStatus.DENIED)
            yield event


def _without(message: ChatMessage) -> ChatMessage:
    """The same message with a note in place of each PDF; the same object if it has none."""
    pdfs = [each for each in message.images if each.is_pdf]
    if not pdfs:
        return message
    notes = [english_strings.SCAN_NOT_SENT.format(name=each.name) for each in pdfs]
    images = tuple(each for each in message.images if not each.is_pdf)
    return replace(message, text="\n\n".join(filter(None, [message.text, *notes])), images=images)
