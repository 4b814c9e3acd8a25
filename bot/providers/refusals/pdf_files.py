"""PDFs that a provider reads itself, and what happens if it refuses them.

A refusal costs one more request without the files; a denied step says that the answer lacks them.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bot import english_strings
from bot.domain.steps import StepKind, StepStatus
from bot.domain.stream_events import StepChanged
from bot.errors import ProviderError
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.refusals.parts import ModelMemory, Part, names

_NAME = "pdf files"
_DENIED = StepChanged(_NAME, StepKind.DOCUMENT, StepStatus.DENIED)
_WORDS = re.compile(r"pdf|\bfiles?\b|\bdocument(s|_url)?\b", re.IGNORECASE)
"""In a refusal, these words refer to the PDFs."""


def pdf_files(refusing: ModelMemory) -> Part:
    """The PDFs as a part of a request. `refusing`: models that are known to refuse them."""
    return Part(_NAME, _without_pdfs, refusing, _is_meant, _DENIED)


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    return names(_WORDS, error, request)


def _without_pdfs(request: ModelRequest) -> ModelRequest:
    messages = [_without(message) for message in request.messages]
    if all(new is old for new, old in zip(messages, request.messages, strict=True)):
        return request
    return replace(request, messages=messages)


def _without(message: ChatMessage) -> ChatMessage:
    """The same message with a note in place of each PDF; the same object if it has none."""
    pdfs = [each for each in message.images if each.is_pdf]
    if not pdfs:
        return message
    notes = [english_strings.SCAN_NOT_SENT.format(name=each.name) for each in pdfs]
    images = tuple(each for each in message.images if not each.is_pdf)
    return replace(message, text="\n\n".join(filter(None, [message.text, *notes])), images=images)
