"""Models without tools: their servers refuse a request that offers some; what was called before becomes text."""

from __future__ import annotations

from bot.errors import ProviderError, SystemRoleRefused, ToolsRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals import ModelMemory, Part
from bot.providers.tool_messages import as_text


def tools(refusing: ModelMemory) -> Part:
    """The tools of a request, and what it tells of their calls. `refusing`: models that are known to have none."""
    return Part("tools", _without, refusing, _is_meant)


def _without(request: ModelRequest) -> ModelRequest:
    return as_text(request) if request.tools or _tells_of_calls(request) else request


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    refused_role = isinstance(error, SystemRoleRefused) and _tells_of_calls(request)
    return refused_role or isinstance(error, ToolsRefused)


def _tells_of_calls(request: ModelRequest) -> bool:
    """Whether it has messages of the role `tool`: templates that know none complain about roles."""
    return bool(request.rounds) or any(message.rounds for message in request.messages)
