"""Models without tools: their servers refuse a request that offers some; what was called before becomes text."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.errors import SystemRoleRefused, ToolsRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals import Ask, ModelMemory, stream_or_without
from bot.providers.tool_messages import as_text
from bot.stream_events import StreamEvent


def stream_offering_tools(
    ask: Ask, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the model has no tools. `refusing`: models known to have none."""
    without = as_text(request)
    offering = request if request.tools else without
    refusals = (ToolsRefused, SystemRoleRefused) if _tells_of_calls(request) else ToolsRefused
    return stream_or_without(ask, offering, without, refusals, refusing)


def _tells_of_calls(request: ModelRequest) -> bool:
    """Whether it has messages of the role `tool`: templates that know none complain about roles."""
    return bool(request.rounds) or any(message.rounds for message in request.messages)
