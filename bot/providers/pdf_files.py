"""PDFs that a provider reads itself: what if it refuses them.

A refusal costs one more request, without the files; that the answer is without them is told as a step that was denied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from bot import english_strings
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.refusals import Ask, ModelMemory, stream_or_tell
from bot.steps import StepKind, StepStatus
from bot.stream_events import StepChanged, StreamEvent

_KEY = "pdf files"


def stream_with_pdfs(
    ask: Ask, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the first was refused with its PDFs and is not without them.

    `refusing`: models that are known to refuse.
    """
    without = [_without(message) for message in request.messages]
    if all(new is old for new, old in zip(without, request.messages, strict=True)):
        return ask(request)
    denied = StepChanged(_KEY, StepKind.DOCUMENT, StepStatus.DENIED)
    return stream_or_tell(ask, request, replace(request, messages=without), refusing, denied)


def _without(message: ChatMessage) -> ChatMessage:
    """The same message with a note in place of each PDF; the same object if it has none."""
    pdfs = [each for each in message.images if each.is_pdf]
    if not pdfs:
        return message
    notes = [english_strings.SCAN_NOT_SENT.format(name=each.name) for each in pdfs]
    images = tuple(each for each in message.images if not each.is_pdf)
    return replace(message, text="\n\n".join(filter(None, [message.text, *notes])), images=images)
