"""Models without a system role: their servers refuse a system message; the instruction goes before the first turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from bot.errors import SystemRoleRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals import Ask, ModelMemory, stream_or_without
from bot.stream_events import StreamEvent


def without_system_role(request: ModelRequest) -> ModelRequest:
    """The same request with the system prompt at the beginning of its first message."""
    if not (request.system and request.messages):
        return request
    first, *rest = request.messages
    text = "\n\n".join(text for text in (request.system, first.text) if text)
    return replace(request, system="", messages=[replace(first, text=text), *rest])


def stream_adapted(
    ask: Ask, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the server refuses the system role. `refusing`: models known to do so."""
    without = without_system_role(request)
    return stream_or_without(ask, request, without, SystemRoleRefused, refusing)
